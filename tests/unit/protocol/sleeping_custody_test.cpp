#include "coordinator-less/protocol/sleeping_custody.hpp"

#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

TEST_CASE("custody asleep: a witness that lists a unit no more, or leaves, is replaced by whoever lists it next") {
  const JobId job = base::retag<JobId>(testing::digest_of("job"));
  const PeerId a = testing::Member(2).id(), b = testing::Member(3).id();
  SleepingCustody custody(job, 6, true);
  custody.add_here();
  custody.add_elsewhere(a);
  custody.add_elsewhere(b);
  custody.add_elsewhere(std::nullopt);  // nobody misses it
  custody.add_here();
  custody.add_elsewhere(a);
  custody.shrink();
  const auto at = [](std::int64_t s) { return base::Instant{s * 1000}; };
  const auto lost = base::seconds(10), left = base::seconds(100);
  const auto listing = [&](std::vector<std::pair<UnitIndex, UnitIndex>> units, bool complete = true) { return Holdings{job, false, complete, std::move(units)}; };
  CHECK(custody.everything().units == std::vector<std::pair<UnitIndex, UnitIndex>>{{0, 1}, {4, 5}});
  CHECK(custody.everything().complete);
  CHECK_FALSE(custody.wants_waking(at(1000), lost, left));
  custody.on_holdings(a, listing({{1, 2}, {5, 6}}), at(1));
  custody.on_holdings(b, listing({}, false), at(1));  // not complete: says nothing of the others
  CHECK_FALSE(custody.wants_waking(at(1000), lost, left));
  custody.on_holdings(a, listing({{1, 2}}), at(2));  // 5 no more
  custody.check_invariants();
  CHECK_FALSE(custody.wants_waking(at(11), lost, left));
  CHECK(custody.wants_waking(at(12), lost, left));
  custody.on_holdings(b, listing({{2, 6}}), at(13));
  CHECK_FALSE(custody.wants_waking(at(1000), lost, left));
  std::map<UnitIndex, PeerId> witnesses;
  custody.for_each_witness([&](UnitIndex unit, const PeerId& peer) { witnesses[unit] = peer; });
  CHECK(witnesses == std::map<UnitIndex, PeerId>{{1, a}, {2, b}, {5, b}});
  custody.on_link_down(a, at(14));
  CHECK(custody.wants_waking(at(24), lost, left));
  custody.on_holdings(b, listing({{0, 6}}), at(25));
  CHECK_FALSE(custody.wants_waking(at(113), lost, left));
  CHECK(custody.wants_waking(at(114), lost, left));  // one worker less: this peer may be a keeper of more
  custody.check_invariants();
}
