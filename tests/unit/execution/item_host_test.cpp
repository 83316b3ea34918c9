// What one item's imports mean, without an engine: slices, what a call costs, what is the guest's doing.
#include "worker/execution/item_host.hpp"

#include <doctest/doctest.h>

#include "worker/execution/instrument/instrument.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

wasi::ItemOptions options() {
  wasi::ItemOptions out;
  out.in = wasi::Node::read_only_directory(1);
  out.first_inode = 2;
  return out;
}

struct Run {
  explicit Run(FuelMeter meter = FuelMeter(1000, 100), std::span<Fingerprint> fingerprints = {}) : state(options()), host(state, meter, fingerprints) {}
  std::optional<std::int64_t> slice(std::int64_t balance) { return host.slice(balance, [] { return Moment{}; }); }
  wasi::State state;
  ItemHost host;
};

std::int32_t code(TrapClass trap) { return static_cast<std::int32_t>(trap); }

}  // namespace

TEST_CASE("item host: fuel is dealt in slices, up to the limit; a trapped item's is what its last slice showed") {
  Run run;
  CHECK(run.slice(-1) == 99);
  CHECK(run.slice(-30) == 70);
  CHECK(run.slice(-250) == 50);  // one charge of more than two slices
  CHECK(run.host.end(TrapClass::divide_by_zero, 10).fuel == 450);
  CHECK(run.host.end(std::nullopt, 10).fuel == 490);
  CHECK_FALSE(run.slice(-501).has_value());
  CHECK(run.host.ended());
  const ItemEnd end = run.host.end(std::nullopt, -501);
  CHECK(end.kind == OutcomeKind::trap);
  CHECK(end.code == code(TrapClass::out_of_fuel));
}

TEST_CASE("item host: who wants fingerprints is asked at their points, and moves no slice's end") {
  std::vector<Fingerprint> one{Fingerprint({}, {}, 0, 4)};  // points from 16 on
  Run plain, watched(FuelMeter(1000, 100), one);
  const auto first = one[0].next_point();
  REQUIRE(first < 100);
  CHECK(plain.slice(-1) == 99);
  CHECK(watched.slice(-1) == static_cast<std::int64_t>(first) - 1);
  int looks = 0;
  while (one[0].next_point() < 100) REQUIRE(watched.host.slice(-1, [&] { ++looks; return Moment{}; }));
  CHECK(looks > 0);
  CHECK(one[0].chain() != base::Digest{});
  CHECK(plain.host.end(TrapClass::unreachable, 0).fuel == watched.host.end(TrapClass::unreachable, 0).fuel);
}

TEST_CASE("item host: a call costs at least 200, and its bytes") {
  Run run;
  std::array<std::byte, 1024> memory{};
  const auto random = std::ranges::find(wasi::functions(), std::string_view("random_get"), &wasi::Function::name);
  REQUIRE(random != wasi::functions().end());
  std::int64_t balance = 500;
  const std::array<std::uint64_t, 2> args{0, 800};
  CHECK(run.host.call(*random, memory, args, balance) == wasi::Errno::success);
  CHECK(balance == 500 - 200 - 100);
}

TEST_CASE("item host: only what a guest can cause is an outcome") {
  for (const auto trap : {TrapClass::unreachable, TrapClass::memory_bounds, TrapClass::indirect_call}) {
    Run run;
    CHECK(run.host.end(trap, 0).code == code(trap));
    CHECK(run.state.ending() == wasi::Ending::none);
  }
  Run engine, memory, stack;
  engine.host.end(TrapClass::other, 0);
  CHECK(engine.state.ending() == wasi::Ending::host_failed);
  memory.host.fail(static_cast<std::int32_t>(instrument::Failure::memory_grow));
  CHECK(memory.state.ending() == wasi::Ending::host_failed);
  stack.host.fail(static_cast<std::int32_t>(instrument::Failure::stack_overflow));
  CHECK(stack.state.ending() == wasi::Ending::none);
  CHECK(stack.host.end(TrapClass::other, 0).code == code(TrapClass::stack_overflow));  // how our own end reaches us
}
