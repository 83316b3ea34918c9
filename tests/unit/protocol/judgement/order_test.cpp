#include "coordinator-less/protocol/judgement/order.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "coordinator-less/base/rng.hpp"

namespace {

using namespace starling::protocol;
namespace base = starling::base;

// Four FNV-1a sums with different starts: enough to tell seeds apart.
class DigestOnly : public Notary {
 public:
  base::Expected<MessageId> peek(base::ByteView) override { return base::fail(base::ErrorCode::internal, "unused"); }
  base::Expected<Statement> open(std::shared_ptr<const Bytes>) override { return base::fail(base::ErrorCode::internal, "unused"); }
  Statement seal(Body) override { return {}; }
  Digest digest(base::ByteView bytes) override {
    Bytes out;
    for (std::uint64_t lane = 0; lane < 4; ++lane) {
      std::uint64_t hash = 0xcbf29ce484222325ULL + lane;
      for (const std::byte b : bytes) hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3ULL;
      base::append_u64(out, hash);
    }
    return *Digest::from(out);
  }
};

template <class Id>
Id numbered(unsigned number) {
  Id id;
  id.bytes[31] = static_cast<std::byte>(number);
  return id;
}

struct Fixture {
  DigestOnly notary;
  UnitOrder order(unsigned job, unsigned peer, std::uint32_t units, std::uint32_t peers) {
    return {numbered<JobId>(job), numbered<PeerId>(peer), units, peers, notary};
  }
};

std::vector<UnitIndex> sorted(std::vector<UnitIndex> units) {
  std::ranges::sort(units);
  return units;
}

TEST_CASE("order: block sizes") {
  CHECK(block_size_of(0) == 16);
  CHECK(block_size_of(2) == 16);
  CHECK(block_size_of(3) == 32);
  CHECK(block_size_of(4) == 32);
  CHECK(block_size_of(5) == 64);
  CHECK(block_size_of(1000) == 8192);
  CHECK(block_size_of(1025) == 8192);
  CHECK(block_size_of(UINT32_MAX) == 8192);
}

TEST_CASE_FIXTURE(Fixture, "order: blocks hold every unit once and the last is the rest") {
  UnitOrder mine = order(1, 1, 100, 3);
  REQUIRE(mine.block_count() == 4);
  std::set<UnitIndex> seen;
  for (std::uint32_t block = 0; block < 4; ++block) {
    CHECK(mine.own_order(block).size() == (block < 3 ? 32 : 4));
    for (const UnitIndex unit : mine.own_order(block)) {
      CHECK(mine.block_of(unit) == block);
      seen.insert(unit);
    }
  }
  CHECK(seen.size() == 100);
  CHECK(*seen.rbegin() == 99);
}

TEST_CASE_FIXTURE(Fixture, "order: blocks are common, places are one's own, jobs differ") {
  UnitOrder mine = order(1, 1, 512, 8), yours = order(1, 2, 512, 8), other = order(2, 1, 512, 8);
  for (std::uint32_t block = 0; block < mine.block_count(); ++block) {
    CHECK(sorted(mine.own_order(block)) == sorted(yours.own_order(block)));
    CHECK(mine.own_order(block) != yours.own_order(block));
    CHECK(sorted(mine.own_order(block)) != sorted(other.own_order(block)));
  }
}

TEST_CASE_FIXTURE(Fixture, "order: positions count through the blocks") {
  UnitOrder mine = order(1, 1, 100, 0);
  for (std::uint32_t position = 0; position < 100; ++position) {
    CHECK(mine.position_of(mine.own_order(position / 16)[position % 16]) == position);
  }
}

// Written from the words of the specification: any other implementation must arrive here too.
TEST_CASE_FIXTURE(Fixture, "order: is the shuffle that the protocol names") {
  const auto shuffled = [&](std::vector<UnitIndex> units, const Bytes& seed) {
    base::Rng rng(notary.digest(seed));
    for (std::size_t last = units.size() - 1; last > 0; --last) std::swap(units[last], units[rng.below(last + 1)]);
    return units;
  };
  const auto beacon = numbered<JobId>(6);
  Bytes common_seed = base::copy(base::view(std::string_view("starling/v1/order\0", 18)));
  base::append(common_seed, beacon.view());
  std::vector<UnitIndex> units(40);
  std::iota(units.begin(), units.end(), 0U);
  units = shuffled(units, common_seed);
  Bytes own_seed = base::copy(base::view(std::string_view("starling/v1/own-order\0", 22)));
  base::append(own_seed, beacon.view());
  base::append(own_seed, numbered<PeerId>(9).view());
  base::append(own_seed, base::ByteView(std::vector<std::byte>{std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0}}));
  UnitOrder mine = order(6, 9, 40, 1);
  CHECK(mine.own_order(1) == shuffled({units.begin() + 16, units.begin() + 32}, own_seed));
}

TEST_CASE_FIXTURE(Fixture, "order: a job of one unit has one block") {
  UnitOrder mine = order(1, 1, 1, 50);
  CHECK(mine.block_count() == 1);
  CHECK(mine.own_order(0) == std::vector<UnitIndex>{0});
  CHECK(mine.position_of(0) == 0);
}

}  // namespace
