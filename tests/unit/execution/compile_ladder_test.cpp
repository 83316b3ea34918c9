// The compile ladder and its cache, with the real compiler: what runs first, what runs later, what runs when compilers fail.
#include <doctest/doctest.h>

#include "worker/execution/compile_cache.hpp"

#ifdef STARLING_HAS_EXECUTOR

#include <signal.h>

#include <chrono>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "coordinator-less/crypto/digest.hpp"
#include "tests/support/executor_bench.hpp"
#include "tests/support/large_module.hpp"
#include "tests/support/scratch.hpp"

using namespace starling;
using namespace starling::execution;
using testing::ScratchFolder;
using testing::ExecutorBench;

namespace {

constexpr std::size_t quick_bytes = 40'000;   // compiled in a quarter of a second, optimised in one
constexpr std::size_t slow_bytes = 600'000;   // seconds, and some 150 MB

UnitRequest request_for(const ScratchFolder& folder, std::size_t bytes) {
  const auto module = testing::large_module(bytes);
  UnitRequest out;
  out.program = folder.path() / (std::to_string(bytes) + ".wasm");
  std::ofstream(out.program, std::ios::binary).write(reinterpret_cast<const char*>(module.data()), static_cast<std::streamsize>(module.size()));
  out.program_digest = crypto::sha256(module);
  out.items.resize(1);
  out.memory_bytes_max = 1 << 20;
  out.output_bytes_max = 1 << 16;
  out.time_max = base::seconds(100);
  return out;
}

std::filesystem::path cache_of(const ScratchFolder& folder) { return folder.path() / "cache"; }

// A pool with a cache of its own; `change` has the last word.
std::function<void(PoolConfig&)> with(const ScratchFolder& folder, const std::function<void(PoolConfig&)>& change = {}) {
  return [&folder, change](PoolConfig& config) {
    config.cache_folder = cache_of(folder);
    if (change) change(config);
  };
}

// Whether it comes true in half a minute.
template <class Condition>
bool in_time(const Condition& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Runs units until one looks as wanted.
template <class Wanted>
UnitOutcome run_until(ExecutorBench& bench, const UnitRequest& request, const Wanted& wanted) {
  UnitOutcome last;
  CHECK(in_time([&] { return wanted(last = bench.run(request)); }));
  return last;
}

// Our compilers: processes that write below this cache.
std::vector<pid_t> compilers_of(const ScratchFolder& folder) {
  std::vector<pid_t> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream in(entry.path() / "cmdline", std::ios::binary);
    std::string line;
    std::getline(in, line);
    if (line.find("--compile") != std::string::npos && line.find(cache_of(folder).string() + "/") != std::string::npos) out.push_back(std::stoi(name));
  }
  return out;
}

char state_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(in, line);
  const auto at = line.rfind(')');
  return at == std::string::npos ? '?' : line[at + 2];
}

std::vector<std::filesystem::path> entries_of(const ScratchFolder& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& file : std::filesystem::directory_iterator(cache_of(folder)))
    if (file.path().extension() == ".so") out.push_back(file.path());
  return out;
}

}  // namespace

TEST_CASE("ladder: the first unit runs unoptimised, a later one optimised, and nothing else differs") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder));
  const auto request = request_for(folder, quick_bytes);
  const auto first = bench.run(request);
  CHECK(first.tier == Tier::aot);
  CHECK(first.level == 0);
  CHECK(first.note == "");
  CHECK(testing::output_of(first) == "ran\n");
  const auto later = run_until(bench, request, [](const UnitOutcome& unit) { return unit.level > 0; });
  CHECK(later.level == 2);
  CHECK(later.tier == Tier::aot);
  CHECK(later.note == "");
  CHECK(later.archive == first.archive);
  CHECK(later.fuel == first.fuel);
  CHECK(bench.pool->status().compilations == 2);
  CHECK(entries_of(folder).size() == 2);
  ExecutorBench restarted(with(folder));
  CHECK(restarted.run(request).level == 2);  // at once
  CHECK(restarted.pool->status().compilations == 0);
}

namespace {

// Of processor time, or, where others keep the machine busy, of the clock.
bool took_too_long(const std::string& note, const std::string& level, const std::string& then) {
  return note.starts_with("the compiler failed at level " + level + ": it took longer than ") && note.ends_with("; " + then);
}

}  // namespace

TEST_CASE("ladder: a compiler that takes too long at the first rung leaves the interpreter, and says so") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder, [](PoolConfig& config) { config.compile.first_time_max = base::milliseconds(150); }));
  auto request = request_for(folder, slow_bytes);
  request.time_max = base::milliseconds(40);  // enough for native code, not for reading the program
  const auto unit = bench.run(request);
  CHECK(unit.tier == Tier::interpreter);
  CHECK(took_too_long(unit.note, "0", "interpreted"));
  CHECK(testing::output_of(unit) == "ran\n");
  CHECK(bench.pool->status().compilations == 1);  // what was too slow is not tried slower
  CHECK(entries_of(folder).empty());
}

TEST_CASE("ladder: a compiler that takes too long at the last rung leaves the code of the first, and says so") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder, [](PoolConfig& config) { config.compile.behind_time_max = base::milliseconds(100); }));
  const auto unit = run_until(bench, request_for(folder, quick_bytes), [](const UnitOutcome& one) { return !one.note.empty(); });
  CHECK(took_too_long(unit.note, "2", "not optimised"));
  CHECK(unit.tier == Tier::aot);
  CHECK(unit.level == 0);
}

TEST_CASE("ladder: a compiler that takes too much memory is ended") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder, [](PoolConfig& config) { config.compile.resident_bytes_max = 90ULL << 20; }));
  const auto unit = bench.run(request_for(folder, slow_bytes));
  CHECK(unit.tier == Tier::interpreter);
  CHECK(unit.note == "the compiler failed at level 0: it needed more than 90 MiB of memory; interpreted");
}

TEST_CASE("ladder: a compiler that crashes at the first rung leaves the interpreter until the next rung is there") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder));
  auto request = request_for(folder, quick_bytes);
  auto running = bench.begin(1, request);
  std::vector<pid_t> compilers;
  REQUIRE(in_time([&] { return !(compilers = compilers_of(folder)).empty(); }));
  ::kill(compilers[0], SIGSEGV);  // as its own fault would
  const auto crashed = std::get<UnitOutcome>(running.get());
  CHECK(crashed.tier == Tier::interpreter);
  CHECK(crashed.note == "the compiler failed at level 0: it was ended by signal 11; interpreted");
  const auto later = run_until(bench, request, [](const UnitOutcome& unit) { return unit.tier == Tier::aot; });
  CHECK(later.level == 2);
  CHECK(later.note == "");
  CHECK(later.archive == crashed.archive);
  CHECK(later.fuel == crashed.fuel);
}

TEST_CASE("ladder: an assertion of the compiler behind leaves the code of the first rung") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder));
  const auto request = request_for(folder, quick_bytes * 2);
  CHECK(bench.run(request).level == 0);
  std::vector<pid_t> compilers;
  REQUIRE(in_time([&] { return !(compilers = compilers_of(folder)).empty(); }));
  ::kill(compilers[0], SIGABRT);
  const auto unit = run_until(bench, request, [](const UnitOutcome& one) { return !one.note.empty(); });
  CHECK(unit.note == "the compiler failed at level 2: it was ended by signal 6; not optimised");
  CHECK(unit.level == 0);
}

TEST_CASE("ladder: a program that no compiler can handle runs, and units of others go on meanwhile") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder, [](PoolConfig& config) {
    config.slots = 2;
    config.optimisation_level = 0;
    config.compile.resident_bytes_max = 200ULL << 20;
  }));
  auto small = ExecutorBench::request("noop");
  bench.run(small);  // compiled
  auto running = bench.begin(1, request_for(folder, 2'000'000));
  int done = 0;
  while (running.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    CHECK(bench.run(small).kind == OutcomeKind::ok);
    ++done;
  }
  CHECK(done > 20);  // each takes a millisecond, the large one half a second
  const auto large = std::get<UnitOutcome>(running.get());
  CHECK(large.tier == Tier::interpreter);
  CHECK(large.note == "the compiler failed at level 0: it needed more than 200 MiB of memory; interpreted");
  CHECK(testing::output_of(large) == "ran\n");
}

TEST_CASE("ladder: compilers stand still while the pool is paused, and their time too") {
  const ScratchFolder folder;
  ExecutorBench bench(with(folder, [](PoolConfig& config) { config.optimisation_level = 0; }));
  auto running = bench.begin(1, request_for(folder, quick_bytes * 3));
  std::vector<pid_t> compilers;
  REQUIRE(in_time([&] { return !(compilers = compilers_of(folder)).empty(); }));
  bench.pool->pause();
  CHECK(in_time([&] { return state_of(compilers[0]) == 'T'; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(running.wait_for(std::chrono::seconds(0)) != std::future_status::ready);
  CHECK(state_of(compilers[0]) == 'T');
  bench.pool->resume();
  CHECK(std::get<UnitOutcome>(running.get()).tier == Tier::aot);
}

TEST_CASE("cache: a pause takes no compiler's time") {
  const auto spawner = std::move(Spawner::start()).value();
  std::atomic<bool> paused = true;
  std::jthread resuming([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    paused = false;
  });
  const auto output = run_process(*spawner, "/bin/sh", {"-c", "echo done"}, ProcessBounds{.time_max = base::milliseconds(500), .paused = &paused});
  REQUIRE(output);
  CHECK(output->text == "done\n");
}

TEST_CASE("cache: the key covers program, instrumenter, engine, processor and level") {
  const CompileKey key{crypto::sha256({}), 2, "wasmedge 0.14.1", "a cpu", 2};
  std::set<std::string> all{key.text()};
  const auto add = [&](const auto& change) {
    CompileKey other = key;
    change(other);
    all.insert(other.text());
  };
  add([](CompileKey& one) { one.program.bytes[31] ^= std::byte{1}; });
  add([](CompileKey& one) { one.instrumenter = 3; });
  add([](CompileKey& one) { one.engine = "wasmedge 0.14.2"; });
  add([](CompileKey& one) { one.cpu = "another"; });
  add([](CompileKey& one) { one.level = 0; });
  CHECK(all.size() == 6);
  CHECK(all.contains(CompileKey(key).text()));
}

TEST_CASE("cache: another engine's code is not taken") {
  const ScratchFolder folder;
  const auto request = request_for(folder, 5000);
  const auto script = folder.path() / "executor";
  const auto level_0 = [](PoolConfig& config) { config.optimisation_level = 0; };
  {
    ExecutorBench bench(with(folder, level_0));
    CHECK(bench.run(request).tier == Tier::aot);
  }
  std::ofstream(script) << "#!/bin/sh\n[ \"$1\" = --engine ] && echo 'wasmedge 9' && exit\nexec " << STARLING_BINARY_DIR << "/starling-executor \"$@\"\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  ExecutorBench other(with(folder, [&](PoolConfig& config) {
    level_0(config);
    config.executor = script;
  }));
  CHECK(other.run(request).tier == Tier::aot);
  CHECK(other.pool->status().compilations == 1);
  CHECK(entries_of(folder).size() == 2);
}

TEST_CASE("cache: what a killed compiler leaves is no entry, and the next try clears it away") {
  const ScratchFolder folder;
  const auto request = request_for(folder, quick_bytes);
  const auto level_0 = [](PoolConfig& config) { config.optimisation_level = 0; };
  {
    ExecutorBench bench(with(folder, level_0));
    auto running = bench.begin(1, request);
    std::vector<pid_t> compilers;
    REQUIRE(in_time([&] { return !(compilers = compilers_of(folder)).empty(); }));
    ::kill(compilers[0], SIGKILL);
    CHECK(std::get<UnitOutcome>(running.get()).tier == Tier::interpreter);
    CHECK(entries_of(folder).empty());
  }
  // A worker killed beside its compiler leaves the compiler's folder too.
  std::filesystem::path lock;
  for (const auto& file : std::filesystem::directory_iterator(cache_of(folder))) lock = file.path();
  REQUIRE(lock.extension() == ".lock");
  const auto work = std::filesystem::path(lock).replace_extension(".work");
  std::filesystem::create_directory(work);
  std::ofstream(work / "code.so") << "half of it";
  ExecutorBench bench(with(folder, level_0));
  CHECK(bench.run(request).tier == Tier::aot);
  CHECK(bench.pool->status().compilations == 1);
  CHECK_FALSE(std::filesystem::exists(work));
}

TEST_CASE("cache: an entry with one bit flipped anywhere, or cut, is made again") {
  const ScratchFolder folder;
  const auto request = request_for(folder, 5000);
  const auto level_0 = [](PoolConfig& config) { config.optimisation_level = 0; };
  std::uintmax_t size = 0;
  {
    ExecutorBench bench(with(folder, level_0));
    bench.run(request);
    size = std::filesystem::file_size(entries_of(folder).at(0));
  }
  const auto made_again = [&] {
    ExecutorBench bench(with(folder, level_0));
    CHECK(testing::output_of(bench.run(request)) == "ran\n");
    return bench.pool->status().compilations == 1;
  };
  for (const std::uintmax_t at : {std::uintmax_t{0}, size / 2, size - 40, size - 1}) {
    CAPTURE(at);
    std::fstream file(entries_of(folder).at(0), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char flipped = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(flipped);
    file.close();
    CHECK(made_again());
  }
  std::filesystem::resize_file(entries_of(folder).at(0), size / 2);
  CHECK(made_again());
  CHECK_FALSE(made_again());
}

TEST_CASE("cache: over its quota what was used least recently goes, but nothing that is in use") {
  const ScratchFolder folder;
  const auto a = request_for(folder, 5000), b = request_for(folder, 5600), c = request_for(folder, 6200);
  const auto quota = [&](std::uint64_t bytes) {
    return with(folder, [bytes](PoolConfig& config) {
      config.optimisation_level = 0;
      config.cache_bytes_max = bytes;
    });
  };
  std::uint64_t each = 0;
  {
    ExecutorBench bench(quota(1ULL << 30));
    bench.run(a);
    each = std::filesystem::file_size(entries_of(folder).at(0));
    bench.run(b);
    std::this_thread::sleep_for(std::chrono::milliseconds(30));  // a file's time moves on by ticks
    bench.run(a);
  }
  const auto compiles = [&](const UnitRequest& request) {
    ExecutorBench bench(quota(1ULL << 30));
    bench.run(request);
    return bench.pool->status().compilations > 0;
  };
  {
    ExecutorBench bench(quota(each * 5 / 2));
    bench.run(c);
  }
  CHECK(entries_of(folder).size() == 2);
  CHECK_FALSE(compiles(a));
  CHECK_FALSE(compiles(c));
  CHECK(compiles(b));

  ExecutorBench bench(with(folder, [](PoolConfig& config) {
    config.slots = 2;
    config.optimisation_level = 0;
    config.cache_bytes_max = 1;
  }));
  auto endless = bench.begin(1, ExecutorBench::request("misbehave", {"loop"}));
  REQUIRE(in_time([&] { return bench.pool->status().running == 1; }));
  REQUIRE(in_time([&] { return !bench.pool->status().executors.empty(); }));
  ::kill(bench.pool->status().executors[0], SIGSTOP);  // it is to hold its code, not the processor
  std::filesystem::path held;
  for (const auto& entry : entries_of(folder)) held = entry;
  REQUIRE(entries_of(folder).size() == 1);  // the quota is one byte
  bench.run(a);
  bench.run(b);
  CHECK(std::filesystem::exists(held));
  CHECK(entries_of(folder).size() == 2);  // it, and the last that was made
  bench.pool->cancel(1);
  CHECK(std::holds_alternative<Released>(endless.get()));
  bench.run(c);
  CHECK_FALSE(std::filesystem::exists(held));
}

TEST_CASE("cache: what is remembered of programs is bounded, and who is waited for is not forgotten") {
  const ScratchFolder folder;
  static const std::unique_ptr<Spawner> spawner = std::move(Spawner::start()).value();
  CompileCacheConfig config;
  config.spawner = spawner.get();
  config.executor = "/bin/false";  // no engine: everything is interpreted
  config.folder = folder.path();
  CompileCache cache(config);
  const auto name = [](std::uint64_t number) {
    base::Bytes text;
    base::append_u64(text, number);
    return crypto::sha256(text);
  };
  for (std::uint64_t i = 0; i < 3 * limits::compile_programs_max; ++i) {
    cache.find(name(i));
    if (cache.programs_known() > limits::compile_programs_max) FAIL("it remembers " << cache.programs_known());
    if (i % 1000 != 0) continue;
    std::promise<void> settled;
    cache.prepare(folder.path() / "program", name(i), [&] { settled.set_value(); });
    settled.get_future().get();
    CHECK(cache.find(name(i)).settled);
  }
  CHECK(cache.programs_known() > 0);
}

#endif  // STARLING_HAS_EXECUTOR
