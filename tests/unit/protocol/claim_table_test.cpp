#include "coordinator-less/protocol/claim_table.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/ids.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::peer;

Claims claims(std::vector<UnitIndex> units, std::uint32_t expires_ms, std::vector<UnitIndex> released = {}) {
  static std::uint64_t sequence = 0;
  return {JobId{}, std::move(units), std::move(released), expires_ms, ++sequence};
}

}  // namespace

TEST_CASE("claims count until they expire, are answered, released, or their peer is gone") {
  ClaimTable table(8, base::seconds(100));
  table.on_claims(peer(1), claims({1, 2, 3}, 1000), {0});
  table.on_claims(peer(2), claims({2}, 2000), {0});
  CHECK(table.live(2) == 2);
  table.on_claims(peer(1), claims({2}, 1000), {0});  // said again: still one claim
  CHECK(table.live(2) == 2);
  table.on_answer(peer(1), 2);
  CHECK(table.live(2) == 1);
  table.on_claims(peer(1), claims({}, 1000, {3}), {0});
  CHECK(table.live(3) == 0);
  table.expire({1000});
  CHECK(table.live(1) == 0);
  CHECK(table.live(2) == 1);
  table.on_peer_gone(peer(2));
  CHECK(table.size() == 0);
  table.check_invariants();
}

TEST_CASE("a stranger's claims are bounded in time, number and range") {
  ClaimTable table(10'000, base::seconds(100));
  table.on_claims(peer(1), claims({5, 1'000'000}, 4'000'000'000U), {0});
  CHECK(table.size() == 1);
  table.expire({limits::claim_lifetime_max.ms});
  CHECK(table.size() == 0);
  std::vector<UnitIndex> all(10'000);
  for (UnitIndex unit = 0; unit < all.size(); ++unit) all[unit] = unit;
  table.on_claims(peer(1), claims(all, 1000), {0});
  CHECK(table.size() == limits::claims_per_peer_max);
  table.check_invariants();
}

TEST_CASE("a claim that is renewed for ever stands only as long as a unit may run, once") {
  ClaimTable table(1, base::seconds(100));
  std::int64_t held_until_ms = 0;
  for (std::int64_t now_ms = 0; now_ms < 1'000'000; now_ms += 5000) {
    table.expire({now_ms});
    table.on_claims(peer(1), claims({0}, 10'000), {now_ms});
    if (table.live(0) > 0) held_until_ms = now_ms;
    table.check_invariants();
  }
  CHECK(held_until_ms < 101'000);
}

TEST_CASE("claims that were said before are refused, from whomever they come again") {
  ClaimTable table(8, base::seconds(100));
  const Claims old = claims({1}, 1000);
  CHECK(table.on_claims(peer(1), old, {0}));
  CHECK(table.on_claims(peer(1), claims({}, 1000, {1}), {10}));
  CHECK(table.live(1) == 0);
  CHECK_FALSE(table.on_claims(peer(1), old, {20}));
  table.on_peer_gone(peer(1));
  CHECK_FALSE(table.on_claims(peer(1), old, {30}));
  CHECK(table.live(1) == 0);
  CHECK(table.on_claims(peer(2), old, {30}));  // each author counts its own
}

TEST_CASE("the authors of claims have a bound, and silent ones make room") {
  ClaimTable table(8, base::seconds(100));
  const auto nth = [](std::size_t n) {
    PeerId id = peer(static_cast<int>(n % 251));
    id.bytes[1] = static_cast<std::byte>(n / 251);
    return id;
  };
  for (std::size_t n = 0; n < limits::authors_per_job_max; ++n) CHECK(table.on_claims(nth(n), claims({0}, 60'000), {0}));
  CHECK_FALSE(table.on_claims(nth(limits::authors_per_job_max), claims({0}, 1000), {0}));
  table.expire({60'000});
  CHECK(table.on_claims(nth(limits::authors_per_job_max), claims({0}, 1000), {60'000}));
  table.check_invariants();
}
