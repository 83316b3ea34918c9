#include "tests/support/wasm_writer.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"

namespace starling::testing {
namespace {

constexpr std::uint8_t custom_id = 0, type_id = 1, import_id = 2, function_id = 3, table_id = 4, memory_id = 5, global_id = 6,
                       export_id = 7, start_id = 8, element_id = 9, code_id = 10, data_id = 11, data_count_id = 12;

void append_limits(Wasm& out, Limits limits) {
  out.u8(limits.has_max ? 1 : 0).u32(limits.min);
  if (limits.has_max) out.u32(limits.max);
}

// Neighbours of one type share a group, as compilers write them.
void append_locals(Wasm& out, std::string_view locals) {
  Wasm groups;
  std::uint32_t count = 0;
  for (std::size_t at = 0; at < locals.size(); ++count) {
    const std::size_t end = std::min(locals.find_first_not_of(locals[at], at), locals.size());
    groups.u32(end - at).u8(value_type(locals[at]));
    at = end;
  }
  out.u32(count).add(groups);
}

}  // namespace

std::uint8_t value_type(char letter) {
  switch (letter) {
    case 'i': return 0x7F;
    case 'I': return 0x7E;
    case 'f': return 0x7D;
    case 'F': return 0x7C;
    case 'v': return 0x7B;
    case 'r': return 0x70;
    default: STARLING_ENSURE(letter == 'e'); return 0x6F;
  }
}

Wasm& Wasm::u8(std::uint8_t value) {
  bytes_.push_back(static_cast<std::byte>(value));
  return *this;
}

Wasm& Wasm::u32(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) u8(static_cast<std::uint8_t>(value | 0x80));
  return u8(static_cast<std::uint8_t>(value));
}

Wasm& Wasm::s64(std::int64_t value) {
  while (value < -64 || value > 63) {
    u8(static_cast<std::uint8_t>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  return u8(static_cast<std::uint8_t>(value & 0x7F));
}

Wasm& Wasm::fixed(std::uint64_t value, unsigned count) {
  for (unsigned i = 0; i < count; ++i) u8(static_cast<std::uint8_t>(value >> (8 * i)));
  return *this;
}

Wasm& Wasm::name(std::string_view text) { return u32(text.size()).bytes(base::view(text)); }

Wasm& Wasm::bytes(base::ByteView more) {
  base::append(bytes_, more);
  return *this;
}

Wasm& Wasm::types(std::string_view letters) {
  u32(letters.size());
  for (const char letter : letters) u8(value_type(letter));
  return *this;
}

std::uint32_t WasmModule::type(std::string_view parameters, std::string_view results) {
  std::string key = std::string(parameters) + ":" + std::string(results);
  const auto found = std::ranges::find(types_, key);
  const auto index = static_cast<std::uint32_t>(found - types_.begin());
  if (found == types_.end()) types_.push_back(std::move(key));
  return index;
}

std::uint32_t WasmModule::import(std::string_view module, std::string_view name, std::uint32_t type) {
  STARLING_ENSURE(functions_.empty());
  import_.name(module).name(name).u8(0).u32(type);
  return imports_++;
}

std::uint32_t WasmModule::declare(std::uint32_t type) {
  functions_.push_back({type, {}});
  return imports_ + static_cast<std::uint32_t>(functions_.size()) - 1;
}

void WasmModule::define(std::uint32_t function, std::string_view locals, const Wasm& body) {
  Wasm& code = functions_.at(function - imports_).code;
  append_locals(code, locals);
  code.add(body).end();
}

std::uint32_t WasmModule::function(std::uint32_t type, std::string_view locals, const Wasm& body) {
  const std::uint32_t index = declare(type);
  define(index, locals, body);
  return index;
}

std::uint32_t WasmModule::table(char type, Limits limits) {
  table_.u8(value_type(type));
  append_limits(table_, limits);
  return tables_++;
}

void WasmModule::memory(Limits limits) {
  append_limits(memory_, limits);
  ++memories_;
}

std::uint32_t WasmModule::global(char type, bool is_mutable, const Wasm& initial) {
  global_.u8(value_type(type)).u8(is_mutable ? 1 : 0).add(initial).end();
  return globals_++;
}

void WasmModule::export_as(std::string_view name, std::uint8_t kind, std::uint32_t index) {
  export_.name(name).u8(kind).u32(index);
  ++exports_;
}

std::uint32_t WasmModule::element(const Wasm& segment) {
  element_.add(segment);
  return elements_++;
}

std::uint32_t WasmModule::data(const Wasm& segment) {
  data_.add(segment);
  return datas_++;
}

void WasmModule::custom(std::uint8_t before, std::string_view name, base::ByteView content) {
  customs_.push_back({before, Wasm().name(name).bytes(content)});
}

base::Bytes WasmModule::finish() const {
  Wasm out;
  out.fixed(0x6D736100, 4).fixed(1, 4);
  const auto section = [&](std::uint8_t id, const Wasm& content) { out.u8(id).u32(content.size()).add(content); };
  const auto customs_before = [&](std::uint8_t id) {
    for (const auto& one : customs_)
      if (one.before == id) section(custom_id, one.content);
  };
  const auto vector = [&](std::uint8_t id, std::uint32_t count, const Wasm& content) {
    customs_before(id);
    if (count > 0) section(id, Wasm().u32(count).add(content));
  };
  Wasm types, functions, codes;
  for (const auto& key : types_) {
    const auto colon = key.find(':');
    types.u8(0x60).types(key.substr(0, colon)).types(key.substr(colon + 1));
  }
  for (const auto& one : functions_) {
    functions.u32(one.type);
    codes.u32(one.code.size()).add(one.code);
  }
  const auto count = static_cast<std::uint32_t>(functions_.size());
  vector(type_id, static_cast<std::uint32_t>(types_.size()), types);
  vector(import_id, imports_, import_);
  vector(function_id, count, functions);
  vector(table_id, tables_, table_);
  vector(memory_id, memories_, memory_);
  vector(global_id, globals_, global_);
  vector(export_id, exports_, export_);
  customs_before(start_id);
  if (start_ >= 0) section(start_id, Wasm().u32(static_cast<std::uint64_t>(start_)));
  vector(element_id, elements_, element_);
  if (datas_ > 0) section(data_count_id, Wasm().u32(datas_));
  vector(code_id, count, codes);
  vector(data_id, datas_, data_);
  customs_before(13);
  return base::copy(out.content());
}

}  // namespace starling::testing
