#include "coordinator-less/protocol/range_set.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "coordinator-less/base/rng.hpp"

using namespace starling;
using protocol::RangeSet;

TEST_CASE("ranges: as a plain table of bits, under random changes") {
  constexpr std::uint64_t size = 40;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    base::Rng rng(seed);
    RangeSet set;
    std::vector<bool> bits(size, false);
    for (int step = 0; step < 200; ++step) {
      const std::uint64_t first = rng.below(size), end = first + rng.below(size - first + 1);
      const bool add = rng.chance(0.6);
      add ? set.add(first, end) : set.remove(first, end);
      for (std::uint64_t n = first; n < end; ++n) bits[n] = add;
      set.check_invariants();
      const std::uint64_t from = rng.below(size), to = from + rng.below(size - from + 1);
      std::uint64_t missing = to, present = UINT64_MAX;
      for (std::uint64_t n = to; n-- > from;)
        if (!bits[n]) missing = n;
      for (std::uint64_t n = size; n-- > from;)
        if (bits[n]) present = n;
      CHECK(set.first_missing(from, to) == missing);
      CHECK(set.first_present(from) == present);
      CHECK(set.contains(from, to) == (missing == to));
      CHECK(set.touches(from, to) == (present < to));
    }
  }
}
