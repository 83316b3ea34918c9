// The guest's linear memory as the host sees it: every access is checked, a bad pointer is EFAULT and never more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "coordinator-less/base/bytes.hpp"

namespace starling::execution::wasi {

class GuestMemory {
 public:
  explicit GuestMemory(std::span<std::byte> bytes) : bytes_(bytes) {}

  std::optional<std::span<std::byte>> range(std::uint64_t at, std::uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return std::nullopt;
    bytes_moved_ += size;
    return bytes_.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(size));
  }
  template <class T>
  std::optional<T> load(std::uint64_t at) const {
    static_assert(std::is_unsigned_v<T>);
    const auto from = range(at, sizeof(T));
    if (!from) return std::nullopt;
    T value;
    std::memcpy(&value, from->data(), sizeof value);
    return value;
  }
  template <class T>
  bool store(std::uint64_t at, T value) const {
    static_assert(std::is_unsigned_v<T>);
    const auto to = range(at, sizeof(T));
    if (to) std::memcpy(to->data(), &value, sizeof value);
    return to.has_value();
  }
  bool write(std::uint64_t at, base::ByteView from) const {
    const auto to = range(at, from.size());
    if (to) std::ranges::copy(from, to->begin());
    return to.has_value();
  }
  std::optional<std::string_view> text(std::uint64_t at, std::uint64_t size) const {
    const auto from = range(at, size);
    if (!from) return std::nullopt;
    return base::text(*from);
  }
  // Work that leaves the guest's memory alone is charged like bytes of it, so that no call costs the host more than its fuel.
  void also_moved(std::uint64_t bytes) const { bytes_moved_ += bytes; }
  std::uint64_t bytes_moved() const { return bytes_moved_; }  // in all ranges asked for: what a call is charged for

 private:
  std::span<std::byte> bytes_;
  mutable std::uint64_t bytes_moved_ = 0;
};

}  // namespace starling::execution::wasi
