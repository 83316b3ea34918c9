// A token bucket: so much at once, so much per second beside it. What is spent beyond it is owed, so that whoever asks first may be told a whole
// answer: ask left() before, spend() after. Never earns for a time that went backwards.
#pragma once

#include <algorithm>
#include <cstdint>

#include "coordinator-less/base/time.hpp"

namespace starling::base {

class Allowance {
 public:
  Allowance(std::int64_t burst, std::int64_t per_second) : burst_(burst), per_second_(per_second), left_(burst) {}

  bool left(Instant now) { return earn(now) > 0; }
  bool full(Instant now) { return earn(now) == burst_; }
  void spend(std::int64_t amount) { left_ -= amount; }
  // When there is something left again, if nothing more is spent.
  Instant left_at() const { return left_ > 0 ? at_ : at_ + milliseconds(((1 - left_) * 1000 + per_second_ - 1) / per_second_); }

 private:
  // A millisecond that earns less than one is not lost: it is counted with those that follow.
  std::int64_t earn(Instant now) {
    const std::int64_t earned = std::max<std::int64_t>((now - at_).ms, 0) * per_second_ / 1000;
    if (earned == 0) return left_;
    at_ = left_ + earned >= burst_ ? now : at_ + milliseconds(earned * 1000 / per_second_);
    return left_ = std::min(burst_, left_ + earned);
  }

  std::int64_t burst_, per_second_;
  std::int64_t left_;
  Instant at_;
};

}  // namespace starling::base
