// Fingerprints: the plan and the hash by themselves; then made by the real executor, on every tier.
#include "worker/execution/fingerprint.hpp"

#include <doctest/doctest.h>

#include <set>
#include <vector>

using namespace starling;
using namespace starling::execution;

namespace {

base::Digest seed_of(std::uint32_t peer) { return fingerprint_seed(base::view(std::to_string(peer)), base::view("job"), 3); }

}  // namespace

TEST_CASE("fingerprint: one point per octave, in it, and other points for another peer, unit or item") {
  std::set<std::uint64_t> points;
  for (std::uint32_t peer = 0; peer < 50; ++peer) {
    const auto item = fingerprint_item_seed(seed_of(peer), peer % 2);
    for (unsigned octave = fingerprint_octave_first; octave <= fingerprint_octave_last; ++octave) {
      const auto draw = fingerprint_draw(item, octave);
      CHECK((draw.point >> octave) == 1);
      points.insert(draw.point);
    }
  }
  CHECK(points.size() == 50 * (fingerprint_octave_last - fingerprint_octave_first + 1));
  CHECK(fingerprint_seed(base::view("a"), base::view("bc"), 1) != fingerprint_seed(base::view("ab"), base::view("c"), 1));
  CHECK(fingerprint_seed(base::view("a"), base::view("b"), 1) != fingerprint_seed(base::view("a"), base::view("b"), 2));
  CHECK(fingerprint_item_seed(seed_of(1), 0) != fingerprint_item_seed(seed_of(1), 1));
}

TEST_CASE("fingerprint: each part of the moment counts, bytes outside of the windows do not") {
  const auto item = fingerprint_item_seed(seed_of(1), 0);
  const auto draw = fingerprint_draw(item, fingerprint_octave_first);
  const std::vector<std::array<std::byte, 16>> globals(2);
  base::Bytes memory(4 * fingerprint_window_bytes);
  Moment moment{draw.point + 1, {1, 2, 3, 4}, globals, 100, memory};
  const auto chain = [&] {
    Fingerprint one(item);
    one.take(moment);
    return one.chain();
  };
  const auto plain = chain();
  CHECK(plain != base::Digest{});
  CHECK(chain() == plain);
  const auto window = static_cast<std::size_t>(draw.window % 4 * fingerprint_window_bytes);
  const auto changes = [&](std::size_t at) {
    memory[at] ^= std::byte{1};
    const bool changed = chain() != plain;
    memory[at] ^= std::byte{1};
    return changed;
  };
  CHECK(changes(window));
  CHECK(changes(window + fingerprint_window_bytes - 1));
  CHECK(changes(100));
  CHECK(changes(100 + fingerprint_stack_bytes - 1));
  const std::size_t elsewhere = (window + fingerprint_window_bytes) % memory.size();
  CHECK_FALSE(changes(elsewhere + 60'000));
  for (auto& value : moment.live) {
    ++value;
    CHECK(chain() != plain);
    --value;
  }
  moment.fuel_used += 1;
  CHECK(chain() != plain);
  moment.fuel_used = draw.point;  // not passed yet
  CHECK(chain() == base::Digest{});
  moment.fuel_used = draw.point + 1;
  moment.stack_pointer = 0xFFFF'FFFF;  // outside of memory: an empty window, no crash
  CHECK(chain() != plain);
  moment.memory = {};
  CHECK(chain() != plain);
}

TEST_CASE("fingerprint: rounds go on where the one before ended") {
  const auto item = fingerprint_item_seed(seed_of(2), 0);
  const auto first = fingerprint_draw(item, 24).point, second = fingerprint_draw(item, 25).point;
  Fingerprint whole(item);
  CHECK(whole.next_point() == first);
  whole.take({first + 5, {}, {}, {}, {}});
  CHECK(whole.next_point() == second);
  Fingerprint later(item, whole.chain(), first + 5);
  CHECK(later.next_point() == second - (first + 5));
  whole.take({second + 7, {}, {}, {}, {}});
  later.take({second + 7 - (first + 5), {}, {}, {}, {}});
  CHECK(later.chain() == whole.chain());
  Fingerprint passed(item);  // one charge over several octaves takes them all
  passed.take({std::uint64_t{1} << 40, {}, {}, {}, {}});
  CHECK(passed.next_point() > std::uint64_t{1} << 40);
}

TEST_CASE("fingerprint: a unit has none when no item has one") {
  const std::vector<base::Digest> none(3);
  CHECK(fingerprint_of_unit(none) == base::Digest{});
  auto one = none;
  one[1].bytes[0] = std::byte{1};
  auto other = none;
  other[2].bytes[0] = std::byte{1};
  CHECK(fingerprint_of_unit(one) != base::Digest{});
  CHECK(fingerprint_of_unit(one) != fingerprint_of_unit(other));
}

#ifdef STARLING_HAS_EXECUTOR

#include <algorithm>
#include <fstream>
#include <thread>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "tests/support/executor_bench.hpp"
#include "tests/support/wasm_writer.hpp"
#include "worker/execution/program_check.hpp"

namespace {

using testing::ExecutorBench;
using testing::Wasm;
using testing::WasmModule;

struct Mixer {
  std::int64_t turns = 2'000'000;
  bool traps = false;
  std::uint8_t untouched = 0;  // a byte in the upper half of each page, which the program never reads or writes
};

// Mixes numbers through globals and the lower half of four pages, and exits with some of their bits.
base::Bytes mixer(const Mixer& how) {
  WasmModule out;
  const auto exit = out.import("wasi_snapshot_preview1", "proc_exit", out.type("i", ""));
  out.memory({4, true, 4});
  out.global('i', true, Wasm().i32(1024));
  const auto state = out.global('I', true, Wasm().i64(99));
  const auto real = out.global('F', true, Wasm().f64(0));
  Wasm body;
  body.op(0x03).u8(0x40);
  body.get_global(state).i64(6364136223846793005).op(0x7E).get(0).op(0x7C).set_global(state);
  // ((state >> 40) & 3) << 16 | (state >> 44) & 0x7FF8
  body.get_global(state).i64(40).op(0x88).op(0xA7).i32(3).op(0x71).i32(16).op(0x74);
  body.get_global(state).i64(44).op(0x88).op(0xA7).i32(0x7FF8).op(0x71).op(0x72);
  body.get_global(state).op(0x37).u8(3).u8(0);
  body.get_global(state).op(0xB9).f64(0x3FF8'0000'0000'0000).op(0xA2).set_global(real);
  body.get(0).i64(1).op(0x7C).op(0x22).u8(0).i64(how.turns).op(0x54).op(0x0D).u8(0).end();
  if (how.traps) body.op(0x00);
  body.get_global(state).i64(56).op(0x88).op(0xA7).call(exit);
  const auto start = out.function(out.type("", ""), "I", body);
  out.export_as("_start", 0, start);
  out.export_as("memory", 2, 0);
  for (std::int32_t page = 0; page < 4; ++page)
    out.data(Wasm().u32(0).i32(page * 65536 + 40'000).end().u32(1).u8(how.untouched));
  return out.finish();
}

class Programs {
 public:
  UnitRequest request(const base::Bytes& module) {
    UnitRequest out;
    out.program_digest = crypto::sha256(module);
    out.program = folder_.path() / (out.program_digest.hex() + ".wasm");
    std::ofstream(out.program, std::ios::binary).write(reinterpret_cast<const char*>(module.data()), static_cast<std::streamsize>(module.size()));
    out.items.resize(1);
    out.job_text = "job";
    return out;
  }

 private:
  testing::ScratchFolder folder_;
};

std::int32_t code_of(TrapClass trap) { return static_cast<std::int32_t>(trap); }

}  // namespace

TEST_CASE("fingerprint: equal on every tier, alone and among others, and no seed changes anything else") {
  Programs programs;
  ExecutorBench bench, optimised({}, 2);
  auto request = programs.request(mixer({}));
  request.items.resize(2);
  const auto plain = bench.run(request);
  REQUIRE(plain.kind == OutcomeKind::exit_code);
  REQUIRE(plain.fuel > std::uint64_t{2} << 25);  // two items of more than 2^25: each passes a point
  CHECK(plain.fingerprints.empty());
  std::vector<base::Digest> all;
  for (std::uint32_t peer = 1; peer <= 3; ++peer) {
    request.fingerprint_seeds = {seed_of(peer)};
    const auto one = bench.run(request);
    CHECK(one.archive == plain.archive);
    CHECK(one.fuel == plain.fuel);
    REQUIRE(one.fingerprints.size() == 1);
    CHECK(one.fingerprints[0] != base::Digest{});
    all.push_back(one.fingerprints[0]);
  }
  CHECK(std::set(all.begin(), all.end()).size() == 3);
  request.fingerprint_seeds = {seed_of(1), seed_of(2), seed_of(3)};
  const auto check = [&](ExecutorBench& where, Tier tier) {
    request.tier = tier;
    const auto end = where.run(request);
    CHECK(end.tier == tier);
    CHECK(end.fingerprints == all);
    CHECK(end.archive == plain.archive);
    CHECK(end.fuel == plain.fuel);
  };
  check(bench, Tier::aot);
  check(optimised, Tier::aot);
  check(bench, Tier::interpreter);
  request.threads = 2;  // each thread hashes, inside the cage
  check(bench, Tier::aot);
}

TEST_CASE("fingerprint: the same answer from other work has another fingerprint") {
  Programs programs;
  ExecutorBench bench;
  const auto run = [&](const Mixer& how) {
    auto request = programs.request(mixer(how));
    request.fingerprint_seeds = {seed_of(1)};
    return bench.run(request);
  };
  const auto honest = run({}), other = run({.untouched = 1});
  CHECK(other.archive == honest.archive);
  CHECK(other.fuel == honest.fuel);
  CHECK(other.fingerprints != honest.fingerprints);
  CHECK(run({.turns = 1000}).fingerprints == std::vector<base::Digest>(1));  // too short for one
}

TEST_CASE("fingerprint: slices cut in pieces change neither the fuel of a trap nor that of a spent limit") {
  Programs programs;
  ExecutorBench bench;
  auto request = programs.request(mixer({.turns = 10'000'000, .traps = true}));  // over one slice, under two
  const auto end = [&](std::uint32_t seeds) {
    request.fingerprint_seeds.clear();
    for (std::uint32_t peer = 0; peer < seeds; ++peer) request.fingerprint_seeds.push_back(seed_of(peer));
    return bench.run(request);
  };
  const auto trapped = end(0);
  CHECK(trapped.code == code_of(TrapClass::unreachable));
  REQUIRE(trapped.fuel > std::uint64_t{1} << 27);
  for (const std::uint32_t seeds : {1U, limits::fingerprint_seeds_max}) CHECK(end(seeds).fuel == trapped.fuel);
  request.fuel_max = 150'000'000;
  const auto spent = end(0);
  CHECK(spent.code == code_of(TrapClass::out_of_fuel));
  CHECK(spent.fuel > 150'000'000);
  for (const std::uint32_t seeds : {1U, limits::fingerprint_seeds_max}) CHECK(end(seeds).fuel == spent.fuel);
}

TEST_CASE("fingerprint: an item that goes on from its checkpoint has that of one that ran through") {
  const testing::ScratchFolder folder;
  ExecutorBench through, keeping(folder.path());
  auto request = ExecutorBench::request("count_task", {"8", "1", "200"});
  request.rounds_max = 100;
  request.fingerprint_seeds = {seed_of(1), seed_of(2)};
  const auto whole = through.run(request);
  REQUIRE(whole.kind == OutcomeKind::ok);
  CHECK(whole.fingerprints[0] != base::Digest{});
  auto first = keeping.begin(1, request);
  const auto kept = [&] { return !testing::kept_checkpoint(folder.path()).empty(); };
  for (int i = 0; i < 5000 && !kept(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  REQUIRE(kept());
  keeping.pool->cancel(1);
  static_cast<void>(first.get());
  const auto rest = keeping.run(request);
  CHECK(rest.archive == whole.archive);
  CHECK(rest.fuel == whole.fuel);
  CHECK(rest.fingerprints == whole.fingerprints);
}

TEST_CASE("fuel limit: spent at the same check on every tier, and an outcome") {
  Programs programs;
  ExecutorBench bench;
  for (const std::uint64_t limit : {std::uint64_t{0}, std::uint64_t{1000}, std::uint64_t{10'000'000}}) {
    auto request = programs.request(mixer({}));
    request.fuel_max = limit;
    const auto compiled = bench.run(request);
    CHECK(compiled.kind == OutcomeKind::trap);
    CHECK(compiled.code == code_of(TrapClass::out_of_fuel));
    CHECK(compiled.fuel > limit);
    CHECK(compiled.fuel < limit + 1000);
    request.tier = Tier::interpreter;
    const auto interpreted = bench.run(request);
    CHECK(interpreted.archive == compiled.archive);
    CHECK(interpreted.fuel == compiled.fuel);
  }
}

TEST_CASE("initial sizes over the limits end alike on every tier") {
  Programs programs;
  ExecutorBench bench;
  const auto sized = [](std::vector<std::uint32_t> tables, std::uint32_t pages) {
    WasmModule out;
    for (const auto elements : tables) out.table('r', {elements, false, 0});
    out.memory({pages, false, 0});
    out.export_as("_start", 0, out.function(out.type("", ""), "", Wasm()));
    out.export_as("memory", 2, 0);
    return out.finish();
  };
  const auto ends = [&](const base::Bytes& module, OutcomeKind kind, std::int32_t code) {
    auto request = programs.request(module);
    request.memory_bytes_max = 64 * 65536;
    const auto compiled = bench.run(request);
    CHECK(compiled.kind == kind);
    CHECK(compiled.code == code);
    request.tier = Tier::interpreter;
    const auto interpreted = bench.run(request);
    CHECK(interpreted.archive == compiled.archive);
    CHECK(interpreted.fuel == compiled.fuel);
  };
  ends(sized({65'536}, 64), OutcomeKind::ok, 0);  // 64 bytes each
  ends(sized({65'537}, 64), OutcomeKind::memory_limit, 0);
  ends(sized({40'000, 40'000}, 64), OutcomeKind::memory_limit, 0);
  ends(sized({10'000'001}, 64), OutcomeKind::trap, code_of(TrapClass::bad_program));
  ends(sized({6'000'000, 6'000'000}, 64), OutcomeKind::trap, code_of(TrapClass::bad_program));
  ends(sized({}, 65), OutcomeKind::memory_limit, 0);
}

#endif  // STARLING_HAS_EXECUTOR
