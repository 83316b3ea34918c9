#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "tests/unit/net/support.hpp"

using namespace starling;
using namespace starling::net;
using namespace starling::net::test;

namespace {

std::string text_of(const FrameReceived& frame) { return std::string(base::text(frame.bytes)); }

void link(Station& dialler, Station& acceptor) {
  dialler.dial(acceptor);
  REQUIRE(dialler.diary->next<LinkUp>());
  REQUIRE(acceptor.diary->next<LinkUp>());
}

// What a dial of `peer` at `address` fails with.
std::string failure(Station& dialler, const base::PeerId& peer, const std::string& address) {
  dialler.transport->dial(peer, address);
  const auto failed = dialler.diary->next<DialFailed>();
  REQUIRE(failed);
  CHECK(failed->peer == peer);
  CHECK(failed->address == address);
  CHECK(dialler.diary->count<LinkUp>() == 0);
  return failed->reason;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("transport: two peers link up and both send over the dialler's link") {
  Station hub, leaf({.role = Role::light, .listen = false});
  CHECK(hub.transport->port() != 0);
  CHECK(leaf.transport->port() == 0);
  leaf.dial(hub);
  const auto up = leaf.diary->next<LinkUp>(), other_up = hub.diary->next<LinkUp>();
  REQUIRE(up);
  REQUIRE(other_up);
  CHECK(up->peer == hub.id());
  CHECK(up->dialled);
  CHECK(up->role == Role::worker);
  CHECK(other_up->peer == leaf.id());
  CHECK_FALSE(other_up->dialled);
  CHECK(other_up->role == Role::light);

  CHECK(leaf.send(hub.id(), "ping"));
  CHECK(text_of(hub.diary->next<FrameReceived>().value()) == "ping");
  CHECK(hub.send(leaf.id(), "pong"));
  CHECK(text_of(leaf.diary->next<FrameReceived>().value()) == "pong");
  const std::string largest(limits::frame_bytes_max, 'x');
  CHECK(hub.send(leaf.id(), largest));
  CHECK(hub.send(leaf.id(), ""));
  CHECK(text_of(leaf.diary->next<FrameReceived>().value()) == largest);
  CHECK(text_of(leaf.diary->next<FrameReceived>().value()).empty());

  for (int i = 0; i < 5'000 && hub.transport->counters().frames_sent < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // counted once it is on its way
  const auto counters = hub.transport->counters();
  CHECK(counters.inbound_links == 1);
  CHECK(counters.outbound_links == 0);
  CHECK(counters.frames_sent == 3);
  CHECK(counters.bytes_sent == 4 + largest.size());
  CHECK(counters.frames_received == 1);
}

TEST_CASE("transport: IPv6 loopback works like IPv4") {
  const auto identity = crypto::Identity::generate();
  auto config = config_for(identity, {});
  config.bind_host = "::1";
  auto diary = std::make_shared<Diary>();
  auto server = Transport::start(config, std::make_unique<RealAuthenticator>(identity.seed(), "secret"),
                                 [diary](Event&& event) { return diary->take(std::move(event)); });
  if (!server) return;  // a machine without IPv6
  Station leaf({.listen = false});
  leaf.transport->dial(identity.id(), "[::1]:" + std::to_string((*server)->port()));
  CHECK(leaf.diary->next<LinkUp>());
  CHECK(diary->next<LinkUp>());
}

TEST_CASE("transport: frames for strangers are refused at once") {
  Station lonely;
  CHECK_FALSE(lonely.send(crypto::Identity::generate().id(), "anybody?"));
}

TEST_CASE("transport: a failed dial says why in plain words") {
  Station dialler({.listen = false});
  Station other, foreign({.network = 2}), secretive({.secret = "other"});
  std::uint16_t closed_port = 0;
  {
    Station gone;
    closed_port = gone.transport->port();
  }
  CHECK(contains(failure(dialler, other.id(), "127.0.0.1:" + std::to_string(closed_port)), "connection refused"));
  CHECK(contains(failure(dialler, foreign.id(), other.address()), "wrong key"));
  CHECK(contains(failure(dialler, foreign.id(), foreign.address()), "refused hello"));
  CHECK(contains(failure(dialler, secretive.id(), secretive.address()), "refused hello"));
  CHECK(contains(failure(dialler, dialler.id(), other.address()), "wrong key"));
  CHECK(contains(failure(dialler, other.id(), "localhost:1"), "not a numeric address"));
  auto signed_id = other.id();
  signed_id.bytes[31] |= std::byte{0x80};
  CHECK(contains(failure(dialler, signed_id, other.address()), "wrong key"));
  CHECK(foreign.transport->counters().refused_hellos == 1);
  CHECK(secretive.transport->counters().refused_hellos == 1);
  CHECK(other.transport->counters().refused_hellos == 0);
  CHECK(other.diary->count<LinkUp>() == 0);
}

TEST_CASE("transport: dialling something that never answers ends with timeout") {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(listen(listener, 1) == 0);
  REQUIRE(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  Station dialler({.listen = false, .hello_timeout = base::milliseconds(200)});
  CHECK(contains(failure(dialler, crypto::Identity::generate().id(), "127.0.0.1:" + std::to_string(ntohs(address.sin_port))),
                 "timeout"));
  close(listener);
}

TEST_CASE("transport: peers that dial each other at once have one link each, and it survives the loss of either half") {
  Station left, right;
  left.dial(right);
  right.dial(left);
  REQUIRE(left.diary->next<LinkUp>());
  REQUIRE(right.diary->next<LinkUp>());
  left.dial(right);  // linked already: nothing happens
  for (int i = 0; i < 10; ++i) {
    CHECK(left.send(right.id(), "l"));
    CHECK(right.send(left.id(), "r"));
    CHECK(left.diary->next<FrameReceived>());
    CHECK(right.diary->next<FrameReceived>());
  }
  CHECK(left.diary->count<LinkUp>() == 0);
  CHECK(right.diary->count<LinkUp>() == 0);
  left.transport->kick(right.id(), "enough");
  CHECK(left.diary->next<LinkDown>()->reason == "enough");
  CHECK(right.diary->next<LinkDown>());
}

TEST_CASE("transport: a second inbound link of the same key replaces the first without a word to the user") {
  Station hub;
  const auto seed = crypto::Identity::generate().seed();
  Station first({.listen = false, .seed = seed});
  link(first, hub);
  Station second({.listen = false, .seed = seed});
  second.dial(hub);
  REQUIRE(second.diary->next<LinkUp>());
  CHECK(first.diary->next<LinkDown>());  // cut by the hub
  CHECK(hub.send(second.id(), "for the second"));
  CHECK(text_of(second.diary->next<FrameReceived>().value()) == "for the second");
  CHECK(second.send(hub.id(), "from the second"));
  CHECK(text_of(hub.diary->next<FrameReceived>().value()) == "from the second");
  CHECK(hub.diary->count<LinkUp>() == 0);
  CHECK(hub.diary->count<LinkDown>() == 0);
  CHECK(hub.transport->counters().inbound_links == 1);
}

TEST_CASE("transport: the death of a peer is told at once") {
  Station hub;
  auto leaf = std::make_unique<Station>(StationOptions{.listen = false});
  const auto id = leaf->id();
  link(*leaf, hub);
  leaf.reset();
  const auto down = hub.diary->next<LinkDown>();
  REQUIRE(down);
  CHECK(down->peer == id);
  CHECK_FALSE(hub.send(id, "too late"));

  Station other_leaf({.listen = false});
  auto doomed = std::make_unique<Station>();
  link(other_leaf, *doomed);
  doomed.reset();
  CHECK(other_leaf.diary->next<LinkDown>());
}

TEST_CASE("transport: kick closes one peer's link and leaves the others alone") {
  Station hub, bad({.listen = false}), good({.listen = false});
  link(bad, hub);
  link(good, hub);
  hub.transport->kick(bad.id(), "it lied");
  const auto down = hub.diary->next<LinkDown>();
  REQUIRE(down);
  CHECK(down->peer == bad.id());
  CHECK(down->reason == "it lied");
  CHECK(bad.diary->next<LinkDown>());
  CHECK(good.send(hub.id(), "still here"));
  CHECK(text_of(hub.diary->next<FrameReceived>().value()) == "still here");
  link(bad, hub);  // a kick is no ban
}

TEST_CASE("transport: addresses that cannot be listened on give clear errors") {
  Station holder;
  const auto identity = crypto::Identity::generate();
  const auto start = [&](const std::string& host, std::uint16_t port) {
    auto config = config_for(identity, {});
    config.bind_host = host;
    config.bind_port = port;
    auto started = Transport::start(config, std::make_unique<RealAuthenticator>(identity.seed(), ""),
                                    [](Event&&) { return true; });
    REQUIRE_FALSE(started);
    CHECK_FALSE(started.error().hint.empty());
    return started.error();
  };
  const auto in_use = start("127.0.0.1", holder.transport->port());
  CHECK(in_use.code == base::ErrorCode::temporary);
  CHECK(contains(in_use.message, std::to_string(holder.transport->port())));
  CHECK(start("example.org", 0).code == base::ErrorCode::bad_input);
  CHECK(start("192.0.2.1", 0).code == base::ErrorCode::bad_input);
}

TEST_CASE("transport: links per address and in total are capped at the door") {
  Station hub({.inbound_links_per_address_max = 2});
  Station first({.listen = false}), second({.listen = false}), third({.listen = false});
  link(first, hub);
  link(second, hub);
  CHECK(contains(failure(third, hub.id(), hub.address()), "no room"));
  first.transport->kick(hub.id(), "make room");
  REQUIRE(hub.diary->next<LinkDown>());
  link(third, hub);

  Station small({.inbound_links_max = 1});
  link(first, small);
  CHECK(contains(failure(second, small.id(), small.address()), "no room"));
}

TEST_CASE("transport: a full sink stops the reading, the byte budget stops the sending, and what was taken arrives in order") {
  Station sender({.listen = false}), receiver;
  link(sender, receiver);
  receiver.diary->set_open(false);
  const auto frame_of = [](std::uint32_t number) {
    base::Bytes bytes(64 * 1024, std::byte{7});
    bytes.resize(bytes.size() - 4);
    base::append_u32(bytes, number);
    return std::make_shared<const base::Bytes>(std::move(bytes));
  };
  std::uint32_t taken = 0;
  const auto taken_all = [&] {
    while (sender.transport->send(receiver.id(), frame_of(taken))) REQUIRE(++taken < 10'000);
  };
  REQUIRE(eventually([&] {  // until ZeroMQ's queues and the kernel's are full too
    const auto before = taken;
    taken_all();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return taken == before;
  }));
  CHECK(sender.transport->counters().dropped_over_budget >= 1);
  CHECK(receiver.diary->refused() > 0);
  CHECK(taken >= limits::send_budget_bytes / (65 * 1024));

  receiver.diary->set_open(true);
  for (std::uint32_t i = 0; i < taken; ++i) {
    const auto frame = receiver.diary->next<FrameReceived>();
    REQUIRE(frame);
    REQUIRE(base::read_u32(base::ByteView(frame->bytes).last(4)) == i);
  }
  CHECK(receiver.diary->count<FrameReceived>() == 0);
  CHECK(receiver.transport->counters().kicked_unfinished == 0);
  CHECK(sender.transport->send(receiver.id(), frame_of(0)));
}

TEST_CASE("transport: a burst of small frames longer than ZeroMQ's queue loses nothing") {
  Station sender, receiver({.listen = false});
  link(receiver, sender);
  const int burst = 5000;
  int taken = 0;
  for (int i = 0; i < burst; ++i) taken += sender.send(receiver.id(), std::to_string(i)) ? 1 : 0;
  CHECK(taken == burst);
  for (int i = 0; i < burst; ++i) REQUIRE(text_of(receiver.diary->next<FrameReceived>().value()) == std::to_string(i));
}

TEST_CASE("transport: 200 links made and ended leave no descriptor behind, and none survives exec") {
  Station hub, leaf({.listen = false});
  link(leaf, hub);
  leaf.transport->kick(hub.id(), "warm");
  REQUIRE(hub.diary->next<LinkDown>());
  REQUIRE(leaf.diary->next<LinkDown>());
  const auto before = open_descriptors();
  for (int i = 0; i < 200; ++i) {
    link(leaf, hub);
    (i % 2 == 0 ? leaf : hub).transport->kick(i % 2 == 0 ? hub.id() : leaf.id(), "next");
    REQUIRE(hub.diary->next<LinkDown>());
    REQUIRE(leaf.diary->next<LinkDown>());
  }
  CHECK(eventually([&] { return open_descriptors() <= before; }));
  link(leaf, hub);
  for (int fd = 3; fd < 1024; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0) continue;
    char path[64], target[256] = {};
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (readlink(path, target, sizeof target - 1) < 0 || std::string_view(target).find(":[") == std::string_view::npos) continue;
    if (std::string_view(target).starts_with("pipe:")) continue;  // the test runner's own
    CAPTURE(target);
    CHECK((flags & FD_CLOEXEC) != 0);
  }
}
