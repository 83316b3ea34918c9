// Time as a parameter. The core never reads a clock: whoever drives it says what time it is.
#pragma once

#include <compare>
#include <cstdint>

namespace starling::base {

// Milliseconds. A duration and an instant do not mix by accident.
struct Duration {
  std::int64_t ms = 0;
  auto operator<=>(const Duration&) const = default;
};

// Milliseconds on a monotonic clock whose zero means nothing.
struct Instant {
  std::int64_t ms = 0;
  auto operator<=>(const Instant&) const = default;
};

constexpr Instant operator+(Instant t, Duration d) { return {t.ms + d.ms}; }
constexpr Duration operator-(Instant a, Instant b) { return {a.ms - b.ms}; }
constexpr Duration operator*(Duration d, std::int64_t k) { return {d.ms * k}; }
constexpr Duration operator+(Duration a, Duration b) { return {a.ms + b.ms}; }

constexpr Duration milliseconds(std::int64_t n) { return {n}; }
constexpr Duration seconds(std::int64_t n) { return {n * 1000}; }

// Both readings that a step of the core gets: steady for delays, calendar only for what peers agree on (expiry).
struct Now {
  Instant steady;
  std::int64_t unix_s = 0;
};

}  // namespace starling::base
