#include "coordinator-less/crypto/puzzle.hpp"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <bit>
#include <memory>
#include <optional>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::crypto {
namespace {

constexpr std::string_view domain{"starling/v1/puzzle\0", 19};

struct FreeContext {
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_KDF_CTX, FreeContext>;

Context make_argon2id() {
  EVP_KDF* const algorithm = EVP_KDF_fetch(nullptr, "ARGON2ID", nullptr);
  STARLING_ENSURE(algorithm != nullptr);
  Context context(EVP_KDF_CTX_new(algorithm));
  EVP_KDF_free(algorithm);
  return context;
}

OSSL_PARAM octets(const char* key, base::Bytes& value) {
  return OSSL_PARAM_construct_octet_string(key, value.data(), value.size());
}

std::optional<base::Digest> value_of(const base::PeerId& id, std::uint64_t nonce) {
  base::Bytes password = base::copy(base::view(domain));
  base::append_u64(password, nonce);
  base::Bytes salt = base::copy(id.view());
  std::uint32_t passes = 1;
  std::uint32_t lanes = 1;
  std::uint32_t memory_kib = limits::puzzle_memory_kib;
  const OSSL_PARAM parameters[] = {octets(OSSL_KDF_PARAM_PASSWORD, password),
                                   octets(OSSL_KDF_PARAM_SALT, salt),
                                   OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ITER, &passes),
                                   OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_LANES, &lanes),
                                   OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_ARGON2_MEMCOST, &memory_kib),
                                   OSSL_PARAM_construct_end()};
  const Context context = make_argon2id();
  base::Digest value;
  auto* const out = reinterpret_cast<unsigned char*>(value.bytes.data());
  if (!context || EVP_KDF_derive(context.get(), out, base::Digest::size, parameters) != 1) return std::nullopt;
  return value;
}

unsigned leading_zero_bits(const base::Digest& value) {
  unsigned bits = 0;
  for (const std::byte b : value.bytes) {
    bits += static_cast<unsigned>(std::countl_zero(std::to_integer<std::uint8_t>(b)));
    if (b != std::byte{0}) break;
  }
  return bits;
}

}  // namespace

std::uint64_t mint(const base::PeerId& id, unsigned difficulty_bits, std::uint64_t first_nonce) {
  STARLING_ENSURE(difficulty_bits <= limits::puzzle_difficulty_bits_max);
  for (std::uint64_t nonce = first_nonce; difficulty_bits > 0; ++nonce) {
    const auto value = value_of(id, nonce);
    STARLING_ENSURE(value);  // out of memory: searching on would never end
    if (leading_zero_bits(*value) >= difficulty_bits) return nonce;
  }
  return first_nonce;
}

std::optional<bool> try_nonce(const base::PeerId& id, std::uint64_t nonce, unsigned difficulty_bits) {
  STARLING_ENSURE(difficulty_bits <= limits::puzzle_difficulty_bits_max);
  if (difficulty_bits == 0) return true;
  const auto value = value_of(id, nonce);
  if (!value) return std::nullopt;
  return leading_zero_bits(*value) >= difficulty_bits;
}

bool check(const base::PeerId& id, std::uint64_t nonce, unsigned difficulty_bits) {
  return difficulty_bits <= limits::puzzle_difficulty_bits_max && try_nonce(id, nonce, difficulty_bits).value_or(false);
}

}  // namespace starling::crypto
