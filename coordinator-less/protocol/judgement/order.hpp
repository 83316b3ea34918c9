// Forced order of a job's units (DESIGN section 6): units are cut into blocks taken in one order common to all, keyed by the
// beacon (the hash of the signed manifest); inside a block each peer follows a permutation of its own, keyed by
// H(beacon | peer | block). Without blocks fresh peers never meet on a unit; without own permutations a coalition picks
// whose work it confirms. Every reader checks positions (evaluation.hpp).
// Both are Fisher-Yates shuffles, from the back, of ascending respectively common order, drawn from base::Rng seeded with
// the digest of "starling/v1/order" 0 | beacon, respectively "starling/v1/own-order" 0 | beacon | peer | block (u32).
// A unit's place is its number in the common order. In a chain of segments (segments.hpp) the units of the job are shuffled once and all
// first segments come first, then, alike, all second ones: a block would never be done if it held what starts much later.
// Cost: O(units) memory for the common order, O(block) for one own block.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/protocol/notary.hpp"

namespace starling::protocol {

// 8 x the peer estimate, rounded up to a power of two, at least 16, at most 8,192 (from 1,024 peers on).
std::uint32_t block_size_of(std::uint32_t peer_estimate);

class UnitOrder {
 public:
  // `stride`: the job's units, where they are chains of segments, and 0 otherwise (Segments::stride).
  UnitOrder(const JobId& beacon, const PeerId& self, std::uint32_t unit_count, std::uint32_t peer_estimate, Digester& digester, std::uint32_t stride = 0);

  const PeerId& self() const { return self_; }
  std::uint32_t unit_count() const { return static_cast<std::uint32_t>(common_.size()); }
  std::uint32_t block_units() const { return block_size_; }  // of the last block maybe fewer
  std::uint32_t block_count() const;
  std::uint32_t place_of(UnitIndex unit) const { return place_of_[unit]; }
  UnitIndex unit_at(std::uint32_t place) const { return common_[place]; }
  // The places of a block in the order in which this peer must take them.
  std::vector<std::uint32_t> own_places(const PeerId& peer, std::uint32_t block) const;
  std::uint32_t block_of(UnitIndex unit) const;
  // The units of a block in this peer's own order; computed on first use.
  const std::vector<UnitIndex>& own_order(std::uint32_t block);
  // Position of a unit in this peer's order: block * block size + place.
  std::uint32_t position_of(UnitIndex unit);

 private:
  std::vector<UnitIndex> common_;        // place -> unit
  std::vector<std::uint32_t> place_of_;  // unit -> place
  std::vector<std::vector<UnitIndex>> own_;
  std::uint32_t block_size_ = 16;
  JobId beacon_;
  PeerId self_;
  Digester& digester_;
};

}  // namespace starling::protocol
