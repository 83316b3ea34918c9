// Who says that it works on which unit of one job. Courtesy only: a claim makes others start elsewhere and shows progress;
// it expires by itself and carries no weight, so there is nothing to squat. Bounded per peer; a stranger's expiry is capped.
#pragma once

#include <map>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class ClaimTable {
 public:
  explicit ClaimTable(std::uint32_t unit_count) : live_(unit_count, 0) {}

  void on_claims(const PeerId& peer, const Claims& claims, base::Instant now);
  void on_answer(const PeerId& peer, UnitIndex unit) { erase(peer, unit); }
  void on_peer_gone(const PeerId& peer);
  void expire(base::Instant now);

  std::uint32_t live(UnitIndex unit) const { return live_[unit]; }
  std::size_t size() const;

  void check_invariants() const;

 private:
  void erase(const PeerId& peer, UnitIndex unit);

  std::map<PeerId, std::map<UnitIndex, base::Instant>> by_peer_;  // -> expiry
  std::vector<std::uint16_t> live_;
};

}  // namespace starling::protocol
