#include "coordinator-less/crypto/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <memory>

#include "coordinator-less/base/check.hpp"

namespace starling::crypto {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

// A digest context with SHA-256 looked up once: the look-up costs more than hashing a tree node.
Context make_sha256_context() {
  Context context(EVP_MD_CTX_new());
  EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  STARLING_ENSURE(context && algorithm && EVP_DigestInit_ex2(context.get(), algorithm, nullptr) == 1);
  EVP_MD_free(algorithm);  // the context holds its own reference
  return context;
}

unsigned char* out_of(base::Digest& digest) {
  return reinterpret_cast<unsigned char*>(digest.bytes.data());
}
const unsigned char* in_of(base::ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

base::Digest sha256(base::ByteView bytes) {
  thread_local const Context context = make_sha256_context();
  base::Digest digest;
  STARLING_ENSURE(EVP_DigestInit_ex2(context.get(), nullptr, nullptr) == 1 &&
                  EVP_DigestUpdate(context.get(), bytes.data(), bytes.size()) == 1 &&
                  EVP_DigestFinal_ex(context.get(), out_of(digest), nullptr) == 1);
  return digest;
}

base::Digest hmac_sha256(base::ByteView key, base::ByteView bytes) {
  base::Digest digest;
  // A null key would mean "the key of last time" to OpenSSL, so an empty one still points somewhere.
  const unsigned char* key_data = key.empty() ? reinterpret_cast<const unsigned char*>("") : in_of(key);
  STARLING_ENSURE(HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), in_of(bytes), bytes.size(), out_of(digest),
                       nullptr) != nullptr);
  return digest;
}

bool equal_in_constant_time(base::ByteView a, base::ByteView b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

void fill_random(std::span<std::byte> out) {
  if (out.empty()) return;
  STARLING_ENSURE(RAND_priv_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size())) == 1);
}

}  // namespace starling::crypto
