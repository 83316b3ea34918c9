// The real executor with guests from build/<preset>/guests, one unit after the other. STARLING_BINARY_DIR names the build tree.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <string>

#include "tests/support/scratch.hpp"
#include "worker/execution/executor_pool.hpp"

namespace starling::testing {

class ExecutorBench {
 public:
  using PoolConfig = execution::PoolConfig;

  explicit ExecutorBench(std::filesystem::path checkpoints = {}, int optimisation_level = 0)
      : ExecutorBench([&](PoolConfig& config) {
          config.optimisation_level = optimisation_level;
          config.wait_for_best = true;
          config.checkpoint_folder = std::move(checkpoints);
          config.checkpoint_interval = base::milliseconds(0);
        }) {}
  explicit ExecutorBench(const std::function<void(PoolConfig&)>& change) {
    PoolConfig config;
    config.executor = STARLING_BINARY_DIR "/starling-executor";
    config.cache_folder = cache();
    config.spawner = &spawner();
    config.background = false;
    change(config);
    auto started = execution::ExecutorPool::start(config, inputs_);
    REQUIRE(started);
    pool = std::move(*started);
  }

  ~ExecutorBench() { pool.reset(); }

  static execution::UnitRequest request(const std::string& name, std::vector<std::string> arguments = {}) {
    execution::UnitRequest out;
    out.program = std::filesystem::path(STARLING_BINARY_DIR "/guests") / (name + ".wasm");
    for (std::size_t i = 0; i < name.size(); ++i) out.program_digest.bytes[i % 32] ^= static_cast<std::byte>(name[i] + static_cast<char>(i));
    out.arguments = std::move(arguments);
    out.items.resize(1);
    out.job_text = "job";
    out.seed.bytes.fill(std::byte{5});
    return out;
  }
  std::future<execution::UnitResult> begin(std::uint64_t token, execution::UnitRequest request) {
    const auto promise = std::make_shared<std::promise<execution::UnitResult>>();
    pool->run(token, std::move(request), [promise](execution::UnitResult result) { promise->set_value(std::move(result)); });
    return promise->get_future();
  }
  execution::UnitOutcome run(execution::UnitRequest request) {
    auto result = begin(next_token_++, std::move(request)).get();
    if (const auto* released = std::get_if<execution::Released>(&result)) FAIL("released: " << released->reason);
    return std::get<execution::UnitOutcome>(std::move(result));
  }

  std::unique_ptr<execution::ExecutorPool> pool;

 private:
  class NoInputs final : public execution::InputSource {
   public:
    base::Expected<int> open(const base::Digest&) override { return base::fail(base::ErrorCode::not_found, "no inputs here"); }
    bool is_whole(const base::Digest&) override { return true; }
    base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }
  };
  static execution::Spawner& spawner() {
    static const std::unique_ptr<execution::Spawner> one = std::move(execution::Spawner::start()).value();
    return *one;
  }
  static const std::filesystem::path& cache() {
    static const testing::ScratchFolder folder;
    return folder.path();
  }

  NoInputs inputs_;
  std::uint64_t next_token_ = 1'000'000;
};

inline std::string output_of(const execution::UnitOutcome& outcome, std::size_t item = 0) {
  const auto archive = execution::parse_archive(outcome.archive);
  REQUIRE(archive);
  return std::string(base::text(archive->items[item].standard_output));
}

}  // namespace starling::testing
