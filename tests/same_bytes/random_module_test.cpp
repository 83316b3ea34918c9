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

namespace {

// What is compared of two runs whose exports differ: the end, and a hash of results, globals and memory.
std::string seen(const base::Bytes& wasm) {
  const Row row = run_in_engine(Tier::interpreter, {wasm, {std::uint64_t{1} << 40, 64, 10'000}, {}, {}}, "");
  return row.kind + " " + row.code + " " + std::to_string(row.output);
}
bool came_to_its_end(const std::string& seen) { return seen.starts_with("ok") || seen.starts_with("exit"); }

}  // namespace

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
    const auto after = seen(rewritten->module);
    CHECK_MESSAGE(seen(module.wasm) == after, "seed " << seed);
    ran += came_to_its_end(after) ? 1U : 0U;
  }
  CHECK(ran >= 200);
  CHECK(sum.dispatchers >= 50);
  CHECK(sum.functions_recursive >= 100);
  CHECK(sum.functions_inlined >= 10);
}

// The twin is not rewritten: its own code makes every NaN canonical where arithmetic makes it. The rewritten module does so where NaNs
// leave, several stores at a time; nobody may see another value, another bit or another order.
TEST_CASE("random modules: floats, lanes and neighbouring stores that are rewritten do what canonical arithmetic does") {
  std::size_t ran = 0, engines_nans = 0;
  std::uint32_t places = 0, questions = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const RandomModule module = random_module(seed, Flavour::numbers), twin = canonical_twin(seed);
    for (const auto* one : {&module, &twin}) REQUIRE_MESSAGE(refusal_of(one->wasm) == "", "seed " << seed);
    const auto rewritten = instrumented(module.wasm);
    REQUIRE(rewritten);
    REQUIRE_MESSAGE(refusal_of(rewritten->module) == "", "seed " << seed);
    const auto expected = seen(twin.wasm);
    CHECK_MESSAGE(seen(rewritten->module) == expected, "seed " << seed);
    ran += came_to_its_end(expected) ? 1U : 0U;
    engines_nans += seen(module.wasm) != expected ? 1U : 0U;
    places += rewritten->report.canonical_places;
    questions += rewritten->report.nan_questions;
  }
  MESSAGE(ran << " ran, " << engines_nans << " show NaNs of the engine unless rewritten; " << places << " places, " << questions << " questions");
  CHECK(ran >= 200);
  CHECK(places >= questions + 1000);  // stores that share one
#ifdef __x86_64__  // elsewhere an engine may make canonical ones by itself
  CHECK(engines_nans >= 100);
#endif
}
