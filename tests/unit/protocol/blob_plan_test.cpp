#include "coordinator-less/protocol/blob_plan.hpp"

#include <doctest/doctest.h>

#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/base/rng.hpp"
#include "tests/support/ids.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::peer;

BlobRef blob(int n, std::uint64_t leaves) {
  BlobRef ref;
  ref.name.bytes[0] = static_cast<std::byte>(n);
  ref.size_bytes = leaves * base::leaf_bytes;
  return ref;
}

struct World {
  BlobPlan plan;
  std::vector<PeerId> holders;
  std::int64_t now_ms = 0;
  Outbox out;

  std::vector<RequestRange> poll() {
    plan.touch();
    plan.poll({now_ms}, [&](const JobId&, const Digest&) { return holders; }, out);
    plan.check_invariants();
    std::vector<RequestRange> asked;
    while (auto effect = out.take()) {
      if (const auto* request = std::get_if<RequestRange>(&*effect)) asked.push_back(*request);
      if (const auto* ready = std::get_if<RangeReady>(&*effect)) readies.push_back(*ready);
      if (const auto* failed = std::get_if<RangeFailed>(&*effect)) failures.push_back(*failed);
    }
    return asked;
  }
  void answer(const RequestRange& request, bool good) {
    plan.on_range(request.from, request.blob.name, request.first_leaf, request.leaf_count, good, {now_ms}, out);
    plan.check_invariants();
  }
  std::vector<RangeReady> readies;
  std::vector<RangeFailed> failures;
};

}  // namespace

TEST_CASE("a whole blob is asked for once, piece by piece, from several holders, within the window") {
  World world;
  world.holders = {peer(1), peer(2)};
  world.plan.want_whole(blob(1, 1000), JobId{});
  std::set<std::uint64_t> leaves;
  std::map<PeerId, int> asked_of;
  for (auto asked = world.poll(); !asked.empty(); asked = world.poll()) {
    CHECK(asked.size() <= 2 * limits::blob_requests_per_peer_max);
    for (const auto& request : asked) {
      CHECK(request.leaf_count <= limits::leaves_per_range_max);
      ++asked_of[request.from];
      for (std::uint64_t leaf = 0; leaf < request.leaf_count; ++leaf) CHECK(leaves.insert(request.first_leaf + leaf).second);
      world.answer(request, true);
    }
  }
  CHECK(leaves.size() == 1000);
  CHECK(asked_of[peer(1)] > 40);
  CHECK(asked_of[peer(2)] > 40);
  world.plan.on_whole(blob(1, 1000).name, world.out);
  CHECK(world.plan.empty());
}

TEST_CASE("a source without it, with bad bytes, or silent is left alone, and another is asked") {
  World world;
  world.holders = {peer(1), peer(2)};
  world.plan.want_whole(blob(1, 4), JobId{});
  auto asked = world.poll();
  REQUIRE(asked.size() == 1);
  world.answer(asked[0], false);
  const auto again = world.poll();
  REQUIRE(again.size() == 1);
  CHECK(again[0].from != asked[0].from);
  world.now_ms += limits::blob_request_timeout.ms;  // silence
  asked = world.poll();
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].from != again[0].from);  // the first one may be asked again by now
}

TEST_CASE("readers are told when their leaves are here, and when nobody serves them") {
  World world;
  world.plan.want_range(blob(1, 100), JobId{}, 10, 3, {0}, world.out);
  CHECK(world.poll().empty());
  CHECK(world.failures.empty());
  world.now_ms = limits::reader_patience.ms;
  world.poll();
  REQUIRE(world.failures.size() == 1);
  CHECK(world.plan.empty());

  world.holders = {peer(1)};
  world.plan.want_range(blob(1, 100), JobId{}, 6, 4, {world.now_ms}, world.out);
  const auto asked = world.poll();
  REQUIRE(asked.size() == 2);  // pieces end at the common grid of eight leaves
  world.answer(asked[0], true);
  world.poll();
  CHECK(world.readies.empty());
  world.answer(asked[1], true);
  world.poll();
  CHECK(world.readies.size() == 1);
  CHECK(world.plan.empty());
}

TEST_CASE("hostile or mistaken ranges fail at once") {
  World world;
  world.plan.want_range(blob(1, 10), JobId{}, 10, 1, {0}, world.out);
  world.plan.want_range(blob(1, 10), JobId{}, 0, 0, {0}, world.out);
  world.plan.want_range(blob(1, 10), JobId{}, 5, UINT64_MAX, {0}, world.out);
  world.poll();
  CHECK(world.failures.size() == 3);
  world.plan.on_range(peer(1), blob(7, 1).name, 0, 1, true, {0}, world.out);  // never asked for
  world.plan.check_invariants();
}

TEST_CASE("two jobs that name one blob share its pull: holders of either are asked, and one job's end does not stop it") {
  BlobPlan plan;
  Outbox out;
  JobId liars, honest;
  liars.bytes[0] = std::byte{1};
  honest.bytes[0] = std::byte{2};
  plan.want_whole(blob(1, 4), liars);
  plan.want_whole(blob(1, 4), honest);
  const auto asked = [&](std::int64_t now_ms) {
    plan.touch();
    plan.poll({now_ms}, [&](const JobId& job, const Digest&) { return std::vector{job == liars ? peer(1) : peer(2)}; }, out);
    plan.check_invariants();
    std::vector<RequestRange> requests;
    while (auto effect = out.take()) requests.push_back(std::get<RequestRange>(*effect));
    return requests;
  };
  auto requests = asked(0);
  REQUIRE(requests.size() == 1);
  if (requests[0].from == peer(1)) {
    plan.on_range(peer(1), requests[0].blob.name, requests[0].first_leaf, requests[0].leaf_count, false, {0}, out);
    requests = asked(1);
    REQUIRE(requests.size() == 1);
  }
  CHECK(requests[0].from == peer(2));
  plan.drop_job(liars, out);
  CHECK(plan.wanted_whole(blob(1, 4).name));
  plan.drop_job(honest, out);
  CHECK(plan.empty());
}

TEST_CASE("archives that nobody needs are not pulled any longer") {
  World world;
  world.holders = {peer(1)};
  world.plan.want_whole(blob(1, 40), JobId{}, true);
  world.plan.want_whole(blob(2, 40), JobId{}, true);
  world.plan.want_whole(blob(3, 40), JobId{});
  CHECK(!world.poll().empty());
  world.plan.drop_archives_unless([](const Digest& name) { return name == blob(2, 1).name; });
  world.plan.check_invariants();
  CHECK_FALSE(world.plan.wanted_whole(blob(1, 1).name));
  CHECK(world.plan.wanted_whole(blob(2, 1).name));
  CHECK(world.plan.wanted_whole(blob(3, 1).name));
}

TEST_CASE("a lost link gives its requests back") {
  World world;
  world.holders = {peer(1)};
  world.plan.want_whole(blob(1, 64), JobId{});
  const auto asked = world.poll();
  CHECK(asked.size() == 8);
  world.plan.on_link_down(peer(1));
  world.holders = {peer(2)};
  CHECK(world.poll().size() == 8);
}

TEST_CASE("random answers, losses and wants keep the books straight") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    base::Rng rng(seed);
    World world;
    std::vector<RequestRange> open;
    for (int step = 0; step < 400; ++step) {
      world.holders.clear();
      for (int n = 1; n <= 3; ++n)
        if (rng.chance(0.7)) world.holders.push_back(peer(n));
      const int which = 1 + static_cast<int>(rng.below(3));
      switch (rng.below(6)) {
        case 0: world.plan.want_whole(blob(which, 40), JobId{}, rng.chance(0.5)); break;
        case 1: {
          const auto first = rng.below(40);
          world.plan.want_range(blob(which, 40), JobId{}, first, 1 + rng.below(40 - first), {world.now_ms}, world.out);
          break;
        }
        case 2: world.plan.on_link_down(peer(1 + static_cast<int>(rng.below(3)))); break;
        case 3: world.plan.drop_archives_unless([&](const Digest& name) { return name != blob(which, 40).name; }); break;
        case 4: world.now_ms += static_cast<std::int64_t>(rng.below(4000)); break;
        default: break;
      }
      world.plan.check_invariants();
      for (const auto& request : world.poll()) open.push_back(request);
      while (!open.empty() && rng.chance(0.6)) {
        world.answer(open.back(), rng.chance(0.8));
        open.pop_back();
      }
    }
  }
}

TEST_CASE("a manifest's absurd sizes cost nothing") {
  World world;
  world.holders = {peer(1)};
  world.plan.want_whole(BlobRef{blob(1, 1).name, limits::blob_bytes_max + 1}, JobId{});
  CHECK(world.plan.empty());
  world.plan.want_range(BlobRef{blob(1, 1).name, limits::blob_bytes_max + 1}, JobId{}, 0, 1, {0}, world.out);
  world.poll();
  CHECK(world.failures.size() == 1);
  for (std::uint64_t n = 0; n < limits::pulls_max + 10; ++n) {
    BlobRef ref{{}, limits::blob_bytes_max};
    for (std::size_t byte = 0; byte < 4; ++byte) ref.name.bytes[byte] = static_cast<std::byte>(n >> (8 * byte));
    world.plan.want_whole(ref, JobId{});
  }
  CHECK(world.plan.size() == limits::pulls_max);
  CHECK(world.plan.ranges_kept() == 0);
}

TEST_CASE("a blob of any size is planned in bounded memory") {
  World world;
  world.holders = {peer(1), peer(2), peer(3)};
  const BlobRef huge{blob(1, 1).name, limits::blob_bytes_max};
  world.plan.want_whole(huge, JobId{});
  base::Rng rng(1);
  std::uint64_t next = 0;
  for (int round = 0; round < 500; ++round) {
    auto asked = world.poll();
    CHECK(asked.size() <= 3 * limits::blob_requests_per_peer_max);
    for (const auto& request : asked) {
      next = std::max(next, request.first_leaf + request.leaf_count);
      world.answer(request, true);
    }
    CHECK(world.plan.ranges_kept() < 200);
  }
  CHECK(next == 500 * 3 * limits::blob_requests_per_peer_max * limits::leaves_per_range_max);
}

TEST_CASE("scattered reads of a huge blob are forgotten in time") {
  World world;
  world.holders = {peer(1)};
  const BlobRef huge{blob(1, 1).name, limits::blob_bytes_max};
  world.plan.want_whole(huge, JobId{});
  for (std::uint64_t n = 1; n < 6000; ++n) {
    world.plan.want_range(huge, JobId{}, n * 1000 + 5000, 1, {0}, world.out);
    world.plan.touch();
    world.plan.poll({0}, [&](const JobId&, const Digest&) { return world.holders; }, world.out);
    while (auto effect = world.out.take())
      if (const auto* request = std::get_if<RequestRange>(&*effect))
        if (request->leaf_count == 1) world.plan.on_range(request->from, huge.name, request->first_leaf, 1, true, {0}, world.out);
  }
  world.plan.check_invariants();
  CHECK(world.plan.ranges_kept() < 3 * limits::ranges_per_pull_max);
}

TEST_CASE("100,000 leaves come whole from three holders that lose, lie and are late") {
  constexpr std::uint64_t leaves = 100'001;
  World world;
  world.holders = {peer(1), peer(2), peer(3)};
  world.plan.want_whole(blob(1, leaves), JobId{});
  base::Rng rng(7);
  std::vector<bool> here(leaves, false);
  std::uint64_t missing = leaves;
  std::size_t most = 0;
  for (int round = 0; round < 200'000 && missing > 0; ++round, world.now_ms += 20) {
    world.plan.touch();
    world.plan.poll({world.now_ms}, [&](const JobId&, const Digest&) { return world.holders; }, world.out);
    std::vector<RequestRange> asked;
    while (auto effect = world.out.take())
      if (const auto* request = std::get_if<RequestRange>(&*effect)) asked.push_back(*request);
    for (const auto& request : asked) {
      if (rng.chance(0.005)) continue;  // lost: it times out
      const bool good = !rng.chance(0.002);
      for (std::uint64_t leaf = request.first_leaf; good && leaf < request.first_leaf + request.leaf_count; ++leaf) {
        CHECK_FALSE(here[leaf]);
        here[leaf] = true;
        --missing;
      }
      world.plan.on_range(request.from, request.blob.name, request.first_leaf, request.leaf_count, good, {world.now_ms}, world.out);
    }
    most = std::max(most, world.plan.ranges_kept());
    if (round % 500 == 0) world.plan.check_invariants();
  }
  CHECK(missing == 0);
  CHECK(most < 1000);
  world.plan.on_whole(blob(1, leaves).name, world.out);
  CHECK(world.plan.empty());
}

TEST_CASE("a lie about a blob's size delays the truth and does not replace it") {
  World world;
  world.holders = {peer(1)};
  const BlobRef lie = blob(1, 900), truth = blob(1, 100);
  world.plan.want_whole(lie, JobId{});
  world.plan.want_whole(truth, JobId{});
  std::set<std::uint64_t> leaves;
  for (int round = 0; round < 100 && leaves.size() < 100; ++round) {
    for (const auto& request : world.poll()) {
      const bool good = request.blob == truth;  // nothing verifies under another size
      for (std::uint64_t leaf = 0; good && leaf < request.leaf_count; ++leaf) leaves.insert(request.first_leaf + leaf);
      world.answer(request, good);
    }
    world.now_ms += 1000;
  }
  CHECK(leaves.size() == 100);
  world.plan.on_whole(truth.name, world.out);
  CHECK(world.plan.empty());
}

TEST_CASE("leaves that went missing while the rest came are asked for again") {
  World world;
  world.holders = {peer(1)};
  world.plan.want_whole(blob(1, 8), JobId{});
  auto asked = world.poll();
  REQUIRE(asked.size() == 1);
  world.answer(asked[0], true);
  CHECK(world.poll().empty());
  world.now_ms += limits::source_retry.ms;
  CHECK(world.poll().size() == 1);
}
