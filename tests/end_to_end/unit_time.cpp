// How long one unit of a job takes, measured as honestly as a busy machine allows: the program's own split gives the lines, the
// real executor runs some of them, spread over the whole job, one at a time, as native code. What is gated is the median of
// their processor time: machine noise lengthens the wall clock, hardly that, and a single slow unit cannot move a median.
//
//   demo-unit-time EXECUTOR CACHE-FOLDER PROGRAM SCHEME INPUT MOST-MS
//
// Prints one line. Exit 0 if the median is at most MOST-MS, 1 if it is longer, 2 if nothing could be measured.
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <future>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "sdk/client/folders.hpp"
#include "sdk/client/splitting.hpp"
#include "worker/local_program_runner.hpp"

using namespace starling;

namespace {

constexpr std::size_t units_measured = 15;

// The one input, a whole file of this machine.
class OneFile final : public execution::InputSource {
 public:
  explicit OneFile(std::filesystem::path file) : file_(std::move(file)) {}
  base::Expected<int> open(const base::Digest&) override {
    const int fd = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return base::fail(base::ErrorCode::not_found, "cannot read " + file_.string());
    return fd;
  }
  bool is_whole(const base::Digest&) override { return true; }
  base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }

 private:
  std::filesystem::path file_;
};

struct Job {
  std::filesystem::path executor, cache, program, input;
  std::string scheme;
};

base::Expected<std::vector<std::string>> lines_of(const Job& job) {
  worker::LocalProgramRunner runner(job.executor, job.cache);
  return client::run_split(runner, {.program = job.program, .scheme = job.scheme, .inputs = {{job.input.filename().string(), job.input}}});
}

base::Expected<std::int64_t> cpu_us_of(execution::ExecutorPool& pool, execution::UnitRequest request) {
  std::promise<execution::UnitResult> promise;
  auto result = promise.get_future();
  pool.run(1, std::move(request), [&promise](execution::UnitResult end) { promise.set_value(std::move(end)); });
  const auto end = result.get();
  if (const auto* released = std::get_if<execution::Released>(&end)) return base::fail(base::ErrorCode::temporary, released->reason);
  const auto& outcome = std::get<execution::UnitOutcome>(end);
  if (outcome.kind != execution::OutcomeKind::ok) return base::fail(base::ErrorCode::bad_input, "a unit failed: " + outcome.stderr_tail);
  if (outcome.tier != execution::Tier::aot) return base::fail(base::ErrorCode::internal, "a unit did not run as native code: " + outcome.note);
  return outcome.cpu_us;
}

base::Expected<std::vector<std::int64_t>> measure(const Job& job) {
  STARLING_TRY(const auto lines, lines_of(job));
  STARLING_TRY(const base::Bytes program, client::read_file(job.program, limits::program_bytes_max));
  STARLING_TRY(const auto spawner, execution::Spawner::start());
  OneFile input(job.input);
  execution::PoolConfig config;
  config.executor = job.executor;
  config.cache_folder = job.cache;
  config.spawner = spawner.get();
  config.background = false;
  STARLING_TRY(const auto pool, execution::ExecutorPool::start(std::move(config), input));
  execution::UnitRequest request;
  request.program = std::filesystem::absolute(job.program);
  request.program_digest = base::blob_name(program, crypto::sha256);
  request.inputs = {{job.input.filename().string(), crypto::sha256(base::view("the input")), std::filesystem::file_size(job.input)}};
  std::vector<std::int64_t> times_us;
  for (std::size_t i = 0; i < units_measured; ++i) {
    const std::size_t unit = i * lines.size() / units_measured;
    request.items = {base::copy(base::view(lines[unit]))};
    request.first_item_index = unit;
    request.unit = static_cast<std::uint32_t>(unit);
    STARLING_TRY(const std::int64_t one_us, cpu_us_of(*pool, request));
    times_us.push_back(one_us);
  }
  std::ranges::sort(times_us);
  return times_us;
}

}  // namespace

int main(int count, char** words) {
  if (count != 7) {
    std::fputs("usage: demo-unit-time EXECUTOR CACHE-FOLDER PROGRAM SCHEME INPUT MOST-MS\n", stderr);
    return 2;
  }
  const auto times_us = measure({.executor = words[1], .cache = words[2], .program = words[3], .input = words[5], .scheme = words[4]});
  if (!times_us) {
    std::fprintf(stderr, "demo-unit-time: %s\n", times_us.error().message.c_str());
    return 2;
  }
  const auto ms = [](std::int64_t us) { return static_cast<double>(us) / 1000; };
  const double median_ms = ms((*times_us)[times_us->size() / 2]);
  std::printf("a unit takes %.1f ms of processor time (median of %zu units; least %.1f, most %.1f; at most %s allowed)\n", median_ms,
              times_us->size(), ms(times_us->front()), ms(times_us->back()), words[6]);
  return median_ms <= std::atof(words[6]) ? 0 : 1;
}
