#include "worker/execution/instrument/instrument.hpp"

#include <doctest/doctest.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>

#include "coordinator-less/base/rng.hpp"
#include "tests/support/large_module.hpp"
#include "tests/unit/instrument/module_builder.hpp"

using namespace starling;
using namespace starling::execution::instrument;
using starling::testing::Code;
using starling::testing::ModuleBuilder;

namespace {

base::Expected<Instrumented> pass(const ModuleBuilder& builder) { return instrument(builder.build(), {}); }

std::string refusal(const ModuleBuilder& builder) {
  const auto out = pass(builder);
  return out ? "accepted" : out.error().message;
}

ModuleBuilder with_code(const Code& code, const Code& locals = {0}) {
  ModuleBuilder out;
  out.add(code, locals);
  return out;
}

bool names(const std::string& text, std::string_view what) { return text.find(what) != std::string::npos; }

// Places where NaNs are made canonical in one function of two f64 parameters and no result.
std::uint32_t places(const Code& code, const Code& locals = {0}) {
  ModuleBuilder builder;
  builder.add(code, locals, {0x60, 2, 0x7C, 0x7C, 0});
  const auto out = pass(builder);
  REQUIRE_MESSAGE(out, out.error().message);
  return out->report.canonical_places;
}

}  // namespace

TEST_CASE("instrument: each refused feature is named") {
  CHECK(names(refusal(with_code({0xFE, 0x03, 0, 0x0B})), "threads"));
  CHECK(names(refusal(with_code({0xFD, 0x80, 0x02, 0x0B})), "relaxed SIMD"));
  CHECK(names(refusal(with_code({0x12, 0, 0x0B})), "tail calls"));
  CHECK(names(refusal(with_code({0x13, 0, 0, 0x0B})), "tail calls"));
  CHECK(names(refusal(with_code({0x06, 0x40, 0x0B, 0x0B})), "exceptions"));
  CHECK(names(refusal(with_code({0x08, 0, 0x0B})), "exceptions"));
  CHECK(names(refusal(with_code({0xFB, 0, 0, 0x0B})), "garbage collection"));
  CHECK(names(refusal(with_code({0x14, 0, 0x0B})), "function references"));
  ModuleBuilder shared;
  shared.memories = {1, 3, 1, 1};
  CHECK(names(refusal(shared), "shared memory"));
  ModuleBuilder wide;
  wide.memories = {1, 4, 1};
  CHECK(names(refusal(wide), "memory64"));
  ModuleBuilder several;
  several.memories = {2, 0, 1, 0, 1};
  CHECK(names(refusal(several), "several memories"));
  ModuleBuilder structs;
  structs.types = {{0x5F, 0}};
  CHECK(names(refusal(structs), "garbage collection"));
  ModuleBuilder import;
  import.types = {{0x60, 0, 0}};
  import.imports = {1, 3, 'e', 'n', 'v', 2, 'g', 'o', 0, 0};
  CHECK(names(refusal(import), "env.go"));
  ModuleBuilder reserved = with_code({0x0B});
  reserved.exports = {1, 10, 's', 't', 'a', 'r', 'l', 'i', 'n', 'g', '.', 'x', 0, 0};
  CHECK(names(refusal(reserved), "reserved name"));
  CHECK(refusal(with_code({0x0B})) == "accepted");
}

TEST_CASE("instrument: every refusal says what to do") {
  for (const Code& code : {Code{0xFE, 0}, Code{0x12, 0}, Code{0x1A, 0x0B}, Code{0x41}, Code{0x0C, 9, 0x0B}}) {
    const auto out = pass(with_code(code));
    REQUIRE(!out);
    CHECK(out.error().code == base::ErrorCode::bad_input);
    CHECK(!out.error().hint.empty());
    CHECK(out.error().message.find('\n') == std::string::npos);
  }
}

TEST_CASE("instrument: its own output is refused") {
  const auto once = pass(with_code({0x0B}));
  REQUIRE(once);
  const auto twice = instrument(once->module, {});
  REQUIRE(!twice);
  CHECK(names(twice.error().message, "instrumented already"));
}

TEST_CASE("instrument: the same input gives the same output") {
  const auto module = with_code({0x03, 0x40, 0x41, 0, 0x0D, 0, 0x0B, 0x0B});
  CHECK(pass(module)->module == pass(module)->module);
}

TEST_CASE("instrument: badly typed code is refused") {
  CHECK(names(refusal(with_code({0x41, 0, 0x0B})), "not a valid"));              // a value is left
  CHECK(names(refusal(with_code({0x42, 0, 0x45, 0x1A, 0x0B})), "not a valid"));  // i32.eqz of an i64
  CHECK(names(refusal(with_code({0x20, 0, 0x1A, 0x0B})), "not a valid"));        // no such local
  CHECK(names(refusal(with_code({0x23, 0, 0x1A, 0x0B})), "not a valid"));        // no such global: ours are not the program's
  CHECK(names(refusal(with_code({0x05, 0x0B})), "not a valid"));                 // else without if
  CHECK(names(refusal(with_code({0x10, 1, 0x0B})), "not a valid"));              // no such function: ours are not the program's
}

TEST_CASE("instrument: functions are counted by who pays for them") {
  ModuleBuilder builder;
  builder.add({0x0B});                                                      // 0: empty, charged by callers
  builder.add({0x10, 0, 0x0B});                                             // 1: calls it, the same
  builder.add({0x10, 2, 0x0B});                                             // 2: recursive
  builder.add({0x03, 0x40, 0x41, 0, 0x0D, 0, 0x0B, 0x10, 1, 0x0B});         // 3: a loop
  const auto out = pass(builder);
  REQUIRE(out);
  CHECK(out->report.functions == 4);
  CHECK(out->report.functions_inlined == 2);
  CHECK(out->report.functions_recursive == 1);
  CHECK(out->report.checks == 3);  // entries of 2 and 3, the loop's head
}

TEST_CASE("instrument: indirect recursion is recursion") {
  ModuleBuilder builder;
  builder.add({0x41, 0, 0x11, 0, 0, 0x0B});
  builder.tables = {1, 0x70, 0, 1};
  CHECK(pass(builder)->report.functions_recursive == 0);
  builder.elements = {1, 0, 0x41, 0, 0x0B, 1, 0};
  CHECK(pass(builder)->report.functions_recursive == 1);
}

TEST_CASE("instrument: a long chain of calls is charged although nothing recurs") {
  ModuleBuilder builder;
  builder.add({0x0B});
  for (std::uint8_t i = 0; i < 100; ++i) builder.add({0x10, i, 0x0B}, {1, 0xD0, 0x86, 0x03, 0x7F});  // 50000 locals
  const auto out = pass(builder);
  REQUIRE(out);
  CHECK(out->report.functions_recursive == 101);
}

TEST_CASE("instrument: NaNs are made canonical where made bits leave, and nowhere else") {
  const Code store_param{0x41, 0, 0x20, 0, 0x39, 3, 0, 0x0B};
  CHECK(places(store_param) == 0);
  CHECK(places({0x41, 0, 0x20, 0, 0x20, 1, 0xA0, 0x39, 3, 0, 0x0B}) == 1);               // a + b stored
  CHECK(places({0x41, 0, 0x20, 0, 0x20, 1, 0xA0, 0x9A, 0x39, 3, 0, 0x0B}) == 1);         // -(a + b) stored
  CHECK(places({0x41, 0, 0x20, 0, 0x9A, 0x39, 3, 0, 0x0B}) == 0);                        // -a stored
  CHECK(places({0x20, 0, 0x20, 1, 0xA0, 0x20, 1, 0xA2, 0x1A, 0x0B}) == 0);               // (a + b) * b dropped
  CHECK(places({0x20, 0, 0x20, 1, 0xA0, 0xBD, 0x1A, 0x0B}) == 1);                        // reinterpreted
  CHECK(places({0x20, 0, 0x20, 1, 0xA0, 0x20, 1, 0x63, 0x1A, 0x0B}) == 0);               // compared
  CHECK(places({0x41, 0, 0x20, 0, 0x20, 0, 0x20, 1, 0xA0, 0xA6, 0x39, 3, 0, 0x0B}) == 1);  // copysign's second operand
  // A variable that holds a sum, then a load: each store sees what is there.
  CHECK(places({0x20, 0, 0x20, 1, 0xA0, 0x21, 2, 0x41, 0, 0x20, 2, 0x39, 3, 0, 0x41, 8, 0x2B, 3, 0, 0x21, 2, 0x41, 0, 0x20, 2, 0x39, 3, 0, 0x0B},
               {1, 1, 0x7C}) == 1);
}

TEST_CASE("instrument: where raw and made bits meet, the arithmetic is made canonical and the raw bits live") {
  // a > b ? a : a + b, stored: one place, and it is at the addition (before the select), so a's bits are not touched.
  CHECK(places({0x41, 0, 0x20, 0, 0x20, 0, 0x20, 1, 0xA0, 0x20, 0, 0x20, 1, 0x64, 0x1B, 0x39, 3, 0, 0x0B}) == 1);
  ModuleBuilder builder;
  builder.add({0x41, 0, 0x20, 0, 0x20, 0, 0x20, 1, 0xA0, 0x20, 0, 0x20, 1, 0x64, 0x1B, 0x39, 3, 0, 0x0B}, {0}, {0x60, 2, 0x7C, 0x7C, 0});
  const auto out = pass(builder);
  REQUIRE(out);
  const std::vector<std::byte> after_addition{std::byte{0xA0}, std::byte{0x22}};  // f64.add, local.tee
  CHECK(std::ranges::search(out->module, after_addition).size() == 2);
}

TEST_CASE("instrument: functions with more than two floating results return scalar floats as integers, blocks do not") {
  const auto holds = [](const ModuleBuilder& builder, std::initializer_list<int> bytes) {
    const auto out = pass(builder);
    REQUIRE_MESSAGE(out, out.error().message);
    std::vector<std::byte> wanted;
    for (const int b : bytes) wanted.push_back(static_cast<std::byte>(b));
    return !std::ranges::search(out->module, wanted).empty();
  };
  const Code body{0x10, 0, 0x0B};
  ModuleBuilder three;  // (v128, v128, f64): the last one comes as an i64, which the flags behind it tell
  three.add(body, {0}, {0x60, 0, 3, 0x7B, 0x7B, 0x7C});
  CHECK(holds(three, {0x60, 0, 3, 0x7B, 0x7B, 0x7C}));
  CHECK(holds(three, {0x60, 0, 6, 0x7B, 0x7B, 0x7E, 0x7F, 0x7F, 0x7E}));
  CHECK(holds(three, {0x1A, 0x1A, 0x1A, 0x21}));  // after the call: flags dropped, results taken
  ModuleBuilder two;
  two.add(body, {0}, {0x60, 0, 3, 0x7B, 0x7C, 0x7F});
  CHECK(!holds(two, {0x60, 0, 6}));
  CHECK(!holds(two, {0x1A, 0x1A, 0x1A}));
}

TEST_CASE("instrument: functions with loops return the balance, unless somebody may call them by their own type") {
  ModuleBuilder builder;
  builder.add({0x03, 0x40, 0x41, 0, 0x0D, 0, 0x0B, 0x0B});
  builder.add({0x10, 0, 0x0B});
  const std::vector<std::byte> takes{std::byte{0x10}, std::byte{2}, std::byte{0x24}, std::byte{0}};  // call 2, global.set fuel
  const auto inner = pass(builder);
  REQUIRE(inner);
  CHECK(std::ranges::search(inner->module, takes).size() == 4);
  builder.exports = {1, 1, 'f', 0, 0};
  const auto exported = pass(builder);
  REQUIRE(exported);
  CHECK(std::ranges::search(exported->module, takes).empty());
}

TEST_CASE("instrument: recursion that only calls reach carries balance and free stack as parameters, and its locals move") {
  ModuleBuilder builder;  // f(i32): local 1 = f(parameter 0)
  builder.add({0x20, 0, 0x10, 0, 0x20, 0, 0x21, 1, 0x0B}, {1, 1, 0x7F}, {0x60, 1, 0x7F, 0});
  builder.custom = {4, 'n', 'a', 'm', 'e', 2, 11, 1, 0, 2, 0, 1, 'p', 1, 3, 'l', 'o', 'c'};
  const auto holds = [&](std::initializer_list<int> bytes) {
    const auto out = pass(builder);
    REQUIRE_MESSAGE(out, out.error().message);
    std::vector<std::byte> wanted;
    for (const int b : bytes) wanted.push_back(static_cast<std::byte>(b));
    return !std::ranges::search(out->module, wanted).empty();
  };
  CHECK(holds({0x60, 3, 0x7F, 0x7E, 0x7F, 1, 0x7E}));                  // (i32, balance, stack) -> balance
  CHECK(holds({0x20, 0, 0x20, 1, 0x20, 2, 0x10, 2, 0x21, 1}));         // passes both on, takes the balance back
  CHECK(holds({0x20, 0, 0x21, 3}));                                    // local 1 is local 3 now
  CHECK(holds({2, 0, 1, 'p', 3, 3, 'l', 'o', 'c'}));                   // in its name as well
  builder.exports = {1, 1, 'f', 0, 0};
  CHECK(!holds({0x60, 3, 0x7F, 0x7E, 0x7F, 1, 0x7E}));
  CHECK(holds({0x20, 0, 0x21, 1}));
}

TEST_CASE("instrument: indirect calls become direct ones only through a table that nobody changes") {
  const auto dispatchers = [](const ModuleBuilder& builder) {
    const auto out = pass(builder);
    REQUIRE_MESSAGE(out, out.error().message);
    return out->report.dispatchers;
  };
  ModuleBuilder builder;
  builder.add({0x41, 3, 0x11, 0, 0, 0x0B});
  builder.add({0x0B});
  builder.tables = {1, 0x70, 0, 8};
  CHECK(dispatchers(builder) == 0);                     // empty
  builder.elements = {1, 0, 0x41, 3, 0x0B, 1, 1};
  CHECK(dispatchers(builder) == 1);
  const auto out = pass(builder);
  const std::vector<std::byte> body{std::byte{0x41}, std::byte{3}, std::byte{0x6B}, std::byte{0x0E}, std::byte{1},
                                    std::byte{0},    std::byte{1}, std::byte{0x0B}, std::byte{0x10}, std::byte{3}};
  CHECK(std::ranges::search(out->module, body).size() == body.size());  // index - 3; slot 3: call 3; others: call_indirect
  auto moved = builder;
  moved.elements = {2, 0, 0x41, 3, 0x0B, 1, 1, 0, 0x41, 3, 0x0B, 1, 0};  // the last writer of a slot counts
  const auto last = pass(moved);
  REQUIRE(last);
  CHECK(std::ranges::search(last->module, body).empty());
  auto exported = builder;
  exported.exports = {1, 1, 't', 1, 0};
  CHECK(dispatchers(exported) == 0);
  auto changed = builder;
  changed.add({0x41, 3, 0xD0, 0x70, 0x26, 0, 0x0B});    // table.set
  CHECK(dispatchers(changed) == 0);
  auto outside = builder;
  outside.elements = {1, 0, 0x41, 8, 0x0B, 1, 1};       // instantiation will trap
  CHECK(dispatchers(outside) == 0);
  auto wide = builder;
  wide.tables = {1, 0x70, 0, 0x80, 0x20};
  wide.elements = {2, 0, 0x41, 0, 0x0B, 1, 1, 0, 0x41, 0x80, 8, 0x0B, 1, 1};  // slots 0 and 1,024
  CHECK(dispatchers(wide) == 0);
}

TEST_CASE("instrument: lanes that move whole keep their NaNs until somebody sees them") {
  const auto lanes = [](Code code) {
    ModuleBuilder builder;
    builder.add(std::move(code), {0}, {0x60, 2, 0x7B, 0x7B, 0});
    const auto out = pass(builder);
    REQUIRE_MESSAGE(out, out.error().message);
    return out->report.canonical_places;
  };
  const auto shuffled = [&](std::initializer_list<int> indices, bool stores) {
    Code code{0x41, 0, 0x20, 0, 0x20, 1, 0xFD, 0xF0, 1, 0x20, 1, 0xFD, 13};  // a + b as doubles, and b
    for (const int i : indices) code.push_back(static_cast<std::uint8_t>(i));
    for (const int b : stores ? std::initializer_list<int>{0xFD, 11, 4, 0, 0x0B} : std::initializer_list<int>{0x1A, 0x1A, 0x0B})
      code.push_back(static_cast<std::uint8_t>(b));
    return lanes(code);
  };
  CHECK(shuffled({8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}, false) == 0);  // lanes change places, nobody looks
  CHECK(shuffled({8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}, true) == 1);
  CHECK(shuffled({4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11}, false) == 1);  // halves of doubles
  CHECK(shuffled({1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, false) == 1);  // bytes
  const auto taken = [&](std::uint8_t extract) { return lanes({0x20, 0, 0x20, 1, 0xFD, 0xF0, 1, 0xFD, extract, 0, 0x1A, 0x0B}); };
  CHECK(taken(33) == 0);  // a double of doubles
  CHECK(taken(31) == 1);  // a float of doubles
  CHECK(taken(29) == 1);  // an integer of doubles
}

TEST_CASE("instrument: neighbouring stores through one local ask once for NaNs") {
  // The sum of the parameters to [local 2 + offset].
  const auto to = [](std::uint8_t local, std::uint8_t offset) { return Code{0x20, local, 0x20, 0, 0x20, 1, 0xA0, 0x39, 3, offset}; };
  const auto questions = [&](std::initializer_list<Code> parts) {
    Code code;
    for (const Code& part : parts) code.insert(code.end(), part.begin(), part.end());
    code.push_back(0x0B);
    ModuleBuilder builder;
    builder.add(code, {1, 2, 0x7F}, {0x60, 2, 0x7C, 0x7C, 0});
    const auto out = pass(builder);
    REQUIRE_MESSAGE(out, out.error().message);
    return out->report.nan_questions;
  };
  const Code load_beside{0x20, 2, 0x2B, 3, 32, 0x1A}, load_over{0x20, 2, 0x2B, 3, 4, 0x1A}, load_elsewhere{0x20, 3, 0x2B, 3, 32, 0x1A};
  CHECK(questions({to(2, 0)}) == 1);
  CHECK(questions({to(2, 0), to(2, 8)}) == 1);
  CHECK(questions({to(2, 0), to(2, 8), to(2, 16), to(2, 24)}) == 1);
  CHECK(questions({to(2, 0), to(2, 8), to(2, 16), to(2, 24), to(2, 32)}) == 2);  // four at most
  CHECK(questions({to(2, 0), to(3, 8)}) == 2);                                   // another base
  CHECK(questions({to(2, 0), to(2, 4)}) == 2);                                   // they overlap
  CHECK(questions({to(2, 0), load_beside, to(2, 8)}) == 1);
  CHECK(questions({to(2, 0), load_over, to(2, 8)}) == 2);
  CHECK(questions({to(2, 0), load_elsewhere, to(2, 8)}) == 2);
  CHECK(questions({to(2, 0), {0x41, 0, 0x21, 2}, to(2, 8)}) == 2);               // the base changes
  CHECK(questions({to(2, 0), {0x41, 0, 0x21, 3}, to(2, 8)}) == 1);
  CHECK(questions({to(2, 0), {0x20, 0, 0xAA, 0x1A}, to(2, 8)}) == 2);            // may trap
  CHECK(questions({to(2, 0), {0x02, 0x40, 0x0B}, to(2, 8)}) == 2);
  CHECK(questions({to(2, 0), {0x20, 2, 0x20, 0, 0x39, 3, 8}, to(2, 16)}) == 1);  // a value that only moves joins
  CHECK(questions({to(2, 0), {0x20, 2, 0x20, 0, 0x39, 3, 8}}) == 1);
}

TEST_CASE("instrument: one charge for what runs equally often") {
  const auto charges = [](const Code& code) {
    const auto out = pass(with_code(code));
    REQUIRE_MESSAGE(out, out.error().message);
    return std::ranges::count(out->module, std::byte{0x7D});  // i64.sub
  };
  // A loop makes the function pay for itself; the helpers' subtractions are the same in each.
  const Code tail{0x03, 0x40, 0x0B, 0x0B};
  const auto with = [&](Code code) {
    code.insert(code.end(), tail.begin(), tail.end());
    return charges(code);
  };
  const Code work{0x41, 1, 0x41, 2, 0x6A, 0x1A};
  const auto joined = [](std::initializer_list<Code> parts) {
    Code out;
    for (const Code& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
  };
  const auto none = with({});
  CHECK(with(work) == none + 1);
  // block: br_if out of it, work, end, work: the last one is paid with the first.
  CHECK(with(joined({work, {0x02, 0x40, 0x41, 0, 0x0D, 0}, work, {0x0B}, work})) == none + 2);
  // The same, but a branch leads further out: it is not.
  CHECK(with(joined({{0x02, 0x40}, work, {0x02, 0x40, 0x41, 0, 0x0D, 1}, work, {0x0B}, work, {0x0B}})) == none + 2);
  CHECK(with(joined({{0x02, 0x40}, work, {0x02, 0x40, 0x41, 0, 0x0D, 1, 0x41, 0, 0x0D, 0}, work, {0x0B}, work, {0x0B}})) == none + 4);
  // Inside a loop, a branch out of it begins nothing.
  CHECK(with(joined({{0x02, 0x40, 0x03, 0x40, 0x41, 0, 0x0D, 1}, work, {0x41, 0, 0x0D, 0, 0x0B, 0x0B}})) == none + 1);
}

TEST_CASE("instrument: offset-bearing sections go, names stay") {
  auto builder = with_code({0x0B});
  builder.custom = {4, 'n', 'a', 'm', 'e', 1, 5, 1, 0, 2, 'f', 'n'};
  const auto named = pass(builder);
  REQUIRE(named);
  const std::vector<std::byte> shifted{std::byte{1}, std::byte{2}, std::byte{2}, std::byte{'f'}, std::byte{'n'}};  // function 2 now
  CHECK(std::ranges::search(named->module, shifted).size() == 5);
  builder.custom = {11, '.', 'd', 'e', 'b', 'u', 'g', '_', 'i', 'n', 'f', 'o', 1, 2, 3};
  CHECK(!names(std::string(base::text(pass(builder)->module)), ".debug_info"));
}

TEST_CASE("instrument: unreachable code is dropped, whatever it holds") {
  CHECK(refusal(with_code({0x00, 0x45, 0x6A, 0x0B})) == "accepted");
  CHECK(refusal(with_code({0x02, 0x7F, 0x00, 0x0B, 0x1A, 0x0B})) == "accepted");
  CHECK(refusal(with_code({0x0F, 0x02, 0x40, 0x0B, 0x0B})) == "accepted");
}

TEST_CASE("instrument: random bytes in a function never crash it") {
  base::Rng rng(base::Digest{});
  for (int i = 0; i < 20000; ++i) {
    Code code;
    for (std::uint64_t n = rng.next() % 40; n > 0; --n) code.push_back(static_cast<std::uint8_t>(rng.next() % 4 == 0 ? 0x0B : rng.next()));
    code.push_back(0x0B);
    static_cast<void>(pass(with_code(code, {3, 1, 0x7F, 1, 0x7C, 1, 0x7B})));
  }
}

TEST_CASE("instrument: work is linear where values and variables multiply") {
  // 3,000 nested blocks, 3,000 floating locals, a branch to each: the exact tracking of variables would be 9 million merges a branch.
  Code code;
  for (int i = 0; i < 3000; ++i) code.insert(code.end(), {0x02, 0x40, 0x41, 0, 0x0D, 0});
  for (int i = 0; i < 3000; ++i) code.push_back(0x0B);
  code.push_back(0x0B);
  const auto out = pass(with_code(code, {1, 0xB8, 0x17, 0x7C}));
  CHECK(out);
}

namespace {

// Of the processor, by this thread: the least of five, since whatever else the machine does only adds.
double seconds_for(base::ByteView wasm) {
  static constexpr KnownImport imports[] = {{"wasi_snapshot_preview1", "fd_write", "iiii", true}, {"wasi_snapshot_preview1", "proc_exit", "i", false}};
  Options options;
  options.imports = imports;
  const auto now = [] {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
  };
  double least = 1e9;
  for (int i = 0; i < 5; ++i) {
    const double from = now();
    const auto out = instrument(wasm, options);
    least = std::min(least, now() - from);
    REQUIRE_MESSAGE(out, out.error().message);
  }
  return least;
}

// One function of so many loops with loads, floats, stores and branches out of all.
base::Bytes one_function(std::size_t loops) {
  Code code{0x02, 0x40};
  for (std::size_t i = 0; i < loops; ++i) {
    const Code loop{0x03, 0x40, 0x20, 0, 0x20, 0, 0x2B, 3, 8, 0x20, 1, 0xA0, 0x22, 1, 0x39, 3, 0, 0x20, 0, 0x0D, 1, 0x20, 0, 0x0D, 0, 0x0B};
    code.insert(code.end(), loop.begin(), loop.end());
  }
  code.insert(code.end(), {0x0B, 0x0B});
  return with_code(code, {2, 1, 0x7F, 1, 0x7C}).build();
}

}  // namespace

TEST_CASE("instrument: twice the module takes twice the time, not four times") {
  for (const std::size_t bytes : {std::size_t{400'000}, std::size_t{800'000}}) {
    const double once = seconds_for(testing::large_module(bytes)), twice = seconds_for(testing::large_module(2 * bytes));
    CHECK_MESSAGE(twice < 3 * once, bytes << " bytes of functions: " << once << " s, twice as many " << twice << " s");
  }
  const double once = seconds_for(one_function(10'000)), twice = seconds_for(one_function(20'000));
  CHECK_MESSAGE(twice < 3 * once, "one function: " << once << " s, of twice the size " << twice << " s");
  MESSAGE("one function of 520 kB: " << once << " s, of 1,040 kB " << twice << " s");
}
