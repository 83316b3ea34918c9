#include "coordinator-less/protocol/own_work.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

OwnWork::OwnWork(UnitOrder& order, const Verdict& verdict, const ClaimTable& claims, std::uint32_t unit_count)
    : order_(order),
      verdict_(verdict),
      claims_(claims),
      stated_(unit_count, 0),
      one_answer_is_enough_(unit_count > 0 && verdict.fresh_target() == 1) {}

void OwnWork::set_share(std::uint32_t rank, std::uint32_t workers) {
  STARLING_ENSURE(rank < workers);
  rank_ = rank;
  workers_ = workers;
}

bool OwnWork::eligible(UnitIndex unit, base::Instant now) const {
  if (running_.contains(unit)) return false;
  if (const auto it = released_.find(unit); it != released_.end() && now < it->second.until) return false;
  return !covered(unit);
}

bool OwnWork::auditing(UnitIndex unit) const {
  const auto it = running_.find(unit);
  return it != running_.end() && it->second.audit;
}

bool OwnWork::covered(UnitIndex unit, const Verdict& verdict, const ClaimTable& claims) {
  std::vector<PeerId> weighed;
  for (const PeerId& claimer : claims.claimers(unit)) {
    if (weighed.size() < limits::claimers_weighed_max && !verdict.banned(claimer)) weighed.push_back(claimer);
  }
  return !weighed.empty() && verdict.would_accept(unit, weighed);
}

bool OwnWork::answered(UnitIndex unit) const {
  const auto input = verdict_.input(unit);
  if (const auto it = unstated_.find(unit); it != unstated_.end() && input && it->second == input->name) return true;
  if (stated_[unit] == 0) return false;
  if (!verdict_.previous(unit)) return stated_[unit] > 1 || !verdict_.void_answer_of(order_.self(), unit);
  const auto made_from = inputs_.find(unit);
  return made_from != inputs_.end() && input && made_from->second.contains(input->name);
}

bool OwnWork::runs_in_vain(UnitIndex unit) const {
  const auto it = running_.find(unit);
  const auto input = verdict_.input(unit);
  return it != running_.end() && (!input || input->name != it->second.input);
}

bool OwnWork::wants_answer(UnitIndex unit) const {
  return !verdict_.accepted(unit) && verdict_.has_input(unit) && !answered(unit);
}

std::optional<UnitIndex> OwnWork::pick(base::Instant now, const Ready& ready) {
  for (const UnitIndex unit : again_) {
    const auto it = released_.find(unit);
    if (!running_.contains(unit) && (it == released_.end() || now >= it->second.until) && ready(unit)) return unit;
  }
  if (one_answer_is_enough_ && workers_ > 1)
    if (const auto mine = pick_in_order(now, true, ready)) return mine;
  return pick_in_order(now, false, ready);
}

std::optional<UnitIndex> OwnWork::pick_in_order(base::Instant now, bool share_only, const Ready& ready) {
  std::uint32_t ahead = 0;
  const std::uint32_t end = std::min(order_.block_count(), verdict_.blocks_open_to(order_.self()));
  for (std::uint32_t block = cursor_; block < end && ahead < limits::blocks_ahead_max; ++block) {
    bool work_left = false, waits = false;
    for (const UnitIndex unit : order_.own_order(block)) {
      waits = waits || (!verdict_.has_input(unit) && !verdict_.skipped(unit));
      if (!wants_answer(unit)) continue;
      work_left = true;
      if (share_only && unit % workers_ != rank_) continue;
      if (eligible(unit, now) && ready(unit)) return unit;
    }
    if (work_left || !waits) ++ahead;
    if (!work_left && block == cursor_) ++cursor_;
  }
  return std::nullopt;
}

std::uint64_t OwnWork::copies_open(base::Instant now, std::uint64_t enough, const std::function<std::uint32_t(UnitIndex)>& said) const {
  const std::uint32_t target = verdict_.fresh_target();
  const std::uint32_t end = std::min(order_.block_count(), verdict_.blocks_open_to(order_.self()));
  std::uint64_t copies = 0;
  for (std::uint32_t block = cursor_; block < end && copies < enough; ++block)
    for (const UnitIndex unit : order_.own_order(block)) {
      if (copies >= enough) return copies;
      if (wants_answer(unit) && eligible(unit, now)) copies += target - std::min(target - 1, said(unit));
    }
  return copies;
}

void OwnWork::on_started(UnitIndex unit, base::Instant now, const Digest& input, bool audit) { running_[unit] = {now, input, audit}; }

void OwnWork::on_answered(UnitIndex unit, const Digest& archive, const Digest& input, bool states) {
  given_back_.erase(unit);
  running_.erase(unit);
  released_.erase(unit);
  again_.erase(unit);
  if (!verdict_.accepted(unit)) archives_[archive].insert(unit);
  if (!states) return;
  ++executions_;
  unstated_[unit] = input;
}

void OwnWork::on_stated(UnitIndex unit, const Digest& archive, const Digest& input, bool audit) {
  if (!verdict_.accepted(unit)) archives_[archive].insert(unit);
  if (unstated_.erase(unit) == 0) ++executions_;
  if (audit) return;
  stated_[unit] = static_cast<std::uint8_t>(std::min(stated_[unit] + 1, 2));
  if (verdict_.previous(unit)) inputs_[unit].insert(input);
}

bool OwnWork::awaits(const Digest& archive) const {
  const auto it = archives_.find(archive);
  return it != archives_.end() && std::ranges::any_of(it->second, [&](UnitIndex unit) { return !verdict_.accepted(unit); });
}

void OwnWork::on_released(UnitIndex unit, base::Instant now) {
  running_.erase(unit);
  given_back_.erase(unit);
  auto& backoff = released_.try_emplace(unit, Backoff{now, limits::release_backoff}).first->second;
  backoff.until = now + backoff.next;
  backoff.next = std::min(backoff.next * 2, limits::release_backoff_max);
}

void OwnWork::on_accepted(UnitIndex unit, const Digest& own_archive) {
  const auto it = archives_.find(own_archive);
  if (it != archives_.end() && it->second.erase(unit) > 0 && it->second.empty()) archives_.erase(it);
}

void OwnWork::on_reopened(UnitIndex unit, const std::optional<Digest>& own_archive) {
  if (own_archive) archives_[*own_archive].insert(unit);
  if (!answered(unit)) cursor_ = std::min(cursor_, order_.block_of(unit));
}

bool OwnWork::give_back(UnitIndex unit) { return running_.contains(unit) && given_back_.insert(unit).second; }

void OwnWork::on_given_back(UnitIndex unit) {
  running_.erase(unit);
  given_back_.erase(unit);
  if (!answered(unit)) cursor_ = std::min(cursor_, order_.block_of(unit));
}

std::vector<UnitIndex> OwnWork::running_units() const {
  std::vector<UnitIndex> out;
  for (const auto& [unit, run] : running_) out.push_back(unit);
  return out;
}

std::vector<UnitIndex> OwnWork::poll_claims_to_renew(base::Instant now) {
  std::vector<UnitIndex> out;
  for (auto& [unit, run] : running_) {
    if (given_back_.contains(unit) || run.audit) continue;
    if ((now - run.claimed) * 2 < limits::claim_lifetime) continue;
    run.claimed = now;
    out.push_back(unit);
  }
  return out;
}

void OwnWork::check_invariants() const {
  for (const UnitIndex unit : given_back_) STARLING_ENSURE(running_.contains(unit));
  for (const auto& [archive, units] : archives_) STARLING_ENSURE(!units.empty());
  for (std::uint32_t block = 0; block < cursor_; ++block)
    for (const UnitIndex unit : order_.own_order(block)) STARLING_ENSURE(!wants_answer(unit));
}

}  // namespace starling::protocol
