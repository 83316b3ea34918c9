// Writes WebAssembly 2.0 binaries, section by section, for tests that need modules no compiler would make.
// Nothing is checked: whoever writes is responsible for validity, and may want none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator-less/base/bytes.hpp"

namespace starling::testing {

// A value type by one letter: i = i32, I = i64, f = f32, F = f64, v = v128, r = funcref, e = externref.
std::uint8_t value_type(char letter);

// A growing piece of binary: instructions or a section's content.
class Wasm {
 public:
  Wasm& u8(std::uint8_t value);
  Wasm& u32(std::uint64_t value);  // LEB128, any size
  Wasm& s64(std::int64_t value);   // LEB128
  Wasm& fixed(std::uint64_t value, unsigned bytes);  // little-endian
  Wasm& name(std::string_view text);
  Wasm& bytes(base::ByteView more);
  Wasm& add(const Wasm& more) { return bytes(more.content()); }
  Wasm& types(std::string_view letters);  // a vector of value types

  Wasm& op(std::uint8_t code) { return u8(code); }
  Wasm& op(std::uint8_t prefix, std::uint32_t code) { return u8(prefix).u32(code); }
  Wasm& i32(std::int32_t value) { return u8(0x41).s64(value); }
  Wasm& i64(std::int64_t value) { return u8(0x42).s64(value); }
  Wasm& f32(std::uint32_t bits) { return u8(0x43).fixed(bits, 4); }
  Wasm& f64(std::uint64_t bits) { return u8(0x44).fixed(bits, 8); }
  Wasm& v128(std::uint64_t low, std::uint64_t high) { return op(0xFD, 12).fixed(low, 8).fixed(high, 8); }
  Wasm& call(std::uint32_t function) { return u8(0x10).u32(function); }
  Wasm& get(std::uint32_t local) { return u8(0x20).u32(local); }
  Wasm& set(std::uint32_t local) { return u8(0x21).u32(local); }
  Wasm& get_global(std::uint32_t global) { return u8(0x23).u32(global); }
  Wasm& set_global(std::uint32_t global) { return u8(0x24).u32(global); }
  Wasm& end() { return u8(0x0B); }

  base::ByteView content() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  base::Bytes bytes_;
};

struct Limits {
  std::uint32_t min = 0;
  bool has_max = false;
  std::uint32_t max = 0;
};

// A module under construction. Function indices: imports first, in the order of the calls.
class WasmModule {
 public:
  // The index of that type; equal types share one.
  std::uint32_t type(std::string_view parameters, std::string_view results);
  std::uint32_t import(std::string_view module, std::string_view name, std::uint32_t type);  // before any function()
  // `body` without the final end. `locals`: one letter for each.
  std::uint32_t function(std::uint32_t type, std::string_view locals, const Wasm& body);
  std::uint32_t declare(std::uint32_t type);  // a function whose body comes later
  void define(std::uint32_t function, std::string_view locals, const Wasm& body);
  std::uint32_t table(char type, Limits limits);
  void memory(Limits limits);
  std::uint32_t global(char type, bool is_mutable, const Wasm& initial);  // `initial` without end
  void export_as(std::string_view name, std::uint8_t kind, std::uint32_t index);
  void start(std::uint32_t function) { start_ = static_cast<std::int64_t>(function); }
  std::uint32_t element(const Wasm& segment);  // with its flags
  std::uint32_t data(const Wasm& segment);     // with its flags
  // Written before the section of that id; 13 = at the end.
  void custom(std::uint8_t before, std::string_view name, base::ByteView content);

  std::uint32_t function_count() const { return imports_ + static_cast<std::uint32_t>(functions_.size()); }
  base::Bytes finish() const;

 private:
  struct Function {
    std::uint32_t type = 0;
    Wasm code;
  };
  struct Custom {
    std::uint8_t before = 0;
    Wasm content;
  };
  std::vector<std::string> types_;  // "parameters:results"
  std::uint32_t imports_ = 0, tables_ = 0, memories_ = 0, globals_ = 0, exports_ = 0, elements_ = 0, datas_ = 0;
  Wasm import_, table_, memory_, global_, export_, element_, data_;
  std::vector<Function> functions_;
  std::vector<Custom> customs_;
  std::int64_t start_ = -1;
};

}  // namespace starling::testing
