// Hello: the first frame on a link, in both directions. It proves that the key behind the CURVE key signed for exactly this
// pair, in this network, and that the sender knows the network secret.
//
// Layout, 166 bytes: magic "STRL" | version (1) | role (1) | network id (32) | peer id of the sender (32) | signature (64) | mac (32).
// Signature and mac cover: "starling/v1/hello" 0x00 | version | network id | role | dialler's key | acceptor's key.
// Role: the low seven bits name the role, the high bit is set in the acceptor's answer. Without that bit an acceptor that
// lacks the secret could return the dialler's own mac; with it no frame of one direction passes in the other.
// Checked from cheap to dear, the signature last. CURVE stops replays: a Hello is worth nothing without the dialler's secret.
#pragma once

#include <optional>

#include "coordinator-less/net/transport.hpp"

namespace starling::net {

inline constexpr std::size_t hello_bytes = 166;
inline constexpr std::uint8_t hello_version = 4;  // 3: comparison without headlines and what is left out

enum class Side : std::uint8_t { dialler, acceptor };

struct Hello {
  std::uint8_t version = hello_version;
  Role role = Role::worker;
  Side side = Side::dialler;  // of the sender
  base::NetworkId network;
  base::PeerId peer;  // the sender
  base::Signature signature{};
  base::Digest mac;
};

// The pair of keys that a link joins, as both ends see it.
struct HelloPair {
  base::PeerId dialler;
  base::PeerId acceptor;
};

base::Bytes encode_hello(const Hello& hello);
std::optional<Hello> decode_hello(base::ByteView frame);  // exact length, known magic, role and side; nullopt otherwise

base::Bytes covered_bytes(const Hello& hello, const HelloPair& pair);

Hello make_hello(Authenticator& auth, const base::NetworkId& network, Role role, Side side, const HelloPair& pair);

// The acceptor's check: `curve_key` is the User-Id of the link. Errors (malformed, refused) say which rule failed.
base::Expected<Hello> check_dialler(Authenticator& auth, const base::NetworkId& network, const base::PeerId& self,
                                    const std::array<std::byte, 32>& curve_key, base::ByteView frame);
// The dialler's check of the answer; CURVE has pinned the acceptor's key already.
base::Expected<Hello> check_acceptor(Authenticator& auth, const base::NetworkId& network, const HelloPair& pair,
                                     base::ByteView frame);

}  // namespace starling::net
