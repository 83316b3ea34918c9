// Deterministic identities and notaries for tests: real Ed25519, real SHA-256, real wire bytes.
#pragma once

#include <memory>

#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/runtime/notary.hpp"

namespace starling::testing {

// The n-th acceptable identity of a fixed sequence.
inline crypto::Identity identity(unsigned n) {
  for (std::uint32_t salt = 0;; ++salt) {
    base::Bytes bytes;
    base::append_u32(bytes, n);
    base::append_u32(bytes, salt);
    if (auto made = crypto::Identity::from_seed(crypto::sha256(bytes).bytes)) return std::move(*made);
  }
}

inline base::NetworkId network() { return base::retag<base::NetworkId>(crypto::sha256(base::view("test network"))); }

inline base::Digest digest_of(std::string_view text) { return crypto::sha256(base::view(text)); }

struct Member {
  explicit Member(unsigned n) : keys(identity(n)), notary(network(), keys) {}
  crypto::Identity keys;
  runtime::SigningNotary notary;
  const base::PeerId& id() const { return keys.id(); }
};

inline base::JobId id_of(const protocol::Statement& manifest) { return base::retag<base::JobId>(manifest.id); }

// A manifest that every codec rule accepts.
inline protocol::Manifest manifest(std::uint32_t units, std::int64_t now_unix_s) {
  protocol::Manifest m;
  m.name = "test";
  m.program = {digest_of("program"), 1000};
  m.units = {digest_of("units"), 2000};
  m.unit_count = units;
  m.item_count = units;
  m.limits = {64ULL << 20, 1ULL << 20, 60'000};
  m.epsilon_ppm = 60'000;
  m.peer_estimate = 2;
  m.created_unix_s = now_unix_s;
  m.expires_unix_s = now_unix_s + 3600;
  return m;
}

}  // namespace starling::testing
