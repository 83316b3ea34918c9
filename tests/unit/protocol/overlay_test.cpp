#include "coordinator-less/protocol/overlay.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/ids.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

const std::vector<std::string> open = {"192.0.2.9:1"};  // an address of one's own, so that one can be dialled

using testing::peer;

std::vector<PeerId> dialled(Overlay& overlay, std::int64_t at_ms) {
  Outbox out;
  overlay.poll_dials({at_ms}, out);
  overlay.check_invariants();
  std::vector<PeerId> peers;
  while (auto effect = out.take()) peers.push_back(std::get<Dial>(*effect).peer);
  return peers;
}

}  // namespace

TEST_CASE("the lower id dials first, the higher one a second later") {
  Overlay low(peer(1), open), high(peer(9), open);
  low.on_peer_known(peer(9), {"192.0.2.1:1"}, false, {0});
  high.on_peer_known(peer(1), {"192.0.2.1:2"}, false, {0});
  CHECK(dialled(low, 0) == std::vector{peer(9)});
  CHECK(dialled(high, 0).empty());
  CHECK(dialled(high, limits::dial_courtesy.ms) == std::vector{peer(1)});
}

TEST_CASE("a peer that cannot be dialled does not wait for the other side") {
  Overlay overlay(peer(9), {});
  overlay.on_peer_known(peer(1), {"192.0.2.1:1"}, false, {0});
  CHECK(dialled(overlay, 0) == std::vector{peer(1)});
}

TEST_CASE("failed dials back off, doubling, up to a bound") {
  base::Rng rng(1);
  Overlay overlay(peer(1), open);
  overlay.on_peer_known(peer(2), {"192.0.2.1:1", "192.0.2.1:2"}, true, {0});
  std::int64_t now_ms = 0;
  std::int64_t last_wait_ms = 0;
  for (int attempt = 0; attempt < 12; ++attempt) {
    REQUIRE(dialled(overlay, now_ms) == std::vector{peer(2)});
    overlay.on_dial_failed(peer(2), {now_ms}, rng);
    const auto next = overlay.next_dial();
    REQUIRE(next);
    last_wait_ms = next->ms - now_ms;
    CHECK(last_wait_ms >= limits::dial_backoff_min.ms);
    CHECK(last_wait_ms <= limits::dial_backoff_max.ms * 3 / 2);
    CHECK(dialled(overlay, next->ms - 1).empty());
    now_ms = next->ms;
  }
  CHECK(last_wait_ms >= limits::dial_backoff_max.ms);
}

TEST_CASE("a link that is closed at once is not hammered, one that lasted is redialled soon") {
  base::Rng rng(1);
  Overlay overlay(peer(1), open);
  overlay.on_peer_known(peer(2), {"192.0.2.1:1"}, true, {0});
  std::int64_t now_ms = 0;
  for (int n = 0; n < 6; ++n) {
    REQUIRE(dialled(overlay, now_ms).size() == 1);
    CHECK(overlay.on_link_up(peer(2), false, {now_ms}));
    overlay.on_link_down(peer(2), {now_ms + 5}, rng);
    now_ms = overlay.next_dial()->ms;
  }
  CHECK(now_ms > 30'000);
  REQUIRE(dialled(overlay, now_ms).size() == 1);
  CHECK(overlay.on_link_up(peer(2), false, {now_ms}));
  overlay.on_link_down(peer(2), {now_ms + 120'000}, rng);
  CHECK(overlay.next_dial()->ms - (now_ms + 120'000) <= limits::dial_backoff_min.ms * 3 / 2);
}

TEST_CASE("a refused peer is neither dialled nor accepted, for a while") {
  Overlay overlay(peer(1), open);
  overlay.on_peer_known(peer(2), {"192.0.2.1:1"}, true, {0});
  overlay.refuse(peer(2), {0});
  CHECK(dialled(overlay, 1000).empty());
  CHECK_FALSE(overlay.on_link_up(peer(2), false, {1000}));
  CHECK_FALSE(overlay.linked(peer(2)));
  CHECK(overlay.on_link_up(peer(2), false, {limits::refused_link.ms + 1}));
}

TEST_CASE("the mesh has a bound, and a full one asks for no timer") {
  Overlay overlay(peer(0), open);
  for (int n = 1; n <= 100; ++n) overlay.on_peer_known(peer(n), {"192.0.2.1:1"}, true, {0});
  std::size_t links = 0;
  for (auto round = dialled(overlay, 0); !round.empty(); round = dialled(overlay, 0)) {
    CHECK(round.size() <= limits::dials_at_once_max);
    for (const PeerId& id : round) CHECK(overlay.on_link_up(id, false, {0}));
    links += round.size();
  }
  CHECK(links == limits::neighbours_max);
  CHECK_FALSE(overlay.next_dial());
}

TEST_CASE("known peers have a bound, and fakes make room before those that were once linked") {
  base::Rng rng(1);
  Overlay overlay(peer(255), {});
  const PeerId friend_id = peer(200);
  overlay.on_peer_known(friend_id, {"192.0.2.1:1"}, false, {0});
  CHECK(overlay.on_link_up(friend_id, false, {0}));
  overlay.on_link_down(friend_id, {10}, rng);
  for (int n = 0; n < 10; ++n) overlay.on_dial_failed(friend_id, {n * 100'000}, rng);  // away for long: the longest back-off
  for (std::uint32_t n = 1; n <= limits::peer_records_max + 50; ++n) {
    PeerId id = peer(1);
    id.bytes[1] = static_cast<std::byte>(n & 255);
    id.bytes[2] = static_cast<std::byte>(n >> 8);
    overlay.on_peer_known(id, {"192.0.2.1:1"}, false, {0});
    CHECK(overlay.addresses_of(id).size() == 1);  // the newest has room, whoever it is
  }
  CHECK(overlay.known().size() == limits::peer_records_max);
  CHECK(overlay.addresses_of(friend_id).size() == 1);
  overlay.check_invariants();
}

TEST_CASE("the ticket's peers are dialled before a cache of others, whatever their ids") {
  Overlay overlay(peer(1), open);
  overlay.on_peer_known(peer(250), {"192.0.2.7:1"}, true, {0});
  for (int n = 2; n < 100; ++n) overlay.on_peer_known(peer(n), {"192.0.2.1:1"}, true, {0});
  const auto first = dialled(overlay, 0);
  CHECK(std::ranges::find(first, peer(250)) != first.end());
}

TEST_CASE("a key that changes its address often is dialled no oftener") {
  const auto dials = [](bool changes) {
    base::Rng rng(1);
    Overlay overlay(peer(1), open);
    overlay.on_peer_known(peer(2), {"192.0.2.1:1"}, false, {0});
    int count = 0;
    for (std::int64_t now_ms = 0; now_ms < 600'000; now_ms += 500) {
      if (changes) overlay.on_peer_known(peer(2), {"192.0.2.1:" + std::to_string(now_ms / 500)}, false, {now_ms});
      for (const PeerId& id : dialled(overlay, now_ms)) {
        overlay.on_dial_failed(id, {now_ms}, rng);
        ++count;
      }
    }
    return count;
  };
  CHECK(dials(true) == dials(false));
  CHECK(dials(true) < 20);
}

TEST_CASE("64 unreachable low ids do not starve a reachable high one") {
  base::Rng rng(1);
  for (const bool trusted : {false, true}) {  // fakes of strangers, or a cache full of dead peers
    Overlay overlay(peer(1), open);
    for (int n = 2; n < 66; ++n) overlay.on_peer_known(peer(n), {"192.0.2.1:1"}, trusted, {0});
    overlay.on_peer_known(peer(250), {"192.0.2.7:1"}, false, {0});
    std::vector<std::pair<std::int64_t, PeerId>> in_flight;
    std::int64_t now_ms = 0;
    for (; now_ms < 200'000 && !overlay.linked(peer(250)); now_ms += 500) {
      while (!in_flight.empty() && in_flight.front().first <= now_ms) {
        overlay.on_dial_failed(in_flight.front().second, {now_ms}, rng);
        in_flight.erase(in_flight.begin());
      }
      for (const PeerId& id : dialled(overlay, now_ms))
        if (id == peer(250))
          CHECK(overlay.on_link_up(id, false, {now_ms}));
        else
          in_flight.emplace_back(now_ms + limits::dial_timeout.ms, id);
      CHECK(in_flight.size() <= limits::dials_at_once_max);
    }
    CHECK(now_ms <= 9 * limits::dial_timeout.ms);
  }
}

TEST_CASE("loopback and link-local addresses of a record are dialled only where they are the rule") {
  const std::vector<std::string> loopback = {"127.0.0.1:1"};
  const auto takes = [&](const std::vector<std::string>& own, bool ticket_is_local, bool ticket_of_author) {
    Overlay overlay(peer(1), own);
    const std::vector<std::string> ticket = ticket_is_local ? std::vector<std::string>{"127.0.0.1:9"} : open;
    overlay.on_peer_known(peer(ticket_of_author ? 2 : 3), ticket, true, {0});
    overlay.on_peer_known(peer(2), {"127.0.0.1:1", "[fe80::1]:1"}, false, {0});
    return overlay.addresses_of(peer(2)).size() == 2;
  };
  CHECK(takes(loopback, true, false));        // a development swarm
  CHECK(takes({}, true, false));              // a light peer in one
  CHECK_FALSE(takes({}, false, false));       // a light peer of the open network
  CHECK_FALSE(takes(open, true, false));
  CHECK(takes(open, true, true));             // that peer is met on this machine
  Overlay overlay(peer(1), open);
  overlay.on_peer_known(peer(2), {"127.0.0.1:22", "192.0.2.3:1"}, false, {0});
  CHECK(overlay.addresses_of(peer(2)) == std::vector<std::string>{"192.0.2.3:1"});
}
