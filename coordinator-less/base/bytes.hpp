// Byte strings and their two texts: hexadecimal and RFC 4648 base32 (lower case, no padding).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace starling::base {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

std::string to_hex(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);

std::string to_base32(ByteView bytes);
// Strict: only the canonical lower-case text of some byte string decodes.
std::optional<Bytes> from_base32(std::string_view text);

inline ByteView view(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline Bytes copy(ByteView bytes) { return Bytes(bytes.begin(), bytes.end()); }
inline std::string_view text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

void append(Bytes& out, ByteView bytes);
void append_u32(Bytes& out, std::uint32_t value);  // little-endian
void append_u64(Bytes& out, std::uint64_t value);  // little-endian
std::uint32_t read_u32(ByteView bytes);            // needs 4 bytes, little-endian
std::uint64_t read_u64(ByteView bytes);            // needs 8 bytes, little-endian

}  // namespace starling::base
