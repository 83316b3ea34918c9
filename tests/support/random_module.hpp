// Random valid WebAssembly 2.0 programs, one for each seed, with a bias towards what breaks determinism.
//
// Every module validates, imports WASI only and ends: calls and loop iterations draw on one budget, kept in a global; when it
// is used up functions return constants and loops leave. `endless` modules have no budget and need fuel. Operands are typed
// trees over the whole opcode table, so values lie on the stack across blocks, calls and branches; code after a branch is
// polymorphic dead code. `_start` calls every other function, then writes a hash of results, memory, globals and tables to
// its standard output. What may trap does so with a chance that the flavour sets; 0 for the first half of the seeds' modules,
// since a module that traps early tests little else.
//
// `numbers` modules can be compared with what they did before the instrumenter, bit for bit, although engines differ in the NaNs
// that arithmetic makes. Whatever else could put other bits into a float makes them canonical at once, by the module's own code:
// loads, reinterprets, neg, copysign, lanes that were integers. So the first result of arithmetic is the only origin of doubtful
// bits, and the module's canonical twin, with arithmetic's results made canonical as well, does in any engine what the rewritten
// one must do. A module uses either f32x4 or f64x2 as its lanes; what the other kind makes is canonical as both. In half of the
// modules no value but arithmetic's, and no parameter, result or global, is a float: there the instrumenter may leave NaNs alone
// until they are seen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator-less/base/bytes.hpp"

namespace starling::testing {

enum class Flavour : std::uint8_t {
  mixed,    // everything, evenly
  floats,   // NaN payloads, denormals, reinterprets, stores of floats read back as integers
  lanes,    // v128 in all its lane types
  memory,   // bulk operations, growth, segments
  calls,    // recursion, indirect calls, many parameters and results
  wide,     // functions with up to 2,000 locals
  danger,   // whatever may trap does so now and then
  endless,  // runs until fuel or stack end
  integers, // no float is seen, no table or clock changes: an engine gives the same without the instrumenter. Never by seed alone
  numbers,  // as integers, with floats, lanes and neighbouring stores of floats; see above. Never by seed alone
};
inline constexpr std::size_t flavour_count = 8;  // those that seeds take in turn
const char* name_of(Flavour flavour);

struct RandomModule {
  base::Bytes wasm;
  Flavour flavour = Flavour::mixed;
  std::vector<bool> used;  // by index into opcode_names() (opcode_table.hpp)
};

RandomModule random_module(std::uint64_t seed);  // flavours in turn
RandomModule random_module(std::uint64_t seed, Flavour flavour);
RandomModule canonical_twin(std::uint64_t seed);  // of random_module(seed, Flavour::numbers)

}  // namespace starling::testing
