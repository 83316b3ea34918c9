#include "coordinator-less/protocol/sleeping_custody.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
SleepingCustody::SleepingCustody(const JobId& job, std::uint32_t units, bool inputs_whole) : job_(job), inputs_whole_(inputs_whole) { here_.reserve(units); }

void SleepingCustody::add_here() {
  here_.push_back(true);
  ++here_count_;
}

void SleepingCustody::add_elsewhere(const std::optional<PeerId>& witness) {
  const auto slot = witness ? slot_of(*witness) : std::nullopt;
  here_.push_back(false);
  witness_.push_back(slot.value_or(not_missed));
}

void SleepingCustody::shrink() {
  witness_.shrink_to_fit();
  peers_.shrink_to_fit();
}

std::optional<SleepingCustody::Slot> SleepingCustody::slot_of(const PeerId& peer) {
  auto place = static_cast<std::size_t>(std::ranges::find(peers_, peer) - peers_.begin());
  if (place == slots_max) place = unused_place();
  if (place == slots_max) return std::nullopt;
  if (place == peers_.size()) peers_.push_back(peer);
  peers_[place] = peer;
  return static_cast<Slot>(first_slot + place);
}

std::size_t SleepingCustody::unused_place() const {
  std::vector<bool> used(slots_max);
  for (const Slot slot : witness_)
    if (slot >= first_slot) used[slot - first_slot] = true;
  return static_cast<std::size_t>(std::ranges::find(used, false) - used.begin());
}

void SleepingCustody::on_holdings(const PeerId& peer, const Holdings& holdings, base::Instant now) {
  if (holdings.inputs_whole)
    input_holders_.insert(peer);
  else
    input_holders_.erase(peer);
  if (witness_.empty()) return;
  const auto known = std::ranges::find(peers_, peer);
  std::optional<Slot> slot;  // taken when it is the first to list a unit that has no witness
  if (known != peers_.end()) slot = static_cast<Slot>(first_slot + (known - peers_.begin()));
  bool room = true;
  auto range = holdings.units.begin();
  std::size_t place = 0;
  for (UnitIndex unit = 0; unit < here_.size(); ++unit) {
    if (here_[unit]) continue;
    Slot& witness = witness_[place++];
    while (range != holdings.units.end() && range->second <= unit) ++range;
    const bool listed = range != holdings.units.end() && range->first <= unit;
    if (witness == nobody && listed && room) {
      if (!slot) slot = slot_of(peer);
      room = slot.has_value();
      if (slot) witness = *slot;
    }
    if (slot && witness == *slot && !listed && holdings.complete) witness = nobody;
  }
  count_lost(now);
}

void SleepingCustody::on_link_down(const PeerId& peer, base::Instant now) {
  input_holders_.erase(peer);
  if (!left_at_ && std::ranges::any_of(witness_, [](Slot slot) { return slot != not_missed; })) left_at_ = now;
  const auto known = std::ranges::find(peers_, peer);
  if (known == peers_.end()) return;
  const auto slot = static_cast<Slot>(first_slot + (known - peers_.begin()));
  std::ranges::replace(witness_, slot, nobody);
  count_lost(now);
}

void SleepingCustody::count_lost(base::Instant now) {
  if (!std::ranges::contains(witness_, nobody))
    lost_since_.reset();
  else if (!lost_since_)
    lost_since_ = now;
}

bool SleepingCustody::wants_waking(base::Instant now, base::Duration lost, base::Duration left) const {
  return overdue_ || (lost_since_ && now - *lost_since_ >= lost) || (left_at_ && now - *left_at_ >= left);
}

Holdings SleepingCustody::everything() const {
  Holdings out{job_, inputs_whole_, true, {}};
  for (UnitIndex unit = 0; here_count_ > 0 && unit < here_.size(); ++unit) {
    if (!here_[unit]) continue;
    if (!out.units.empty() && out.units.back().second == unit)
      ++out.units.back().second;
    else
      out.units.emplace_back(unit, unit + 1);
  }
  if (out.units.size() > limits::ranges_per_holdings_max) {  // too ragged for one message, as in custody.cpp
    out.units.resize(limits::ranges_per_holdings_max);
    out.complete = false;
  }
  return out;
}

void SleepingCustody::check_invariants() const {
  STARLING_ENSURE(static_cast<std::size_t>(std::ranges::count(here_, true)) == here_count_);
  STARLING_ENSURE(witness_.size() == here_.size() - here_count_ && peers_.size() <= slots_max);
  for (const Slot slot : witness_) STARLING_ENSURE(slot < first_slot + peers_.size());
  STARLING_ENSURE(lost_since_.has_value() == std::ranges::contains(witness_, nobody));
}

}  // namespace starling::protocol
