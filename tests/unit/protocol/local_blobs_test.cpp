#include "coordinator-less/protocol/local_blobs.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/base/rng.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

TEST_CASE("what sleeping jobs need of the blobs here against a plain table: shared blobs stay until the last of them is gone") {
  base::Rng rng(3);
  LocalBlobs blobs;
  std::set<Digest> here;
  std::map<std::uint64_t, std::set<Digest>> needs;
  std::vector<LocalBlobs::Sleep> sleeps;
  const auto name = [](std::uint64_t n) { return testing::digest_of(std::to_string(n)); };
  for (int step = 0; step < 1000; ++step) {
    const Digest blob = name(rng.below(30));
    while (sleeps.size() < 6) sleeps.push_back(blobs.begin_sleep());
    const std::size_t place = rng.below(6);
    const std::uint64_t job = sleeps[place];
    switch (rng.below(8)) {
      case 0: blobs.insert(blob), here.insert(blob); break;
      case 1:
        blobs.erase(blob), here.erase(blob);
        for (auto& [other, names] : needs) names.erase(blob);
        break;
      case 2:
        blobs.end_sleep(job), needs.erase(job);
        sleeps[place] = blobs.begin_sleep();
        break;
      default:
        if (!here.contains(blob)) break;
        blobs.need(blob, job), needs[job].insert(blob);  // often again
    }
    for (std::uint64_t n = 0; n < 30; ++n) {
      std::set<std::uint64_t> expected;
      for (const auto& [other, names] : needs)
        if (names.contains(name(n))) expected.insert(other);
      const auto told = blobs.needed_by(name(n));
      CHECK(std::set<std::uint64_t>(told.begin(), told.end()) == expected);
      CHECK(told.size() == expected.size());
      CHECK(blobs.needed(name(n)) == !expected.empty());
      CHECK(blobs.contains(name(n)) == here.contains(name(n)));
    }
  }
}

TEST_CASE("one archive in many units of two sleeping jobs is needed once by each") {
  LocalBlobs blobs;
  const Digest archive = testing::digest_of("the same answer everywhere");
  blobs.insert(archive);
  const auto first = blobs.begin_sleep(), second = blobs.begin_sleep();
  for (int unit = 0; unit < 1000; ++unit) blobs.need(archive, first);
  for (int unit = 0; unit < 1000; ++unit) blobs.need(archive, second);
  CHECK(blobs.needed_by(archive) == std::vector{first, second});
  blobs.end_sleep(first);
  for (int unit = 0; unit < 1000; ++unit) blobs.need(archive, second);  // takes the place that the first had
  CHECK(blobs.needed_by(archive) == std::vector{second});
  blobs.end_sleep(second);
  CHECK_FALSE(blobs.needed(archive));
}
