#include "coordinator-less/protocol/custody.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

using Ranges = std::vector<std::pair<UnitIndex, UnitIndex>>;

void append_unit(Ranges& ranges, UnitIndex unit) {
  if (!ranges.empty() && ranges.back().second == unit)
    ranges.back().second = unit + 1;
  else
    ranges.emplace_back(unit, unit + 1);
}

Ranges ranges_of(const std::set<UnitIndex>& units) {
  Ranges out;
  for (const UnitIndex unit : units) append_unit(out, unit);
  return out;
}

constexpr std::uint64_t never_listed = UINT64_MAX;

Bytes keeper_prefix(const JobId& job, std::optional<UnitIndex> unit) {
  Bytes out = base::copy(base::view("starling/v1/keeper"));
  out.push_back(std::byte{0});
  base::append(out, job.view());
  if (unit) base::append_u32(out, *unit);
  return out;
}

}  // namespace

Custody::Custody(const JobId& job, const PeerId& self, bool light, const JobEvidence& evidence, const Verdict& verdict, Notary& notary)
    : job_(job),
      self_(self),
      light_(light),
      evidence_(evidence),
      verdict_(verdict),
      notary_(notary),
      here_(evidence.unit_count(), false),
      witness_(evidence.unit_count(), nobody),
      end_safe_(evidence.unit_count(), false),
      archive_of_(evidence.unit_count()) {}

bool Custody::on_unit_changed(UnitIndex unit, const LocalBlobs& here, base::Instant now, const Neighbours& neighbours) {
  std::optional<Digest> archive;
  if (const Outcome* outcome = verdict_.accepted_outcome(unit)) archive = outcome->digest;
  ++changes_;
  young_[unit] = now;
  if (archive != archive_of_[unit]) {
    if (archive_of_[unit]) {  // what was said of the old archive says nothing of another
      units_by_archive_.erase(unit);
      for (auto& [peer, held] : held_) {
        if (!held.units.empty()) held.units[unit] = false;
        if (!held.denied.empty()) held.denied[unit] = false;
      }
    }
    archive_of_[unit] = archive;
    if (archive) {
      units_by_archive_.insert(unit);
      fresh_.insert(unit);
    }
    orphaned_since_.erase(unit);
    set_here(unit, false);
    news_.erase(unit);
  }
  if (archive && !here_[unit] && here.contains(*archive)) {
    set_here(unit, true);
    news_.insert(unit);
  }
  const std::uint32_t safe_before = safe_count_;
  refresh_witness(unit, neighbours);
  return safe_count_ != safe_before;
}

bool Custody::keeps(const Digest& archive) const {
  return std::ranges::any_of(units_of(archive), [this](UnitIndex unit) { return !taken_over(unit); });
}

void Custody::set_here(UnitIndex unit, bool here) {
  if (here_[unit] == here) return;
  here_[unit] = here;
  here_count_ += here ? 1U : -1U;
}

bool Custody::on_blob_here(const Digest& blob, const Neighbours& neighbours) {
  bool changed = false;
  for (const UnitIndex unit : units_of(blob)) {
    if (here_[unit]) continue;
    set_here(unit, true);
    news_.insert(unit);
    refresh_witness(unit, neighbours);
    changed = true;
  }
  return changed;
}

bool Custody::on_blob_lost(const Digest& blob, const Neighbours& neighbours) {
  bool changed = false;
  for (const UnitIndex unit : units_of(blob)) {
    if (!here_[unit]) continue;
    set_here(unit, false);
    news_.erase(unit);
    fresh_.insert(unit);
    lost_news_ = true;
    refresh_witness(unit, neighbours);
    changed = true;
  }
  return changed;
}

void Custody::forget_young(base::Instant now) {
  std::erase_if(young_, [&](const auto& entry) { return now - entry.second >= limits::news_patience; });
}

bool Custody::on_holdings(const PeerId& peer, const Holdings& holdings, base::Instant now, const Neighbours& neighbours) {
  if (!neighbours.contains(peer)) return false;
  Held& held = held_[peer];
  bool changed = held.inputs_whole != holdings.inputs_whole;
  held.inputs_whole = holdings.inputs_whole;
  if (young_.size() > 0) forget_young(now);
  if (holdings.complete && held.listed_at_change == changes_ && held.listed == holdings.units) return changed;
  held.listed_at_change = holdings.complete && young_.empty() ? changes_ : never_listed;
  held.listed = holdings.complete ? holdings.units : Ranges{};
  if (held.units.empty()) held.units.assign(here_.size(), false);
  if (held.denied.empty()) held.denied.assign(here_.size(), false);
  const std::uint32_t safe_before = safe_count_;
  UnitIndex looked_at = 0;
  const auto leave_out_until = [&](UnitIndex end) {
    for (; holdings.complete && looked_at < end; ++looked_at) leave_out(looked_at, peer, held, neighbours);
  };
  for (const auto& [begin, range_end] : holdings.units) {
    const UnitIndex end = std::min<UnitIndex>(range_end, evidence_.unit_count());
    leave_out_until(std::min(begin, end));
    for (UnitIndex unit = begin; unit < end; ++unit) {
      held.units[unit] = true;
      held.denied[unit] = false;
      if (witness_[unit] == nobody) refresh_witness(unit, neighbours);
    }
    looked_at = std::max(looked_at, end);
  }
  leave_out_until(evidence_.unit_count());
  return changed || safe_count_ != safe_before;
}

void Custody::leave_out(UnitIndex unit, const PeerId& peer, Held& held, const Neighbours& neighbours) {
  const bool denies = archive_of_[unit] && !held.denied[unit] && !young_.contains(unit) && answered_so(unit, peer);
  if (!held.units[unit] && !denies) return;
  held.units[unit] = false;
  if (denies) held.denied[unit] = true;
  const auto slot = slots_.find(peer);
  if (slot != slots_.end() && witness_[unit] == slot->second) refresh_witness(unit, neighbours);
}

bool Custody::on_link_up(const PeerId&, const Neighbours& neighbours) {
  if (safe_count_ == units_by_archive_.size()) return false;
  const std::uint32_t safe_before = safe_count_;
  for (UnitIndex unit = 0; unit < witness_.size(); ++unit)
    if (orphaned(unit)) refresh_witness(unit, neighbours);
  return safe_count_ != safe_before;
}

void Custody::look_again() {
  if (!light_ && here_count_ < units_by_archive_.size()) sweep_left_ = evidence_.unit_count();
}

bool Custody::on_link_down(const PeerId& peer, const Neighbours& neighbours) {
  const auto held = held_.find(peer);
  const bool had_inputs = held != held_.end() && held->second.inputs_whole;
  if (held != held_.end()) held_.erase(held);
  const std::uint32_t safe_before = safe_count_;
  if (const auto slot = slots_.find(peer); slot != slots_.end()) {
    for (UnitIndex unit = 0; unit < witness_.size(); ++unit)
      if (witness_[unit] == slot->second) refresh_witness(unit, neighbours);
    slots_.erase(slot);
  }
  look_again();
  return had_inputs || safe_count_ != safe_before;
}

void Custody::set_inputs_whole(bool whole) {
  if (inputs_whole_ == whole) return;
  inputs_whole_ = whole;
  inputs_news_ = true;
}

bool Custody::answered_so(UnitIndex unit, const PeerId& peer) const {
  return archive_of_[unit] && std::ranges::any_of(evidence_.results(unit), [&](const ResultFact& fact) {
           return fact.author == peer && fact.outcome.digest == *archive_of_[unit];
         });
}

bool Custody::denied(UnitIndex unit, const PeerId& peer) const {
  const auto it = held_.find(peer);
  return it != held_.end() && !it->second.denied.empty() && it->second.denied[unit];
}

bool Custody::held_by(UnitIndex unit, const PeerId& peer) const {
  const auto it = held_.find(peer);
  if (it != held_.end() && !it->second.units.empty() && it->second.units[unit]) return true;
  return !denied(unit, peer) && answered_so(unit, peer);
}

Custody::Slot Custody::slot_of(const PeerId& peer) {
  const auto it = slots_.find(peer);
  if (it != slots_.end()) return it->second;
  Slot slot = this_peer + 1;
  while (std::ranges::find(slots_, slot, &std::pair<const PeerId, Slot>::second) != slots_.end()) ++slot;
  return slots_[peer] = slot;
}

Custody::Slot Custody::find_witness(UnitIndex unit, const Neighbours& neighbours) {
  if (!archive_of_[unit]) return nobody;
  if (here_[unit]) return this_peer;
  for (const auto& [peer, held] : held_)
    if (!held.units.empty() && held.units[unit]) return slot_of(peer);
  for (const ResultFact& fact : evidence_.results(unit))
    if (fact.outcome.digest == *archive_of_[unit] && neighbours.contains(fact.author) && !denied(unit, fact.author)) return slot_of(fact.author);
  return nobody;
}

void Custody::refresh_witness(UnitIndex unit, const Neighbours& neighbours) {
  const Slot witness = find_witness(unit, neighbours);
  safe_count_ += (witness != nobody ? 1U : 0U) - (witness_[unit] != nobody ? 1U : 0U);
  witness_[unit] = witness;
  const bool end_safe = witness != nobody && verdict_.ends(unit);
  ends_safe_count_ += (end_safe ? 1U : 0U) - (end_safe_[unit] ? 1U : 0U);
  end_safe_[unit] = end_safe;
  if (lost(unit)) fresh_.insert(unit);
  // Those before one that is noted already are noted as well.
  for (auto before = verdict_.previous(unit); before && lost(*before) && fresh_.insert(*before).second; before = verdict_.previous(*before)) {}
}

std::uint32_t Custody::input_holders(const Neighbours& neighbours) const {
  std::uint32_t count = inputs_whole_ ? 1 : 0;
  for (const auto& [peer, held] : held_)
    if (held.inputs_whole && neighbours.contains(peer) && !neighbours.at(peer)) ++count;
  return count;
}

bool Custody::among_lowest(const Bytes& prefix, std::size_t wanted, const Neighbours& neighbours) const {
  if (light_) return false;
  const auto rank = [&](const PeerId& peer) {
    Bytes bytes = prefix;
    base::append(bytes, peer.view());
    return notary_.digest(bytes);
  };
  std::size_t workers = 1;
  for (const auto& [peer, light] : neighbours) workers += light ? 0 : 1;
  if (workers <= wanted) return true;
  const Digest mine = rank(self_);
  std::size_t lower = 0;
  for (const auto& [peer, light] : neighbours)
    if (!light && rank(peer) < mine && ++lower >= wanted) return false;
  return true;
}

bool Custody::keeps_inputs(const Neighbours& neighbours) const {
  return among_lowest(keeper_prefix(job_, std::nullopt), limits::input_holders_target, neighbours);
}

std::vector<PeerId> Custody::input_sources(const Neighbours& neighbours) const {
  std::vector<PeerId> out;
  for (const auto& [peer, held] : held_)
    if (held.inputs_whole && neighbours.contains(peer)) out.push_back(peer);
  return out;
}

std::vector<PeerId> Custody::archive_sources(const Digest& archive, const Neighbours& neighbours) const {
  std::set<PeerId> out;
  for (const UnitIndex unit : units_of(archive)) {
    for (const auto& [peer, light] : neighbours)
      if (held_by(unit, peer)) out.insert(peer);
    if (!out.empty()) break;
  }
  return {out.begin(), out.end()};
}

Custody::Duties Custody::poll_duties(base::Instant now, const Neighbours& neighbours, std::size_t pulls_max, std::size_t& sweep_budget) {
  Duties duties;
  if (!young_.empty()) forget_young(now);
  if (light_) {
    fresh_.clear();
    return duties;
  }
  const auto is_keeper = [&](UnitIndex unit) {
    --sweep_budget;
    return among_lowest(keeper_prefix(job_, unit), limits::archive_holders_target, neighbours);
  };
  const auto look_at = [&](UnitIndex unit) {
    if (!archive_of_[unit] || here_[unit] || taken_over(unit)) return;
    if (lost(unit)) orphaned_since_.try_emplace(unit, std::max(now, listens_until_));
    if (is_keeper(unit)) duties.pull.push_back({*archive_of_[unit], verdict_.accepted_outcome(unit)->archive_bytes});
  };
  const auto room = [&] { return sweep_budget > 0 && duties.pull.size() < pulls_max; };
  for (; !fresh_.empty() && room(); fresh_.erase(fresh_.begin())) look_at(*fresh_.begin());
  for (; sweep_left_ > 0 && room(); --sweep_left_) {
    sweep_at_ = (sweep_at_ + 1) % evidence_.unit_count();
    look_at(sweep_at_);
  }
  for (auto it = orphaned_since_.begin(); it != orphaned_since_.end();) {
    auto& [unit, since] = *it;
    if (!lost(unit)) {
      it = orphaned_since_.erase(it);
      continue;
    }
    // Its keepers first; where not everybody is linked to everybody they may be out of sight, then whoever misses it.
    const bool due = now - since >= limits::lost_archive_patience * 2 ||
                     (now - since >= limits::lost_archive_patience && sweep_budget > 0 && is_keeper(unit));
    if (due) {
      duties.execute_again.push_back(unit);
      since = now;  // asked for again only if that run ends without the archive
    }
    ++it;
  }
  return duties;
}

Holdings Custody::poll_news() {
  if (std::exchange(lost_news_, false)) {
    news_.clear();
    inputs_news_ = false;
    return everything();
  }
  Holdings out{job_, inputs_whole_, false, ranges_of(news_)};
  if (out.units.size() > limits::ranges_per_holdings_max) out.units.resize(limits::ranges_per_holdings_max);
  if (out.units.empty())
    news_.clear();
  else
    news_.erase(news_.begin(), news_.lower_bound(out.units.back().second));
  inputs_news_ = false;
  return out;
}

Holdings Custody::everything() const {
  Holdings out{job_, inputs_whole_, true, {}};
  if (here_count_ == here_.size()) {
    out.units.emplace_back(0, evidence_.unit_count());
    return out;
  }
  for (UnitIndex unit = 0; here_count_ > 0 && unit < here_.size(); ++unit)
    if (here_[unit]) append_unit(out.units, unit);
  if (out.units.size() > limits::ranges_per_holdings_max) {  // too ragged for one message: what is named is held, the rest unsaid
    out.units.resize(limits::ranges_per_holdings_max);
    out.complete = false;
  }
  return out;
}

SleepingCustody Custody::asleep() const {
  SleepingCustody out(job_, evidence_.unit_count(), inputs_whole_);
  std::map<Slot, PeerId> peer_of;
  for (const auto& [peer, slot] : slots_) peer_of.emplace(slot, peer);
  for (UnitIndex unit = 0; unit < here_.size(); ++unit) {
    const bool missed = witness_[unit] > this_peer && verdict_.ends(unit);
    if (here_[unit] && !taken_over(unit))  // those are kept by nobody, and may go
      out.add_here();
    else
      out.add_elsewhere(missed ? std::optional(peer_of.at(witness_[unit])) : std::nullopt);
  }
  for (const auto& [peer, held] : held_)
    if (held.inputs_whole) out.add_input_holder(peer);
  out.shrink();
  return out;
}

std::vector<Digest> Custody::kept_here() const {
  std::vector<Digest> out;
  for (const UnitIndex unit : units_by_archive_) {
    if (!here_[unit] || taken_over(unit)) continue;
    if (const Digest& archive = *archive_of_[unit]; out.empty() || out.back() != archive) out.push_back(archive);
  }
  return out;
}

void Custody::wake(const SleepingCustody& asleep, base::Instant listens_until, const Neighbours& neighbours) {
  listens_until_ = listens_until;
  inputs_whole_ = asleep.inputs_whole();
  for (const PeerId& peer : asleep.input_holders())
    if (neighbours.contains(peer)) held_[peer].inputs_whole = true;
  asleep.for_each_witness([&](UnitIndex unit, const PeerId& peer) {
    if (!neighbours.contains(peer)) return;
    auto& held = held_[peer];
    if (held.units.empty()) held.units.assign(here_.size(), false);
    if (held.denied.empty()) held.denied.assign(here_.size(), false);
    held.units[unit] = true;
  });
}

void Custody::forget_news() {
  news_.clear();
  inputs_news_ = false;
}

void Custody::check_invariants(const Neighbours& neighbours) const {
  std::uint32_t safe = 0, ends_safe = 0, here = 0;
  std::map<Slot, PeerId> peer_of;
  for (const auto& [peer, slot] : slots_) {
    STARLING_ENSURE(neighbours.contains(peer) && slot > this_peer);
    STARLING_ENSURE(peer_of.emplace(slot, peer).second);
  }
  std::size_t indexed = 0;
  for (UnitIndex unit = 0; unit < here_.size(); ++unit) {
    const Outcome* outcome = verdict_.accepted_outcome(unit);
    STARLING_ENSURE(archive_of_[unit].has_value() == (outcome != nullptr));
    if (outcome != nullptr) STARLING_ENSURE(*archive_of_[unit] == outcome->digest);
    const bool held = archive_of_[unit] && (here_[unit] || std::ranges::any_of(neighbours, [&](const auto& n) { return held_by(unit, n.first); }));
    STARLING_ENSURE((witness_[unit] != nobody) == held);
    if (witness_[unit] == this_peer) STARLING_ENSURE(here_[unit]);
    if (witness_[unit] > this_peer) STARLING_ENSURE(peer_of.contains(witness_[unit]) && held_by(unit, peer_of.at(witness_[unit])));
    STARLING_ENSURE(!here_[unit] || archive_of_[unit]);
    safe += held ? 1U : 0U;
    ends_safe += held && verdict_.ends(unit) ? 1U : 0U;
    here += here_[unit] ? 1U : 0U;
    indexed += archive_of_[unit] ? 1U : 0U;
    if (archive_of_[unit]) STARLING_ENSURE(units_by_archive_.contains(unit));
  }
  STARLING_ENSURE(safe == safe_count_ && ends_safe == ends_safe_count_ && here == here_count_);
  STARLING_ENSURE(indexed == units_by_archive_.size());
  for (const auto& [peer, held] : held_) STARLING_ENSURE(neighbours.contains(peer));
}

}  // namespace starling::protocol
