#include "coordinator-less/protocol/claim_table.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

void ClaimTable::on_claims(const PeerId& peer, const Claims& claims, base::Instant now) {
  for (const UnitIndex unit : claims.released) erase(peer, unit);
  if (!by_peer_.contains(peer) && by_peer_.size() >= limits::peer_records_max) return;
  auto& mine = by_peer_[peer];
  const base::Duration lifetime = std::min(base::milliseconds(claims.expires_ms), limits::claim_lifetime_max);
  const auto spent = spent_.find(peer);
  for (const UnitIndex unit : claims.units) {
    if (unit >= live_.size() || (spent != spent_.end() && spent->second.contains(unit))) continue;
    if (mine.size() >= limits::claims_per_peer_max && !mine.contains(unit)) continue;
    const auto [it, fresh] = mine.try_emplace(unit, Claim{now, now});
    if (fresh) ++live_[unit];
    it->second.expiry = std::min(now + lifetime, it->second.since + standing_);
  }
  if (mine.empty()) by_peer_.erase(peer);
}

void ClaimTable::erase(const PeerId& peer, UnitIndex unit) {
  const auto it = by_peer_.find(peer);
  if (it == by_peer_.end() || it->second.erase(unit) == 0) return;
  --live_[unit];
  if (it->second.empty()) by_peer_.erase(it);
}

void ClaimTable::on_peer_gone(const PeerId& peer) {
  const auto it = by_peer_.find(peer);
  if (it == by_peer_.end()) return;
  for (const auto& [unit, claim] : it->second) --live_[unit];
  by_peer_.erase(it);
}

void ClaimTable::expire(base::Instant now) {
  for (auto it = by_peer_.begin(); it != by_peer_.end();) {
    std::erase_if(it->second, [&](const auto& entry) {
      const auto& [unit, claim] = entry;
      if (claim.expiry > now) return false;
      --live_[unit];
      if (claim.expiry >= claim.since + standing_) spent_[it->first].insert(unit);
      return true;
    });
    it = it->second.empty() ? by_peer_.erase(it) : std::next(it);
  }
}

std::size_t ClaimTable::size() const {
  std::size_t total = 0;
  for (const auto& [peer, units] : by_peer_) total += units.size();
  return total;
}

void ClaimTable::check_invariants() const {
  std::vector<std::uint16_t> live(live_.size(), 0);
  for (const auto& [peer, units] : by_peer_) {
    STARLING_ENSURE(!units.empty() && units.size() <= limits::claims_per_peer_max);
    for (const auto& [unit, claim] : units) ++live[unit];
  }
  STARLING_ENSURE(live == live_);
}

}  // namespace starling::protocol
