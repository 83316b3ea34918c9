// A token bucket: so much at once, so much per second beside it. What is spent beyond it is owed, so that whoever asks first may be told a whole
// answer: ask left() before, spend() after. Never earns for a time that went backwards.
#pragma once

#include <algorithm>
#include <cstdint>

#include "coordinator-less/base/time.hpp"

namespace starling::base {

class Allowance {
 public:
  Allowance(std::int64_t burst, std::int64_t per_second) : burst_(burst * 1000), per_second_(per_second), left_(burst_) {}

  bool left(Instant now) { return earn(now) >= 1000; }
  bool full(Instant now) { return earn(now) == burst_; }
  void spend(std::int64_t amount) { left_ -= amount * 1000; }
  void set_rate(Instant now, std::int64_t per_second) {  // from now on
    earn(now);
    per_second_ = per_second;
  }
  // When there is something left again, if nothing more is spent.
  Instant left_at() const { return left_ >= 1000 ? at_ : at_ + milliseconds((1000 - left_ + per_second_ - 1) / per_second_); }

 private:
  std::int64_t earn(Instant now) {
    if (now <= at_) return left_;
    left_ = std::min(burst_, left_ + (now - at_).ms * per_second_);
    at_ = now;
    return left_;
  }

  std::int64_t burst_, per_second_;  // the first and what is left in thousandths, so that what a millisecond earns is exact
  std::int64_t left_;
  Instant at_;
};

}  // namespace starling::base
