// A long unit as a chain of segments (decision 0012). Segment s of unit u has the number n = s * unit_count + u, and goes by it
// wherever a unit does: claims, results, replays, holdings, order and tables know numbers only. A manifest without
// segment_rounds has chains of one, where number and unit are the same. What goes on from what, and when, is in verdict.hpp.
#pragma once

#include <algorithm>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class Segments {
 public:
  explicit Segments(const Manifest& manifest)
      : units_(manifest.unit_count), rounds_max_(manifest.rounds_max), rounds_each_(manifest.segment_rounds) {}

  bool chained() const { return rounds_each_ != 0 && rounds_each_ < rounds_max_; }
  std::uint64_t of_a_unit() const { return chained() ? (std::uint64_t{rounds_max_} + rounds_each_ - 1) / rounds_each_ : 1; }
  std::uint64_t total() const { return of_a_unit() * units_; }  // numbers; the wire bounds them like units
  std::uint32_t stride() const { return chained() ? units_ : 0; }  // n goes on from n - stride; 0: nothing goes on

  UnitIndex unit_of(UnitIndex number) const { return number % units_; }
  std::uint32_t segment_of(UnitIndex number) const { return number / units_; }
  bool last(UnitIndex number) const { return segment_of(number) + 1 == of_a_unit(); }
  // Of each item that it runs: the first round, and one past the last.
  std::uint32_t first_round(UnitIndex number) const { return segment_of(number) * rounds_each_; }
  std::uint32_t end_round(UnitIndex number) const {
    if (!chained()) return rounds_max_;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>((std::uint64_t{segment_of(number)} + 1) * rounds_each_, rounds_max_));
  }

 private:
  std::uint32_t units_, rounds_max_, rounds_each_;
};

}  // namespace starling::protocol
