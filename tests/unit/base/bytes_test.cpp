#include "coordinator-less/base/bytes.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/rng.hpp"

namespace starling::base {
namespace {

Bytes random_bytes(Rng& rng, std::size_t count) {
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(rng.below(256));
  return bytes;
}

TEST_CASE("base32 gives the texts of RFC 4648, lower case and unpadded") {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "my"},
                                                         {"fo", "mzxq"},
                                                         {"foo", "mzxw6"},
                                                         {"foob", "mzxw6yq"},
                                                         {"fooba", "mzxw6ytb"},
                                                         {"foobar", "mzxw6ytboi"}};
  for (const auto& [plain, encoded] : vectors) {
    CHECK(to_base32(view(plain)) == encoded);
    CHECK(from_base32(encoded) == copy(view(plain)));
  }
}

TEST_CASE("hexadecimal gives lower-case digits and reads only those") {
  CHECK(to_hex(view("\x01\xab")) == "01ab");
  CHECK(from_hex("01ab") == copy(view("\x01\xab")));
  for (const char* wrong : {"0", "0g", "0A", "0x", " 0"}) CHECK_FALSE(from_hex(wrong));
}

TEST_CASE("texts survive the way there and back at every length") {
  Rng rng(1);
  for (std::size_t length = 0; length < 100; ++length) {
    const Bytes bytes = random_bytes(rng, length);
    CHECK(from_base32(to_base32(bytes)) == bytes);
    CHECK(from_hex(to_hex(bytes)) == bytes);
  }
}

TEST_CASE("only the canonical base32 text of some bytes decodes") {
  for (const char* wrong : {"a", "mzx", "mzxw6y", "mz", "MY", "my======", "m0", "m y", "m1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(from_base32(wrong));
  }
  Rng rng(2);
  for (int round = 0; round < 2000; ++round) {
    std::string digits;
    for (std::uint64_t n = rng.below(12); n > 0; --n)
      digits.push_back("abcdefghijklmnopqrstuvwxyz234567"[rng.below(32)]);
    if (const auto bytes = from_base32(digits)) CHECK(to_base32(*bytes) == digits);
  }
}

TEST_CASE("integers are little-endian") {
  Bytes out;
  append_u32(out, 0x01020304);
  append_u64(out, 0x1112131415161718);
  CHECK(to_hex(out) == "040302011817161514131211");
  CHECK(read_u32(out) == 0x01020304);
  CHECK(read_u64(ByteView(out).subspan(4)) == 0x1112131415161718);
}

TEST_CASE("ids are 32 bytes, with one text each") {
  Rng rng(3);
  const Bytes raw = random_bytes(rng, 32);
  const auto id = PeerId::from(raw);
  REQUIRE(id);
  CHECK(copy(id->view()) == raw);
  CHECK(id->base32().size() == 52);
  CHECK(id->brief() == id->base32().substr(0, 8));
  CHECK(PeerId::from_base32_text(id->base32()) == id);
  CHECK(retag<Digest>(*id).bytes == id->bytes);
  CHECK_FALSE(PeerId::from(ByteView(raw).first(31)));
  CHECK_FALSE(PeerId::from_base32_text(id->base32().substr(1)));
  CHECK_FALSE(PeerId::from_base32_text(""));
  PeerId other = *id;
  other.bytes[31] ^= std::byte{1};
  CHECK(other != *id);
  CHECK((other < *id) != (*id < other));
}

}  // namespace
}  // namespace starling::base
