// Writes one function body: the input's code with a plan's edits applied, and what stands around it.
//
//   prologue: charge the stack (functions on cycles), load the balance (functions with loops); functions on cycles that only calls
//   reach have both as parameters: then no call waits for a store of the one before it
//   block                        all branches to the function's label and returns end here
//     the code
//   end
//   epilogue: give the stack back, spill the balance or return it as one more result (faster: no load waits for a store)
//
// Functions without both need no block and no epilogue.
#pragma once

#include "worker/execution/instrument/walk.hpp"
#include "worker/execution/instrument/writer.hpp"

namespace starling::execution::instrument {

// New indices of what the output adds.
struct Additions {
  FunctionShift shift;
  std::uint32_t next_slice = 0, fail = 0;                                      // functions
  std::uint32_t charge_bytes = 0, charge_elements = 0, memory_grow = 0;
  std::uint32_t first_table_grow = 0;                                          // one per table
  std::uint32_t fuel = 0, stack = 0, memory_pages = 0, table_elements = 0, rare = 0;     // globals
  std::vector<std::uint32_t> block_types;                                      // per type: () -> its results, where it has several
  std::vector<std::uint32_t> function_types;                                   // per type: what functions of it have instead
  std::vector<std::uint32_t> dispatchers;                                      // per type class: the function, or 0
};

class BodyWriter {
 public:
  BodyWriter(const Module& module, const CallGraph& calls, const Additions& additions)
      : module_(module), calls_(calls), additions_(additions) {}
  void write(Writer& out, std::uint32_t function, const FunctionPlan& plan, Report& report);

 private:
  std::uint32_t add_local(Type type);
  void charge_stack(const FunctionPlan& plan);
  void call(std::uint32_t callee);
  void write_out(Writer& out, const Body& body) const;
  void call_indirect(const Edit& edit);
  void to_bits(std::uint32_t type);
  void from_bits(std::uint32_t type);
  void take_results(std::span<const Type> types);
  void prologue(const FunctionPlan& plan);
  void epilogue(const FunctionPlan& plan, std::uint32_t type);
  void block_around(std::uint32_t type);
  void apply(const Edit& edit, const FunctionPlan& plan);
  void charge(std::uint64_t cost);
  void check(std::uint64_t cost, const Observed* observed, const FunctionPlan& plan);
  void push_balance();
  void pop_balance();
  void observe(const Observed* observed, const FunctionPlan& plan);
  void spill();
  void reload();
  void flush(const StoreGroup& group, base::ByteView source);
  void ask_for_nans(const StoreGroup& group);
  std::uint32_t delayed(Type type, std::uint32_t which);
  std::uint32_t moved(std::uint32_t local) const { return takes_state_ && local >= own_parameters_ ? local + state_parameters : local; }
  void note_rare(std::uint8_t mark);
  void canonical(Canonical kind, std::uint8_t mark = 0);

  const Module& module_;
  const CallGraph& calls_;
  const Additions& additions_;
  Writer code_;
  std::vector<Type> added_;                    // locals beside the function's own
  std::vector<std::uint32_t> result_locals_;   // where take_results left them
  std::vector<std::pair<Type, std::uint32_t>> result_pool_;
  std::array<std::array<std::uint32_t, 6>, 2> delayed_{};                      // f32, f64: values of a group's stores, two sums; 0: none yet
  std::uint32_t own_locals_ = 0;               // with the parameters that were added
  std::uint32_t own_parameters_ = 0;
  FuelMode mode_ = FuelMode::local;
  bool charges_stack_ = false;
  bool takes_state_ = false, shows_stack_ = false;
  bool returns_balance_ = false;
  std::uint32_t stack_ = 0, balance_ = 0, free_ = 0, f32_ = 0, f64_ = 0, v128_ = 0;       // added locals
};

}  // namespace starling::execution::instrument
