#include "coordinator-less/protocol/overlay.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

PeerId peer(int n) {
  PeerId id;
  id.bytes[0] = static_cast<std::byte>(n);
  return id;
}

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
  Overlay low(peer(1), true), high(peer(9), true);
  low.on_peer_known(peer(9), {"127.0.0.1:1"}, false, {0});
  high.on_peer_known(peer(1), {"127.0.0.1:2"}, false, {0});
  CHECK(dialled(low, 0) == std::vector{peer(9)});
  CHECK(dialled(high, 0).empty());
  CHECK(dialled(high, limits::dial_courtesy.ms) == std::vector{peer(1)});
}

TEST_CASE("a peer that cannot be dialled does not wait for the other side") {
  Overlay overlay(peer(9), false);
  overlay.on_peer_known(peer(1), {"127.0.0.1:1"}, false, {0});
  CHECK(dialled(overlay, 0) == std::vector{peer(1)});
}

TEST_CASE("failed dials back off, doubling, up to a bound") {
  base::Rng rng(1);
  Overlay overlay(peer(1), true);
  overlay.on_peer_known(peer(2), {"127.0.0.1:1", "127.0.0.1:2"}, true, {0});
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
  Overlay overlay(peer(1), true);
  overlay.on_peer_known(peer(2), {"127.0.0.1:1"}, true, {0});
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
  Overlay overlay(peer(1), true);
  overlay.on_peer_known(peer(2), {"127.0.0.1:1"}, true, {0});
  overlay.refuse(peer(2), {0});
  CHECK(dialled(overlay, 1000).empty());
  CHECK_FALSE(overlay.on_link_up(peer(2), false, {1000}));
  CHECK_FALSE(overlay.linked(peer(2)));
  CHECK(overlay.on_link_up(peer(2), false, {limits::refused_link.ms + 1}));
}

TEST_CASE("the mesh has a bound, and a full one asks for no timer") {
  Overlay overlay(peer(0), true);
  for (int n = 1; n <= 100; ++n) overlay.on_peer_known(peer(n), {"127.0.0.1:1"}, true, {0});
  CHECK(dialled(overlay, 0).size() == limits::neighbours_max);
  CHECK_FALSE(overlay.next_dial());
}

TEST_CASE("known peers have a bound") {
  Overlay overlay(PeerId{}, true);
  for (std::uint32_t n = 1; n <= limits::peer_records_max + 50; ++n) {
    PeerId id;
    id.bytes[1] = static_cast<std::byte>(n & 255);
    id.bytes[2] = static_cast<std::byte>(n >> 8);
    overlay.on_peer_known(id, {"127.0.0.1:1"}, false, {0});
  }
  CHECK(overlay.known().size() == limits::peer_records_max);
}
