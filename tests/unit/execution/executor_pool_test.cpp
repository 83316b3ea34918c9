// The pool with the real executor and real guest programs.
#include "tests/support/scratch.hpp"
#include "worker/execution/executor_pool.hpp"

#include <doctest/doctest.h>

#ifdef STARLING_HAS_EXECUTOR

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <thread>

#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/base/rng.hpp"
#include "worker/execution/compile_cache.hpp"
#include "worker/execution/executor_process.hpp"
#include "worker/execution/program_check.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

const std::filesystem::path binary = STARLING_BINARY_DIR "/starling-executor";
std::filesystem::path guest(const std::string& name) { return std::filesystem::path(STARLING_BINARY_DIR "/guests") / (name + ".wasm"); }

base::Digest name_of_program(const std::string& text) {
  base::Digest out;
  for (std::size_t i = 0; i < text.size(); ++i) out.bytes[i % 32] ^= static_cast<std::byte>(text[i] + static_cast<char>(i));
  return out;
}

// One sparse file; leaves hold bytes only after ensure() has written them.
class SparseSource final : public InputSource {
 public:
  SparseSource(const std::filesystem::path& file, std::uint64_t size_bytes) : file_(file) {
    std::ofstream(file).put('\0');
    std::filesystem::resize_file(file, size_bytes);
  }
  base::Expected<int> open(const base::Digest&) override { return ::open(file_.c_str(), O_RDONLY | O_CLOEXEC); }
  bool is_whole(const base::Digest&) override { return false; }
  base::Expected<void> ensure(const base::Digest&, std::uint64_t first, std::uint64_t count) override {
    if (fails) return base::fail(base::ErrorCode::temporary, "no peer has it");
    const Fd file(::open(file_.c_str(), O_WRONLY | O_CLOEXEC));
    const std::string leaf(base::leaf_bytes, '\1');
    const std::scoped_lock lock(mutex_);
    for (std::uint64_t i = first; i < first + count; ++i) {
      leaves.insert(i);
      if (::pwrite(file.get(), leaf.data(), leaf.size(), static_cast<off_t>(i * base::leaf_bytes)) < 0) std::abort();
    }
    return {};
  }
  std::set<std::uint64_t> leaves;
  bool fails = false;

 private:
  std::mutex mutex_;
  std::filesystem::path file_;
};

class NoInputs final : public InputSource {
 public:
  base::Expected<int> open(const base::Digest&) override { return base::fail(base::ErrorCode::not_found, "no inputs here"); }
  bool is_whole(const base::Digest&) override { return true; }
  base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }
};

Spawner& spawner() {
  static const std::unique_ptr<Spawner> one = std::move(Spawner::start()).value();
  return *one;
}

// Compiled guests are shared by all tests of this file.
const std::filesystem::path& shared_cache() {
  static const testing::ScratchFolder folder;
  return folder.path();
}

class Bench {
 public:
  explicit Bench(unsigned slots = 1, InputSource* source = nullptr, const std::filesystem::path& cache = shared_cache(),
                 std::uint64_t host_memory_bytes_max = 0) {
    PoolConfig config;
    config.host_memory_bytes_max = host_memory_bytes_max;
    config.executor = binary;
    config.cache_folder = cache;
    config.slots = slots;
    config.spawner = &spawner();
    config.background = false;
    config.optimisation_level = 0;  // fast to compile; determinism across levels is a test of its own
    auto started = ExecutorPool::start(config, source ? *source : none_);
    REQUIRE(started);
    pool_ = std::move(*started);
  }
  ~Bench() { pool_.reset(); }

  void begin(std::uint64_t token, UnitRequest request) {
    pool_->run(token, std::move(request), [this, token](UnitResult result) {
      const std::scoped_lock lock(mutex_);
      REQUIRE(!results_.contains(token));
      results_.emplace(token, std::move(result));
      arrived_.notify_all();
    });
  }
  UnitResult end(std::uint64_t token) {
    std::unique_lock lock(mutex_);
    REQUIRE(arrived_.wait_for(lock, std::chrono::seconds(120), [&] { return results_.contains(token); }));
    return results_.extract(token).mapped();
  }
  UnitResult run(UnitRequest request) {
    const std::uint64_t token = next_token_++;
    begin(token, std::move(request));
    return end(token);
  }
  bool has(std::uint64_t token) {
    const std::scoped_lock lock(mutex_);
    return results_.contains(token);
  }
  ExecutorPool& pool() { return *pool_; }

 private:
  NoInputs none_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::uint64_t, UnitResult> results_;
  std::uint64_t next_token_ = 1'000'000;
  std::unique_ptr<ExecutorPool> pool_;
};

UnitRequest request_for(const std::string& program, std::vector<std::string> arguments = {}) {
  UnitRequest out;
  out.program = guest(program);
  out.program_digest = name_of_program(program);
  out.arguments = std::move(arguments);
  out.items.emplace_back();
  out.job_text = "job";
  out.memory_bytes_max = 64ULL << 20;
  out.output_bytes_max = 1 << 20;
  out.time_max = base::seconds(100);
  return out;
}

UnitOutcome outcome(UnitResult result) {
  if (const auto* released = std::get_if<Released>(&result)) FAIL("released: " << released->reason);
  return std::get<UnitOutcome>(std::move(result));
}
std::string released(const UnitResult& result) {
  if (const auto* outcome = std::get_if<UnitOutcome>(&result))
    FAIL("not released: kind " << static_cast<int>(outcome->kind) << ", code " << outcome->code << ", " << outcome->stderr_tail);
  return std::get<Released>(result).reason;
}
std::string output_of(const UnitOutcome& unit, std::size_t item = 0) {
  const auto archive = parse_archive(unit.archive);
  REQUIRE(archive);
  return std::string(base::text(archive->items.at(item).standard_output));
}

}  // namespace

TEST_CASE("pool: an ordinary C program sees its world, the same compiled and interpreted") {
  Bench bench;
  auto request = request_for("tour", {"bands", "--verbose"});
  request.items[0] = base::copy(base::view("8419.297 MHz"));
  request.unit = 7;
  request.first_item_index = 21;
  request.in_files_in_memory = {{"greeting.txt", base::copy(base::view("hello"))}, {"deep/er/file", {}}};
  const auto compiled = outcome(bench.run(request));
  CHECK(compiled.note == "");
  CHECK(compiled.tier == Tier::aot);
  CHECK(compiled.stderr_tail == "tour is over\n");
  REQUIRE(compiled.kind == OutcomeKind::ok);
  const auto text = output_of(compiled);
  for (const char* line :
       {"argv[0]=program\n", "argv[2]=--verbose\n", "STARLING_JOB=job\n", "STARLING_UNIT=7\n", "STARLING_ITEM=21\n", "HOME=(none)\n",
        "stdin 12 bytes: 8419.297 MHz\n", "time 1577836800 slept 25000", "greeting hello\n", "write to /in: Read-only file system\n",
        "new.txt 9 bytes, mtime 1577836800\n", "rmdir: Directory not empty\n", "/: . .. in out tmp\n", "/in: . .. deep greeting.txt\n",
        "/out/table: . .. a.csv b.csv\n"})
    CHECK_MESSAGE(text.find(line) != std::string::npos, line << " is not in:\n" << text);
  CHECK(text.find("allowed") == std::string::npos);
  const auto archive = parse_archive(compiled.archive);
  REQUIRE(archive->items[0].files.size() == 4);
  CHECK(archive->items[0].files[0].path == "new.txt");
  CHECK(base::text(archive->items[0].files[0].bytes) == "renamed!\n");
  CHECK(archive->items[0].files[1].path == "table.txt");
  CHECK(archive->items[0].files[2].path == "table/a.csv");

  request.tier = Tier::interpreter;
  const auto interpreted = outcome(bench.run(request));
  CHECK(interpreted.tier == Tier::interpreter);
  CHECK(interpreted.archive == compiled.archive);
}

TEST_CASE("pool: exit codes, traps and declared limits are outcomes, equal on both tiers") {
  struct Case {
    const char* what;
    OutcomeKind kind;
    std::int32_t code;
  };
  const auto trap = [](TrapClass one) { return static_cast<std::int32_t>(one); };
  const Case cases[] = {{"exit", OutcomeKind::exit_code, 42},
                        {"unreachable", OutcomeKind::trap, trap(TrapClass::unreachable)},
                        {"divide", OutcomeKind::trap, trap(TrapClass::divide_by_zero)},
                        {"overflow", OutcomeKind::trap, trap(TrapClass::integer_overflow)},
                        {"convert", OutcomeKind::trap, trap(TrapClass::integer_overflow)},
                        {"convert-nan", OutcomeKind::trap, trap(TrapClass::bad_conversion)},
                        {"memory", OutcomeKind::trap, trap(TrapClass::memory_bounds)},
                        {"call", OutcomeKind::trap, trap(TrapClass::indirect_call)},
                        {"recurse", OutcomeKind::trap, trap(TrapClass::memory_bounds)},  // its shadow stack ends first
                        {"fill-memory", OutcomeKind::exit_code, 3},
                        {"fill-stdout", OutcomeKind::output_limit, 0},
                        {"fill-out", OutcomeKind::output_limit, 0},
                        {"fill-tmp", OutcomeKind::exit_code, 5}};
  Bench bench;
  for (const auto& one : cases) {
    const std::string what = one.what;
    CAPTURE(what);
    auto request = request_for("misbehave", {one.what, "42"});
    request.memory_bytes_max = 8ULL << 20;
    request.time_max = base::seconds(10);
    const auto compiled = outcome(bench.run(request));
    CHECK(compiled.kind == one.kind);
    CHECK(compiled.code == one.code);
    request.tier = Tier::interpreter;
    CHECK(outcome(bench.run(request)).archive == compiled.archive);
  }
  auto request = request_for("misbehave", {"exit", "0"});
  request.memory_bytes_max = 65536;  // less than the program starts with
  CHECK(outcome(bench.run(request)).kind == OutcomeKind::memory_limit);
}

TEST_CASE("pool: many items in parallel give the bytes of one after the other; the worst item names the unit") {
  Bench bench;
  auto request = request_for("misbehave", {"exit-per-item"});
  request.items.clear();
  for (int i = 0; i < 200; ++i) request.items.push_back(base::copy(base::view(std::to_string(i % 7 == 3 ? i : 0) + "\n")));
  request.first_item_index = 1000;
  const auto serial = outcome(bench.run(request));
  CHECK(serial.kind == OutcomeKind::exit_code);
  CHECK(serial.code == 3);
  CHECK(output_of(serial, 10) == "item 1010 says 10\n");
  request.threads = 4;
  const auto parallel = outcome(bench.run(request));
  CHECK(parallel.archive == serial.archive);
}

TEST_CASE("pool: the output limit also holds for the unit, in index order") {
  Bench bench;
  auto request = request_for("tour");
  request.in_files_in_memory = {{"greeting.txt", base::copy(base::view("hi"))}};
  request.items.assign(4, {});
  const auto one_item = [&] {
    auto single = request;
    single.items.resize(1);
    return output_of(outcome(bench.run(single))).size();
  }();
  request.output_bytes_max = one_item + 1500;  // one item with its files' charges fits, four results do not
  REQUIRE(one_item > 500);
  request.threads = 2;
  const auto unit = outcome(bench.run(request));
  const auto archive = parse_archive(unit.archive);
  REQUIRE(archive);
  CHECK(archive->items[0].kind == OutcomeKind::ok);
  CHECK(archive->items[3].kind == OutcomeKind::output_limit);
  CHECK(archive->items[3].standard_output.empty());
}

TEST_CASE("pool: a unit over its time is killed alone; its neighbour goes on") {
  Bench bench(2);
  outcome(bench.run(request_for("misbehave", {"exit", "1"})));  // compiled before the clock runs
  auto endless = request_for("misbehave", {"loop"});
  endless.time_max = base::milliseconds(400);
  bench.begin(1, endless);
  for (int i = 0; i < 20; ++i) CHECK(outcome(bench.run(request_for("misbehave", {"exit", "7"}))).code == 7);
  CHECK(released(bench.end(1)).find("time limit") != std::string::npos);
  CHECK(outcome(bench.run(request_for("misbehave", {"exit", "8"}))).code == 8);
}

TEST_CASE("pool: too much host memory is the machine's matter") {
  Bench bench(1, nullptr, shared_cache(), 192 << 20);  // the engine alone takes some 60 MB
  auto request = request_for("misbehave", {"fill-memory"});
  request.memory_bytes_max = 1 << 30;
  CHECK(released(bench.run(request)).find("memory") != std::string::npos);
  CHECK(outcome(bench.run(request_for("noop"))).kind == OutcomeKind::ok);
}

TEST_CASE("pool: a stack overflow is the guest's doing, the same on every tier") {
  Bench bench;
  auto request = request_for("misbehave", {"recurse-native"});
  const auto native = outcome(bench.run(request));
  CHECK(native.kind == OutcomeKind::trap);
  CHECK(native.code == static_cast<std::int32_t>(TrapClass::stack_overflow));
  request.tier = Tier::interpreter;
  const auto interpreted = outcome(bench.run(request));
  CHECK(interpreted.archive == native.archive);
  CHECK(interpreted.fuel == native.fuel);
  CHECK(outcome(bench.run(request_for("misbehave", {"exit", "8"}))).code == 8);
}

TEST_CASE("pool: fuel is the same on every tier") {
  Bench bench;
  for (const std::string program : {"noop", "tour", "misbehave"}) {
    auto request = request_for(program, program == "misbehave" ? std::vector<std::string>{"exit", "3"} : std::vector<std::string>{});
    const auto native = outcome(bench.run(request));
    request.tier = Tier::interpreter;
    const auto interpreted = outcome(bench.run(request));
    CHECK(native.fuel > 0);
    CHECK(interpreted.fuel == native.fuel);
    CHECK(interpreted.archive == native.archive);
  }
}

namespace {

// From /proc/PID/stat: state letter and processor ticks, of all its threads.
struct ProcessState {
  char letter = '?';
  std::uint64_t ticks = 0;
};
ProcessState state_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 2)));
  ProcessState out;
  std::string skipped;
  fields >> out.letter;
  for (int i = 0; i < 10; ++i) fields >> skipped;
  std::uint64_t user = 0, system = 0;
  fields >> user >> system;
  out.ticks = user + system;
  return out;
}

using Clock = std::chrono::steady_clock;

// How long until it comes true, at most five seconds.
template <class Condition>
double ms_until(const Condition& condition) {
  const auto from = Clock::now();
  while (!condition() && Clock::now() - from < std::chrono::seconds(5)) std::this_thread::sleep_for(std::chrono::microseconds(200));
  return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// The executor of the one unit that runs, once its guest computes.
pid_t computing(Bench& bench) {
  pid_t pid = 0;
  ms_until([&] { return !bench.pool().status().executors.empty(); });
  REQUIRE(!bench.pool().status().executors.empty());
  pid = bench.pool().status().executors[0];
  const auto before = state_of(pid).ticks;
  ms_until([&] { return state_of(pid).ticks >= before + 2; });
  REQUIRE(state_of(pid).ticks >= before + 2);
  return pid;
}

// Far longer than what is allowed: whoever waited for its end would be late.
UnitRequest endless() {
  auto out = request_for("misbehave", {"loop"});
  out.time_max = base::seconds(4);
  return out;
}

}  // namespace

TEST_CASE("pool: paused guests stand still and lose no time; what comes meanwhile waits") {
  Bench bench(1);
  outcome(bench.run(request_for("misbehave", {"exit", "1"})));  // compiled before the clock runs
  auto loop = request_for("misbehave", {"loop"});
  loop.time_max = base::milliseconds(1500);
  bench.begin(1, loop);
  const pid_t executor = computing(bench);  // before, it stands still because it has nothing to do
  bench.pool().pause();
  MESSAGE("stopped after " << ms_until([&] { return state_of(executor).letter == 'T'; }) << " ms");
  REQUIRE(state_of(executor).letter == 'T');
  bench.begin(2, request_for("misbehave", {"exit", "9"}));
  const auto before = state_of(executor).ticks;
  std::this_thread::sleep_for(std::chrono::milliseconds(1800));  // longer than its time
  CHECK(state_of(executor).ticks == before);
  CHECK_FALSE(bench.has(1));
  CHECK_FALSE(bench.has(2));
  bench.pool().resume();
  CHECK(released(bench.end(1)).find("time limit") != std::string::npos);
  CHECK(outcome(bench.end(2)).code == 9);

  bench.begin(3, request_for("misbehave", {"loop"}));  // who is paused can still be canceled
  bench.pool().pause();
  bench.pool().cancel(3);
  CHECK(released(bench.end(3)) == "canceled");
  bench.pool().resume();
}

TEST_CASE("pool: pause, cancel and closing stop a computing guest within 100 ms, each in the median of several trials") {
  constexpr double ms_max = 100;
  const auto gone = [](pid_t pid) { return [pid] { return ::kill(pid, 0) != 0; }; };
  std::vector<double> pauses, cancels, closings;
  {
    Bench bench;
    outcome(bench.run(request_for("misbehave", {"exit", "1"})));  // compiled before the clock runs
    for (std::uint64_t trial = 0; trial < 7; ++trial) {
      bench.begin(trial, endless());
      const pid_t pid = computing(bench);
      bench.pool().pause();
      pauses.push_back(ms_until([&] { return state_of(pid).letter == 'T'; }));
      bench.pool().resume();
      computing(bench);
      bench.pool().cancel(trial);
      cancels.push_back(ms_until(gone(pid)));
      CHECK(released(bench.end(trial)) == "canceled");
    }
  }
  for (std::uint64_t trial = 0; trial < 5; ++trial) {
    auto bench = std::make_unique<Bench>();
    bench->begin(trial, endless());
    const pid_t pid = computing(*bench);
    const auto from = Clock::now();
    bench.reset();
    ms_until(gone(pid));
    closings.push_back(std::chrono::duration<double, std::milli>(Clock::now() - from).count());
  }
  MESSAGE("pause " << median(pauses) << " ms, cancel " << median(cancels) << " ms, closing " << median(closings) << " ms");
  CHECK(median(pauses) < ms_max);
  CHECK(median(cancels) < ms_max);
  CHECK(median(closings) < ms_max);
}

TEST_CASE("pool: a host without room for a guest's memory is no trap of the guest") {
  testing::ScratchFolder cache;
  NoInputs none;
  PoolConfig config;
  config.executor = binary;
  config.cache_folder = cache.path();
  config.spawner = &spawner();
  config.background = false;
  config.optimisation_level = 0;
  config.caged = false;  // else the executor is another user's to whoever sets its limits
  auto pool = ExecutorPool::start(config, none);
  REQUIRE(pool);
  const auto run = [&](UnitRequest request) {
    std::promise<UnitResult> end;
    (*pool)->run(1, std::move(request), [&](UnitResult result) { end.set_value(std::move(result)); });
    return end.get_future().get();
  };
  for (const Tier tier : {Tier::aot, Tier::interpreter}) {
    auto request = request_for("misbehave", {"exit", "9"});  // it has data segments: without memory they find no room
    request.tier = tier;
    CHECK(outcome(run(request)).code == 9);
    const pid_t pid = (*pool)->status().executors.at(0);
    rlimit usual{};
    rlimit tight{6ULL << 30, 0};  // its guest's stack has been made, of 12 GiB for the memory there is no question
    REQUIRE(::prlimit(pid, RLIMIT_AS, nullptr, &usual) == 0);
    tight.rlim_max = usual.rlim_max;
    REQUIRE(::prlimit(pid, RLIMIT_AS, &tight, nullptr) == 0);
    CHECK(released(run(request)).find("memory") != std::string::npos);
    REQUIRE(::prlimit(pid, RLIMIT_AS, &usual, nullptr) == 0);
    CHECK(outcome(run(request)).code == 9);
  }
}

TEST_CASE("pool: cancel ends running and waiting units, once each") {
  Bench bench(1);
  bench.begin(1, request_for("misbehave", {"loop"}));
  bench.begin(2, request_for("noop"));
  bench.pool().cancel(2);
  CHECK(released(bench.end(2)) == "canceled");
  CHECK_FALSE(bench.has(1));
  bench.pool().cancel(1);
  CHECK(released(bench.end(1)) == "canceled");
  bench.pool().cancel(99);
  CHECK(outcome(bench.run(request_for("noop"))).kind == OutcomeKind::ok);
}

TEST_CASE("pool: an executor killed in the middle of a unit releases it, and the next unit works") {
  Bench bench(1);
  outcome(bench.run(request_for("misbehave", {"exit", "1"})));
  bench.begin(1, request_for("misbehave", {"loop"}));
  const auto status = bench.pool().status();
  REQUIRE(status.executors.size() == 1);
  CHECK(::kill(status.executors[0], SIGKILL) == 0);
  CHECK(released(bench.end(1)).find("dead executor") != std::string::npos);
  CHECK(outcome(bench.run(request_for("noop"))).kind == OutcomeKind::ok);
}

TEST_CASE("pool: closing it releases what is left") {
  std::mutex mutex;
  std::vector<std::string> reasons;
  NoInputs none;
  {
    auto pool = ExecutorPool::start({binary, shared_cache(), 1, &spawner(), base::seconds(1), 0, 0, false}, none);
    REQUIRE(pool);
    for (std::uint64_t token = 0; token < 5; ++token)
      (*pool)->run(token, request_for("misbehave", {"loop"}), [&](UnitResult result) {
        const std::scoped_lock lock(mutex);
        reasons.push_back(released(result));
      });
  }
  CHECK(reasons == std::vector<std::string>(5, "canceled"));
}

TEST_CASE("pool: a unit that reads 1 % of a file asks for 1 % of it") {
  const testing::ScratchFolder folder;
  constexpr std::uint64_t leaves = 4096;
  SparseSource source(folder.path() / "input", leaves * base::leaf_bytes - 5);
  Bench bench(1, &source);
  auto request = request_for("read_some", {"/in/data/big.fil", "16777210", "655360", "16777210", "655360", "67108850", "100"});
  request.inputs.push_back({"data/big.fil", {}, leaves * base::leaf_bytes - 5});
  const auto unit = outcome(bench.run(request));
  REQUIRE(unit.kind == OutcomeKind::ok);
  CHECK(output_of(unit) == "655360 655360\n655360 655360\n9 9\n");
  CHECK(source.leaves.size() == 42);  // 40 whole ones, a touched one before, the last
  CHECK(source.leaves.contains(leaves - 1));

  source.fails = true;
  CHECK(released(bench.run(request)).find("input") != std::string::npos);
}

TEST_CASE("pool: parallel items that fetch leaves at once all get theirs") {
  const testing::ScratchFolder folder;
  SparseSource source(folder.path() / "input", 512 * base::leaf_bytes);
  Bench bench(1, &source);
  auto request = request_for("read_some", {"/in/f", "0", "8388608"});
  request.inputs.push_back({"f", {}, 512 * base::leaf_bytes});
  request.items.assign(16, {});
  request.threads = 4;
  const auto unit = outcome(bench.run(request));
  for (std::size_t i = 0; i < 16; ++i) CHECK(output_of(unit, i) == "8388608 8388608\n");
}

TEST_CASE("pool: what is no program ends as one, the same everywhere") {
  const testing::ScratchFolder folder;
  const auto text = folder.path() / "text.wasm";
  std::ofstream(text) << "this is not a module";
  Bench bench;
  auto request = request_for("noop");
  request.program = text;
  request.program_digest = name_of_program("text");
  for (const Tier tier : {Tier::aot, Tier::interpreter}) {
    request.tier = tier;
    const auto unit = outcome(bench.run(request));
    CHECK(unit.kind == OutcomeKind::trap);
    CHECK(unit.code == static_cast<std::int32_t>(TrapClass::bad_program));
  }
  CHECK(outcome(bench.run(request_for("unknown_import"))).code == static_cast<std::int32_t>(TrapClass::bad_program));
}

TEST_CASE("check: one clear line for each kind of file that is no program") {
  const testing::ScratchFolder folder;
  const auto message_for = [&](const std::filesystem::path& path) {
    const auto result = check_program(spawner(), binary, path);
    return result ? std::string("fine") : result.error().message;
  };
  const auto file = [&](const char* name, std::string_view bytes) {
    std::ofstream(folder.path() / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return folder.path() / name;
  };
  using namespace std::string_view_literals;
  CHECK(message_for(guest("tour")) == "fine");
  CHECK(message_for(folder.path() / "none").starts_with("no such program"));
  CHECK(message_for(file("text", "hello"sv)).ends_with("not a WebAssembly module"));
  CHECK(message_for(file("empty", ""sv)).ends_with("not a WebAssembly module"));
  CHECK(message_for(file("library", "\0asm\1\0\0\0"sv)).ends_with("the program has no _start function"));
  CHECK(message_for(file("cut", "\0asm\1\0\0\0\1\x7f"sv)).ends_with("cut short or damaged"));
  CHECK(message_for(file("native", "\0asm\1\0\0\0\0\x9\x8wasmedge"sv)).ends_with("carries native code"));
  CHECK(message_for(guest("unknown_import")).find("imports env.launch_rocket, which starling does not offer") != std::string::npos);
}

TEST_CASE("cache: a damaged entry is compiled again, an intact one is shared") {
  const testing::ScratchFolder folder;
  const auto entry = [&]() -> std::filesystem::path {
    for (const auto& file : std::filesystem::directory_iterator(folder.path()))
      if (file.path().extension() == ".so") return file.path();
    return {};
  };
  {
    Bench first(1, nullptr, folder.path());
    Bench second(1, nullptr, folder.path());
    first.begin(1, request_for("read_some", {"/in/none"}));
    second.begin(1, request_for("read_some", {"/in/none"}));
    CHECK(outcome(first.end(1)).tier == Tier::aot);
    CHECK(outcome(second.end(1)).tier == Tier::aot);
    CHECK(first.pool().status().compilations + second.pool().status().compilations == 1);
  }
  REQUIRE(!entry().empty());
  std::fstream(entry(), std::ios::in | std::ios::out | std::ios::binary).seekp(1000).write("damage", 6);
  Bench third(1, nullptr, folder.path());
  CHECK(outcome(third.run(request_for("read_some", {"/in/none"}))).tier == Tier::aot);
  CHECK(third.pool().status().compilations == 1);
  const auto old = entry();
  std::filesystem::rename(old, folder.path() / "loaded");  // the executor goes on with the file it has mapped
  std::ofstream(old) << "cut";
  CHECK(outcome(third.run(request_for("read_some", {"/in/none"}))).code == 1);
  CHECK(third.pool().status().compilations == 2);
}

TEST_CASE("cache: when the compiler cannot be had the interpreter runs the unit and says so") {
  const testing::ScratchFolder folder;
  std::filesystem::create_directory(folder.path() / "cache");
  Bench bench(1, nullptr, folder.path() / "cache");
  std::filesystem::remove_all(folder.path() / "cache");
  const auto unit = outcome(bench.run(request_for("noop")));
  CHECK(unit.tier == Tier::interpreter);
  CHECK(unit.note.find("interpreted") != std::string::npos);
}

TEST_CASE("pool: idle executors end") {
  NoInputs none;
  auto pool = ExecutorPool::start({binary, shared_cache(), 1, &spawner(), base::milliseconds(50), 0, 0, false}, none);
  REQUIRE(pool);
  std::mutex mutex;
  mutex.lock();
  (*pool)->run(1, request_for("noop"), [&](const UnitResult&) { mutex.unlock(); });
  mutex.lock();
  for (int i = 0; i < 1000 && !(*pool)->status().executors.empty(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK((*pool)->status().executors.empty());
}

TEST_CASE("host: a corrupted executor's bytes end its unit and nothing else") {
  NoInputs none;
  base::Rng rng(5);
  for (int round = 0; round < 60; ++round) {
    std::array<int, 2> pair{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
    auto process = std::make_shared<ExecutorProcess>(Child(0, Fd(pair[0]), Fd(), Fd()));
    std::thread corrupted([&, socket = pair[1]] {
      const Fd end(socket);
      base::Bytes bytes;
      switch (round % 6) {
        case 0: break;  // any bytes
        case 1: bytes = encode(Need{1, 0, 0, 1}); break;  // there is no input 0
        case 2: bytes = encode(UnitReport{1, 1, 1, "", base::view("no archive")}); break;
        case 3: bytes = encode(Checkpoint{1, 1, 0, 0, base::view("state")}); break;  // there is no item 1
        case 4: bytes = encode(Checkpoint{0, 2, 0, 0, base::view("state")}); break;  // nor so many rounds
        default: bytes = encode(UnitReport{1, 1, 1, "", write_archive({})}); break;  // too few items
      }
      if (round % 6 == 0) {
        base::Bytes raw(rng.below(200) + 8);
        for (auto& byte : raw) byte = static_cast<std::byte>(rng.below(256));
        (void)!::write(end.get(), raw.data(), raw.size());
      } else {
        (void)send_frame(end.get(), bytes, {}, base::seconds(1));
      }
    });
    UnitOrder order;
    order.items.resize(1);
    order.rounds_max = 2;
    order.output_bytes_max = 1000;
    const auto end = process->execute(process, order, {}, {}, none, [](const auto& task) { task(); }, {base::seconds(5), 1ULL << 40, -1});
    CHECK(std::holds_alternative<Interrupted>(end));
    corrupted.join();
  }
}

TEST_CASE("host: a cancel also ends the wait for an executor that does not read its order") {
  NoInputs none;
  std::array<int, 2> pair{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  const Fd mute(pair[1]);
  auto process = std::make_shared<ExecutorProcess>(Child(0, Fd(pair[0]), Fd(), Fd()));
  const Fd cancel(::eventfd(0, EFD_CLOEXEC));
  const base::Bytes large(8 << 20);
  UnitOrder order;
  order.items.push_back({.seed = {}, .bytes = large});
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    const std::uint64_t one = 1;
    if (::write(cancel.get(), &one, sizeof one) < 0) std::abort();
  });
  const auto from = Clock::now();
  const auto end = process->execute(process, order, {}, {}, none, [](const auto& task) { task(); }, {base::seconds(60), 1ULL << 40, cancel.get()});
  later.join();
  REQUIRE(std::holds_alternative<Interrupted>(end));
  CHECK(std::get<Interrupted>(end).reason == "canceled");
  CHECK(Clock::now() - from < std::chrono::seconds(10));  // its patience is 30
}

TEST_CASE("spawner: of a process that has ended nothing is told, whoever has its number now") {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  const Child child(::getpid(), Fd(), std::move(ended), Fd());  // we got the number
  CHECK(child.usage().threads == 0);
  CHECK(child.usage().resident_bytes == 0);
  CHECK(child.peak_resident_bytes() == 0);
  const Child us(::getpid(), Fd(), Fd(), Fd());
  CHECK(us.usage().threads == 0);  // without a pidfd nobody knows
}

TEST_CASE("spawner: a missing binary and a crash are errors, a child inherits nothing") {
  CHECK_FALSE(run_process(spawner(), "/no/such/binary", {}, base::seconds(10), 100));
  const auto listed = run_process(spawner(), "/bin/sh", {"-c", "echo $$; cd /proc/self/fd; echo *; env"}, base::seconds(10), 4096);
  REQUIRE(listed);
  CHECK(listed->text.find("0 1 2") != std::string::npos);
  CHECK(listed->text.find("HOME=") == std::string::npos);
  CHECK(listed->text.find(" 4") == std::string::npos);
  const auto crashed = run_process(spawner(), "/bin/sh", {"-c", "kill -SEGV $$"}, base::seconds(10), 100);
  REQUIRE_FALSE(crashed);
  CHECK(crashed.error().message.find("signal 11") != std::string::npos);
  CHECK_FALSE(run_process(spawner(), "/bin/sh", {"-c", "sleep 100"}, base::milliseconds(100), 100));
}

#endif  // STARLING_HAS_EXECUTOR
