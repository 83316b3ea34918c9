#include "coordinator-less/crypto/digest.hpp"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

namespace starling::crypto {
namespace {

using base::view;

TEST_CASE("SHA-256 gives the values of FIPS 180-4, called again and again") {
  for (int i = 0; i < 3; ++i) {
    CHECK(sha256({}).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256(view("abc")).hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256(view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).hex() ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  }
}

TEST_CASE("HMAC-SHA-256 gives the values of RFC 4231") {
  CHECK(hmac_sha256(base::Bytes(20, std::byte{0x0b}), view("Hi There")).hex() ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hmac_sha256(view("Jefe"), view("what do ya want for nothing?")).hex() ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac_sha256({}, {}).hex() == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("threads do not share a digest's state") {
  const base::Bytes bytes(100'000, std::byte{7});
  const auto expected = sha256(bytes);
  std::vector<int> wrong(4);
  {
    std::vector<std::jthread> threads;
    for (int& count : wrong)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) count += sha256(bytes) == expected ? 0 : 1;
      });
  }
  CHECK(wrong == std::vector<int>(4));
}

TEST_CASE("comparison in constant time is comparison") {
  CHECK(equal_in_constant_time({}, {}));
  CHECK(equal_in_constant_time(view("abc"), view("abc")));
  CHECK_FALSE(equal_in_constant_time(view("abc"), view("abd")));
  CHECK_FALSE(equal_in_constant_time(view("abc"), view("ab")));
}

TEST_CASE("random bytes fill the whole span and do not repeat") {
  base::Bytes a(64), b(64);
  fill_random(a);
  fill_random(b);
  CHECK(a != b);
  CHECK(base::Bytes(a.end() - 16, a.end()) != base::Bytes(16));
  fill_random({});
}

}  // namespace
}  // namespace starling::crypto
