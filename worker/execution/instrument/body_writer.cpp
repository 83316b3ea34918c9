#include "worker/execution/instrument/body_writer.hpp"

#include <algorithm>

#include "worker/execution/instrument/fuel_table.hpp"

namespace starling::execution::instrument {
namespace {

constexpr std::uint8_t empty_block = 0x40;

void write_const_f32_nan(Writer& out) { out.all({op::f32_const, 0x00, 0x00, 0xC0, 0x7F}); }
void write_const_f64_nan(Writer& out) { out.all({op::f64_const, 0, 0, 0, 0, 0, 0, 0xF8, 0x7F}); }
void write_const_nan_lanes(Writer& out, Lanes lanes) {
  out.byte(prefix_simd);
  out.u32(op::v128_const);
  for (unsigned i = 0; i < 4; ++i) {
    if (lanes == Lanes::f32x4) out.all({0x00, 0x00, 0xC0, 0x7F});
    else if (i % 2 == 0) out.all({0, 0, 0, 0, 0, 0, 0xF8, 0x7F});
  }
}
constexpr std::uint8_t f32x4_eq = 65, f64x2_eq = 71, v128_and = 78, v128_andnot = 79, v128_or = 80;

}  // namespace

void BodyWriter::write(Writer& out, std::uint32_t function, const FunctionPlan& plan, Report& report) {
  const Body& body = module_.bodies[function - module_.imported_functions];
  const FunctionFacts& facts = calls_.functions[function];
  const std::uint32_t type = module_.function_types[function];
  mode_ = facts.mode;
  charges_stack_ = facts.charges_stack;
  returns_balance_ = facts.returns_balance;
  code_.clear();
  added_.clear();
  result_pool_.clear();
  delayed_ = {};
  takes_state_ = facts.takes_state;
  shows_stack_ = facts.shows_stack;
  own_parameters_ = module_.types[type].parameters;
  own_locals_ = static_cast<std::uint32_t>(plan.locals.size()) + (takes_state_ ? state_parameters : 0);
  if (charges_stack_ && (!takes_state_ || shows_stack_)) stack_ = add_local(Type::i32);
  if (takes_state_) {
    balance_ = own_parameters_;
    free_ = own_parameters_ + 1;
  } else if (mode_ == FuelMode::local) {
    balance_ = add_local(Type::i64);
  }
  const auto observes = [&](Type wanted) {
    return std::ranges::any_of(plan.observed, [&](const Observed& one) {
      return std::ranges::any_of(one, [&](std::uint32_t local) { return local != no_local && plan.locals[local] == wanted; });
    });
  };
  if (plan.needs_f32 || observes(Type::f32)) f32_ = add_local(Type::f32);
  if (plan.needs_f64 || observes(Type::f64)) f64_ = add_local(Type::f64);
  if (plan.needs_v128) v128_ = add_local(Type::v128);
  prologue(plan);
  if (is_wrapped(facts)) block_around(type);
  const auto source = body.bytes.subspan(body.declarations);
  std::uint32_t at = 0;
  for (const Edit& edit : plan.edits) {
    code_.raw(source.subspan(at, edit.position - at));
    at = edit.position + edit.skip;
    if (edit.kind == Edit::Kind::flush) flush(plan.groups[edit.extra], source);
    else apply(edit, plan);
    if (edit.kind == Edit::Kind::check) ++report.checks;
    if (edit.kind == Edit::Kind::canonical || edit.kind == Edit::Kind::flush) ++report.nan_questions;
    const bool delays_wanted = edit.kind == Edit::Kind::delay && plan.groups[edit.extra].stores.at(edit.value).wanted;
    if (edit.kind == Edit::Kind::canonical || delays_wanted) ++report.canonical_places;
  }
  code_.raw(source.subspan(at));
  if (is_wrapped(facts)) epilogue(plan, type);
  const std::size_t before = out.view().size();
  write_out(out, body);
  report.code_bytes_before += body.bytes.size();
  report.code_bytes_after += out.view().size() - before;
}

std::uint32_t BodyWriter::add_local(Type type) {
  added_.push_back(type);
  return own_locals_ + static_cast<std::uint32_t>(added_.size()) - 1;
}

void BodyWriter::write_out(Writer& out, const Body& body) const {
  Writer locals;
  Reader in(body.bytes.first(body.declarations));
  in.u32();
  locals.u32(std::uint64_t{body.groups} + added_.size());
  locals.raw(in.take(in.left()));
  for (const Type type : added_) locals.all({1, static_cast<std::uint8_t>(type)});
  out.u32(locals.view().size() + code_.view().size());
  out.raw(locals.view());
  out.raw(code_.view());
}

void BodyWriter::prologue(const FunctionPlan& plan) {
  if (charges_stack_) charge_stack(plan);
  if (!takes_state_) reload();
}

// The global is what functions see that have no such parameter; stack_ keeps what it was.
void BodyWriter::charge_stack(const FunctionPlan& plan) {
  if (!takes_state_ || shows_stack_) {
    code_.op_u32(op::global_get, additions_.stack);
    code_.op_u32(takes_state_ ? op::local_set : op::local_tee, stack_);
  }
  if (takes_state_) code_.op_u32(op::local_get, free_);
  code_.byte(op::i32_const);
  code_.s64(-static_cast<std::int64_t>(plan.slots + frame_slots));
  code_.byte(op::i32_add);
  if (takes_state_) code_.op_u32(op::local_set, free_);
  if (shows_stack_) code_.op_u32(op::local_get, free_);
  if (!takes_state_ || shows_stack_) code_.op_u32(op::global_set, additions_.stack);
  code_.op_u32(takes_state_ ? op::local_get : op::global_get, takes_state_ ? free_ : additions_.stack);
  code_.all({op::i32_const, 0, 0x48 /* i32.lt_s */, op::if_, empty_block, op::i32_const});
  code_.s64(static_cast<std::int64_t>(Failure::stack_overflow));
  code_.op_u32(op::call, additions_.fail);
  code_.all({op::unreachable, op::end});
}

void BodyWriter::block_around(std::uint32_t type) {
  const auto results = module_.results_of(type);
  code_.byte(op::block);
  if (results.empty()) code_.byte(empty_block);
  else if (results.size() == 1) code_.byte(static_cast<std::uint8_t>(results[0]));
  else code_.s64(additions_.block_types[type]);
}

void BodyWriter::epilogue(const FunctionPlan& plan, std::uint32_t type) {
  if (plan.end_is_reached) {
    if (!returns_balance_) spill();
    if (charges_stack_ && (!takes_state_ || shows_stack_)) {
      code_.op_u32(op::local_get, stack_);  // not an addition: that would chain every call to the one before it
      code_.op_u32(op::global_set, additions_.stack);
    }
    to_bits(type);
    if (returns_balance_) push_balance();
  } else {
    code_.byte(op::unreachable);
  }
  code_.byte(op::end);
}

void BodyWriter::apply(const Edit& edit, const FunctionPlan& plan) {
  using Kind = Edit::Kind;
  switch (edit.kind) {
    case Kind::canonical: return canonical(static_cast<Canonical>(edit.value));
    case Kind::charge: return charge(edit.value);
    case Kind::check: return check(edit.value, edit.extra == no_local ? nullptr : &plan.observed[edit.extra], plan);
    case Kind::call: return call(static_cast<std::uint32_t>(edit.value));
    case Kind::call_indirect: return call_indirect(edit);
    case Kind::function_index: return code_.u32(additions_.shift(static_cast<std::uint32_t>(edit.value)));
    case Kind::charge_bytes:
    case Kind::charge_elements:
    case Kind::memory_grow:
    case Kind::table_grow:
      spill();
      code_.op_u32(op::call, edit.kind == Kind::charge_bytes      ? additions_.charge_bytes
                             : edit.kind == Kind::charge_elements ? additions_.charge_elements
                             : edit.kind == Kind::memory_grow     ? additions_.memory_grow
                                                                  : additions_.first_table_grow + edit.value);
      return reload();
    case Kind::local: return code_.u32(edit.value);
    case Kind::delay:
      code_.op_u32(op::local_set, delayed(plan.groups[edit.extra].type, static_cast<std::uint32_t>(edit.value)));
      return code_.byte(op::drop);  // the address: flush reads the base again
    case Kind::flush: return;
    case Kind::leave: return code_.op_u32(op::br, edit.value);
    case Kind::cut: return;
    case Kind::unreachable: return code_.byte(op::unreachable);
  }
}

void BodyWriter::call(std::uint32_t callee) {
  const FunctionFacts& facts = calls_.functions[callee];
  const bool keeps_balance = facts.mode == FuelMode::inlined;
  if (facts.takes_state) {
    push_balance();
    code_.op_u32(takes_state_ ? op::local_get : op::global_get, takes_state_ ? free_ : additions_.stack);
  } else if (!keeps_balance) {
    spill();
  }
  code_.op_u32(op::call, additions_.shift(callee));
  if (facts.returns_balance) pop_balance();
  else if (!keeps_balance) reload();
  from_bits(module_.function_types[callee]);
}

void BodyWriter::call_indirect(const Edit& edit) {
  const auto type = static_cast<std::uint32_t>(edit.value);
  spill();
  const std::uint32_t dispatcher = edit.extra == 0 ? additions_.dispatchers[module_.type_class[type]] : 0;
  if (dispatcher != 0) {
    code_.op_u32(op::call, dispatcher);
  } else {
    code_.op_u32(op::call_indirect, additions_.function_types[type]);
    code_.u32(edit.extra);
  }
  reload();
  from_bits(type);
}

// Moves the results on the stack to locals; one pool of locals serves all calls.
void BodyWriter::take_results(std::span<const Type> types) {
  result_locals_.assign(types.size(), 0);
  std::size_t used = 0;
  for (std::size_t i = types.size(); i > 0; --i) {
    while (used < result_pool_.size() && result_pool_[used].first != types[i - 1]) ++used;
    if (used == result_pool_.size()) result_pool_.emplace_back(types[i - 1], add_local(types[i - 1]));
    result_locals_[i - 1] = result_pool_[used++].second;
    code_.op_u32(op::local_set, result_locals_[i - 1]);
  }
}

// The type of such functions: floats as integers, then an i64 for each float and an i32 for each other result. Those tell types apart
// that are different in the program, for call_indirect.
void BodyWriter::to_bits(std::uint32_t type) {
  const auto results = module_.results_of(type);
  if (!travels_as_bits(results)) return;
  take_results(results);
  for (std::size_t i = 0; i < results.size(); ++i) {
    code_.op_u32(op::local_get, result_locals_[i]);
    if (results[i] == Type::f32) code_.byte(op::i32_reinterpret);
    if (results[i] == Type::f64) code_.byte(op::i64_reinterpret);
  }
  for (const Type one : results) code_.all({as_bits(one) == one ? op::i32_const : op::i64_const, 0});
}

void BodyWriter::from_bits(std::uint32_t type) {
  const auto results = module_.results_of(type);
  if (!travels_as_bits(results)) return;
  for (std::size_t i = 0; i < results.size(); ++i) code_.byte(op::drop);
  std::vector<Type> bits(results.begin(), results.end());
  for (Type& one : bits) one = as_bits(one);
  take_results(bits);
  for (std::size_t i = 0; i < results.size(); ++i) {
    code_.op_u32(op::local_get, result_locals_[i]);
    if (results[i] == Type::f32) code_.byte(op::f32_reinterpret);
    if (results[i] == Type::f64) code_.byte(op::f64_reinterpret);
  }
}

void BodyWriter::push_balance() {
  if (mode_ == FuelMode::local) code_.op_u32(op::local_get, balance_);
  else code_.op_u32(op::global_get, additions_.fuel);
}
void BodyWriter::pop_balance() {
  if (mode_ == FuelMode::local) code_.op_u32(op::local_set, balance_);
  else code_.op_u32(op::global_set, additions_.fuel);
}

void BodyWriter::charge(std::uint64_t cost) {
  if (cost == 0 || mode_ == FuelMode::inlined) return;
  push_balance();
  code_.byte(op::i64_const);
  code_.s64(static_cast<std::int64_t>(cost));
  code_.byte(op::i64_sub);
  pop_balance();
}

// Asked twice: a negative balance above -2^52 is a NaN if seen as a double, and compilers hold NaNs for all but impossible. So they lay
// the call out of line and keep no register free for it; of `negative` alone they think one time in three.
void BodyWriter::check(std::uint64_t cost, const Observed* observed, const FunctionPlan& plan) {
  charge(cost);
  push_balance();
  code_.all({op::i64_const, 0, op::i64_lt_s, op::if_, empty_block});
  note_rare(1);
  push_balance();
  code_.byte(op::f64_reinterpret);
  push_balance();
  code_.all({op::f64_reinterpret, op::f64_ne, op::if_, empty_block});
  push_balance();
  observe(observed, plan);
  code_.op_u32(op::call, additions_.next_slice);
  pop_balance();
  code_.all({op::end, op::end});
}

void BodyWriter::observe(const Observed* observed, const FunctionPlan& plan) {
  for (unsigned i = 0; i < 4; ++i) {
    const std::uint32_t local = observed != nullptr ? (*observed)[i] : no_local;
    if (local == no_local) {
      code_.all({op::i64_const, 0});
      continue;
    }
    code_.op_u32(op::local_get, moved(local));
    const Type type = plan.locals[local];
    if (type == Type::i32) code_.byte(op::i64_extend_i32_u);
    if (type != Type::f32 && type != Type::f64) continue;
    canonical(type == Type::f32 ? Canonical::f32 : Canonical::f64, static_cast<std::uint8_t>(2 + i));
    if (type == Type::f32) code_.all({op::i32_reinterpret, op::i64_extend_i32_u});
    else code_.byte(op::i64_reinterpret);
  }
}

// One more than the index, so that 0 is none: locals of our own never come first.
std::uint32_t BodyWriter::delayed(Type type, std::uint32_t which) {
  std::uint32_t& local = delayed_.at(type == Type::f32 ? 0 : 1).at(which);
  if (local == 0) local = add_local(type) + 1;
  return local - 1;
}

void BodyWriter::flush(const StoreGroup& group, base::ByteView source) {
  const bool is_32 = group.type == Type::f32;
  ask_for_nans(group);
  code_.all({op::if_, empty_block});
  note_rare(0);
  for (std::uint32_t i = 0; i < group.count; ++i) {
    if (!group.stores.at(i).wanted) continue;
    const std::uint32_t local = delayed(group.type, i);
    code_.op_u32(op::local_get, local);
    if (is_32) write_const_f32_nan(code_);
    else write_const_f64_nan(code_);
    code_.op_u32(op::local_get, local);
    code_.op_u32(op::local_get, local);
    code_.all({is_32 ? op::f32_eq : op::f64_eq, op::select});
    code_.op_u32(op::local_set, local);
  }
  code_.byte(op::end);
  for (std::uint32_t i = 0; i < group.count; ++i) {
    code_.op_u32(op::local_get, moved(group.base));
    code_.op_u32(op::local_get, delayed(group.type, i));
    code_.raw(source.subspan(group.stores.at(i).position, group.stores.at(i).length));
  }
}

// Whether two values, or sums of two, are NaN: one instruction asks that of both. A sum is NaN where an operand is, and seldom else.
void BodyWriter::ask_for_nans(const StoreGroup& group) {
  const bool is_32 = group.type == Type::f32;
  std::vector<std::uint32_t> asked;
  for (std::uint32_t i = 0; i < group.count; ++i)
    if (group.stores.at(i).wanted) asked.push_back(delayed(group.type, i));
  const auto half = [&](std::size_t first, std::size_t last, std::uint32_t which) {
    const std::uint32_t local = first == last ? asked[first] : delayed(group.type, which);
    code_.op_u32(op::local_get, asked[first]);
    if (first != last) {
      code_.op_u32(op::local_get, asked[last]);
      code_.byte(is_32 ? op::f32_add : op::f64_add);
      code_.op_u32(op::local_tee, local);
    }
    code_.op_u32(op::local_get, local);
    code_.byte(is_32 ? op::f32_ne : op::f64_ne);
  };
  half(0, asked.size() > 2 ? 1 : 0, 4);
  half(asked.size() > 2 ? 2 : 1, asked.size() - 1, 5);
  code_.byte(op::i32_or);
}

// A store that nobody reads: with it a branch stays a branch, and is not made a selection that is computed each time. Marks
// differ where two stand in a row, or the second would be dropped.
void BodyWriter::note_rare(std::uint8_t mark) {
  code_.all({op::i32_const, mark});
  code_.op_u32(op::global_set, additions_.rare);
}

void BodyWriter::spill() {
  if (mode_ != FuelMode::local) return;
  code_.op_u32(op::local_get, balance_);
  code_.op_u32(op::global_set, additions_.fuel);
}
void BodyWriter::reload() {
  if (mode_ != FuelMode::local) return;
  code_.op_u32(op::global_get, additions_.fuel);
  code_.op_u32(op::local_set, balance_);
}

// Scalars: a branch that is never taken (a selection takes as many instructions and delays the value). Lanes: (x & ordered) | (nan &
// ~ordered), not bitselect, which this engine's native code takes apart into general registers (measured: 2.3 times the loop's time).
void BodyWriter::canonical(Canonical kind, std::uint8_t mark) {
  const bool is_32 = kind == Canonical::f32 || kind == Canonical::f32x4;
  if (kind == Canonical::f32 || kind == Canonical::f64) {
    const std::uint32_t local = is_32 ? f32_ : f64_;
    code_.op_u32(op::local_tee, local);
    code_.op_u32(op::local_get, local);
    code_.all({is_32 ? op::f32_ne : op::f64_ne, op::if_, empty_block});
    note_rare(mark);
    if (is_32) write_const_f32_nan(code_);
    else write_const_f64_nan(code_);
    code_.op_u32(op::local_set, local);
    code_.byte(op::end);
    return code_.op_u32(op::local_get, local);
  }
  const std::uint8_t equal = is_32 ? f32x4_eq : f64x2_eq;
  code_.op_u32(op::local_tee, v128_);
  const auto ordered = [&] {
    code_.op_u32(op::local_get, v128_);
    code_.op_u32(op::local_get, v128_);
    code_.all({prefix_simd, equal});
  };
  ordered();
  code_.all({prefix_simd, v128_and});
  write_const_nan_lanes(code_, is_32 ? Lanes::f32x4 : Lanes::f64x2);
  ordered();
  code_.all({prefix_simd, v128_andnot, prefix_simd, v128_or});
}

}  // namespace starling::execution::instrument
