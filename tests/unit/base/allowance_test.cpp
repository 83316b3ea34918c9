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
