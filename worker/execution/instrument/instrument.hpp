// Rewrites a WebAssembly 2.0 program so that every engine and CPU gives the same bytes and the same fuel, and nobody can harm the
// host: DESIGN section 8. Deterministic: the same input, options and instrumenter_version give the same output bytes.
//
// What the output has beside the program itself
//   imports   starling.slice (fuel i64, a, b, c, d i64) -> i64: the dealt fuel ran out (fuel < 0); gives the new balance, which must
//             not be negative, or does not return. a..d are live values at that point (below).
//             starling.fail (reason i32): does not return. Reasons: enum Failure.
//   exports   starling.fuel i64, mutable: the balance, true whenever the host is called. The host may lower it (also below
//             zero) by what its work costs, before it returns; the next check calls slice. Starts at 0.
//             starling.stack i32, mutable: free stack slots. starling.memory_pages i64, mutable: the limit that memory.grow obeys; the
//             host sets it before anything runs, and compares the initial size (report.memory_pages_min).
//             starling.table_elements i64, mutable: how many elements all tables together may still grow by. It starts at minus
//             what they begin with: the host adds its limit before anything runs; what is below zero then exceeds it.
//             starling.start: the program's start function, if it has one; call it first, once.
//             starling.global.N: mutable numeric global N of the program.
//   custom section starling.instrumented: marks the output, so that the pass refuses it.
//
// Fuel. Straight-line code is charged where it begins (docs/fuel.md), by the table in fuel_table.hpp; the balance is checked at loop heads and at
// entries of functions that call outside of loops. Loop-free functions up to fuel::inlined_max, of calls to such functions only, whose address is not
// taken, are charged by their callers. Bulk operations are charged by length before they run. The balance may fall below zero by
// the cost of the straight-line code between two checks, no more.
//
// What a replayer must do to see the same slices: deal the same amounts in the same order. slice is called at the first check at
// which the balance is negative; a check is a point of the program's execution that depends on nothing but the program and
// what was dealt and charged before. The values a..d are, at a loop head, the first up to four numeric locals that the loop's own
// code (not that of loops inside it) reads before it writes them, among the first eight that it touches; at a function's entry, its first four numeric parameters; else 0. i32 values are zero-extended,
// floats are their bits with every NaN canonical. Memory and globals at that moment are the guest's own and equal everywhere.
//
// NaN: nan_taint.hpp. Stack: call_graph.hpp. Cost: linear in the module's size.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"

namespace starling::execution::instrument {

inline constexpr std::uint32_t instrumenter_version = 4;  // part of every cache key: raise it when the output changes

inline constexpr std::string_view reserved_prefix = "starling.";
inline constexpr std::string_view host_module = "starling";
inline constexpr std::string_view slice_name = "slice";
inline constexpr std::string_view fail_name = "fail";
inline constexpr std::string_view fuel_export = "starling.fuel";
inline constexpr std::string_view stack_export = "starling.stack";
inline constexpr std::string_view memory_pages_export = "starling.memory_pages";
inline constexpr std::string_view table_elements_export = "starling.table_elements";
inline constexpr std::string_view start_export = "starling.start";
inline constexpr std::string_view mark_section = "starling.instrumented";

enum class Failure : std::uint8_t {
  stack_overflow = 1,  // the guest's doing
  memory_grow = 2,     // within the limits, yet the host had no memory: this machine's fault
  table_grow = 3,      // the same
};

// Slots are 8 bytes of values; a frame counts its parameters, locals and operands and frame_slots more, so that the height
// bounds the depth as well (stack_slots_max / frame_slots frames).
inline constexpr std::uint32_t frame_slots = 16;

struct KnownImport {
  std::string_view module;
  std::string_view name;
  std::string_view parameters;  // 'i' = i32, 'I' = i64
  bool returns_i32 = true;      // else it has no result
};

struct Options {
  std::span<const KnownImport> imports;
  std::uint32_t stack_slots_max = 1U << 20;    // on call-graph cycles
  std::uint32_t acyclic_slots_max = 1U << 20;  // the longest chain that is not charged; beyond it every function is
  std::uint64_t table_elements_max = 10'000'000;
};

struct Report {
  std::uint32_t functions = 0;            // defined
  std::uint32_t functions_inlined = 0;    // charged by their callers
  std::uint32_t functions_recursive = 0;  // charged for stack
  std::uint32_t checks = 0;               // places where a slice may end
  std::uint32_t canonical_places = 0;     // places where a NaN is made canonical
  std::uint32_t nan_questions = 0;        // how often it is asked whether there is one: neighbouring stores share a question
  std::uint32_t dispatchers = 0;          // types whose indirect calls became direct ones
  std::uint64_t code_bytes_before = 0;
  std::uint64_t code_bytes_after = 0;
  std::uint64_t memory_pages_min = 0;
  std::uint64_t table_elements_min = 0;   // of all tables
  bool uses_simd = false;
  bool uses_floats = false;
  bool uses_bulk = false;
  bool uses_references = false;
  std::vector<std::string> imports;       // "module.name"
};

struct Instrumented {
  base::Bytes module;
  Report report;
};

// bad_input: one line that names what is wrong or which feature is not offered, and a hint.
base::Expected<Instrumented> instrument(base::ByteView wasm, const Options& options);

}  // namespace starling::execution::instrument
