#include "worker/execution/instrument/dispatchers.hpp"

#include <algorithm>

namespace starling::execution::instrument {
namespace {

constexpr std::uint32_t slots_max = 512;       // of one type, from its first to its last
constexpr std::uint64_t bytes_free = 65536;    // beside an eighth of the code

struct Slot {
  std::uint32_t index = 0;
  std::optional<std::uint32_t> function;
};

// `i32.const N end`, or none.
std::optional<std::uint32_t> constant_offset(Reader& in) {
  Reader ahead = in;
  copy_constant_expression(in, nullptr, {}, nullptr);
  if (ahead.byte() != op::i32_const) return {};
  const std::int32_t value = ahead.s32();
  if (ahead.byte() != op::end) return {};
  return static_cast<std::uint32_t>(value);
}

// What one expression of a segment leaves in the table; false if it cannot be told.
bool read_item(Reader& in, bool is_expression, std::optional<std::uint32_t>& function) {
  function.reset();
  if (!is_expression) {
    function = in.u32();
    return true;
  }
  const bool is_null = in.peek() == op::ref_null;
  std::vector<std::uint32_t> named;
  copy_constant_expression(in, nullptr, {}, &named);
  if (!named.empty()) function = named.back();
  return is_null || named.size() == 1;
}

// The slots of table 0 in the order in which instantiation writes them; none if they cannot be told.
std::optional<std::vector<Slot>> read_slots(const Module& module) {
  std::vector<Slot> out;
  Reader in(module.elements_section);
  const std::uint32_t segments = in.u32();
  for (std::uint32_t s = 0; s < segments && in.ok(); ++s) {
    const std::uint32_t flags = in.u32();
    const bool is_active = (flags & 1) == 0, has_expressions = (flags & 4) != 0;
    const std::uint32_t table = is_active && (flags & 2) != 0 ? in.u32() : 0;
    std::optional<std::uint32_t> offset;
    if (is_active) offset = constant_offset(in);
    const bool is_ours = is_active && table == 0;
    if (is_ours && !offset) return {};
    if ((flags & 3) != 0) in.byte();
    const std::uint32_t n = in.u32();
    if (is_ours && std::uint64_t{*offset} + n > module.tables[0].limits.min) return {};
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      std::optional<std::uint32_t> function;
      if (!read_item(in, has_expressions, function) && is_ours) return {};
      if (is_ours) out.push_back({*offset + i, function});
    }
  }
  if (!in.ok()) return {};
  return out;
}

// By index, the last writer of each.
void settle(std::vector<Slot>& slots) {
  std::ranges::stable_sort(slots, {}, &Slot::index);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < slots.size(); ++i)
    if (i + 1 == slots.size() || slots[i + 1].index != slots[i].index) slots[kept++] = slots[i];
  slots.resize(kept);
}

bool is_known(const Module& module, const CallGraph& calls) {
  return !module.tables.empty() && module.tables[0].type == Type::funcref && !calls.changes_tables &&
         std::ranges::none_of(module.exports, [](const Export& one) { return one.kind == 1; });
}

// A few bytes for each slot, and a call with its parameters.
std::uint64_t size_of(const Dispatcher& one, const Module& module) {
  return one.slots.size() * (std::uint64_t{16} + std::uint64_t{3} * module.types[one.type].parameters);
}

}  // namespace

std::vector<Dispatcher> find_dispatchers(const Module& module, const CallGraph& calls) {
  if (!is_known(module, calls)) return {};
  auto slots = read_slots(module);
  if (!slots) return {};
  settle(*slots);
  const auto class_of = [&](const Slot& one) { return module.type_class[module.function_types[*one.function]]; };
  std::erase_if(*slots, [&](const Slot& one) { return !one.function || *one.function < module.imported_functions || !calls.called_types[class_of(one)] ||
                                           module.types[module.function_types[*one.function]].parameters >= parameters_max; });
  std::ranges::stable_sort(*slots, {}, class_of);
  std::uint64_t budget = bytes_free;
  for (const Body& body : module.bodies) budget += body.bytes.size() / 8;
  std::vector<Dispatcher> out;
  for (std::size_t begin = 0, end = 0; begin < slots->size(); begin = end) {
    const std::uint32_t type = class_of((*slots)[begin]);
    while (end < slots->size() && class_of((*slots)[end]) == type) ++end;
    const std::uint32_t first = (*slots)[begin].index, last = (*slots)[end - 1].index;
    if (last - first >= slots_max) continue;
    Dispatcher one{module.function_types[*(*slots)[begin].function], first, {}};
    one.slots.resize(last - first + 1);
    for (std::size_t i = begin; i < end; ++i) one.slots[(*slots)[i].index - first] = (*slots)[i].function;
    const std::uint64_t size = size_of(one, module);
    if (size > budget) continue;
    budget -= size;
    out.push_back(std::move(one));
  }
  return out;
}

void write_dispatcher(Writer& out, const Dispatcher& dispatcher, std::uint32_t parameters, std::uint32_t type, const FunctionShift& shift) {
  constexpr std::uint8_t empty_block = 0x40, i32_sub = 0x6B;
  std::vector<std::uint32_t> functions;
  for (const auto& slot : dispatcher.slots)
    if (slot) functions.push_back(*slot);
  std::ranges::sort(functions);
  functions.erase(std::ranges::unique(functions).begin(), functions.end());
  const auto arguments = [&] {
    for (std::uint32_t i = 0; i < parameters; ++i) out.op_u32(op::local_get, i);
  };
  for (std::size_t i = 0; i <= functions.size(); ++i) out.all({op::block, empty_block});
  out.op_u32(op::local_get, parameters);
  out.byte(op::i32_const);
  out.s64(static_cast<std::int32_t>(dispatcher.first_slot));
  out.byte(i32_sub);
  out.op_u32(op::br_table, dispatcher.slots.size());
  for (const auto& slot : dispatcher.slots)
    out.u32(slot ? static_cast<std::size_t>(std::ranges::lower_bound(functions, *slot) - functions.begin()) : functions.size());
  out.u32(functions.size());
  for (const std::uint32_t function : functions) {
    out.byte(op::end);
    arguments();
    out.op_u32(op::call, shift(function));
    out.byte(op::return_);
  }
  out.byte(op::end);
  arguments();
  out.op_u32(op::local_get, parameters);
  out.op_u32(op::call_indirect, type);
  out.all({0, op::end});
}

}  // namespace starling::execution::instrument
