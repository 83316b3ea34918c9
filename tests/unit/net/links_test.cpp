#include "coordinator-less/net/links.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "coordinator-less/net/counters.hpp"
#include "coordinator-less/net/link_sockets.hpp"

using namespace starling;
using namespace starling::net;

namespace {

struct FakeCarrier final : Carrier {
  std::vector<std::string> sent;
  std::size_t room = 1000;
  Links* links = nullptr;
  Direction direction = Direction::inbound;
  bool up = false;

  bool send(const base::PeerId&, QueuedFrame& frame) override {
    if (sent.size() >= room) return false;
    sent.emplace_back(base::text(*frame.bytes));
    return true;
  }
  void close(const base::PeerId& peer, const std::string& reason) override {
    if (std::exchange(up, false)) links->on_down(peer, direction, reason);
  }
};

struct World {
  std::vector<std::string> told;
  bool has_room = true;
  EventOutlet outlet{[this](Event&& event) {
    if (!has_room) return false;
    if (std::holds_alternative<LinkUp>(event)) told.emplace_back(std::get<LinkUp>(event).dialled ? "up dialled" : "up");
    if (auto* down = std::get_if<LinkDown>(&event)) told.push_back("down " + down->reason);
    if (auto* frame = std::get_if<FrameReceived>(&event)) told.push_back("frame " + std::string(base::text(frame->bytes)));
    return true;
  }};
  SendBudgets budgets{10'000};
  Counters counters;
  Links links{outlet, budgets, counters};
  FakeCarrier in, out;
  base::PeerId peer;

  World() {
    in.links = out.links = &links;
    out.direction = Direction::outbound;
    links.set_carrier(Direction::inbound, in);
    links.set_carrier(Direction::outbound, out);
  }
  bool send(std::string_view text) {
    auto [reservation, refusal] = budgets.reserve(peer, text.size());
    if (!reservation) return false;
    links.send(peer, {std::make_shared<const base::Bytes>(base::copy(base::view(text))), std::move(*reservation)});
    links.check_invariants();
    return true;
  }
};

}  // namespace

TEST_CASE("links: the user sees one link per peer whatever the physical ones do") {
  World world;
  world.links.on_up(world.peer, Role::worker, Direction::inbound);
  world.links.on_up(world.peer, Role::worker, Direction::outbound);
  world.links.on_down(world.peer, Direction::inbound, "a");
  world.links.check_invariants();
  CHECK(world.counters.outbound_links == 1);
  CHECK(world.counters.inbound_links == 0);
  world.links.on_down(world.peer, Direction::outbound, "b");
  CHECK(world.told == std::vector<std::string>{"up", "down b"});
  CHECK_FALSE(world.send("late"));
}

TEST_CASE("links: frames that found no room wait in order, and move to the link that is left") {
  World world;
  world.links.on_up(world.peer, Role::worker, Direction::inbound);
  world.links.on_up(world.peer, Role::worker, Direction::outbound);
  world.out.room = 1;
  CHECK(world.send("1"));
  CHECK(world.send("2"));
  CHECK(world.send("3"));
  CHECK(world.links.stalled());
  world.links.on_down(world.peer, Direction::outbound, "gone");
  world.links.flush_stalled();
  CHECK_FALSE(world.links.stalled());
  CHECK(world.out.sent == std::vector<std::string>{"1"});
  CHECK(world.in.sent == std::vector<std::string>{"2", "3"});
}

TEST_CASE("links: a budget is used up by waiting frames and comes back with them") {
  World world;
  world.links.on_up(world.peer, Role::worker, Direction::inbound);
  world.in.room = 0;
  const std::string big(4000, 'x');
  CHECK(world.send(big));
  CHECK(world.send(big));
  CHECK_FALSE(world.send(big));
  world.in.room = 1000;
  world.links.flush_stalled();
  CHECK(world.send(big));
}

TEST_CASE("links: kick closes both ways and tells the reason once") {
  World world;
  world.in.up = world.out.up = true;
  world.links.on_up(world.peer, Role::worker, Direction::inbound);
  world.links.on_up(world.peer, Role::worker, Direction::outbound);
  world.links.kick(world.peer, "rude");
  world.links.check_invariants();
  CHECK(world.told == std::vector<std::string>{"up", "down rude"});
}

TEST_CASE("links: events refused by the sink come again, in order") {
  World world;
  world.links.on_up(world.peer, Role::worker, Direction::inbound);
  world.has_room = false;
  world.links.on_frame(world.peer, base::view("one"));
  CHECK(world.links.blocked());
  world.links.on_down(world.peer, Direction::inbound, "end");
  world.outlet.retry();
  CHECK(world.links.blocked());
  world.has_room = true;
  world.outlet.retry();
  CHECK_FALSE(world.links.blocked());
  CHECK(world.told == std::vector<std::string>{"up", "frame one", "down end"});
}

TEST_CASE("addresses: only numeric hosts with a port") {
  CHECK(parse_address("1.2.3.4:5")->endpoint() == "tcp://1.2.3.4:5");
  CHECK(parse_address("[::1]:65535")->endpoint() == "tcp://[::1]:65535");
  for (const char* bad : {"", ":", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3.4:5x", "host:5", "::1:5",
                          "[1.2.3.4]:5", "[]:5", "1.2.3.4:5;6.7.8.9:1", "*:5", "[::1:5"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_address(bad));
  }
}
