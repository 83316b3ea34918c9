// Indirect calls through a table that nobody changes, as direct ones. This engine looks every such call up in its run-time library (24 ns,
// measured: a program of small indirect calls takes 3.8 times its native time); a br_table over direct calls costs a tenth.
//
// Known: table 0, not exported, no instruction of the module changes any table, and every active segment of it has a constant
// offset. Then each type that call_indirect names gets a function of its own
//
//   dispatch (the type's parameters, index i32) -> the type's results:   br_table over the slots that hold functions of the type;
//                                                                        any other index: call_indirect, which traps as ever
//
// Fuel and stack do not know of it. Types with more than a few hundred slots stay with the engine, and all of them together stay
// within a budget that is linear in the module's size.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "worker/execution/instrument/call_graph.hpp"
#include "worker/execution/instrument/module.hpp"

namespace starling::execution::instrument {

struct Dispatcher {
  std::uint32_t type = 0;                            // one of its class
  std::uint32_t first_slot = 0;
  std::vector<std::optional<std::uint32_t>> slots;   // defined functions, old numbering
};

// In the order of type classes; deterministic.
std::vector<Dispatcher> find_dispatchers(const Module& module, const CallGraph& calls);

// A body's code without its local declarations. `type`: what call_indirect names in the output.
void write_dispatcher(Writer& out, const Dispatcher& dispatcher, std::uint32_t parameters, std::uint32_t type, const FunctionShift& shift);

}  // namespace starling::execution::instrument
