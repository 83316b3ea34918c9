#include "coordinator-less/protocol/judgement/order.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/rng.hpp"

namespace starling::protocol {
namespace {

// Fisher-Yates from the back; part of the protocol, since every peer must draw the same order.
void shuffle(std::vector<UnitIndex>& units, const Digest& seed) {
  base::Rng rng(seed);
  for (std::size_t i = units.size(); i > 1; --i) std::swap(units[i - 1], units[rng.below(i)]);
}

Bytes labelled(std::string_view label, const JobId& beacon) {
  Bytes out = base::copy(base::view(label));
  out.push_back(std::byte{0});
  base::append(out, beacon.view());
  return out;
}

}  // namespace

std::uint32_t block_size_of(std::uint32_t peer_estimate) {
  constexpr std::uint64_t smallest = 16;
  constexpr std::uint64_t largest = 8192;  // what an owner writes must not make each reader of a statement shuffle a whole job
  return static_cast<std::uint32_t>(std::clamp(std::bit_ceil(std::uint64_t{peer_estimate} * 8), smallest, largest));
}

UnitOrder::UnitOrder(const JobId& beacon, const PeerId& self, std::uint32_t unit_count, std::uint32_t peer_estimate,
                     Digester& digester, std::uint32_t stride)
    : common_(unit_count),
      place_of_(unit_count),
      block_size_(block_size_of(peer_estimate)),
      beacon_(beacon),
      self_(self),
      digester_(digester) {
  std::vector<UnitIndex> of_a_segment(stride == 0 ? unit_count : stride);
  std::iota(of_a_segment.begin(), of_a_segment.end(), 0U);
  shuffle(of_a_segment, digester_.digest(labelled("starling/v1/order", beacon_)));
  for (std::uint32_t place = 0; place < unit_count; ++place) {
    const auto within = place % static_cast<std::uint32_t>(of_a_segment.size());
    common_[place] = place - within + of_a_segment[within];
  }
  for (std::uint32_t place = 0; place < unit_count; ++place) place_of_[common_[place]] = place;
  own_.resize(block_count());
}

std::uint32_t UnitOrder::block_count() const {
  return static_cast<std::uint32_t>((std::uint64_t{common_.size()} + block_size_ - 1) / block_size_);
}

std::uint32_t UnitOrder::block_of(UnitIndex unit) const {
  STARLING_ENSURE(unit < place_of_.size());
  return place_of_[unit] / block_size_;
}

std::vector<std::uint32_t> UnitOrder::own_places(const PeerId& peer, std::uint32_t block) const {
  STARLING_ENSURE(block < block_count());
  const std::uint32_t first = block * block_size_;
  std::vector<std::uint32_t> places(std::min(block_size_, unit_count() - first));
  std::iota(places.begin(), places.end(), first);
  Bytes seed = labelled("starling/v1/own-order", beacon_);
  base::append(seed, peer.view());
  base::append_u32(seed, block);
  shuffle(places, digester_.digest(seed));
  return places;
}

const std::vector<UnitIndex>& UnitOrder::own_order(std::uint32_t block) {
  STARLING_ENSURE(block < own_.size());
  auto& own = own_[block];
  if (!own.empty()) return own;
  own = own_places(self_, block);
  for (UnitIndex& unit : own) unit = common_[unit];
  return own;
}

std::uint32_t UnitOrder::position_of(UnitIndex unit) {
  const std::uint32_t block = block_of(unit);
  const auto& own = own_order(block);
  const auto place = static_cast<std::uint32_t>(std::ranges::find(own, unit) - own.begin());
  return block * block_size_ + place;
}

}  // namespace starling::protocol
