// What it costs to start an item, in and out of the cage: a program that does nothing, many times.
//   bench_items EXECUTOR CACHE NOOP.wasm MISBEHAVE.wasm       prints a line per setting: items/s per core, us per item, us per unit of one item,
//                                              ms to start an executor, ms from cancel to process gone
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>

#include "coordinator-less/crypto/digest.hpp"
#include "worker/execution/executor_pool.hpp"

using namespace starling;
using namespace starling::execution;
using Clock = std::chrono::steady_clock;

namespace {

class NoInputs final : public InputSource {
 public:
  base::Expected<int> open(const base::Digest&) override { return base::fail(base::ErrorCode::not_found, "none"); }
  bool is_whole(const base::Digest&) override { return true; }
  base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }
};

double us_since(Clock::time_point from) { return std::chrono::duration<double, std::micro>(Clock::now() - from).count(); }

UnitRequest request_of(const char* program, std::size_t items) {
  UnitRequest request;
  request.program = program;
  request.program_digest = crypto::sha256(base::view(request.program.string()));
  request.items.resize(items);
  request.job_text = "bench";
  return request;
}

class Runner {
 public:
  explicit Runner(ExecutorPool& pool) : pool_(pool) {}
  double run_us(const UnitRequest& request) {
    const auto from = Clock::now();
    bool done = false;
    pool_.run(1, request, [&](const UnitResult& got) {
      if (!std::holds_alternative<UnitOutcome>(got)) std::fprintf(stderr, "released: %s\n", std::get<Released>(got).reason.c_str());
      const std::scoped_lock lock(mutex_);
      done = true;
      ended_.notify_one();
    });
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return done; });
    return us_since(from);
  }

 private:
  ExecutorPool& pool_;
  std::mutex mutex_;
  std::condition_variable ended_;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// A unit that runs is cancelled; how long until its process is no more?
double cancel_ms(ExecutorPool& pool, const char* program) {
  auto request = request_of(program, 1);
  request.arguments = {"loop"};
  std::atomic<bool> done = false;
  pool.run(2, request, [&](const UnitResult&) { done = true; });
  while (pool.status().executors.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const pid_t pid = pool.status().executors.at(0);
  const auto from = Clock::now();
  pool.cancel(2);
  while (::kill(pid, 0) == 0) std::this_thread::yield();
  const double out = us_since(from) / 1000;
  while (!done) std::this_thread::yield();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fputs("usage: bench_items EXECUTOR CACHE NOOP.wasm MISBEHAVE.wasm\n", stderr), 2;
  const auto spawner = std::move(Spawner::start()).value();
  NoInputs none;
  for (const bool caged : {true, false, true, false}) {
    PoolConfig config;
    config.executor = argv[1];
    config.cache_folder = argv[2];
    config.spawner = spawner.get();
    config.background = false;
    config.caged = caged;
    config.wait_for_best = true;
    auto pool = std::move(ExecutorPool::start(config, none)).value();
    Runner runner(*pool);
    runner.run_us(request_of(argv[3], 1));
    runner.run_us(request_of(argv[4], 1));  // compiled now: what is cancelled below runs
    std::vector<double> many, one, cancels;
    for (int i = 0; i < 9; ++i) many.push_back(runner.run_us(request_of(argv[3], 1000)) / 1000);
    for (int i = 0; i < 300; ++i) one.push_back(runner.run_us(request_of(argv[3], 1)));
    for (int i = 0; i < 5; ++i) cancels.push_back(cancel_ms(*pool, argv[4]));
    std::vector<double> starts;
    for (int i = 0; i < 7; ++i) {
      pool.reset();
      pool = std::move(ExecutorPool::start(config, none)).value();
      Runner fresh(*pool);
      starts.push_back(fresh.run_us(request_of(argv[3], 1)) / 1000);
    }
    std::printf("%-8s %8.0f items/s  %6.1f us/item  %6.1f us/unit  %6.1f ms first unit of a new pool  %6.2f ms cancel to gone (worst of 5)\n",
                caged ? "caged" : "free", 1e6 / median(many), median(many), median(one), median(starts), *std::ranges::max_element(cancels));
    std::fflush(stdout);
  }
  return 0;
}
