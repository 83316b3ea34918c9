#include "coordinator-less/runtime/authenticator.hpp"

#include "coordinator-less/crypto/digest.hpp"

namespace starling::runtime {
namespace {

class KeyAuthenticator final : public net::Authenticator {
 public:
  KeyAuthenticator(const crypto::Identity& identity, std::optional<NetworkSecret> secret)
      : identity_(identity), secret_(secret) {}

  base::Signature sign(base::ByteView bytes) override { return identity_.sign(bytes); }
  bool verify(const base::PeerId& author, base::ByteView bytes, const base::Signature& signature) override {
    return crypto::verify(author, bytes, signature);
  }
  base::Digest mac(base::ByteView bytes) override {
    return secret_ ? crypto::hmac_sha256(*secret_, bytes) : base::Digest{};
  }
  bool equal(base::ByteView a, base::ByteView b) override { return crypto::equal_in_constant_time(a, b); }
  std::optional<std::array<std::byte, 32>> curve_key_of(const base::PeerId& id) override {
    return crypto::curve_key_of(id);
  }

 private:
  const crypto::Identity& identity_;
  std::optional<NetworkSecret> secret_;
};

}  // namespace

std::unique_ptr<net::Authenticator> make_authenticator(const crypto::Identity& identity, std::optional<NetworkSecret> secret) {
  return std::make_unique<KeyAuthenticator>(identity, secret);
}

}  // namespace starling::runtime
