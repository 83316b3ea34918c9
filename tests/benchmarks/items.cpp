// What it costs to start an item, a unit and an executor, in the cage and out of it, and how soon a guest that computes is stopped.
//   bench_items EXECUTOR CACHE NOOP.wasm MISBEHAVE.wasm       prints "caged|free WHAT VALUE UNIT" for each, medians of several tries:
//     item        the wall time of a unit of 1,000 items of NOOP on one thread, by item; all of it, the guest's own work too
//     item_cpu    the processor time of the same, of the executor's thread
//     item_fuel   the guest's own work in it
//     unit        a unit of one item, from run() to its end
//     first_unit  the same in a pool that has no executor yet
//     pause       from pause() until the executor stands still
//     cancel      from cancel() until the executor is no more
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
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

struct Ran {
  double wall_us = 0;
  UnitOutcome outcome;
};

Ran run(ExecutorPool& pool, const UnitRequest& request) {
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<UnitResult> result;
  const auto from = Clock::now();
  pool.run(1, request, [&](UnitResult got) {
    const std::scoped_lock lock(mutex);
    result = std::move(got);
    ended.notify_one();
  });
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return result.has_value(); });
  const double wall_us = us_since(from);
  if (const auto* released = std::get_if<Released>(&*result)) {
    std::fprintf(stderr, "bench_items: released: %s\n", released->reason.c_str());
    std::exit(1);
  }
  return {wall_us, std::get<UnitOutcome>(std::move(*result))};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

template <class Try>
double median_of(int tries, const Try& once) {
  std::vector<double> values;
  for (int i = 0; i < tries; ++i) values.push_back(once());
  return median(std::move(values));
}

bool stands_still(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  const auto name_end = line.rfind(')');
  return name_end != std::string::npos && line.substr(name_end).starts_with(") T");
}

// A guest that computes is paused, goes on, and is canceled: ms until its process stands still, and until it is no more.
struct Stops {
  double pause_ms = 0, cancel_ms = 0;
};
Stops stop(ExecutorPool& pool, const char* misbehave) {
  auto request = request_of(misbehave, 1);
  request.arguments = {"loop"};
  std::atomic<bool> done = false;
  pool.run(2, request, [&](const UnitResult&) { done = true; });
  while (pool.status().executors.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const pid_t pid = pool.status().executors.at(0);
  Stops out;
  auto from = Clock::now();
  pool.pause();
  while (!stands_still(pid)) std::this_thread::yield();
  out.pause_ms = us_since(from) / 1000;
  pool.resume();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  from = Clock::now();
  pool.cancel(2);
  while (::kill(pid, 0) == 0) std::this_thread::yield();
  out.cancel_ms = us_since(from) / 1000;
  while (!done) std::this_thread::yield();
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::fputs("usage: bench_items EXECUTOR CACHE NOOP.wasm MISBEHAVE.wasm\n", stderr), 2;
  const char *noop = argv[3], *misbehave = argv[4];
  const auto spawner = std::move(Spawner::start()).value();
  NoInputs none;
  for (const bool caged : {true, false}) {
    const auto tell = [&](const char* what, double value, const char* unit) { std::printf("%s %s %.3f %s\n", caged ? "caged" : "free", what, value, unit); };
    PoolConfig config;
    config.executor = argv[1];
    config.cache_folder = argv[2];
    config.spawner = spawner.get();
    config.background = false;
    config.caged = caged;
    config.wait_for_best = true;
    auto pool = std::move(ExecutorPool::start(config, none)).value();
    run(*pool, request_of(noop, 1));
    run(*pool, request_of(misbehave, 1));  // compiled now: what is stopped below runs
    constexpr std::size_t items = 1000;
    run(*pool, request_of(noop, items));
    std::vector<double> cpu_us;
    double fuel = 0;
    tell("item", median_of(9, [&] {
      const Ran ran = run(*pool, request_of(noop, items));
      cpu_us.push_back(static_cast<double>(ran.outcome.cpu_us) / items);
      fuel = static_cast<double>(ran.outcome.fuel) / items;
      return ran.wall_us / items;
    }), "us");
    tell("item_cpu", median(cpu_us), "us");
    tell("item_fuel", fuel, "instructions");
    tell("unit", median_of(100, [&] { return run(*pool, request_of(noop, 1)).wall_us; }), "us");
    std::vector<double> pauses, cancels;
    for (int i = 0; i < 5; ++i) {
      const Stops one = stop(*pool, misbehave);
      pauses.push_back(one.pause_ms);
      cancels.push_back(one.cancel_ms);
    }
    tell("pause", median(pauses), "ms");
    tell("cancel", median(cancels), "ms");
    tell("first_unit", median_of(5, [&] {
      pool.reset();
      pool = std::move(ExecutorPool::start(config, none)).value();
      return run(*pool, request_of(noop, 1)).wall_us / 1000;
    }), "ms");
  }
  return 0;
}
