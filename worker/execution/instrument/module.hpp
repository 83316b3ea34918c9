// A module's outer structure as plain values: what the pass must know or rewrite. Contents that are copied as they stand (data,
// bodies, custom sections) are views into the input, which must outlive this.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/instrument/instrument.hpp"
#include "worker/execution/instrument/opcode.hpp"
#include "worker/execution/instrument/reader.hpp"
#include "worker/execution/instrument/writer.hpp"

namespace starling::execution::instrument {

// The engines' common bounds (V8's, which are the JavaScript API's); a module past them is refused, so cost stays linear.
inline constexpr std::uint32_t types_max = 1'000'000;
inline constexpr std::uint32_t functions_max = 1'000'000;
inline constexpr std::uint32_t parameters_max = 1000;
inline constexpr std::uint32_t locals_max = 50'000;
inline constexpr std::uint32_t body_bytes_max = 7'654'321;
inline constexpr std::uint32_t small_counts_max = 1'000'000;        // globals, exports, elements, ...
inline constexpr std::uint64_t locals_in_module_max = 32'000'000;   // they cost a few bytes to write and much to compile

struct FunctionType {
  std::uint32_t first = 0;  // in Module::type_pool: parameters, then results
  std::uint16_t parameters = 0;
  std::uint16_t results = 0;
};

struct Limits {
  std::uint32_t min = 0;
  std::optional<std::uint32_t> max;
};
struct Table {
  Type type = Type::funcref;
  Limits limits;
};
struct Global {
  Type type = Type::i32;
  bool is_mutable = false;
};
struct Export {
  std::string_view name;
  std::uint8_t kind = 0;  // 0 function, 1 table, 2 memory, 3 global
  std::uint32_t index = 0;
};
struct Custom {
  std::string_view name;
  base::ByteView content;
};
struct Body {
  base::ByteView bytes;          // local declarations and code
  std::uint32_t declarations = 0;  // bytes of them
  std::uint32_t groups = 0;      // how many local declarations
  std::uint32_t locals = 0;      // without parameters
};

struct Module {
  std::vector<Type> type_pool;
  std::vector<FunctionType> types;
  std::vector<std::uint32_t> type_class;      // per type: structurally equal ones share a number below types.size()
  std::vector<std::uint32_t> function_types;  // imported functions first
  std::uint32_t imported_functions = 0;
  std::vector<Table> tables;
  std::optional<Limits> memory;
  std::vector<Global> globals;
  std::vector<Export> exports;
  std::optional<std::uint32_t> start;
  std::optional<std::uint32_t> data_count;
  std::vector<Type> element_types;
  std::vector<std::uint32_t> address_taken;   // functions in element segments and global initialisers, with repetitions
  std::vector<Body> bodies;
  std::vector<Custom> customs;
  base::ByteView types_section, imports_section, tables_section, memories_section, globals_section, elements_section, data_section;

  std::span<const Type> parameters_of(std::uint32_t type) const {
    return std::span(type_pool).subspan(types[type].first, types[type].parameters);
  }
  std::span<const Type> results_of(std::uint32_t type) const {
    return std::span(type_pool).subspan(types[type].first + types[type].parameters, types[type].results);
  }
};

// x86-64 code of the engine returns the first two scalar floats of a function in SSE registers and further ones in x87 registers, which
// quiet signalling NaNs; v128 results count among the two. Scalar floats of such functions are returned as integers.
bool travels_as_bits(std::span<const Type> results);

base::Expected<Module> parse_module(base::ByteView wasm, const Options& options);

base::Error damaged(std::string_view where);  // "the module is damaged: ..."

Type read_value_type(Reader& in);  // fails the reader on anything else

// Both copy one thing to `out` (unless null), adding `shift` to the indices of functions from `first_shifted` on, and report
// each function that is named.
struct FunctionShift {
  std::uint32_t first_shifted = 0;
  std::uint32_t shift = 0;
  std::uint32_t operator()(std::uint32_t function) const { return function < first_shifted ? function : function + shift; }
};
void copy_constant_expression(Reader& in, Writer* out, const FunctionShift& shift, std::vector<std::uint32_t>* named);
// One element segment; gives its type.
Type copy_element(Reader& in, Writer* out, const FunctionShift& shift, std::vector<std::uint32_t>* named);

}  // namespace starling::execution::instrument
