// Who says that it works on which unit of one job. Courtesy only: a claim makes others start elsewhere and shows progress;
// it expires by itself, stands in all no longer than the unit may run, and carries no weight, so there is nothing to squat.
// Bounded per peer; a stranger's expiry is capped.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class ClaimTable {
 public:
  // standing: the longest time that a peer's claim to one unit may stand in all, however often it is renewed.
  ClaimTable(std::uint32_t unit_count, base::Duration standing) : live_(unit_count, 0), standing_(standing) {}

  void on_claims(const PeerId& peer, const Claims& claims, base::Instant now);
  void on_answer(const PeerId& peer, UnitIndex unit) { erase(peer, unit); }
  void on_peer_gone(const PeerId& peer);
  void expire(base::Instant now);

  std::uint32_t live(UnitIndex unit) const { return live_[unit]; }
  std::size_t size() const;

  void check_invariants() const;

 private:
  void erase(const PeerId& peer, UnitIndex unit);

  struct Claim {
    base::Instant since, expiry;
  };
  std::map<PeerId, std::map<UnitIndex, Claim>> by_peer_;
  std::map<PeerId, std::set<UnitIndex>> spent_;  // stood as long as they may: not taken again
  std::vector<std::uint16_t> live_;
  base::Duration standing_;
};

}  // namespace starling::protocol
