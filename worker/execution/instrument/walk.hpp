// The validating walk of one function body. It keeps the operand stack with types and NaN nodes and the control stack, cuts unreachable
// code, and answers with a list of edits: where the code changes, in the order of the code. body_writer.hpp applies them. Stores whose NaNs are
// asked for together are found here as well.
// Linear: work that depends on more than the code's length (values carried by branches, variables merged at labels) has a
// budget; past it variables are tracked less exactly, or the function is refused.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/instrument/call_graph.hpp"
#include "worker/execution/instrument/module.hpp"
#include "worker/execution/instrument/nan_taint.hpp"

namespace starling::execution::instrument {

struct Edit {
  enum class Kind : std::uint8_t {
    canonical,      // value: Canonical; the top of the stack
    charge,         // value: fuel
    check,          // value: fuel; extra: index into observed, or none
    call,           // replaces it; value: the callee, old numbering
    call_indirect,  // replaces it; value: type, extra: table
    function_index, // replaces the immediate; value: old index
    charge_bytes,   // of the length on top of the stack
    charge_elements,
    memory_grow,    // replaces it
    table_grow,     // replaces it; value: table
    local,          // replaces the immediate; value: the local, behind the parameters that were added
    delay,          // replaces a store; value: which of its group, extra: the group
    flush,          // extra: the group
    leave,          // replaces return; value: depth of the function's label
    cut,            // unreachable code
    unreachable,    // the engine's validator does not see that what follows is unreachable
  };
  std::uint32_t position = 0;
  std::uint32_t skip = 0;  // bytes of the input that it replaces
  Kind kind = Kind::charge;
  std::uint32_t extra = 0;
  std::uint64_t value = 0;
};

inline constexpr std::uint32_t no_local = UINT32_MAX;
using Observed = std::array<std::uint32_t, 4>;  // locals, or no_local

// Stores of scalars of one type to one base, with nothing between that could see them: they happen together at the end, behind one
// question whether any of them is NaN.
struct StoreGroup {
  struct Store {
    std::uint32_t position = 0, length = 0;  // of the instruction
    std::uint32_t offset = 0;
    std::uint32_t use = 0;                   // in the function's NanTaint
    bool wanted = false;                     // may be a NaN that must be canonical
  };
  std::uint32_t base = 0;                    // a local
  Type type = Type::f64;
  std::uint32_t count = 0;
  std::array<Store, 4> stores{};
  std::uint32_t end = 0;                     // position of the flush
};

struct FunctionPlan {
  std::vector<Edit> edits;
  std::vector<Observed> observed;
  std::vector<StoreGroup> groups;
  std::vector<Type> locals;       // parameters included
  std::uint32_t slots = 0;        // parameters, locals and operands
  bool end_is_reached = false;
  bool needs_f32 = false, needs_f64 = false, needs_v128 = false;  // for canonical NaNs
};

class Walker {
 public:
  Walker(const Module& module, const CallGraph& calls);
  ~Walker();
  // The plan lives until the next call.
  base::Expected<const FunctionPlan*> walk(std::uint32_t function);

 private:
  class Walk;
  std::unique_ptr<Walk> walk_;
};

}  // namespace starling::execution::instrument
