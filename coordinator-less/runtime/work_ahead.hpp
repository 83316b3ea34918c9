// How many units to have waiting behind each running one, so that a slot never idles while the protocol thread batches.
//
// Rule: about 20 ms of work per slot, by a moving mean of what recent units took; at least one unit while that mean stays
// below 250 ms, none above: a unit that waits here could run elsewhere, and for long units the gap between two is nothing.
// The mean follows longer units at once half way and shorter ones slowly, so that a change of job does not hoard.
#pragma once

#include <algorithm>
#include <cstdint>

namespace starling::runtime {

class WorkAhead {
 public:
  std::uint32_t on_unit(std::int64_t wall_us) {
    const std::int64_t took_us = std::max<std::int64_t>(wall_us, 1);
    if (mean_us_ == 0) mean_us_ = took_us;
    mean_us_ = took_us > mean_us_ ? (mean_us_ + took_us) / 2 : std::max<std::int64_t>(1, (7 * mean_us_ + took_us) / 8);
    return per_slot();
  }
  std::uint32_t per_slot() const {
    constexpr std::int64_t work_us = 20'000, long_us = 250'000;
    constexpr std::int64_t units_max = 256;
    if (mean_us_ == 0 || mean_us_ > long_us) return 0;
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(work_us / mean_us_, 1, units_max));
  }

 private:
  std::int64_t mean_us_ = 0;  // 0: nothing ran yet
};

}  // namespace starling::runtime
