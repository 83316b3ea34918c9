// Which functions can be on the stack twice, how deep the others can stand, and which are charged by their callers.
//
// Nodes: functions, and one per function type for call_indirect, which leads to every function of that type whose address is taken.
// Imported functions call nobody back. Strongly connected components by Tarjan's algorithm without recursion; they come callees
// first, so heights and costs are sums over what is already known. Linear in functions and call sites.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/instrument/module.hpp"

namespace starling::execution::instrument {

// How a function keeps its fuel.
enum class FuelMode : std::uint8_t {
  inlined,  // its callers pay
  direct,   // no loop: every charge goes to the global
  local,    // loops: the balance is in a local, spilled around calls
};

struct FunctionFacts {
  bool has_loop = false;
  bool has_call = false;           // of anything
  bool calls_outside_loops = false;  // then its entry is a check: else a loop head stands before every call
  bool has_variable_cost = false;  // bulk operations, memory.grow, table.grow
  bool address_taken = false;      // or exported, or the start function
  bool on_cycle = false;
  bool charges_stack = false;
  bool returns_bits = false;       // travels_as_bits(its type)
  FuelMode mode = FuelMode::local;
  bool returns_balance = false;    // as its last result, not in the global
  bool takes_state = false;        // the balance and the free stack slots as its last parameters, not in the globals
  bool shows_stack = false;        // takes_state, and calls what looks into the global
  std::uint64_t cost = 0;          // of all its instructions once; with its callees' when inlined
};

// Its code stands in a block of its own, so that all ways out of it meet.
inline bool is_wrapped(const FunctionFacts& facts) { return facts.charges_stack || facts.returns_bits || facts.mode == FuelMode::local; }

inline constexpr std::uint32_t state_parameters = 2;

struct CallGraph {
  std::vector<FunctionFacts> functions;  // imported ones first
  std::uint64_t longest_chain_slots = 0;
  std::vector<bool> called_types;   // classes that a call_indirect of table 0 names
  bool changes_tables = false;      // table.set, grow, fill, copy or init stands somewhere
};

base::Expected<CallGraph> analyse_calls(const Module& module, const Options& options, Report& report);

}  // namespace starling::execution::instrument
