// Runs a program's units, one a line of standard input, one after the other in one executor, without any peer.
//   bench_units EXECUTOR CACHE LEVEL PROGRAM [INPUT|- [ARGUMENT...]]     prints "wall_us cpu_us" for each
// LEVEL: of the ahead-of-time compiler, 0 to 3. The first unit, which compiles and loads, runs twice and is told once.
#include <fcntl.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <optional>

#include "coordinator-less/crypto/digest.hpp"
#include "worker/execution/executor_pool.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

int report(const std::string& what) {
  std::fprintf(stderr, "bench_units: %s\n", what.c_str());
  return 1;
}

class OneFile final : public InputSource {
 public:
  explicit OneFile(std::filesystem::path path) : path_(std::move(path)) {}
  base::Expected<int> open(const base::Digest&) override { return ::open(path_.c_str(), O_RDONLY | O_CLOEXEC); }
  bool is_whole(const base::Digest&) override { return true; }
  base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }

 private:
  std::filesystem::path path_;
};

UnitResult run_one(ExecutorPool& pool, const UnitRequest& request) {
  std::mutex mutex;
  std::condition_variable ended;
  std::optional<UnitResult> result;
  pool.run(1, request, [&](UnitResult got) {
    const std::scoped_lock lock(mutex);
    result = std::move(got);
    ended.notify_one();
  });
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return result.has_value(); });
  return *std::move(result);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return report("usage: bench_units EXECUTOR CACHE LEVEL PROGRAM [INPUT|- [ARGUMENT...]]");
  auto spawner = Spawner::start();
  if (!spawner) return report(spawner.error().message);
  const std::string input = argc > 5 ? argv[5] : "-";
  OneFile source(input);
  PoolConfig config;
  config.executor = argv[1];
  config.cache_folder = argv[2];
  config.optimisation_level = std::atoi(argv[3]);
  config.spawner = spawner->get();
  config.background = false;
  config.wait_for_best = true;  // the level that was asked for, not the first that is there
  auto pool = ExecutorPool::start(config, source);
  if (!pool) return report(pool.error().message);

  UnitRequest request;
  request.program = argv[4];
  request.program_digest = crypto::sha256(base::view(request.program.string()));
  if (input != "-") {
    std::error_code error;
    const auto size_bytes = std::filesystem::file_size(input, error);
    if (error) return report("no such file: " + input);
    request.inputs = {{std::filesystem::path(input).filename().string(), crypto::sha256(base::view(input)), size_bytes}};
  }
  for (int i = 6; i < argc; ++i) request.arguments.emplace_back(argv[i]);
  bool warm = false;
  for (std::string line; std::getline(std::cin, line); warm = true) {
    request.items = {base::copy(base::view(line))};
    if (!warm) static_cast<void>(run_one(**pool, request));
    const auto result = run_one(**pool, request);
    const auto* outcome = std::get_if<UnitOutcome>(&result);
    if (outcome == nullptr) return report("a unit was released: " + std::get<Released>(result).reason);
    if (outcome->kind != OutcomeKind::ok || outcome->tier != Tier::aot) return report("a unit failed: " + outcome->stderr_tail + outcome->note);
    std::printf("%lld %lld\n", static_cast<long long>(outcome->wall_us), static_cast<long long>(outcome->cpu_us));
    std::fflush(stdout);
  }
  return 0;
}
