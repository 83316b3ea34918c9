#include "coordinator-less/protocol/own_work.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

OwnWork::OwnWork(UnitOrder& order, const Verdict& verdict, const ClaimTable& claims, std::uint32_t unit_count)
    : order_(order),
      verdict_(verdict),
      claims_(claims),
      answered_(unit_count, false),
      one_answer_is_enough_(unit_count > 0 && verdict.fresh_target() == 1) {}

void OwnWork::set_share(std::uint32_t rank, std::uint32_t workers) {
  STARLING_ENSURE(rank < workers);
  rank_ = rank;
  workers_ = workers;
}

bool OwnWork::eligible(UnitIndex unit, base::Instant now) const {
  if (running_.contains(unit)) return false;
  if (const auto it = released_.find(unit); it != released_.end() && now < it->second.until) return false;
  return claims_.live(unit) < std::max(verdict_.unit(unit).missing, 1U);
}

std::optional<UnitIndex> OwnWork::pick(base::Instant now) {
  for (const UnitIndex unit : again_) {
    const auto it = released_.find(unit);
    if (!running_.contains(unit) && (it == released_.end() || now >= it->second.until)) return unit;
  }
  if (one_answer_is_enough_ && workers_ > 1)
    if (const auto mine = pick_in_order(now, true)) return mine;
  return pick_in_order(now, false);
}

std::optional<UnitIndex> OwnWork::pick_in_order(base::Instant now, bool share_only) {
  const std::uint32_t last = std::min(order_.block_count(), cursor_ + limits::blocks_ahead_max);
  for (std::uint32_t block = cursor_; block < last; ++block) {
    bool work_left = false;
    for (const UnitIndex unit : order_.own_order(block)) {
      if (verdict_.unit(unit).accepted || answered_[unit]) continue;
      work_left = true;
      if (share_only && unit % workers_ != rank_) continue;
      if (eligible(unit, now)) return unit;
    }
    if (!work_left && block == cursor_) ++cursor_;
  }
  return std::nullopt;
}

void OwnWork::on_started(UnitIndex unit, base::Instant now) { running_[unit] = now; }

void OwnWork::on_answered(UnitIndex unit, const Digest& archive) {
  given_back_.erase(unit);
  running_.erase(unit);
  released_.erase(unit);
  again_.erase(unit);
  on_stated(unit, archive);
}

void OwnWork::on_stated(UnitIndex unit, const Digest& archive) {
  if (!verdict_.unit(unit).accepted) archives_[archive].insert(unit);
  if (!answered_[unit]) ++executions_;
  answered_[unit] = true;
}

bool OwnWork::awaits(const Digest& archive) const {
  const auto it = archives_.find(archive);
  return it != archives_.end() && std::ranges::any_of(it->second, [&](UnitIndex unit) { return !verdict_.unit(unit).accepted; });
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
  if (!answered_[unit]) cursor_ = std::min(cursor_, order_.block_of(unit));
}

bool OwnWork::give_back(UnitIndex unit) { return running_.contains(unit) && given_back_.insert(unit).second; }

void OwnWork::on_given_back(UnitIndex unit) {
  running_.erase(unit);
  given_back_.erase(unit);
  if (!answered_[unit]) cursor_ = std::min(cursor_, order_.block_of(unit));
}

std::vector<UnitIndex> OwnWork::running_units() const {
  std::vector<UnitIndex> out;
  for (const auto& [unit, claimed] : running_) out.push_back(unit);
  return out;
}

std::vector<UnitIndex> OwnWork::poll_claims_to_renew(base::Instant now) {
  std::vector<UnitIndex> out;
  for (auto& [unit, claimed] : running_) {
    if (given_back_.contains(unit)) continue;
    if ((now - claimed) * 2 < limits::claim_lifetime) continue;
    claimed = now;
    out.push_back(unit);
  }
  return out;
}

void OwnWork::check_invariants() const {
  for (const UnitIndex unit : given_back_) STARLING_ENSURE(running_.contains(unit));
  for (const auto& [archive, units] : archives_) STARLING_ENSURE(!units.empty());
  for (std::uint32_t block = 0; block < cursor_; ++block)
    for (const UnitIndex unit : order_.own_order(block)) STARLING_ENSURE(verdict_.unit(unit).accepted || answered_[unit]);
}

}  // namespace starling::protocol
