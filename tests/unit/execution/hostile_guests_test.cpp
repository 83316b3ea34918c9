// Guests that try to take more than they were given, through the real executor: each ends as its program and the limits say, the same
// on every machine, and the next unit finds a working pool. At full size, by hand: unit_tests --no-skip -tc='full size*'.
#include <doctest/doctest.h>

#ifdef STARLING_HAS_EXECUTOR

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <thread>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "tests/support/executor_bench.hpp"
#include "tests/support/scratch.hpp"
#include "tests/support/wasm_writer.hpp"

using namespace starling;
using namespace starling::execution;
using testing::ExecutorBench;
using testing::Wasm;
using testing::WasmModule;

namespace {

constexpr std::uint8_t loop = 0x03, if_ = 0x04, br = 0x0C, br_if = 0x0D, return_ = 0x0F, nothing = 0x40, i32_eqz = 0x45, i32_eq = 0x46,
                       i32_ne = 0x47, i32_add = 0x6A, i32_sub = 0x6B;

Wasm grow_to_the_end(std::uint32_t table, std::int32_t step) {
  return Wasm().op(loop).u8(nothing).op(0xD0).u8(0x70).i32(step).op(0xFC, 15).u32(table).i32(-1).op(i32_ne).op(br_if).u32(0).end();
}

// Modules of this file, in a folder of their own.
class Programs {
 public:
  UnitRequest request(const std::string& name, const base::Bytes& wasm) {
    UnitRequest out = ExecutorBench::request(name);
    out.program = folder_.path() / (name + ".wasm");
    out.program_digest = crypto::sha256(wasm);
    std::ofstream(out.program, std::ios::binary) << base::text(wasm);
    out.memory_bytes_max = 8ULL << 20;
    out.output_bytes_max = 1 << 20;
    out.time_max = base::seconds(60);
    return out;
  }

 private:
  testing::ScratchFolder folder_;
};

// `body` may call proc_exit (function 0); `pages` of memory.
base::Bytes module_of(const Wasm& body, std::uint32_t pages, std::initializer_list<std::uint32_t> tables = {}) {
  WasmModule module;
  module.import("wasi_snapshot_preview1", "proc_exit", module.type("i", ""));
  const auto start = module.function(module.type("", ""), "", body);
  for (const auto elements : tables) module.table('r', {elements, false, 0});
  module.memory({pages, false, 0});
  module.export_as("memory", 2, 0);
  module.export_as("_start", 0, start);
  return module.finish();
}

// f(depth) where f(n) = n == 0 ? 0 : f(n - 1) + 1, and a branch that is never taken keeps `count` vectors across calls.
base::Bytes large_frames(std::int32_t depth, unsigned count) {
  WasmModule module;
  const auto self_type = module.type("i", "i"), nothing_type = module.type("", "");
  const auto other = module.function(nothing_type, "", Wasm());
  const auto self = module.declare(self_type);
  Wasm code;
  code.get(0).op(i32_eqz).op(if_).u8(nothing).i32(0).op(return_).end();
  code.get(0).i32(-1).op(i32_eq).op(if_).u8(nothing);
  for (unsigned i = 0; i < count; ++i) code.get(0).op(0xFD, 17).call(other).set(1);
  code.end().get(0).i32(1).op(i32_sub).call(self).i32(1).op(i32_add);
  module.define(self, "v", code);
  const auto start = module.function(nothing_type, "", Wasm().i32(depth).call(self).i32(depth).op(i32_ne).op(if_).u8(nothing).u8(0).end());
  module.memory({1, false, 0});
  module.export_as("memory", 2, 0);
  module.export_as("_start", 0, start);
  return module.finish();
}

UnitOutcome same_on_both_tiers(ExecutorBench& bench, UnitRequest request) {
  const auto native = bench.run(request);
  CHECK(native.tier == Tier::aot);
  request.tier = Tier::interpreter;
  const auto interpreted = bench.run(request);
  CHECK(interpreted.archive == native.archive);
  CHECK(interpreted.fuel == native.fuel);
  return native;
}

bool works(ExecutorBench& bench) { return bench.run(ExecutorBench::request("noop")).kind == OutcomeKind::ok; }

UnitRequest misbehaving(std::vector<std::string> arguments) {
  auto out = ExecutorBench::request("misbehave", std::move(arguments));
  out.memory_bytes_max = 8ULL << 20;
  out.output_bytes_max = 1 << 20;
  out.time_max = base::seconds(60);
  return out;
}

std::uint64_t peak_resident_mib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) / 1024;
  return UINT64_MAX;
}

constexpr std::int32_t code_of(TrapClass trap) { return static_cast<std::int32_t>(trap); }

}  // namespace

TEST_CASE("hostile: all tables together grow to what the memory limit allows, and no further") {
  ExecutorBench bench;
  Programs programs;
  const std::int32_t all = (8 << 20) / static_cast<std::int32_t>(limits::table_element_bytes);
  const auto count = [](std::initializer_list<std::uint32_t> tables) {
    Wasm sum;
    for (const auto table : tables) sum.op(0xFC, 16).u32(table);
    for (std::size_t i = 1; i < tables.size(); ++i) sum.op(i32_add);
    return sum.call(0);
  };
  const auto one = same_on_both_tiers(bench, programs.request("one", module_of(grow_to_the_end(0, 1000).add(count({0})), 1, {0})));
  CHECK(one.code == all / 1000 * 1000);
  // The second finds what the first has left; what they begin with counts.
  const auto three = grow_to_the_end(0, 100'000).add(grow_to_the_end(1, 1000)).add(grow_to_the_end(2, 1)).add(count({0, 1, 2}));
  CHECK(same_on_both_tiers(bench, programs.request("three", module_of(three, 1, {10, 0, 7}))).code == all);
  const auto initial = same_on_both_tiers(bench, programs.request("initial", module_of(Wasm(), 1, {static_cast<std::uint32_t>(all), 1})));
  CHECK(initial.kind == OutcomeKind::memory_limit);
  CHECK(works(bench));
}

TEST_CASE("hostile: one giant memory.fill is paid before it runs, and stays in bounds") {
  ExecutorBench bench;
  Programs programs;
  constexpr std::int32_t bytes = 128 << 16;
  const auto fill = [](std::int32_t size) { return Wasm().op(loop).u8(nothing).i32(0).i32(7).i32(size).op(0xFC, 11).u8(0).op(br).u32(0).end(); };
  auto endless = programs.request("fill", module_of(fill(bytes), 128));
  endless.fuel_max = 50ULL * bytes / 8;
  const auto out = same_on_both_tiers(bench, endless);
  CHECK(out.kind == OutcomeKind::trap);
  CHECK(out.code == code_of(TrapClass::out_of_fuel));
  const auto beyond = same_on_both_tiers(bench, programs.request("beyond", module_of(fill(bytes + 1), 128)));
  CHECK(beyond.code == code_of(TrapClass::memory_bounds));
  CHECK(works(bench));
}

TEST_CASE("hostile: an access beyond a memory that began without a page is the guest's trap, in native code too") {
  ExecutorBench bench;
  Programs programs;
  const auto load_at = [](std::int32_t address, std::uint32_t offset) { return Wasm().i32(address).op(0x28).u32(2).u32(offset).op(0x1A); };
  const auto grow = Wasm().i32(1).op(0x40).u8(0).op(0x1A);
  const auto run = [&](const char* name, const Wasm& body) { return same_on_both_tiers(bench, programs.request(name, module_of(body, 0))); };
  CHECK(run("empty", load_at(0, 0)).code == code_of(TrapClass::memory_bounds));
  CHECK(run("grown", Wasm(grow).add(load_at(65532, 0)).i32(7).call(0)).code == 7);
  CHECK(run("beyond", Wasm(grow).add(load_at(65533, 0))).code == code_of(TrapClass::memory_bounds));
  CHECK(run("far", Wasm(grow).add(load_at(-1, 0xFFFFFFFF))).code == code_of(TrapClass::memory_bounds));
}

TEST_CASE("hostile: native frames that do not fit the stack cost the native code, not the outcome") {
  Programs programs;
  constexpr std::int32_t depth = 2000;
  for (const int level : {0, 2}) {
    ExecutorBench bench({}, level);
    const auto request = programs.request("frames" + std::to_string(level), large_frames(depth, 8000 + static_cast<unsigned>(level)));
    const auto out = bench.run(request);
    CHECK(out.kind == OutcomeKind::ok);
    CHECK(out.tier == (level == 0 ? Tier::interpreter : Tier::aot));  // the optimiser shares the frame's places
    if (level == 0) CHECK_MESSAGE(out.note.find("crashed") != std::string::npos, out.note);
    CHECK(bench.run(request).archive == out.archive);
    CHECK(works(bench));
  }
}

TEST_CASE("hostile: a unit of traps is one archive of traps by one process") {
  ExecutorBench bench;
  REQUIRE(works(bench));
  const auto before = bench.pool->status().executors;
  for (const char* how : {"unreachable", "memory", "divide", "call", "recurse-native"}) {
    auto request = misbehaving({how});
    request.items.resize(how == std::string_view("recurse-native") ? 20 : 500);
    request.threads = 2;
    const auto from = std::chrono::steady_clock::now();
    const auto out = bench.run(request);
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
    MESSAGE(std::string(how) << ": " << static_cast<double>(request.items.size()) / took << " traps/s");
    CHECK(out.kind == OutcomeKind::trap);
    const auto archive = parse_archive(out.archive);
    REQUIRE(archive);
    CHECK(std::ranges::all_of(archive->items, [](const auto& item) { return item.kind == OutcomeKind::trap; }));
  }
  CHECK(bench.pool->status().executors == before);
}

TEST_CASE("hostile: results that nobody will see do not stand in memory until the unit ends") {
  for (const char* how : {"write", "write-trap"}) {
    ExecutorBench bench;
    auto request = misbehaving({how, "10"});
    request.output_bytes_max = 16 << 20;
    request.items.resize(40);
    for (const unsigned threads : {1U, 2U}) {
      request.threads = threads;
      const auto out = bench.run(request);
      const auto archive = parse_archive(out.archive);
      REQUIRE(archive);
      const bool traps = how == std::string_view("write-trap");
      CHECK(archive->items[0].kind == (traps ? OutcomeKind::trap : OutcomeKind::ok));
      CHECK(archive->items[39].kind == (traps ? OutcomeKind::trap : OutcomeKind::output_limit));
      CHECK(peak_resident_mib(bench.pool->status().executors.at(0)) < 250);
    }
  }
}

TEST_CASE("hostile: files, paths, descriptors and links end at their limits") {
  ExecutorBench bench;
  const auto out = same_on_both_tiers(bench, misbehaving({"many-out"}));
  CHECK(out.kind == OutcomeKind::output_limit);
  const auto temporary = same_on_both_tiers(bench, misbehaving({"many-tmp"}));
  CHECK(temporary.code == 6);
  CHECK(testing::output_of(temporary) == "32182 files, errno 51\n");
  const auto names = same_on_both_tiers(bench, misbehaving({"exhaust-names"}));
  CHECK(testing::output_of(names) == "depth 64, errno 37\nlink to itself -1, errno 32\n64 KiB path -1, errno 37\ndescriptors 1017, errno 33\n");
  // 28,000 files in 8 MiB of room have 430 MiB of paths.
  auto paths = misbehaving({"long-paths", "28000"});
  paths.output_bytes_max = 8 << 20;
  const auto long_paths = bench.run(paths);
  CHECK(long_paths.kind == OutcomeKind::output_limit);
  CHECK(long_paths.peak_resident_bytes < 250U << 20);
  CHECK(works(bench));
}

namespace {

void tell(const char* what, const UnitOutcome& out) {
  MESSAGE(std::string(what) << ": kind " << static_cast<int>(out.kind) << ", code " << out.code << ", " << static_cast<double>(out.wall_us) / 1e6 << " s, peak "
               << (out.peak_resident_bytes >> 20) << " MiB, fuel " << out.fuel);
}

}  // namespace

TEST_CASE("full size: output without end, a million files" * doctest::skip()) {
  ExecutorBench bench({}, 2);
  for (const char* what : {"fill-stdout", "fill-out", "fill-tmp", "many-out", "many-tmp"}) {
    auto request = misbehaving({what});
    request.memory_bytes_max = 512ULL << 20;
    request.output_bytes_max = limits::output_bytes_max;
    request.time_max = base::seconds(300);
    tell(what, bench.run(request));
  }
  CHECK(works(bench));
}

TEST_CASE("full size: 4 GiB of memory.fill without end, canceled in its middle" * doctest::skip()) {
  ExecutorBench bench;
  Programs programs;
  auto request = programs.request("fill", module_of(Wasm().op(loop).u8(nothing).i32(0).i32(7).i32(-1).op(0xFC, 11).u8(0).op(br).u32(0).end(), 65536));
  request.memory_bytes_max = 1ULL << 32;
  auto result = bench.begin(1, request);
  while (bench.pool->status().executors.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  const pid_t pid = bench.pool->status().executors.at(0);
  const auto since = [from = std::chrono::steady_clock::now()] { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - from).count(); };
  bench.pool->cancel(1);
  CHECK(std::holds_alternative<Released>(result.get()));
  const double told_ms = since();
  while (::kill(pid, 0) == 0) std::this_thread::yield();
  MESSAGE("told after " << told_ms << " ms, gone after " << since() << " ms");
  CHECK(works(bench));
}

#endif  // STARLING_HAS_EXECUTOR
