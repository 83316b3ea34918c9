// Strong ids: values of one shape that must never be mixed. All are 32 bytes, ordered and hashable.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coordinator-less/base/bytes.hpp"

namespace starling::base {

template <class Tag>
struct Id {
  static constexpr std::size_t size = 32;
  std::array<std::byte, size> bytes{};

  auto operator<=>(const Id&) const = default;
  ByteView view() const { return bytes; }
  std::string hex() const { return to_hex(bytes); }
  std::string base32() const { return to_base32(bytes); }
  std::string brief() const { return base32().substr(0, 8); }  // for people; any unique prefix is accepted back

  static std::optional<Id> from(ByteView raw) {
    if (raw.size() != size) return std::nullopt;
    Id id;
    std::memcpy(id.bytes.data(), raw.data(), size);
    return id;
  }
  static std::optional<Id> from_base32_text(std::string_view digits) {
    const auto raw = from_base32(digits);
    return raw ? from(*raw) : std::nullopt;
  }
};

using PeerId = Id<struct PeerTag>;        // an Ed25519 public key with sign bit 0: a peer's or an owner's
using Digest = Id<struct DigestTag>;      // a SHA-256 value; a blob's name is its BitTorrent v2 root
using MessageId = Id<struct MessageTag>;  // SHA-256 of a statement's signed bytes
using JobId = Id<struct JobTag>;          // the message id of the job's manifest
using NetworkId = Id<struct NetworkTag>;  // digest of the swarm's parameters

using Signature = std::array<std::byte, 64>;

template <class To, class From>
To retag(const From& id) {
  To out;
  out.bytes = id.bytes;
  return out;
}

using UnitIndex = std::uint32_t;

}  // namespace starling::base

template <class Tag>
struct std::hash<starling::base::Id<Tag>> {
  // Ids are digests or keys; eight of their bytes are as good as any hash. Tables of peers' choice use ordered maps.
  std::size_t operator()(const starling::base::Id<Tag>& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data() + 8, sizeof value);
    return value;
  }
};
