#include "worker/execution/instrument/instrument.hpp"

#include <algorithm>
#include <array>

#include "coordinator-less/base/check.hpp"
#include "worker/execution/instrument/body_writer.hpp"
#include "worker/execution/instrument/dispatchers.hpp"
#include "worker/execution/instrument/fuel_table.hpp"
#include "worker/execution/instrument/name_section.hpp"

namespace starling::execution::instrument {
namespace {

constexpr std::uint32_t added_imports = 2;
constexpr std::uint8_t empty_block = 0x40;

// Sections that speak of byte offsets into code or data that moved.
bool is_stale(std::string_view name) {
  return name.starts_with(".debug_") || name.starts_with("reloc.") || name == "linking" || name == "sourceMappingURL" ||
         name == "external_debug_info" || name == "build_id" || name == "dylink.0" || name.starts_with("metadata.code.") ||
         name.starts_with(reserved_prefix);
}

// Copies a vector section's entries behind a new count, then lets the caller append.
void copy_entries(Writer& out, base::ByteView section, std::uint32_t added) {
  Reader in(section);
  const std::uint32_t count = section.empty() ? 0 : in.u32();
  out.u32(std::uint64_t{count} + added);
  out.raw(in.take(in.left()));
}

class Output {
 public:
  Output(const Module& module, const CallGraph& calls, const Options& options) : module_(module), calls_(calls), options_(options), dispatchers_(find_dispatchers(module, calls)) {
    number();
  }

  base::Expected<base::Bytes> write(Report& report) {
    out_.raw(base::view(std::string_view("\0asm\1\0\0\0", 8)));
    section(1, [&](Writer& out) { types(out); });
    section(2, [&](Writer& out) { imports(out); });
    section(3, [&](Writer& out) { functions(out); });
    if (!module_.tables.empty()) out_.section(4, module_.tables_section);
    if (!module_.memories_section.empty()) out_.section(5, module_.memories_section);
    section(6, [&](Writer& out) { globals(out); });
    section(7, [&](Writer& out) { exports(out); });
    if (!module_.elements_section.empty()) section(9, [&](Writer& out) { elements(out); });
    if (module_.data_count) section(12, [&](Writer& out) { out.u32(*module_.data_count); });
    Writer code;
    STARLING_TRY([[maybe_unused]] const bool written, bodies(code, report));
    out_.section(10, code.view());
    if (!module_.data_section.empty()) out_.section(11, module_.data_section);
    customs();
    return std::move(out_.bytes());
  }

 private:
  template <class Fill>
  void section(std::uint8_t id, Fill&& fill) {
    Writer content;
    fill(content);
    out_.section(id, content.view());
  }

  void number() {
    const auto functions = static_cast<std::uint32_t>(module_.function_types.size());
    additions_.shift = {module_.imported_functions, added_imports};
    slice_ = module_.imported_functions;
    additions_.fail = module_.imported_functions + 1;
    additions_.charge_bytes = functions + added_imports;
    additions_.charge_elements = additions_.charge_bytes + 1;
    additions_.next_slice = additions_.charge_bytes + 2;
    additions_.memory_grow = additions_.charge_bytes + 3;
    additions_.first_table_grow = additions_.charge_bytes + 3 + (module_.memory ? 1U : 0U);
    const auto globals = static_cast<std::uint32_t>(module_.globals.size());
    additions_.fuel = globals;
    additions_.stack = globals + 1;
    additions_.memory_pages = globals + 2;
    additions_.table_elements = globals + 3;
    additions_.rare = globals + 4;
    additions_.dispatchers.assign(module_.types.size(), 0);
    std::uint32_t next = additions_.first_table_grow + static_cast<std::uint32_t>(module_.tables.size());
    for (const Dispatcher& one : dispatchers_) additions_.dispatchers[module_.type_class[one.type]] = next++;
    number_types();
  }

  // Types of our own stand behind the program's: slice, fail, i32 -> i32, one per table, functions that return bits or the balance, blocks around bodies.
  void number_types() {
    slice_type_ = static_cast<std::uint32_t>(module_.types.size());
    fail_type_ = slice_type_ + 1;
    count_type_ = slice_type_ + 2;
    next_type_ = slice_type_ + 3 + static_cast<std::uint32_t>(module_.tables.size());
    additions_.block_types.assign(module_.types.size(), 0);
    additions_.function_types.resize(module_.types.size());
    for (std::uint32_t type = 0; type < module_.types.size(); ++type) {
      const bool bits = travels_as_bits(module_.results_of(type));
      additions_.function_types[type] = bits ? next_type_++ : type;
      if (bits) bits_of_.push_back(type);
    }
    for (auto& of_type : balance_types_) of_type.assign(module_.types.size(), 0);
    for (std::uint32_t f = module_.imported_functions; f < module_.function_types.size(); ++f) {
      const std::uint32_t type = module_.function_types[f];
      const bool takes = calls_.functions[f].takes_state;
      if (!calls_.functions[f].returns_balance || balance_types_[takes ? 1 : 0][type] != 0) continue;
      balance_types_[takes ? 1 : 0][type] = next_type_++;
      balance_of_.push_back({type, takes});
    }
    for (std::uint32_t f = module_.imported_functions; f < module_.function_types.size(); ++f) {
      const std::uint32_t type = module_.function_types[f];
      if (!is_wrapped(calls_.functions[f]) || module_.types[type].results < 2 || additions_.block_types[type] != 0) continue;
      additions_.block_types[type] = next_type_++;
      blocks_of_.push_back(type);
    }
    next_type_ += static_cast<std::uint32_t>(dispatchers_.size());
  }

  std::uint32_t first_dispatcher_type() const { return next_type_ - static_cast<std::uint32_t>(dispatchers_.size()); }

  void types(Writer& out) {
    copy_entries(out, module_.types_section, next_type_ - slice_type_);
    const auto i32 = static_cast<std::uint8_t>(Type::i32);
    const auto i64 = static_cast<std::uint8_t>(Type::i64);
    out.all({0x60, 5, i64, i64, i64, i64, i64, 1, i64});
    out.all({0x60, 1, i32, 0});
    out.all({0x60, 1, i32, 1, i32});
    for (const Table& table : module_.tables) out.all({0x60, 2, static_cast<std::uint8_t>(table.type), i32, 1, i32});
    for (const auto type : bits_of_) type_as_bits(out, type);
    for (const auto& [type, takes] : balance_of_) type_with_balance(out, type, takes);
    for (const auto type : blocks_of_) {
      const auto results = module_.results_of(type);
      out.all({0x60, 0});
      out.u32(results.size());
      for (const Type one : results) out.byte(static_cast<std::uint8_t>(one));
    }
    for (const Dispatcher& one : dispatchers_) type_of_dispatcher(out, one.type);
  }

  void type_of_dispatcher(Writer& out, std::uint32_t type) {
    const auto parameters = module_.parameters_of(type), results = module_.results_of(type);
    out.byte(0x60);
    out.u32(parameters.size() + 1);
    for (const Type one : parameters) out.byte(static_cast<std::uint8_t>(one));
    out.byte(static_cast<std::uint8_t>(Type::i32));
    if (travels_as_bits(results)) return results_as_bits(out, results);
    out.u32(results.size());
    for (const Type one : results) out.byte(static_cast<std::uint8_t>(one));
  }

  void type_as_bits(Writer& out, std::uint32_t type) {
    const auto parameters = module_.parameters_of(type), results = module_.results_of(type);
    out.byte(0x60);
    out.u32(parameters.size());
    for (const Type one : parameters) out.byte(static_cast<std::uint8_t>(one));
    results_as_bits(out, results);
  }

  static void results_as_bits(Writer& out, std::span<const Type> results) {
    out.u32(2 * results.size());
    for (const Type one : results) out.byte(static_cast<std::uint8_t>(as_bits(one)));
    for (const Type one : results) out.byte(static_cast<std::uint8_t>(as_bits(one) == one ? Type::i32 : Type::i64));
  }

  void type_with_balance(Writer& out, std::uint32_t type, bool takes) {
    const auto parameters = module_.parameters_of(type), results = module_.results_of(type);
    out.byte(0x60);
    out.u32(parameters.size() + (takes ? state_parameters : 0));
    for (const Type one : parameters) out.byte(static_cast<std::uint8_t>(one));
    if (takes) out.all({static_cast<std::uint8_t>(Type::i64), static_cast<std::uint8_t>(Type::i32)});
    out.u32(results.size() + 1);
    for (const Type one : results) out.byte(static_cast<std::uint8_t>(one));
    out.byte(static_cast<std::uint8_t>(Type::i64));
  }

  std::uint32_t type_of(std::size_t function) const {
    const std::uint32_t type = module_.function_types[function];
    const FunctionFacts& facts = calls_.functions[function];
    return facts.returns_balance ? balance_types_[facts.takes_state ? 1 : 0][type] : additions_.function_types[type];
  }

  void imports(Writer& out) {
    copy_entries(out, module_.imports_section, added_imports);
    const auto add = [&](std::string_view name, std::uint32_t type) {
      out.name(host_module);
      out.name(name);
      out.byte(0);
      out.u32(type);
    };
    add(slice_name, slice_type_);
    add(fail_name, fail_type_);
  }

  std::uint32_t helpers() const { return 3U + (module_.memory ? 1U : 0U) + static_cast<std::uint32_t>(module_.tables.size() + dispatchers_.size()); }

  void functions(Writer& out) {
    out.u32(module_.bodies.size() + helpers());
    for (std::size_t f = module_.imported_functions; f < module_.function_types.size(); ++f) out.u32(type_of(f));
    for (const auto type : {count_type_, count_type_, slice_type_}) out.u32(type);
    if (module_.memory) out.u32(count_type_);
    for (std::uint32_t i = 0; i < module_.tables.size(); ++i) out.u32(count_type_ + 1 + i);
    for (std::uint32_t i = 0; i < dispatchers_.size(); ++i) out.u32(first_dispatcher_type() + i);
  }

  void globals(Writer& out) {
    Reader in(module_.globals_section);
    out.u32((module_.globals_section.empty() ? 0 : in.u32()) + std::uint64_t{5});
    for (std::size_t i = 0; i < module_.globals.size(); ++i) {
      out.byte(in.byte());
      out.byte(in.byte());
      copy_constant_expression(in, &out, additions_.shift, nullptr);
    }
    const auto add = [&](Type type, std::int64_t value) {
      out.all({static_cast<std::uint8_t>(type), 1, type == Type::i32 ? op::i32_const : op::i64_const});
      out.s64(value);
      out.byte(op::end);
    };
    add(Type::i64, 0);
    add(Type::i32, options_.stack_slots_max);
    add(Type::i64, 65536);
    std::int64_t held = 0;
    for (const Table& table : module_.tables) held += table.limits.min;
    add(Type::i64, -held);
    add(Type::i32, 0);
  }

  void exports(Writer& out) {
    std::vector<std::uint32_t> numeric;
    for (std::uint32_t i = 0; i < module_.globals.size(); ++i)
      if (module_.globals[i].is_mutable && !is_reference(module_.globals[i].type)) numeric.push_back(i);
    out.u32(module_.exports.size() + 4 + numeric.size() + (module_.start ? 1U : 0U));
    for (const Export& one : module_.exports) {
      out.name(one.name);
      out.byte(one.kind);
      out.u32(one.kind == 0 ? additions_.shift(one.index) : one.index);
    }
    const auto add = [&](std::string_view name, std::uint8_t kind, std::uint32_t index) {
      out.name(name);
      out.byte(kind);
      out.u32(index);
    };
    add(fuel_export, 3, additions_.fuel);
    add(stack_export, 3, additions_.stack);
    add(memory_pages_export, 3, additions_.memory_pages);
    add(table_elements_export, 3, additions_.table_elements);
    for (const auto i : numeric) add("starling.global." + std::to_string(i), 3, i);
    if (module_.start) add(start_export, 0, additions_.shift(*module_.start));
  }

  void elements(Writer& out) {
    Reader in(module_.elements_section);
    const std::uint32_t count = in.u32();
    out.u32(count);
    for (std::uint32_t i = 0; i < count; ++i) copy_element(in, &out, additions_.shift, nullptr);
    STARLING_ENSURE(in.ok());  // it was read before
  }

  base::Expected<bool> bodies(Writer& out, Report& report) {
    out.u32(module_.bodies.size() + helpers());
    Walker walker(module_, calls_);
    BodyWriter writer(module_, calls_, additions_);
    for (std::uint32_t f = module_.imported_functions; f < module_.function_types.size(); ++f) {
      STARLING_TRY(const FunctionPlan* const plan, walker.walk(f));
      writer.write(out, f, *plan, report);
    }
    const auto add = [&](auto&& fill) {
      Writer body;
      fill(body);
      out.u32(body.view().size());
      out.raw(body.view());
    };
    add([&](Writer& body) { charge_length(body, fuel::bytes_shift); });
    add([&](Writer& body) { charge_length(body, 0); });
    add([&](Writer& body) { next_slice(body); });
    if (module_.memory) add([&](Writer& body) { memory_grow(body); });
    for (std::uint32_t i = 0; i < module_.tables.size(); ++i) add([&](Writer& body) { table_grow(body, i); });
    report.dispatchers = static_cast<std::uint32_t>(dispatchers_.size());
    for (const Dispatcher& one : dispatchers_) {
      add([&](Writer& body) {
        body.byte(0);
        write_dispatcher(body, one, module_.types[one.type].parameters, additions_.function_types[one.type], additions_.shift);
      });
    }
    return true;
  }

  void check_balance(Writer& out) const {
    out.op_u32(op::global_get, additions_.fuel);
    out.all({op::i64_const, 0, op::i64_lt_s, op::if_, empty_block});
    out.op_u32(op::global_get, additions_.fuel);
    for (int i = 0; i < 4; ++i) out.all({op::i64_const, 0});
    out.op_u32(op::call, additions_.next_slice);
    out.op_u32(op::global_set, additions_.fuel);
    out.byte(op::end);
  }

  // Calls slice. Compilers inline a host call's long marshalling wherever it stands, into hot frames too; they do not inline what
  // calls itself. This never really does: a balance from slice is not negative.
  void next_slice(Writer& out) const {
    out.byte(0);
    const auto arguments = [&] {
      for (std::uint8_t i = 0; i < 5; ++i) out.all({op::local_get, i});
    };
    arguments();
    out.op_u32(op::call, slice_);
    out.all({op::local_tee, 0, op::i64_const, 0, op::i64_lt_s, op::if_, static_cast<std::uint8_t>(Type::i64), op::i64_const, 0});
    arguments();
    out.op_u32(op::call, additions_.next_slice);
    out.all({op::i64_sub, op::else_, op::local_get, 0, op::end, op::end});
  }

  // (length) -> length, charged and checked.
  void charge_length(Writer& out, std::uint8_t shift) const {
    out.byte(0);
    out.op_u32(op::global_get, additions_.fuel);
    out.all({op::local_get, 0, op::i64_extend_i32_u, op::i64_const, shift, op::i64_shr_u, op::i64_sub});
    out.op_u32(op::global_set, additions_.fuel);
    check_balance(out);
    out.all({op::local_get, 0, op::end});
  }

  // delta + size > limit: -1. Else grow; -1 in spite of that is the host's fault, unless the program's own maximum forbids it.
  void memory_grow(Writer& out) const {
    out.byte(0);
    const auto over = [&](auto&& limit) {
      out.all({op::local_get, 0, op::i64_extend_i32_u, op::memory_size, 0, op::i64_extend_i32_u, op::i64_add});
      limit();
      out.all({op::i64_gt_u, op::if_, empty_block, op::i32_const, 0x7F, op::return_, op::end});
    };
    over([&] { out.op_u32(op::global_get, additions_.memory_pages); });
    over([&] {
      out.byte(op::i64_const);
      out.s64(module_.memory->max.value_or(65536));
    });
    charge_product(out, 0, fuel::page_grown);
    out.all({op::local_get, 0, op::memory_grow, 0, op::local_tee, 0});
    finish_grow(out, 0, Failure::memory_grow);
  }

  // The same, of what all tables together may still take.
  void table_grow(Writer& out, std::uint32_t table) const {
    out.byte(0);
    const auto refuse = [&] { out.all({op::if_, empty_block, op::i32_const, 0x7F, op::return_, op::end}); };
    const auto left_after = [&] {
      out.op_u32(op::global_get, additions_.table_elements);
      out.all({op::local_get, 1, op::i64_extend_i32_u, op::i64_sub});
    };
    left_after();
    out.all({op::i64_const, 0, op::i64_lt_s});
    refuse();
    out.all({op::local_get, 1, op::i64_extend_i32_u, prefix_misc, op::table_size});
    out.u32(table);
    out.all({op::i64_extend_i32_u, op::i64_add, op::i64_const});
    out.s64(module_.tables[table].limits.max.value_or(UINT32_MAX));
    out.byte(op::i64_gt_u);
    refuse();
    charge_product(out, 1, fuel::element);
    left_after();
    out.op_u32(op::global_set, additions_.table_elements);
    out.all({op::local_get, 0, op::local_get, 1, prefix_misc, op::table_grow});
    out.u32(table);
    out.all({op::local_tee, 1});
    finish_grow(out, 1, Failure::table_grow);
  }

  void charge_product(Writer& out, std::uint8_t local, std::uint32_t each) const {
    out.op_u32(op::global_get, additions_.fuel);
    out.all({op::local_get, local, op::i64_extend_i32_u, op::i64_const});
    out.s64(each);
    out.all({op::i64_mul, op::i64_sub});
    out.op_u32(op::global_set, additions_.fuel);
    check_balance(out);
  }

  void finish_grow(Writer& out, std::uint8_t local, Failure failure) const {
    out.all({op::i32_const, 0x7F, op::i32_eq, op::if_, empty_block, op::i32_const, static_cast<std::uint8_t>(failure)});
    out.op_u32(op::call, additions_.fail);
    out.all({op::unreachable, op::end, op::local_get, local, op::end});
  }

  FunctionShift locals_of(std::uint32_t function) const {
    if (function >= module_.function_types.size() || !calls_.functions[function].takes_state) return {};
    return {module_.types[module_.function_types[function]].parameters, state_parameters};
  }

  void customs() {
    for (const Custom& one : module_.customs) {
      if (is_stale(one.name)) continue;
      Writer content;
      content.name(one.name);
      if (one.name == "name") {
        if (!rewrite_names(one.content, additions_.shift, [&](std::uint32_t function) { return locals_of(function); }, content)) continue;
      } else {
        content.raw(one.content);
      }
      out_.section(0, content.view());
    }
    Writer mark;
    mark.name(mark_section);
    mark.u32(instrumenter_version);
    mark.u32(fuel::fuel_table_version);
    out_.section(0, mark.view());
  }

  const Module& module_;
  const CallGraph& calls_;
  const Options& options_;
  std::vector<Dispatcher> dispatchers_;
  Additions additions_;
  std::uint32_t slice_ = 0, slice_type_ = 0, fail_type_ = 0, count_type_ = 0, next_type_ = 0;
  std::vector<std::uint32_t> blocks_of_, bits_of_;
  std::vector<std::pair<std::uint32_t, bool>> balance_of_;        // type, takes_state
  std::array<std::vector<std::uint32_t>, 2> balance_types_;       // by takes_state, per type
  Writer out_;
};

void describe(const Module& module, Report& report) {
  report.functions = static_cast<std::uint32_t>(module.bodies.size());
  if (module.memory) report.memory_pages_min = module.memory->min;
  for (const Table& table : module.tables) report.table_elements_min += table.limits.min;
  Reader in(module.imports_section);
  const std::uint32_t count = module.imports_section.empty() ? 0 : in.u32();
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto from = in.name();
    const auto name = in.name();
    in.byte();
    in.u32();
    report.imports.push_back(std::string(from) + "." + std::string(name));
  }
}

}  // namespace

base::Expected<Instrumented> instrument(base::ByteView wasm, const Options& options) {
  STARLING_TRY(const Module module, parse_module(wasm, options));
  Instrumented out;
  describe(module, out.report);
  STARLING_TRY(const CallGraph calls, analyse_calls(module, options, out.report));
  STARLING_TRY(out.module, Output(module, calls, options).write(out.report));
  return out;
}

}  // namespace starling::execution::instrument
