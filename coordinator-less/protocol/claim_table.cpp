#include "coordinator-less/protocol/claim_table.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

ClaimTable::Author* ClaimTable::author_of(const PeerId& peer) {
  if (const auto it = authors_.find(peer); it != authors_.end()) return &it->second;
  if (authors_.size() >= limits::authors_per_job_max) {
    const auto silent = std::ranges::find_if(authors_, [](const auto& entry) { return entry.second.claims.empty(); });
    if (silent == authors_.end()) return nullptr;
    authors_.erase(silent);
  }
  return &authors_[peer];
}

bool ClaimTable::on_claims(const PeerId& peer, const Claims& claims, base::Instant now) {
  Author* author = author_of(peer);
  if (author == nullptr || claims.sequence <= author->sequence) return false;
  author->sequence = claims.sequence;
  for (const UnitIndex unit : claims.released) erase(peer, unit);
  const base::Duration lifetime = std::min(base::milliseconds(claims.expires_ms), limits::claim_lifetime_max);
  for (const UnitIndex unit : claims.units) {
    if (unit >= claimers_.size() || author->spent.contains(unit)) continue;
    if (author->claims.size() >= limits::claims_per_peer_max && !author->claims.contains(unit)) continue;
    const auto [it, fresh] = author->claims.try_emplace(unit, Claim{now, now});
    if (fresh) claimers_[unit].push_back(peer);
    it->second.expiry = std::min(now + lifetime, it->second.since + standing_);
  }
  return true;
}

void ClaimTable::erase(const PeerId& peer, UnitIndex unit) {
  const auto it = authors_.find(peer);
  if (it != authors_.end() && it->second.claims.erase(unit) > 0) forget(peer, unit);
}

void ClaimTable::on_peer_gone(const PeerId& peer) {
  const auto it = authors_.find(peer);
  if (it == authors_.end()) return;
  for (const auto& [unit, claim] : it->second.claims) forget(peer, unit);
  it->second.claims.clear();
}

void ClaimTable::expire(base::Instant now) {
  for (auto& [peer, author] : authors_) {
    std::erase_if(author.claims, [&](const auto& entry) {
      const auto& [unit, claim] = entry;
      if (claim.expiry > now) return false;
      forget(peer, unit);
      if (claim.expiry >= claim.since + standing_) author.spent.insert(unit);
      return true;
    });
  }
}

std::size_t ClaimTable::size() const {
  std::size_t total = 0;
  for (const auto& [peer, author] : authors_) total += author.claims.size();
  return total;
}

void ClaimTable::check_invariants() const {
  STARLING_ENSURE(authors_.size() <= limits::authors_per_job_max);
  std::size_t listed = 0;
  for (const auto& claimers : claimers_) listed += claimers.size();
  STARLING_ENSURE(listed == size());
  for (const auto& [peer, author] : authors_) {
    STARLING_ENSURE(author.claims.size() <= limits::claims_per_peer_max);
    for (const auto& [unit, claim] : author.claims) STARLING_ENSURE(std::ranges::count(claimers_[unit], peer) == 1);
  }
}

}  // namespace starling::protocol
