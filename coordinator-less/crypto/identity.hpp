// Keys. An Ed25519 pair (OpenSSL) whose public key, with sign bit 0, is the peer id; the CURVE pair is that pair
// converted to Curve25519 (libsodium), so knowing a peer id is enough to dial it securely.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::crypto {

using Seed = std::array<std::byte, 32>;
using CurveKey = std::array<std::byte, 32>;

class Identity {
 public:
  static Identity generate();                                   // draws seeds until the public key's sign bit is 0
  static base::Expected<Identity> from_seed(const Seed& seed);  // bad_input when the sign bit of its public key is 1

  Identity(Identity&&) noexcept;
  Identity& operator=(Identity&&) noexcept;
  ~Identity();

  const base::PeerId& id() const;
  const Seed& seed() const;
  base::Signature sign(base::ByteView bytes) const;  // thread-safe
  CurveKey curve_public() const;
  CurveKey curve_secret() const;

 private:
  struct Keys;
  explicit Identity(std::unique_ptr<Keys> keys);
  std::unique_ptr<Keys> keys_;
};

// False for ids with the sign bit set, not canonical or of small order, whatever the signature. Thread-safe.
bool verify(const base::PeerId& author, base::ByteView bytes, const base::Signature& signature);
bool is_acceptable(const base::PeerId& id);
std::optional<CurveKey> curve_key_of(const base::PeerId& id);  // nullopt for unacceptable ids

}  // namespace starling::crypto
