// What strangers and rude peers can do to us: nothing but lose their own link.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/net/zap.hpp"
#include "tests/unit/net/support.hpp"

using namespace starling;
using namespace starling::net;
using namespace starling::net::test;

namespace {

constexpr int failed_or_closed = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

void check_untouched(Station& hub) {
  CHECK(hub.diary->count<LinkUp>() == 0);
  CHECK(hub.diary->count<FrameReceived>() == 0);
  Station honest({.listen = false});
  honest.dial(hub);
  CHECK(honest.diary->next<LinkUp>());
  CHECK(hub.diary->next<LinkUp>());
}

// Greets properly with an own key.
struct Guest {
  explicit Guest(Station& hub) {
    stranger.with_key(identity, hub.identity.curve_public());
    stranger.connect(hub.address());
    REQUIRE(stranger.send(hello_from(identity, hub.id())));
    REQUIRE(stranger.receive());
    REQUIRE(hub.diary->next<LinkUp>());
  }
  crypto::Identity identity = crypto::Identity::generate();
  Stranger stranger;
};

void check_cut_after_first_frame(Station& hub, const crypto::Identity& identity, base::ByteView first) {
  const auto refused_before = hub.transport->counters().refused_hellos;
  Stranger stranger;
  stranger.with_key(identity, hub.identity.curve_public());
  stranger.connect(hub.address());
  CHECK(stranger.send(first));
  CHECK(stranger.is_cut());
  CHECK_FALSE(stranger.receive(0));
  CHECK(hub.transport->counters().refused_hellos == refused_before + 1);
}

int tcp_to(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

bool closed_by_peer(int fd) {
  for (;;) {
    pollfd item{fd, POLLIN, 0};
    if (poll(&item, 1, 10'000) <= 0) return false;
    char buffer[4096];
    if (recv(fd, buffer, sizeof buffer, 0) <= 0) return true;
  }
}

void check_raw(Station& hub, const std::string& bytes) {
  const int fd = tcp_to(hub.transport->port());
  send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  CHECK(closed_by_peer(fd));
  close(fd);
}

}  // namespace

TEST_CASE("stranger: anything but a proper Hello ends the link unanswered") {
  Station hub;
  const auto self = crypto::Identity::generate(), victim = crypto::Identity::generate(), other = crypto::Identity::generate();
  check_cut_after_first_frame(hub, self, base::view("GET / HTTP/1.1"));
  check_cut_after_first_frame(hub, self, {});
  check_cut_after_first_frame(hub, self, hello_from(self, hub.id(), "secret", 2));
  check_cut_after_first_frame(hub, self, hello_from(self, hub.id(), "guess"));
  check_cut_after_first_frame(hub, self, hello_from(self, hub.id(), ""));
  check_cut_after_first_frame(hub, self, hello_from(victim, hub.id()));  // replayed: another pair's
  check_cut_after_first_frame(hub, self, hello_from(self, other.id()));  // made for somebody else
  check_cut_after_first_frame(hub, self, hello_from(hub.identity, hub.id()));
  auto wrong_sign = hello_from(self, hub.id());
  wrong_sign[38 + 31] |= std::byte{0x80};
  check_cut_after_first_frame(hub, self, wrong_sign);
  check_untouched(hub);
}

TEST_CASE("stranger: a proper Hello of two parts, or behind garbage, is refused") {
  Station hub;
  const auto self = crypto::Identity::generate();
  const auto hello = hello_from(self, hub.id());
  Stranger parts;
  parts.with_key(self, hub.identity.curve_public());
  parts.connect(hub.address());
  CHECK(parts.send(hello, ZMQ_SNDMORE));
  CHECK(parts.send(hello));
  CHECK(parts.is_cut());
  Stranger late;
  late.with_key(self, hub.identity.curve_public());
  late.connect(hub.address());
  CHECK(late.send(base::view("garbage")));
  late.send(hello);
  CHECK(late.is_cut());
  check_untouched(hub);
}

TEST_CASE("stranger: who says nothing loses the link") {
  Station hub({.hello_timeout = base::milliseconds(300)});
  Stranger mute;
  mute.with_key(crypto::Identity::generate(), hub.identity.curve_public());
  mute.connect(hub.address());
  CHECK(mute.sees(ZMQ_EVENT_HANDSHAKE_SUCCEEDED));
  CHECK(mute.is_cut());
  const int silent = tcp_to(hub.transport->port());
  CHECK(closed_by_peer(silent));
  close(silent);
  CHECK(hub.diary->count<LinkUp>() == 0);
}

TEST_CASE("stranger: without CURVE nobody gets in") {
  Station hub;
  Stranger null_client;
  null_client.connect(hub.address());
  null_client.send(base::view("hello"), ZMQ_DONTWAIT);
  CHECK(null_client.sees(failed_or_closed));
  Stranger plain_client;
  plain_client.set_text(ZMQ_PLAIN_USERNAME, "admin");
  plain_client.set_text(ZMQ_PLAIN_PASSWORD, "admin");
  plain_client.connect(hub.address());
  CHECK(plain_client.sees(failed_or_closed));
  Stranger wrong_key;
  wrong_key.with_key(crypto::Identity::generate(), crypto::Identity::generate().curve_public());
  wrong_key.connect(hub.address());
  CHECK(wrong_key.sees(failed_or_closed));
  check_untouched(hub);
}

TEST_CASE("stranger: raw bytes and old protocol versions are thrown out") {
  Station hub({.hello_timeout = base::milliseconds(500)});
  base::Rng rng(20);
  for (int i = 0; i < 20; ++i) {
    std::string noise(1 + rng.below(2000), '\0');
    for (auto& c : noise) c = static_cast<char>(rng.next());
    check_raw(hub, noise);
  }
  const std::string signature("\xff\0\0\0\0\0\0\0\1\x7f", 10);
  check_raw(hub, std::string("\1\0", 2));                            // ZMTP 1.0, anonymous
  check_raw(hub, signature + std::string("\1\5\0\0", 4));           // ZMTP 2.0, DEALER
  std::string null_greeting = signature + std::string("\3\0NULL", 6);
  null_greeting.resize(64, '\0');
  check_raw(hub, null_greeting + std::string("\4\x19\5READY", 8));
  std::string huge = signature + std::string("\3\0CURVE", 7);
  huge.resize(64, '\0');
  check_raw(hub, huge + std::string("\6\x7f\xff\xff\xff\xff\xff\xff\xff", 9));  // a command of 2^63 bytes
  Station honest({.listen = false});
  honest.dial(hub);
  CHECK(honest.diary->next<LinkUp>());
}

TEST_CASE("stranger: a routing id of one's own choice ends the link and takes nobody's place") {
  Station hub, victim({.listen = false});
  victim.dial(hub);
  REQUIRE(hub.diary->next<LinkUp>());
  for (const char* chosen : {"A", "victim", "\1\2\3\4\5"}) {
    const auto self = crypto::Identity::generate();
    Stranger hijacker;
    hijacker.set_text(ZMQ_ROUTING_ID, chosen);
    hijacker.with_key(self, hub.identity.curve_public());
    hijacker.connect(hub.address());
    CHECK(hijacker.send(hello_from(self, hub.id())));
    CHECK(hijacker.is_cut());
  }
  CHECK(hub.diary->count<LinkUp>() == 0);
  CHECK(hub.send(victim.id(), "for the victim"));
  CHECK(victim.diary->next<FrameReceived>());
  CHECK(hub.transport->counters().inbound_links == 1);
}

TEST_CASE("stranger: after Hello, several parts or a frame over the limit end the link, with the reason") {
  Station hub;
  {
    Guest guest(hub);
    CHECK(guest.stranger.send(base::view("fine")));
    CHECK(hub.diary->next<FrameReceived>());
    CHECK(guest.stranger.send(base::view("one"), ZMQ_SNDMORE));
    CHECK(guest.stranger.send(base::view("two")));
    CHECK(hub.diary->next<LinkDown>()->reason == "a message of several parts");
    CHECK(guest.stranger.is_cut());
  }
  {
    Guest guest(hub);
    CHECK(guest.stranger.send(base::Bytes(limits::frame_bytes_max + 1)));
    CHECK(hub.diary->next<LinkDown>()->reason == "a frame over the limit");
    CHECK(guest.stranger.is_cut());
  }
  {
    Guest guest(hub);
    CHECK(guest.stranger.send(base::Bytes(limits::message_bytes_max + 1)));
    CHECK(hub.diary->next<LinkDown>());  // by ZeroMQ itself, before it makes room for it
  }
  CHECK(hub.diary->count<FrameReceived>() == 0);
  check_untouched(hub);
}

TEST_CASE("stranger: a key's second link takes over only once its own Hello has passed") {
  Station hub;
  Guest guest(hub);
  Stranger again;
  again.with_key(guest.identity, hub.identity.curve_public());
  again.connect(hub.address());
  CHECK(again.send(base::view("no Hello")));
  CHECK(again.is_cut());
  CHECK(guest.stranger.send(base::view("still me")));
  CHECK(hub.diary->next<FrameReceived>());
  CHECK(hub.diary->count<LinkDown>() == 0);
}

TEST_CASE("stranger: many silent connections from one address are cut, linked peers stay") {
  Station hub, friendly({.listen = false});
  friendly.dial(hub);
  REQUIRE(friendly.diary->next<LinkUp>());
  REQUIRE(hub.diary->next<LinkUp>());
  std::vector<int> silent;
  for (std::size_t i = 0; i < limits::half_open_links_per_address_max + 20; ++i) silent.push_back(tcp_to(hub.transport->port()));
  CHECK(closed_by_peer(silent.back()));
  CHECK(friendly.send(hub.id(), "hello"));
  CHECK(hub.diary->next<FrameReceived>());
  for (const int fd : silent) close(fd);
}

TEST_CASE("stranger: ZAP: without a handler, and with one that knows nobody, no key gets in") {
  const auto server_keys = crypto::Identity::generate();
  Context context(zmq_ctx_new());
  const auto router = open_socket(context.get(), ZMQ_ROUTER);
  require_zap(router.get(), server_keys.curve_secret());
  REQUIRE(zmq_bind(router.get(), "tcp://127.0.0.1:*") == 0);
  char endpoint[64];
  std::size_t size = sizeof endpoint;
  REQUIRE(zmq_getsockopt(router.get(), ZMQ_LAST_ENDPOINT, endpoint, &size) == 0);
  Stranger stranger;
  stranger.with_key(crypto::Identity::generate(), server_keys.curve_public());
  stranger.connect(std::string(endpoint).substr(6));
  CHECK(stranger.sees(failed_or_closed));

  ZapHandler handler(context.get());
  CHECK(zap_refuses_strangers(context.get(), handler, server_keys.curve_public(), server_keys.curve_secret()));
  handler.set_policy([](const CurveKey&, const std::string&) { return 1; });
  CHECK_FALSE(zap_refuses_strangers(context.get(), handler, server_keys.curve_public(), server_keys.curve_secret()));
}

namespace {

// A CURVE server that holds the right key and breaks the rules of an acceptor.
struct RudeAcceptor {
  RudeAcceptor() : context(zmq_ctx_new()), router(open_socket(context.get(), ZMQ_ROUTER)) {
    set_int(router.get(), ZMQ_CURVE_SERVER, 1);
    set_int(router.get(), ZMQ_RCVTIMEO, 10'000);
    set_bytes(router.get(), ZMQ_CURVE_SECRETKEY, identity.curve_secret());
    REQUIRE(zmq_bind(router.get(), "tcp://127.0.0.1:*") == 0);
    std::size_t size = sizeof endpoint;
    REQUIRE(zmq_getsockopt(router.get(), ZMQ_LAST_ENDPOINT, endpoint, &size) == 0);
  }
  std::string address() const { return std::string(endpoint).substr(6); }
  base::Bytes receive() {
    base::Bytes buffer(4096);
    const int id_size = zmq_recv(router.get(), routing_id, sizeof routing_id, 0);
    const int size = zmq_recv(router.get(), buffer.data(), buffer.size(), 0);
    REQUIRE(id_size == 5);
    REQUIRE(size >= 0);
    buffer.resize(static_cast<std::size_t>(size));
    return buffer;
  }
  void send(base::ByteView bytes, int flags = 0) {
    zmq_send(router.get(), routing_id, sizeof routing_id, ZMQ_SNDMORE);
    zmq_send(router.get(), bytes.data(), bytes.size(), flags);
  }
  base::Bytes proper_answer(const base::PeerId& dialler) {
    RealAuthenticator auth(identity.seed(), "secret");
    return encode_hello(make_hello(auth, network(1), Role::worker, Side::acceptor, {.dialler = dialler, .acceptor = identity.id()}));
  }
  crypto::Identity identity = crypto::Identity::generate();
  Context context;
  Socket router;
  char endpoint[64] = {};
  std::uint8_t routing_id[5] = {};
};

}  // namespace

TEST_CASE("stranger: an acceptor that cannot prove itself is refused by the dialler") {
  for (const std::string answer : {"echo", "garbage", "silence", "parts"}) {
    CAPTURE(answer);
    RudeAcceptor acceptor;
    Station dialler({.listen = false, .hello_timeout = base::milliseconds(answer == "silence" ? 300 : 10'000)});
    dialler.transport->dial(acceptor.identity.id(), acceptor.address());
    auto hello = acceptor.receive();
    if (answer == "echo") acceptor.send(hello);
    if (answer == "garbage") acceptor.send(base::view("welcome"));
    if (answer == "parts") {
      acceptor.send(acceptor.proper_answer(dialler.id()), ZMQ_SNDMORE);
      zmq_send(acceptor.router.get(), "x", 1, 0);
    }
    const auto failed = dialler.diary->next<DialFailed>();
    REQUIRE(failed);
    CHECK(failed->reason.starts_with(answer == "parts" ? "a message of several parts" : "refused hello"));
    CHECK(dialler.diary->count<LinkUp>() == 0);
  }
}

TEST_CASE("stranger: an acceptor that turns rude after Hello loses the link") {
  RudeAcceptor acceptor;
  Station dialler({.listen = false});
  for (const std::string manner : {"parts", "size"}) {
    dialler.transport->dial(acceptor.identity.id(), acceptor.address());
    acceptor.receive();
    acceptor.send(acceptor.proper_answer(dialler.id()));
    REQUIRE(dialler.diary->next<LinkUp>());
    if (manner == "parts") {
      acceptor.send(base::view("1"), ZMQ_SNDMORE);
      zmq_send(acceptor.router.get(), "2", 1, 0);
      CHECK(dialler.diary->next<LinkDown>()->reason == "a message of several parts");
    } else {
      acceptor.send(base::Bytes(limits::frame_bytes_max + 1));
      CHECK(dialler.diary->next<LinkDown>()->reason == "a frame over the limit");
    }
  }
}
