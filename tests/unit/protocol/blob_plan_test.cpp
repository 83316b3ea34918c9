#include "coordinator-less/protocol/blob_plan.hpp"

#include <doctest/doctest.h>

#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/base/rng.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

PeerId peer(int n) {
  PeerId id;
  id.bytes[0] = static_cast<std::byte>(n);
  return id;
}

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
        case 0: world.plan.want_whole(blob(which, 40), JobId{}); break;
        case 1: {
          const auto first = rng.below(40);
          world.plan.want_range(blob(which, 40), JobId{}, first, 1 + rng.below(40 - first), {world.now_ms}, world.out);
          break;
        }
        case 2: world.plan.on_link_down(peer(1 + static_cast<int>(rng.below(3)))); break;
        case 3: world.plan.drop_whole(blob(which, 40).name); break;
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
  world.plan.want_whole(BlobRef{blob(1, 1).name, limits::blob_bytes_max}, JobId{});
  CHECK(world.plan.empty());
  world.plan.want_range(BlobRef{blob(1, 1).name, limits::blob_bytes_max}, JobId{}, 0, 1, {0}, world.out);
  world.poll();
  CHECK(world.failures.size() == 1);
  for (int n = 1; n < 100; ++n) world.plan.want_whole(blob(n, limits::pull_leaves_max), JobId{});
  CHECK(world.plan.size() == limits::planned_leaves_max / limits::pull_leaves_max);
}
