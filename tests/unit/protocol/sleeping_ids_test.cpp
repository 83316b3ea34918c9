#include "coordinator-less/protocol/sleeping_ids.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "coordinator-less/base/rng.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

TEST_CASE("sums of sleeping ids against plain lists") {
  base::Rng rng(7);
  SleepingIds ids;
  std::map<JobId, std::vector<MessageId>> model;
  for (int step = 0; step < 300; ++step) {
    JobId job;
    job.bytes[0] = static_cast<std::byte>(rng.below(12));
    if (model.contains(job)) {
      ids.remove(job);
      model.erase(job);
    } else {
      auto& added = model[job];
      for (std::uint64_t n = rng.below(40); n > 0; --n) {
        MessageId id;
        for (auto& byte : id.bytes) byte = static_cast<std::byte>(rng.below(256));
        if (rng.below(8) == 0) std::fill_n(id.bytes.begin() + 8, 8, std::byte{0});  // adds nothing to its sum
        added.push_back(id);
      }
      ids.add(job, added);
    }
    ids.check_invariants();
    std::size_t count = 0;
    for (const auto& [one, list] : model) {
      BucketSums expected;
      for (const auto& id : list) expected.add(id);
      CHECK(ids.sums(one) == expected);
      count += list.size();
    }
    CHECK(ids.size() == count);
    CHECK(ids.sums(base::retag<JobId>(testing::digest_of("another"))) == BucketSums{});
    for (std::size_t bucket = 0; bucket < id_bucket_count; ++bucket) {
      std::vector<JobId> expected, told;
      for (const auto& [one, list] : model)
        if (std::ranges::contains(list, bucket, &bucket_of)) expected.push_back(one);
      ids.for_each_in(bucket, [&](const JobId& one) { told.push_back(one); });
      CHECK(told == expected);
    }
  }
}
