#include "coordinator-less/base/allowance.hpp"

#include <doctest/doctest.h>

namespace {

using starling::base::Allowance;
using starling::base::Instant;

}  // namespace

TEST_CASE("allowance: a burst at once, then so much per second; what is owed is paid first") {
  Allowance allowance(100, 10);
  CHECK(allowance.left(Instant{5000}));
  allowance.spend(99);
  CHECK(allowance.left(Instant{5000}));
  allowance.spend(21);
  CHECK_FALSE(allowance.left(Instant{5000}));
  CHECK(allowance.left_at() == Instant{7100});
  CHECK_FALSE(allowance.left(Instant{6999}));
  CHECK(allowance.left(Instant{7100}));
  CHECK_FALSE(allowance.full(Instant{7100}));
  CHECK(allowance.full(Instant{60'000}));
  allowance.spend(100);
  CHECK_FALSE(allowance.left(Instant{60'000}));  // an hour's rest bought no more than one burst
}

TEST_CASE("allowance: asking often earns no less, and a clock that goes back earns nothing") {
  Allowance allowance(100, 10);
  allowance.spend(100);
  for (std::int64_t ms = 0; ms < 99; ++ms) CHECK_FALSE(allowance.left(Instant{ms}));
  CHECK(allowance.left(Instant{100}));
  allowance.spend(1);
  CHECK_FALSE(allowance.left(Instant{50}));
  CHECK_FALSE(allowance.left(Instant{150}));
  CHECK(allowance.left(Instant{250}));
}

TEST_CASE("allowance: asked at every millisecond, or many times in one, it earns what the time is worth and no more") {
  for (const std::int64_t per_second : {1L, 7L, 999L, 2048L, 4'194'304L}) {
    CAPTURE(per_second);
    Allowance allowance(1'000'000'000, per_second);
    allowance.spend(1'000'000'000);
    for (std::int64_t ms = 1; ms <= 10'000; ++ms)
      for (int again = 0; again < 3; ++again) allowance.left(Instant{ms});
    allowance.spend(10 * per_second - 1);
    CHECK(allowance.left(Instant{10'000}));
    allowance.spend(1);
    CHECK_FALSE(allowance.left(Instant{10'000}));
  }
}

TEST_CASE("allowance: another rate holds from then on") {
  Allowance allowance(100, 10);
  allowance.spend(100);
  allowance.set_rate(Instant{1000}, 1);
  allowance.spend(10);
  CHECK_FALSE(allowance.left(Instant{1999}));
  CHECK(allowance.left(Instant{2000}));
}
