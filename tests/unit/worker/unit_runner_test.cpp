// From the runtime's work to the executor's order and back, on the real executor.
#ifdef STARLING_HAS_EXECUTOR
#include "worker/unit_runner.hpp"

#include <doctest/doctest.h>

#include <future>

#include "tests/support/executor_bench.hpp"
#include "worker/execution/fingerprint.hpp"

using namespace starling;

namespace {

class NoInputs final : public runtime::UnitInputs {
 public:
  base::Expected<int> open(const base::JobId&, const protocol::BlobRef&) override { return base::fail(base::ErrorCode::not_found, "none"); }
  bool whole(const base::Digest&) override { return false; }
  base::Expected<void> ensure(const base::JobId&, const protocol::BlobRef&, std::uint64_t, std::uint64_t) override { return {}; }
};

template <class Id>
Id filled(int value) {
  Id id;
  id.bytes.fill(static_cast<std::byte>(value));
  return id;
}

// A loop without end under a fuel limit past the first octave of fingerprints.
constexpr std::uint64_t fuel_max = 40'000'000;

runtime::UnitWork endless(runtime::Tier tier) {
  const auto plain = testing::ExecutorBench::request("misbehave", {"loop"});
  runtime::UnitWork work;
  work.job = filled<base::JobId>(7);
  work.unit = 3;
  work.tier = tier;
  work.program = plain.program;
  work.program_digest = plain.program_digest;
  work.arguments = plain.arguments;
  work.items = plain.items;
  work.seed = plain.seed;
  work.limits = {64ULL << 20, 1ULL << 20, 600'000, fuel_max};
  work.fingerprints_of = {filled<base::PeerId>(1), filled<base::PeerId>(2)};
  return work;
}

}  // namespace

TEST_CASE("unit runner: a fuel limit ends a unit as a trap on both tiers, with the same fuel and the peers' fingerprints") {
  const testing::ScratchFolder folder;
  const auto spawner = std::move(execution::Spawner::start()).value();
  const auto runner = std::move(worker::UnitRunner::start({.executor = STARLING_BINARY_DIR "/starling-executor", .cache_folder = folder.path()}, *spawner)).value();
  NoInputs inputs;
  runner->attach(inputs);
  const auto run = [&](std::uint64_t token, runtime::Tier tier) {
    std::promise<runtime::UnitEnd> promise;
    runner->run(token, endless(tier), [&](runtime::UnitEnd end) { promise.set_value(std::move(end)); });
    auto end = promise.get_future().get();
    REQUIRE(std::holds_alternative<runtime::UnitDone>(end));
    return std::get<runtime::UnitDone>(std::move(end));
  };
  const auto compiled = run(1, runtime::Tier::compiled), interpreted = run(2, runtime::Tier::interpreted);
  CHECK(compiled.kind == protocol::OutcomeKind::trap);
  CHECK(compiled.code == static_cast<std::int32_t>(execution::TrapClass::out_of_fuel));
  CHECK(compiled.fuel > fuel_max);
  CHECK(compiled.fuel < fuel_max + 1000);
  CHECK(interpreted.fuel == compiled.fuel);
  CHECK(interpreted.fingerprints == compiled.fingerprints);
  REQUIRE(compiled.fingerprints.size() == 2);
  CHECK(compiled.fingerprints[0] != compiled.fingerprints[1]);

  testing::ExecutorBench bench;
  const auto work = endless(runtime::Tier::compiled);
  auto request = testing::ExecutorBench::request("misbehave", {"loop"});
  request.job_text = work.job.base32();
  request.unit = work.unit;
  request.memory_bytes_max = work.limits.memory_bytes;
  request.output_bytes_max = work.limits.output_bytes;
  request.fuel_max = fuel_max;
  for (const auto& peer : work.fingerprints_of)
    request.fingerprint_seeds.push_back(execution::fingerprint_seed(peer.view(), work.job.view(), work.unit));
  CHECK(bench.run(request).fingerprints == compiled.fingerprints);
}

#endif  // STARLING_HAS_EXECUTOR
