// A bounded cursor over hostile bytes. The first fault sticks: from then on every read gives zero and ok() is false, so callers
// check once per item instead of once per byte.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "coordinator-less/base/bytes.hpp"

namespace starling::execution::instrument {

class Reader {
 public:
  explicit Reader(base::ByteView bytes) : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == end_; }
  std::uint32_t position() const { return static_cast<std::uint32_t>(at_ - begin_); }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  void fail() {
    ok_ = false;
    at_ = end_;
  }

  std::uint8_t byte() {
    if (at_ == end_) {
      ok_ = false;
      return 0;
    }
    return std::to_integer<std::uint8_t>(*at_++);
  }
  std::uint8_t peek() const { return at_ == end_ ? std::uint8_t{0} : std::to_integer<std::uint8_t>(*at_); }
  std::uint32_t u32() {
    const std::uint8_t first = byte();
    return first < 128 ? first : static_cast<std::uint32_t>(unsigned_tail(first, 32));
  }
  std::int64_t s33() { return signed_leb(33); }
  std::int32_t s32() { return static_cast<std::int32_t>(signed_leb(32)); }
  std::int64_t s64() { return signed_leb(64); }
  base::ByteView take(std::size_t count) {
    if (count > left()) {
      fail();
      return {};
    }
    const base::ByteView out(at_, count);
    at_ += count;
    return out;
  }
  std::string_view name() { return base::text(take(u32())); }

 private:
  std::uint64_t unsigned_tail(std::uint8_t first, unsigned bits) {
    std::uint64_t value = first & 127U;
    for (unsigned shift = 7; shift < bits; shift += 7) {
      const std::uint8_t next = byte();
      if (shift + 7 > bits && (next >> (bits - shift)) != 0) break;  // too long, or bits past the width
      value |= static_cast<std::uint64_t>(next & 127U) << shift;
      if (next < 128) return value;
    }
    fail();
    return 0;
  }
  std::int64_t signed_leb(unsigned bits) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
      const std::uint8_t next = byte();
      value |= static_cast<std::uint64_t>(next & 127U) << shift;
      if (next >= 128) continue;
      if (shift + 7 < 64 && (next & 64U) != 0) value |= ~std::uint64_t{0} << (shift + 7);
      if (shift + 7 > bits) {  // the unused bits of the last byte repeat the sign
        const unsigned used = bits - shift;
        const auto rest = static_cast<std::int8_t>(static_cast<std::int8_t>(next << 1) >> used);
        if (rest != 0 && rest != -1) break;
      }
      return static_cast<std::int64_t>(value);
    }
    fail();
    return 0;
  }

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

}  // namespace starling::execution::instrument
