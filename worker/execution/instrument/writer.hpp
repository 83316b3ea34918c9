// Appends WebAssembly's encodings to a byte string.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "coordinator-less/base/bytes.hpp"

namespace starling::execution::instrument {

class Writer {
 public:
  base::Bytes& bytes() { return bytes_; }
  base::ByteView view() const { return bytes_; }
  void clear() { bytes_.clear(); }

  void byte(std::uint8_t value) { bytes_.push_back(static_cast<std::byte>(value)); }
  void all(std::initializer_list<std::uint8_t> values) {
    for (const auto value : values) byte(value);
  }
  void raw(base::ByteView values) { bytes_.insert(bytes_.end(), values.begin(), values.end()); }
  void u32(std::uint64_t value) {
    for (; value >= 128; value >>= 7) byte(static_cast<std::uint8_t>(value | 128));
    byte(static_cast<std::uint8_t>(value));
  }
  void s64(std::int64_t value) {
    while (value < -64 || value > 63) {
      byte(static_cast<std::uint8_t>(value | 128));
      value >>= 7;
    }
    byte(static_cast<std::uint8_t>(value & 127));
  }
  void name(std::string_view text) {
    u32(text.size());
    raw(base::view(text));
  }
  void op_u32(std::uint8_t opcode, std::uint64_t value) {
    byte(opcode);
    u32(value);
  }
  void section(std::uint8_t id, base::ByteView content) {
    byte(id);
    u32(content.size());
    raw(content);
  }

 private:
  base::Bytes bytes_;
};

}  // namespace starling::execution::instrument
