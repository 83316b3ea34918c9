// A program that is too large for the compiler, and what it does to the others.
//   large_program write FILE BYTES                  writes a valid one of that size
//   large_program run FILE SMALL EXECUTOR FOLDER    one unit of FILE and, beside it in a pool of two slots, units of SMALL
// The second prints what each took and exits with 1 when the large one does not end well, a small one waits for more than
// `wait_ms_max`, or a compiler outgrows its bound.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "coordinator-less/crypto/digest.hpp"
#include "tests/support/large_module.hpp"
#include "worker/execution/executor_pool.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

constexpr std::int64_t wait_ms_max = 10'000;  // on a busy machine; a stall would be the compiler's two minutes
constexpr std::uint64_t overshoot_bytes = 512ULL << 20;  // what a compiler may grow between two looks

class NoInputs final : public InputSource {
 public:
  base::Expected<int> open(const base::Digest&) override { return base::fail(base::ErrorCode::not_found, "no inputs here"); }
  bool is_whole(const base::Digest&) override { return true; }
  base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }
};

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();  // a process that ends meanwhile throws elsewhere
  return out.str();
}

std::uint64_t peak_of(const std::filesystem::path& process) {
  const auto status = text_of(process / "status");
  const auto at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 6, nullptr, 10) * 1024;
}

// The highest peak of a process that compiles into this folder.
std::uint64_t compiler_peak(const std::string& folder) {
  std::uint64_t out = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    if (entry.path().filename().string().find_first_not_of("0123456789") != std::string::npos) continue;
    const auto line = text_of(entry.path() / "cmdline");
    if (line.find("--compile") != std::string::npos && line.find(folder) != std::string::npos) out = std::max(out, peak_of(entry.path()));
  }
  return out;
}

UnitRequest request_for(const std::filesystem::path& program) {
  UnitRequest out;
  out.program = program;
  const auto bytes = text_of(program);
  out.program_digest = crypto::sha256(base::view(bytes));
  out.items.resize(1);
  out.memory_bytes_max = 16 << 20;  // so that nothing is hidden in what a guest may have
  out.output_bytes_max = 1 << 16;
  return out;
}

std::future<UnitResult> begin(ExecutorPool& pool, const UnitRequest& request) {
  static std::uint64_t token = 0;
  const auto promise = std::make_shared<std::promise<UnitResult>>();
  pool.run(++token, request, [promise](UnitResult result) { promise->set_value(std::move(result)); });
  return promise->get_future();
}

bool ended_well(const char* what, const UnitResult& result) {
  const auto* outcome = std::get_if<UnitOutcome>(&result);
  if (outcome != nullptr && outcome->kind == OutcomeKind::ok) return true;
  std::printf("%s: %s\n", what, outcome == nullptr ? std::get<Released>(result).reason.c_str() : "it failed");
  return false;
}

int run(Spawner& spawner, const std::filesystem::path& large, const std::filesystem::path& small, const char* executor, const char* folder) {
  NoInputs none;
  PoolConfig config;
  config.executor = executor;
  config.cache_folder = folder;
  config.slots = 2;
  config.spawner = &spawner;
  auto pool = std::move(ExecutorPool::start(config, none)).value();
  const auto small_request = request_for(small);
  const auto large_request = request_for(large);
  if (!ended_well("small", begin(*pool, small_request).get())) return 1;

  std::atomic<bool> over = false;
  std::uint64_t compiler_bytes = 0;
  std::thread watching([&] {
    for (; !over; std::this_thread::sleep_for(std::chrono::milliseconds(20))) compiler_bytes = std::max(compiler_bytes, compiler_peak(folder));
  });
  const std::int64_t start_ms = now_ms();
  auto running = begin(*pool, large_request);
  std::int64_t longest_ms = 0, count = 0;
  bool good = true;
  while (good && running.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    const std::int64_t small_ms = now_ms();
    good = ended_well("small", begin(*pool, small_request).get());
    longest_ms = std::max(longest_ms, now_ms() - small_ms);
    ++count;
  }
  const UnitResult first = running.get();
  const std::int64_t first_ms = now_ms() - start_ms;
  over = true;
  watching.join();
  good = good && ended_well("large", first);
  const std::int64_t again_ms = now_ms();
  good = good && ended_well("large", begin(*pool, large_request).get());
  std::printf("large: %zu bytes, first unit after %lld ms, second in %lld ms\n", static_cast<std::size_t>(std::filesystem::file_size(large)),
              static_cast<long long>(first_ms), static_cast<long long>(now_ms() - again_ms));
  if (const auto* outcome = std::get_if<UnitOutcome>(&first))
    std::printf("large: executor took %llu MiB; %s\n", static_cast<unsigned long long>(outcome->peak_resident_bytes >> 20), outcome->note.c_str());
  std::printf("small: %lld units meanwhile, the longest took %lld ms\n", static_cast<long long>(count), static_cast<long long>(longest_ms));
  std::printf("compiler: %llu MiB at most\n", static_cast<unsigned long long>(compiler_bytes >> 20));
  // Both executors at once, long enough for their memory to be looked at: one of them has held the large program.
  auto longer_request = small_request;
  longer_request.items.resize(limits::items_per_unit_max);
  auto one = begin(*pool, longer_request), other = begin(*pool, longer_request);
  good = ended_well("small after it", one.get()) && good;
  good = ended_well("small after it", other.get()) && good;
  return good && count > 0 && longest_ms <= wait_ms_max && compiler_bytes <= limits::compile_resident_bytes_max + overshoot_bytes ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "write" && argc == 4) {
    const auto bytes = testing::large_module(std::strtoull(argv[3], nullptr, 10));
    std::ofstream out(argv[2], std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return out ? 0 : 1;
  }
  if (mode == "run" && argc == 6) {
    const auto spawner = std::move(Spawner::start()).value();  // while there is one thread
    return run(*spawner, argv[2], argv[3], argv[4], argv[5]);
  }
  std::fputs("large_program write FILE BYTES | run FILE SMALL EXECUTOR FOLDER\n", stderr);
  return 2;
}
