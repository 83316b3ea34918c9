#include "coordinator-less/net/unfinished_watch.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"

using starling::net::UnfinishedWatch;
using starling::net::wire_bytes;
namespace limits = starling::limits;

TEST_CASE("unfinished watch: a stranger may be 64 KiB ahead, a peer 16 MiB") {
  UnfinishedWatch watch;
  CHECK_FALSE(watch.on_check(limits::unfinished_bytes_before_hello_max, true));
  CHECK(watch.on_check(limits::unfinished_bytes_before_hello_max + 1, true));
  watch.on_hello();
  CHECK_FALSE(watch.on_check(limits::unfinished_bytes_after_hello_max, true));
  CHECK(watch.on_check(limits::unfinished_bytes_after_hello_max + 1, true));
}

TEST_CASE("unfinished watch: delivered frames count exactly, so no number of them adds up to an excess or a credit") {
  UnfinishedWatch watch;
  watch.on_hello();
  starling::base::Rng rng(7);
  std::uint64_t sent = 900;  // greeting and handshake
  for (int i = 0; i < 200'000; ++i) {
    const auto size = static_cast<std::size_t>(rng.below(1000));
    sent += wire_bytes(size);
    watch.on_frame(size);
    if (rng.chance(0.01)) {
      REQUIRE_FALSE(watch.on_check(sent, false));
      REQUIRE(watch.bytes_ahead() == 900);
    }
  }
}

TEST_CASE("unfinished watch: weeks of heartbeats are forgiven by a frame after a quiet check") {
  UnfinishedWatch watch;
  watch.on_hello();
  std::uint64_t sent = 0;
  for (int i = 0; i < 100; ++i) {
    sent += 1024 * 1024;
    REQUIRE_FALSE(watch.on_check(sent, true));
    REQUIRE_FALSE(watch.on_check(sent, true));
    watch.on_frame(10);
    sent += wire_bytes(10);
  }
}

TEST_CASE("unfinished watch: nothing is forgiven while bytes flow or frames wait") {
  UnfinishedWatch watch;
  watch.on_hello();
  std::uint64_t sent = 0;
  bool cut = false;
  for (int i = 0; i < 20; ++i) {
    sent += 1024 * 1024;
    cut = cut || watch.on_check(sent, true);
    watch.on_frame(10);  // of the time before the parts
    sent += wire_bytes(10);
    cut = cut || watch.on_check(sent, false);
    cut = cut || watch.on_check(sent, false);
    watch.on_frame(10);
    sent += wire_bytes(10);
  }
  CHECK(cut);
}
