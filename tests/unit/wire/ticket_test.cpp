#include <doctest/doctest.h>

#include "tests/unit/wire/random_messages.hpp"

namespace {

using namespace starling;
using namespace starling::testing;

std::string valid_text() {
  base::Rng rng(8);
  return wire::ticket_text(random_ticket(rng));
}

bool bad_input(std::string_view text) {
  const auto parsed = wire::parse_ticket(text);
  return !parsed && parsed.error().code == base::ErrorCode::bad_input && !parsed.error().message.empty() && !parsed.error().hint.empty();
}

TEST_CASE("ticket: begins with its name") { CHECK(valid_text().starts_with("starling1")); }

TEST_CASE("ticket: what is no ticket") {
  CHECK(bad_input(""));
  CHECK(bad_input("hello"));
  CHECK(bad_input("starling1"));
  CHECK(bad_input("starling1a"));
  CHECK(bad_input("starling2" + valid_text().substr(9)));
  CHECK(bad_input("starling1" + std::string(limits::ticket_text_bytes_max, 'a')));
}

TEST_CASE("ticket: any character changed, lost or doubled is noticed") {
  const std::string text = valid_text();
  for (std::size_t i = 0; i < text.size(); i += 3) {
    std::string changed = text;
    changed[i] = changed[i] == 'a' ? 'b' : 'a';
    CHECK(bad_input(changed));
    CHECK(bad_input(std::string(text).erase(i, 1)));
    CHECK(bad_input(text.substr(0, i)));
  }
  CHECK(bad_input(text + "a"));
}

TEST_CASE("ticket: bounds") {
  Ticket ticket;
  ticket.peers.resize(limits::ticket_peers_max + 1);
  CHECK(bad_input(wire::ticket_text(ticket)));
  ticket.peers = {{{}, {"nonsense"}}};
  CHECK(bad_input(wire::ticket_text(ticket)));
  ticket.peers = {};
  CHECK_FALSE(bad_input(wire::ticket_text(ticket)));
  ticket.swarm.name = "evil\x1b[2J";
  CHECK(bad_input(wire::ticket_text(ticket)));
  ticket.swarm.name = "";
  ticket.swarm.kind = static_cast<SwarmKind>(3);
  CHECK(bad_input(wire::ticket_text(ticket)));
}

}  // namespace
