#include <doctest/doctest.h>

#include "tests/same_bytes/engine.hpp"
#include "tests/same_bytes/instrumented.hpp"
#include "tests/support/opcode_table.hpp"
#include "tests/support/random_module.hpp"

using namespace starling;
using namespace starling::testing;

TEST_CASE("random modules: every one validates in the engine") {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const RandomModule module = random_module(seed);
    CHECK_MESSAGE(refusal_of(module.wasm) == "", "seed " << seed << ", " << name_of(module.flavour));
  }
}

TEST_CASE("random modules: a damaged one does not validate") {
  RandomModule module = random_module(1);
  module.wasm[module.wasm.size() / 2] ^= std::byte{0xFF};
  module.wasm[module.wasm.size() / 2 + 1] ^= std::byte{0xFF};
  CHECK(refusal_of(module.wasm) != "");
}

TEST_CASE("random modules: every opcode of WebAssembly 2.0 occurs, in each hundred seeds") {
  const auto& names = opcode_names();
  CHECK(names.size() == 437);
  for (std::uint64_t first = 0; first < 400; first += 100) {
    std::vector<bool> seen(names.size());
    for (std::uint64_t seed = first; seed < first + 100; ++seed) {
      const RandomModule module = random_module(seed);
      for (std::size_t i = 0; i < seen.size(); ++i) seen[i] = seen[i] || module.used[i];
    }
    for (std::size_t i = 0; i < seen.size(); ++i) CHECK_MESSAGE(seen[i], "opcode " << names[i] << " is missing from seed " << first << " on");
  }
}

TEST_CASE("random modules: one seed is one module") {
  CHECK(random_module(7).wasm == random_module(7).wasm);
  CHECK(random_module(7).wasm != random_module(15).wasm);
  // The same on every compiler too, or two machines would compare different programs: chance is drawn in one order only.
  std::uint64_t hash = 14695981039346656037ULL;
  for (std::uint64_t seed = 0; seed < 64; ++seed)
    for (const std::byte one : random_module(seed).wasm) hash = (hash ^ std::to_integer<std::uint64_t>(one)) * 1099511628211ULL;
  CHECK(hash == 0x7f13d201553f82db);  // changes with the generator
}

TEST_CASE("random modules: one that is rewritten does what it did before") {
  execution::instrument::Report sum;
  std::size_t ran = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const RandomModule module = random_module(seed, Flavour::integers);
    REQUIRE_MESSAGE(refusal_of(module.wasm) == "", "seed " << seed);
    const auto rewritten = instrumented(module.wasm);
    REQUIRE(rewritten);
    REQUIRE_MESSAGE(refusal_of(rewritten->module) == "", "seed " << seed);
    sum.dispatchers += rewritten->report.dispatchers;
    sum.functions_recursive += rewritten->report.functions_recursive;
    sum.functions_inlined += rewritten->report.functions_inlined;
    const RunLimits enough{std::uint64_t{1} << 40, 64, 10'000};
    const Row before = run_in_engine(Tier::interpreter, {module.wasm, enough, {}, {}}, "");
    const Row after = run_in_engine(Tier::interpreter, {rewritten->module, enough, {}, {}}, "");
    const auto seen = [](const Row& row) { return row.kind + " " + row.code + " " + std::to_string(row.output); };
    CHECK_MESSAGE(seen(before) == seen(after), "seed " << seed);
    ran += after.kind == "ok" || after.kind == "exit" ? 1U : 0U;
  }
  CHECK(ran >= 200);
  CHECK(sum.dispatchers >= 50);
  CHECK(sum.functions_recursive >= 100);
  CHECK(sum.functions_inlined >= 10);
}
