#include "coordinator-less/crypto/identity.hpp"

#include <doctest/doctest.h>
#include <sodium.h>

#include <algorithm>
#include <string>

#include "coordinator-less/crypto/digest.hpp"

namespace starling::crypto {
namespace {

template <std::size_t N>
std::array<std::byte, N> array_of(std::string_view hex) {
  std::array<std::byte, N> out{};
  const auto bytes = base::from_hex(hex);
  REQUIRE(bytes);
  REQUIRE(bytes->size() == N);
  std::ranges::copy(*bytes, out.begin());
  return out;
}

unsigned char* raw(auto& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}
const unsigned char* raw(const auto& bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

base::PeerId id_of(std::string_view hex) {
  return {array_of<32>(hex)};
}

struct Vector {
  const char *seed, *id, *message, *signature;
};

// RFC 8032, section 7.1
constexpr Vector vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
     "55141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
     "00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
     "027beceea1ec40a"},
};
constexpr const char* seed_with_sign_bit = "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42";

TEST_CASE("keys and signatures are those of RFC 8032") {
  for (const auto& vector : vectors) {
    const auto identity = Identity::from_seed(array_of<32>(vector.seed));
    REQUIRE(identity);
    CHECK(identity->id() == id_of(vector.id));
    CHECK(identity->seed() == array_of<32>(vector.seed));
    const auto message = *base::from_hex(vector.message);
    const auto signature = array_of<64>(vector.signature);
    CHECK(identity->sign(message) == signature);
    CHECK(verify(identity->id(), message, signature));
  }
}

TEST_CASE("a seed whose public key has its sign bit set makes no identity") {
  const auto identity = Identity::from_seed(array_of<32>(seed_with_sign_bit));
  REQUIRE_FALSE(identity);
  CHECK(identity.error().code == base::ErrorCode::bad_input);
  CHECK_FALSE(identity.error().hint.empty());
  // Its signatures are sound Ed25519, yet none of a peer.
  const auto seed = array_of<32>(seed_with_sign_bit);
  base::PeerId id;
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> secret_key;
  REQUIRE(crypto_sign_seed_keypair(raw(id.bytes), secret_key.data(), raw(seed)) == 0);
  REQUIRE((id.bytes[31] & std::byte{0x80}) != std::byte{0});
  const auto message = base::view("abc");
  base::Signature signature;
  REQUIRE(crypto_sign_detached(raw(signature), nullptr, raw(message), message.size(), secret_key.data()) == 0);
  REQUIRE(crypto_sign_verify_detached(raw(signature), raw(message), message.size(), raw(id.bytes)) == 0);
  CHECK_FALSE(verify(id, message, signature));
  CHECK_FALSE(is_acceptable(id));
  CHECK_FALSE(curve_key_of(id));
}

TEST_CASE("generated identities are acceptable, different, and come back from their seeds") {
  const auto a = Identity::generate();
  const auto b = Identity::generate();
  CHECK(a.id() != b.id());
  CHECK(is_acceptable(a.id()));
  const auto again = Identity::from_seed(a.seed());
  REQUIRE(again);
  CHECK(again->id() == a.id());
}

TEST_CASE("a signature fits one author, one message and itself only") {
  const auto a = Identity::generate();
  const auto b = Identity::generate();
  const base::Bytes message = base::copy(base::view("unit 7 is done"));
  const auto signature = a.sign(message);
  CHECK(verify(a.id(), message, signature));
  CHECK_FALSE(verify(b.id(), message, signature));
  CHECK_FALSE(verify(a.id(), base::ByteView(message).first(message.size() - 1), signature));
  for (std::size_t bit = 0; bit < 512; ++bit) {
    auto changed = signature;
    changed[bit / 8] ^= std::byte{1} << bit % 8;
    REQUIRE_FALSE(verify(a.id(), message, changed));
  }
}

// S + L signs the same as S where a verifier forgets to bound S.
base::Signature with_s_plus_order(base::Signature signature) {
  const auto order = array_of<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  unsigned carry = 0;
  for (std::size_t i = 0; i < 32; ++i) {
    carry += std::to_integer<unsigned>(signature[32 + i]) + std::to_integer<unsigned>(order[i]);
    signature[32 + i] = static_cast<std::byte>(carry & 255);
    carry >>= 8;
  }
  return signature;
}

TEST_CASE("a malleable signature is refused") {
  for (const auto& vector : vectors) {
    const auto message = *base::from_hex(vector.message);
    CHECK_FALSE(verify(id_of(vector.id), message, with_s_plus_order(array_of<64>(vector.signature))));
  }
}

// Every encoding of the eight points of small order, canonical or not, with and without the sign bit.
constexpr const char* small_order[] = {"0000000000000000000000000000000000000000000000000000000000000000",
                                       "0100000000000000000000000000000000000000000000000000000000000000",
                                       "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                                       "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                                       "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};

TEST_CASE("points of small order are nobody's id") {
  for (const char* encoding : small_order)
    for (const bool sign : {false, true}) {
      CAPTURE(encoding);
      auto id = id_of(encoding);
      if (sign) id.bytes[31] |= std::byte{0x80};
      CHECK_FALSE(is_acceptable(id));
      CHECK_FALSE(curve_key_of(id));
      base::Signature forged{};  // R = 1, S = 0: under the neutral element it fits every message
      forged[0] = std::byte{1};
      CHECK_FALSE(verify(id, base::view("anything"), forged));
    }
}

TEST_CASE("the list of small orders is complete: libsodium knows no other") {
  std::size_t found = 0;
  for (const char* encoding : small_order) {
    unsigned char curve[32];
    const auto id = id_of(encoding);
    found += crypto_sign_ed25519_pk_to_curve25519(curve, raw(id.bytes)) != 0 ? 1U : 0U;
  }
  CHECK(found == std::size(small_order));
}

TEST_CASE("y at and above the field's prime is refused, just below is not") {
  base::PeerId id = id_of("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
  for (unsigned low = 0xed; low <= 0xff; ++low) {
    id.bytes[0] = static_cast<std::byte>(low);
    CHECK_FALSE(is_acceptable(id));
  }
  id.bytes[0] = std::byte{0xeb};
  CHECK(is_acceptable(id));
  id = id_of("ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7e");
  CHECK(is_acceptable(id));
}

TEST_CASE("an id that is no point of the curve verifies nothing and has no CURVE key") {
  const auto signer = Identity::generate();
  std::size_t off_curve = 0;
  for (unsigned y = 2; y < 40; ++y) {
    base::PeerId id{};
    id.bytes[0] = static_cast<std::byte>(y);
    if (curve_key_of(id)) continue;
    ++off_curve;
    CHECK_FALSE(verify(id, base::view("x"), signer.sign(base::view("x"))));
  }
  CHECK(off_curve > 5);
}

TEST_CASE("the CURVE key of an id is the public key of its owner's CURVE secret") {
  for (int i = 0; i < 10; ++i) {
    const auto identity = Identity::generate();
    const auto secret = identity.curve_secret();
    CurveKey derived;
    REQUIRE(crypto_scalarmult_curve25519_base(raw(derived), raw(secret)) == 0);
    CHECK(curve_key_of(identity.id()) == derived);
    CHECK(identity.curve_public() == derived);
  }
}

TEST_CASE("an identity moves") {
  auto a = Identity::generate();
  const auto id = a.id();
  auto b = std::move(a);
  a = Identity::generate();
  CHECK(b.id() == id);
  CHECK(verify(id, base::view("m"), b.sign(base::view("m"))));
  CHECK_FALSE(verify(id, base::view("m"), a.sign(base::view("m"))));
}

}  // namespace
}  // namespace starling::crypto
