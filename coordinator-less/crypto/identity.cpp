#include "coordinator-less/crypto/identity.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sodium.h>

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/crypto/digest.hpp"

namespace starling::crypto {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

const unsigned char* in_of(const auto& bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* out_of(auto& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}
unsigned at(const base::PeerId& id, std::size_t i) {
  return std::to_integer<unsigned>(id.bytes[i]);
}

bool has_sign_bit(const base::PeerId& id) {
  return (at(id, 31) & 0x80) != 0;
}

// y < 2^255 - 19, read little-endian without the sign bit.
bool is_canonical(const base::PeerId& id) {
  if ((at(id, 31) & 0x7f) != 0x7f || at(id, 0) < 0xed) return true;
  return !std::all_of(id.bytes.begin() + 1, id.bytes.end() - 1, [](std::byte b) { return b == std::byte{0xff}; });
}

// The y of the eight points of small order: 1, -1, 0 (twice), and those of the four points of order 8 (two each).
// Under such a key one signature fits almost any message.
bool is_small_order(const base::PeerId& id) {
  static constexpr std::array<std::string_view, 5> encodings = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  };
  static const auto points = [] {
    std::array<base::PeerId, encodings.size()> out;
    std::ranges::transform(encodings, out.begin(),
                           [](auto text) { return *base::PeerId::from(*base::from_hex(text)); });
    return out;
  }();
  return std::ranges::find(points, id) != points.end();
}

base::PeerId public_key_of(EVP_PKEY* key) {
  base::PeerId id;
  std::size_t length = base::PeerId::size;
  STARLING_ENSURE(EVP_PKEY_get_raw_public_key(key, out_of(id.bytes), &length) == 1 && length == base::PeerId::size);
  return id;
}

}  // namespace

struct Identity::Keys {
  Keys() = default;
  ~Keys() { OPENSSL_cleanse(seed.data(), seed.size()); }
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  Seed seed{};
  base::PeerId id;
  Key key;
};

Identity::Identity(std::unique_ptr<Keys> keys) : keys_(std::move(keys)) {}
Identity::Identity(Identity&&) noexcept = default;
Identity& Identity::operator=(Identity&&) noexcept = default;
Identity::~Identity() = default;

Identity Identity::generate() {
  Seed seed;
  while (true) {
    fill_random(seed);
    auto made = from_seed(seed);
    OPENSSL_cleanse(seed.data(), seed.size());
    if (made) return *std::move(made);
  }
}

base::Expected<Identity> Identity::from_seed(const Seed& seed) {
  auto keys = std::make_unique<Keys>();
  keys->seed = seed;
  keys->key.reset(EVP_PKEY_new_raw_private_key_ex(nullptr, "ED25519", nullptr, in_of(seed), seed.size()));
  STARLING_ENSURE(keys->key);
  keys->id = public_key_of(keys->key.get());
  if (!is_acceptable(keys->id)) {
    return base::fail(base::ErrorCode::bad_input, "this seed's public key has its sign bit set and cannot be a peer id",
                      "make a new identity");
  }
  return Identity(std::move(keys));
}

const base::PeerId& Identity::id() const {
  return keys_->id;
}
const Seed& Identity::seed() const {
  return keys_->seed;
}

base::Signature Identity::sign(base::ByteView bytes) const {
  const Context context(EVP_MD_CTX_new());
  base::Signature signature;
  std::size_t length = signature.size();
  STARLING_ENSURE(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, keys_->key.get()) == 1 &&
                  EVP_DigestSign(context.get(), out_of(signature), &length, in_of(bytes), bytes.size()) == 1 &&
                  length == signature.size());
  return signature;
}

CurveKey Identity::curve_public() const {
  const auto key = curve_key_of(keys_->id);
  STARLING_ENSURE(key);
  return *key;
}

CurveKey Identity::curve_secret() const {
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> both;  // libsodium's secret key: seed, then public key
  std::copy_n(in_of(keys_->seed), keys_->seed.size(), both.begin());
  std::copy_n(in_of(keys_->id.bytes), base::PeerId::size,
              both.begin() + static_cast<std::ptrdiff_t>(keys_->seed.size()));
  CurveKey secret;
  STARLING_ENSURE(crypto_sign_ed25519_sk_to_curve25519(out_of(secret), both.data()) == 0);
  OPENSSL_cleanse(both.data(), both.size());
  return secret;
}

bool is_acceptable(const base::PeerId& id) {
  return !has_sign_bit(id) && is_canonical(id) && !is_small_order(id);
}

// OpenSSL refuses keys that are no point of the curve, S >= L, and compares R as bytes.
bool verify(const base::PeerId& author, base::ByteView bytes, const base::Signature& signature) {
  if (!is_acceptable(author)) return false;
  const Key key(EVP_PKEY_new_raw_public_key_ex(nullptr, "ED25519", nullptr, in_of(author.bytes), base::PeerId::size));
  const Context context(EVP_MD_CTX_new());
  return key && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
         EVP_DigestVerify(context.get(), in_of(signature), signature.size(), in_of(bytes), bytes.size()) == 1;
}

std::optional<CurveKey> curve_key_of(const base::PeerId& id) {
  CurveKey key;
  if (!is_acceptable(id)) return std::nullopt;
  if (crypto_sign_ed25519_pk_to_curve25519(out_of(key), in_of(id.bytes)) != 0) return std::nullopt;
  return key;
}

}  // namespace starling::crypto
