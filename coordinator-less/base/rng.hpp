// A small seeded generator (xoshiro256**, Blackman and Vigna 2018), always passed in. Not for secrets.
#pragma once

#include <array>
#include <cstdint>

#include "coordinator-less/base/ids.hpp"

namespace starling::base {

class Rng {
 public:
  explicit Rng(std::uint64_t seed);
  explicit Rng(const Digest& seed);  // all 256 bits count

  std::uint64_t next();
  std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound), bound > 0, no modulo bias
  double unit();                             // uniform in [0, 1)
  bool chance(double probability) { return unit() < probability; }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace starling::base
