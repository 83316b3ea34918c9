// Who says that it works on which unit of one job. Courtesy only: a claim makes others start elsewhere and shows progress;
// it expires by itself, stands in all no longer than the unit may run, and carries no weight, so there is nothing to squat.
// Bounded per peer; a stranger's expiry is capped. An author's claims count in the order of their sequence: signed claims that a
// relay kept and sends again later are refused. At most limits::authors_per_job_max authors are remembered; those without a
// live claim make room.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class ClaimTable {
 public:
  // standing: the longest time that a peer's claim to one unit may stand in all, however often it is renewed.
  ClaimTable(std::uint32_t unit_count, base::Duration standing) : claimers_(unit_count), standing_(standing) {}

  // False: not newer than the last of that peer, or no room for it.
  bool on_claims(const PeerId& peer, const Claims& claims, base::Instant now);
  void on_answer(const PeerId& peer, UnitIndex unit) { erase(peer, unit); }
  void on_peer_gone(const PeerId& peer);
  void expire(base::Instant now);

  std::uint32_t live(UnitIndex unit) const { return static_cast<std::uint32_t>(claimers_[unit].size()); }
  const std::vector<PeerId>& claimers(UnitIndex unit) const { return claimers_[unit]; }  // whose claim to it stands, in no order
  std::size_t size() const;
  template <class Predicate>
  bool any_unit(Predicate&& holds) const {  // of those that are claimed
    return std::ranges::any_of(authors_, [&](const auto& author) {
      return std::ranges::any_of(author.second.claims, [&](const auto& claim) { return holds(claim.first); });
    });
  }

  void check_invariants() const;

 private:
  struct Claim {
    base::Instant since, expiry;
  };
  struct Author {
    std::uint64_t sequence = 0;         // of its last claims
    std::map<UnitIndex, Claim> claims;  // that stand
    std::set<UnitIndex> spent;          // stood as long as they may: not taken again
  };
  Author* author_of(const PeerId& peer);  // null: no room
  void erase(const PeerId& peer, UnitIndex unit);
  void forget(const PeerId& peer, UnitIndex unit) { std::erase(claimers_[unit], peer); }

  std::map<PeerId, Author> authors_;
  std::vector<std::vector<PeerId>> claimers_;  // per unit
  base::Duration standing_;
};

}  // namespace starling::protocol
