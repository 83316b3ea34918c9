#include <doctest/doctest.h>

#include "tests/unit/net/support.hpp"

using namespace starling;
using namespace starling::net;
using namespace starling::net::test;

namespace {

struct Pair {
  crypto::Identity dialler = crypto::Identity::generate(), acceptor = crypto::Identity::generate();
  RealAuthenticator dialler_auth{dialler.seed(), "secret"}, acceptor_auth{acceptor.seed(), "secret"};
  HelloPair keys{.dialler = dialler.id(), .acceptor = acceptor.id()};

  Hello greeting() { return make_hello(dialler_auth, network(1), Role::light, Side::dialler, keys); }
  Hello answer() { return make_hello(acceptor_auth, network(1), Role::light, Side::acceptor, keys); }
  bool acceptor_takes(const Hello& hello) {
    return check_dialler(acceptor_auth, network(1), acceptor.id(), dialler.curve_public(), encode_hello(hello)).has_value();
  }
  bool dialler_takes(const Hello& hello) {
    return check_acceptor(dialler_auth, network(1), keys, encode_hello(hello)).has_value();
  }
};

}  // namespace

TEST_CASE("hello: a proper pair passes in both directions and keeps the role") {
  Pair pair;
  CHECK(pair.acceptor_takes(pair.greeting()));
  CHECK(pair.dialler_takes(pair.answer()));
  const auto read = decode_hello(encode_hello(pair.greeting()));
  REQUIRE(read);
  CHECK(read->role == Role::light);
  CHECK(read->peer == pair.dialler.id());
}

TEST_CASE("hello: every single changed bit is refused") {
  Pair pair;
  const auto good = encode_hello(pair.greeting());
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] ^= std::byte{1};
    CHECK_FALSE(check_dialler(pair.acceptor_auth, network(1), pair.acceptor.id(), pair.dialler.curve_public(), bad));
  }
}

TEST_CASE("hello: wrong lengths, roles and magic do not decode") {
  Pair pair;
  auto frame = encode_hello(pair.greeting());
  CHECK(frame.size() == hello_bytes);
  for (std::size_t size = 0; size < frame.size(); ++size) CHECK_FALSE(decode_hello(base::ByteView(frame).first(size)));
  frame[5] = std::byte{3};
  CHECK_FALSE(decode_hello(frame));
  frame[5] = std::byte{1};
  CHECK(decode_hello(frame));
  frame.push_back(std::byte{0});
  CHECK_FALSE(decode_hello(frame));
}

TEST_CASE("hello: the dialler's own proofs sent back do not pass for an answer") {
  Pair pair;
  auto echo = pair.greeting();
  CHECK_FALSE(pair.dialler_takes(echo));
  echo.side = Side::acceptor;  // its mac was made for the other direction
  echo.peer = pair.acceptor.id();
  CHECK_FALSE(pair.dialler_takes(echo));
  auto forged = pair.answer();
  forged.mac = pair.greeting().mac;
  CHECK_FALSE(pair.dialler_takes(forged));
}

TEST_CASE("hello: bound to network, secret, pair and link key") {
  Pair pair;
  const auto third = crypto::Identity::generate();
  const auto other_network = make_hello(pair.dialler_auth, network(2), Role::light, Side::dialler, pair.keys);
  CHECK_FALSE(pair.acceptor_takes(other_network));
  RealAuthenticator other_secret(pair.dialler.seed(), "other");
  CHECK_FALSE(pair.acceptor_takes(make_hello(other_secret, network(1), Role::light, Side::dialler, pair.keys)));
  RealAuthenticator no_secret(pair.dialler.seed(), "");
  CHECK_FALSE(pair.acceptor_takes(make_hello(no_secret, network(1), Role::light, Side::dialler, pair.keys)));
  const HelloPair to_third{.dialler = pair.dialler.id(), .acceptor = third.id()};
  CHECK_FALSE(pair.acceptor_takes(make_hello(pair.dialler_auth, network(1), Role::light, Side::dialler, to_third)));
  CHECK_FALSE(check_dialler(pair.acceptor_auth, network(1), pair.acceptor.id(), third.curve_public(),
                            encode_hello(pair.greeting())));
}

TEST_CASE("hello: an id with the sign bit set is refused before its signature is looked at") {
  Pair pair;
  auto hello = pair.greeting();
  hello.peer.bytes[31] |= std::byte{0x80};
  const auto checked =
      check_dialler(pair.acceptor_auth, network(1), pair.acceptor.id(), pair.dialler.curve_public(), encode_hello(hello));
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message == "an id that is no proper key");
}
