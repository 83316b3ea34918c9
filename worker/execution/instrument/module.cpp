#include "worker/execution/instrument/module.hpp"

#include <algorithm>
#include <numeric>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "worker/execution/instrument/features.hpp"

namespace starling::execution::instrument {
namespace {

enum Section : std::uint8_t { custom, type, import, function, table, memory, global, export_, start, element, code, data, data_count, tag };

// The place of each section in the order that the specification asks for.
constexpr std::uint8_t order_of(std::uint8_t id) {
  constexpr std::uint8_t order[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10};
  return id < std::size(order) ? order[id] : std::uint8_t{0};
}

class Parser {
 public:
  Parser(base::ByteView wasm, const Options& options) : in_(wasm), options_(options) {}

  base::Expected<Module> parse() {
    if (in_.left() < 8 || base::text(in_.take(4)) != std::string_view("\0asm", 4))
      return base::fail(base::ErrorCode::bad_input, "not a WebAssembly module", "pass a .wasm file compiled for wasm32-wasip1");
    if (base::read_u32(in_.take(4)) != 1)
      return base::fail(base::ErrorCode::bad_input, "a WebAssembly component or a module of an unknown version", "pass a core module");
    std::uint8_t last = 0;
    while (!in_.at_end()) {
      const std::uint8_t id = in_.byte();
      const base::ByteView content = in_.take(in_.u32());
      if (!in_.ok()) return std::unexpected(damaged("a section is cut short"));
      if (id == tag) return std::unexpected(unsupported("exceptions"));
      if (id > tag) return std::unexpected(damaged("an unknown section"));
      if (id != custom) {
        if (order_of(id) <= last) return std::unexpected(damaged("sections out of order"));
        last = order_of(id);
      }
      Reader section(content);
      STARLING_TRY([[maybe_unused]] const bool read, read_section(id, section, content));
      if (!section.ok() || (id != custom && id != data && !section.at_end())) return std::unexpected(damaged("a section's content"));
    }
    if (module_.bodies.size() != module_.function_types.size() - module_.imported_functions)
      return std::unexpected(damaged("functions without bodies"));
    return std::move(module_);
  }

 private:
  base::Expected<bool> read_section(std::uint8_t id, Reader& in, base::ByteView content) {
    switch (id) {
      case custom: return read_custom(in);
      case type: module_.types_section = content; return read_types(in);
      case import: module_.imports_section = content; return read_imports(in);
      case function: return read_functions(in);
      case table: module_.tables_section = content; return read_tables(in);
      case memory: module_.memories_section = content; return read_memories(in);
      case global: module_.globals_section = content; return read_globals(in);
      case export_: return read_exports(in);
      case start: return read_start(in);
      case element: module_.elements_section = content; return read_elements(in);
      case code: return read_bodies(in);
      case data_count: module_.data_count = in.u32(); return true;
      default: module_.data_section = content; return true;
    }
  }

  base::Expected<bool> read_custom(Reader& in) {
    Custom out;
    out.name = in.name();
    out.content = in.take(in.left());
    if (out.name == mark_section) return std::unexpected(instrumented_already());
    if (out.name == "wasmedge")
      return base::fail(base::ErrorCode::bad_input, "the module carries native code", "submit the plain module; every peer compiles it itself");
    module_.customs.push_back(out);
    return true;
  }

  static base::Error instrumented_already() {
    return {base::ErrorCode::bad_input, "the module has been instrumented already", "pass the program as it was compiled"};
  }

  std::uint32_t count(Reader& in, std::uint32_t max) {
    const std::uint32_t n = in.u32();
    if (n > max || n > in.left()) in.fail();  // every entry takes a byte at least
    return in.ok() ? n : 0;
  }

  base::Expected<bool> read_types(Reader& in) {
    const std::uint32_t n = count(in, types_max);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      const std::uint8_t form = in.byte();
      if (form == 0x4E || form == 0x4F || form == 0x50 || form == 0x5E || form == 0x5F)
        return std::unexpected(unsupported("garbage collection (recursive or structured types)"));
      if (form != 0x60) return std::unexpected(damaged("a function type"));
      FunctionType out;
      out.first = static_cast<std::uint32_t>(module_.type_pool.size());
      for (auto* half : {&out.parameters, &out.results}) {
        *half = static_cast<std::uint16_t>(count(in, parameters_max));
        for (unsigned k = 0; k < *half; ++k) {
          if (in.peek() < 0x6F || in.peek() > 0x7F || (in.peek() > 0x70 && in.peek() < 0x7B)) return std::unexpected(unsupported_type(in.peek()));
          module_.type_pool.push_back(read_value_type(in));
        }
      }
      module_.types.push_back(out);
    }
    classify_types();
    return true;
  }

  void classify_types() {
    std::vector<std::uint32_t> sorted(module_.types.size());
    std::iota(sorted.begin(), sorted.end(), 0U);
    const auto less = [&](std::uint32_t a, std::uint32_t b) {
      const auto& x = module_.types[a];
      const auto& y = module_.types[b];
      if (x.parameters != y.parameters) return x.parameters < y.parameters;
      if (x.results != y.results) return x.results < y.results;
      const auto begin = module_.type_pool.begin();
      return std::lexicographical_compare(begin + x.first, begin + x.first + x.parameters + x.results, begin + y.first,
                                          begin + y.first + y.parameters + y.results);
    };
    std::ranges::stable_sort(sorted, less);
    module_.type_class.resize(sorted.size());
    for (std::size_t i = 0; i < sorted.size(); ++i)
      module_.type_class[sorted[i]] = i > 0 && !less(sorted[i - 1], sorted[i]) ? module_.type_class[sorted[i - 1]] : sorted[i];
  }

  base::Expected<bool> read_imports(Reader& in) {
    const std::uint32_t n = count(in, small_counts_max);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      const std::string_view from = in.name();
      const std::string_view name = in.name();
      const std::uint8_t kind = in.byte();
      if (!in.ok()) break;
      if (from == host_module) return std::unexpected(instrumented_already());
      const std::string full = std::string(from.substr(0, 100)) + "." + std::string(name.substr(0, 100));
      if (kind != 0) return base::fail(base::ErrorCode::bad_input, "the program imports " + full + ", which is not a function",
                                       "compile it with a wasm32-wasip1 toolchain; memories, tables and globals are its own");
      const std::uint32_t type = in.u32();
      if (type >= module_.types.size()) return std::unexpected(damaged("an import's type"));
      const auto known = std::ranges::find_if(options_.imports, [&](const KnownImport& one) { return one.module == from && one.name == name; });
      if (known == options_.imports.end())
        return base::fail(base::ErrorCode::bad_input, "the program imports " + full + ", which starling does not offer",
                          "link it in; a program may import only functions of wasi_snapshot_preview1");
      if (!has_signature(type, *known))
        return base::fail(base::ErrorCode::bad_input, "the program imports " + full + " with a wrong signature",
                          "compile it with a wasm32-wasip1 toolchain");
      module_.function_types.push_back(type);
      ++module_.imported_functions;
    }
    return true;
  }

  bool has_signature(std::uint32_t type, const KnownImport& known) const {
    const auto parameters = module_.parameters_of(type);
    const auto results = module_.results_of(type);
    return std::ranges::equal(parameters, known.parameters, [](Type a, char b) { return a == (b == 'I' ? Type::i64 : Type::i32); }) &&
           results.size() == (known.returns_i32 ? 1U : 0U) && (results.empty() || results[0] == Type::i32);
  }

  base::Expected<bool> read_functions(Reader& in) {
    const std::uint32_t n = count(in, functions_max);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      const std::uint32_t type = in.u32();
      if (type >= module_.types.size()) return std::unexpected(damaged("a function's type"));
      module_.function_types.push_back(type);
    }
    return true;
  }

  base::Expected<Limits> read_limits(Reader& in, bool is_memory) {
    const std::uint8_t flags = in.byte();
    if ((flags & 4) != 0) return std::unexpected(unsupported(is_memory ? "memory64" : "64-bit tables"));
    if ((flags & 2) != 0) return std::unexpected(unsupported("threads (shared memory)"));
    if (flags > 1) return std::unexpected(damaged("a memory's or table's limits"));
    Limits out;
    out.min = in.u32();
    if (flags == 1) out.max = in.u32();
    return out;
  }

  base::Expected<bool> read_tables(Reader& in) {
    const std::uint32_t n = count(in, small_counts_max);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      if (in.peek() != 0x70 && in.peek() != 0x6F) return std::unexpected(unsupported("typed function references or garbage collection (a table's type)"));
      Table out;
      out.type = read_value_type(in);
      STARLING_TRY(out.limits, read_limits(in, false));
      module_.tables.push_back(out);
    }
    return true;
  }

  base::Expected<bool> read_memories(Reader& in) {
    const std::uint32_t n = count(in, small_counts_max);
    if (n > 1) return std::unexpected(unsupported("several memories"));
    if (n == 1) {
      STARLING_TRY(module_.memory, read_limits(in, true));
      if (module_.memory->min > 65536 || module_.memory->max.value_or(0) > 65536) return std::unexpected(damaged("the memory's limits"));
    }
    return true;
  }

  base::Expected<bool> read_globals(Reader& in) {
    const std::uint32_t n = count(in, small_counts_max);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      Global out;
      if (in.peek() == 0x63 || in.peek() == 0x64 || (in.peek() > 0x70 && in.peek() < 0x7B)) return std::unexpected(unsupported_type(in.peek()));
      out.type = read_value_type(in);
      const std::uint8_t flag = in.byte();
      if (flag > 1) return std::unexpected(damaged("a global"));
      out.is_mutable = flag == 1;
      copy_constant_expression(in, nullptr, {}, &module_.address_taken);
      module_.globals.push_back(out);
    }
    return true;
  }

  base::Expected<bool> read_exports(Reader& in) {
    const std::uint32_t n = count(in, small_counts_max);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      Export out;
      out.name = in.name();
      out.kind = in.byte();
      out.index = in.u32();
      if (!in.ok()) break;
      if (out.kind == 4) return std::unexpected(unsupported("exceptions"));
      if (out.kind > 4) return std::unexpected(damaged("an export"));
      if (out.name.starts_with(reserved_prefix))
        return base::fail(base::ErrorCode::bad_input, "the program exports " + std::string(out.name.substr(0, 100)) + ", a reserved name",
                          "export it under a name that does not begin with \"starling.\"");
      const std::size_t bounds[] = {module_.function_types.size(), module_.tables.size(), module_.memory ? 1U : 0U, module_.globals.size()};
      if (out.index >= bounds[out.kind]) return std::unexpected(damaged("an export's index"));
      module_.exports.push_back(out);
    }
    return true;
  }

  base::Expected<bool> read_start(Reader& in) {
    module_.start = in.u32();
    if (*module_.start >= module_.function_types.size()) return std::unexpected(damaged("the start function"));
    const FunctionType& type = module_.types[module_.function_types[*module_.start]];
    if (type.parameters != 0 || type.results != 0) return std::unexpected(damaged("the start function's type"));
    return true;
  }

  base::Expected<bool> read_elements(Reader& in) {
    const std::uint32_t n = count(in, small_counts_max);
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) module_.element_types.push_back(copy_element(in, nullptr, {}, &module_.address_taken));
    return true;
  }

  base::Expected<bool> read_bodies(Reader& in) {
    const std::uint32_t n = count(in, functions_max);
    std::uint64_t locals = 0;
    for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
      const std::uint32_t size = in.u32();
      if (size > body_bytes_max)
        return base::fail(base::ErrorCode::bad_input, "a function is larger than 7.6 MB", "split it; no engine compiles such functions");
      Body out;
      out.bytes = in.take(size);
      Reader body(out.bytes);
      out.groups = body.u32();
      std::uint64_t sum = 0;
      for (std::uint32_t g = 0; g < out.groups && body.ok() && sum <= locals_max; ++g) {
        sum += body.u32();
        read_value_type(body);
      }
      if (!body.ok()) return std::unexpected(damaged("a function's locals"));
      locals += sum;
      if (sum > locals_max || locals > locals_in_module_max)
        return base::fail(base::ErrorCode::bad_input, "a function has more than 50000 locals, or the module more than 32 million",
                          "compile it with optimisation");
      out.locals = static_cast<std::uint32_t>(sum);
      out.declarations = body.position();
      module_.bodies.push_back(out);
    }
    return true;
  }

  Reader in_;
  const Options& options_;
  Module module_;
};

}  // namespace

bool travels_as_bits(std::span<const Type> results) {
  const auto is_scalar = [](Type type) { return type == Type::f32 || type == Type::f64; };
  return std::ranges::count_if(results, is_floating) > 2 && std::ranges::any_of(results, is_scalar);
}

base::Error damaged(std::string_view where) {
  return {base::ErrorCode::bad_input, "not a valid WebAssembly 2.0 module: " + std::string(where), "compile or copy it again"};
}

base::Expected<Module> parse_module(base::ByteView wasm, const Options& options) {
  if (wasm.size() > limits::program_bytes_max) return base::fail(base::ErrorCode::bad_input, "the program is larger than 256 MiB", "strip it");
  return Parser(wasm, options).parse();
}

Type read_value_type(Reader& in) {
  const std::uint8_t byte = in.byte();
  if ((byte >= 0x7B && byte <= 0x7F) || byte == 0x70 || byte == 0x6F) return static_cast<Type>(byte);
  in.fail();
  return Type::i32;
}

void copy_constant_expression(Reader& in, Writer* out, const FunctionShift& shift, std::vector<std::uint32_t>* named) {
  while (in.ok()) {
    const std::uint8_t code = in.byte();
    if (out) out->byte(code);
    switch (code) {
      case op::end: return;
      case op::i32_const: {
        const std::int32_t value = in.s32();
        if (out) out->s64(value);
        break;
      }
      case op::i64_const: {
        const std::int64_t value = in.s64();
        if (out) out->s64(value);
        break;
      }
      case op::f32_const:
      case op::f64_const: {
        const auto bytes = in.take(code == op::f32_const ? 4 : 8);
        if (out) out->raw(bytes);
        break;
      }
      case prefix_simd: {
        if (in.u32() != op::v128_const) return in.fail();
        const auto bytes = in.take(16);
        if (out) {
          out->u32(op::v128_const);
          out->raw(bytes);
        }
        break;
      }
      case op::ref_null: {
        const Type type = read_value_type(in);
        if (!is_reference(type)) return in.fail();
        if (out) out->byte(static_cast<std::uint8_t>(type));
        break;
      }
      case op::ref_func: {
        const std::uint32_t index = in.u32();
        if (named) named->push_back(index);
        if (out) out->u32(shift(index));
        break;
      }
      case op::global_get: {
        const std::uint32_t index = in.u32();
        if (out) out->u32(index);
        break;
      }
      case 0x6A: case 0x6B: case 0x6C: case 0x7C: case 0x7D: case 0x7E: break;  // extended const
      default: return in.fail();
    }
  }
}

Type copy_element(Reader& in, Writer* out, const FunctionShift& shift, std::vector<std::uint32_t>* named) {
  const std::uint32_t flags = in.u32();
  if (flags > 7) in.fail();
  const bool is_active = (flags & 1) == 0;
  const bool has_expressions = (flags & 4) != 0;
  if (out) out->u32(flags);
  if (is_active && (flags & 2) != 0) {
    const std::uint32_t table = in.u32();
    if (out) out->u32(table);
  }
  if (is_active) copy_constant_expression(in, out, shift, named);
  Type type = Type::funcref;
  if ((flags & 3) != 0) {
    const std::uint8_t kind = has_expressions ? static_cast<std::uint8_t>(read_value_type(in)) : in.byte();
    if (has_expressions) type = static_cast<Type>(kind);
    if (has_expressions ? !is_reference(type) : kind != 0) in.fail();
    if (out) out->byte(kind);
  }
  const std::uint32_t n = in.u32();
  if (n > in.left()) in.fail();
  if (out) out->u32(n);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
    if (has_expressions) {
      copy_constant_expression(in, out, shift, named);
      continue;
    }
    const std::uint32_t function = in.u32();
    if (named) named->push_back(function);
    if (out) out->u32(shift(function));
  }
  return type;
}

}  // namespace starling::execution::instrument
