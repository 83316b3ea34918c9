// Little-endian fields, bounded on the way in. A Decoder never reads past its bytes: after the first bad field every
// further one is zero or empty and ok() is false, so a parser checks once at the end (and before it loops or allocates).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::execution {

class Encoder {
 public:
  void u8(std::uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
  void u32(std::uint32_t value) { base::append_u32(out_, value); }
  void u64(std::uint64_t value) { base::append_u64(out_, value); }
  void digest(const base::Digest& value) { base::append(out_, value.view()); }
  void bytes(base::ByteView value) {
    u64(value.size());
    base::append(out_, value);
  }
  void text(std::string_view value) { bytes(base::view(value)); }
  void reserve(std::size_t bytes_count) { out_.reserve(bytes_count); }
  base::Bytes take() { return std::move(out_); }

 private:
  base::Bytes out_;
};

class Decoder {
 public:
  explicit Decoder(base::ByteView in) : rest_(in) {}

  std::uint8_t u8() {
    const auto raw = take(1);
    return raw.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(raw[0]);
  }
  std::uint32_t u32() {
    const auto raw = take(4);
    return raw.empty() ? 0 : base::read_u32(raw);
  }
  std::uint64_t u64() {
    const auto raw = take(8);
    return raw.empty() ? 0 : base::read_u64(raw);
  }
  base::Digest digest() { return base::Digest::from(take(base::Digest::size)).value_or(base::Digest{}); }
  base::ByteView bytes(std::uint64_t size_max) {
    const std::uint64_t size = u64();
    if (size > size_max || size > rest_.size()) return fail();
    return take(static_cast<std::size_t>(size));
  }
  std::string text(std::uint64_t size_max) { return std::string(base::text(bytes(size_max))); }
  // A count of things that take at least `bytes_each` bytes each: never more than the bytes at hand can hold.
  std::uint32_t count(std::uint64_t count_max, std::uint64_t bytes_each) {
    const std::uint32_t value = u32();
    if (value <= count_max && value * bytes_each <= rest_.size()) return value;
    fail();
    return 0;
  }
  void require(bool condition) {
    if (!condition) fail();
  }

  bool ok() const { return ok_; }
  bool finished() const { return ok_ && rest_.empty(); }

 private:
  base::ByteView take(std::size_t size) {
    if (size > rest_.size()) return fail();
    const auto out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
  }
  base::ByteView fail() {
    ok_ = false;
    rest_ = {};
    return {};
  }

  base::ByteView rest_;
  bool ok_ = true;
};

}  // namespace starling::execution
