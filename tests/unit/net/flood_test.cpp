// One GiB of unfinished multipart message, from a process of its own so that only our memory is measured. ZeroMQ's sender
// writes parts out only once the last one is queued; the parts share one buffer, so the flood costs its sender nothing.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/net/support.hpp"

using namespace starling;
using namespace starling::net;
using namespace starling::net::test;

namespace {

constexpr std::size_t part_bytes = 64 * 1024;
constexpr std::size_t flood_bytes = std::size_t{1} << 30;
constexpr std::size_t growth_max = std::size_t{128} << 20;

struct Target {
  base::PeerId id;
  crypto::CurveKey key;
  std::uint16_t port;
};

void queue_flood(Stranger& stranger, const std::vector<std::byte>& part) {
  for (std::size_t sent = 0; sent < flood_bytes; sent += part.size()) {
    zmq_msg_t message;
    zmq_msg_init_data(&message, const_cast<std::byte*>(part.data()), part.size(), [](void*, void*) {}, nullptr);
    zmq_msg_send(&message, stranger.socket(), sent + part.size() < flood_bytes ? ZMQ_SNDMORE : 0);
  }
}

// The child's whole life. Exit code 0: it was cut off.
[[noreturn]] void attack(int pipe_end, bool with_hello) {
  Target target;
  if (read(pipe_end, &target, sizeof target) != sizeof target) _exit(3);
  const std::vector<std::byte> part(part_bytes, std::byte{1});
  const auto identity = crypto::Identity::generate();
  Stranger stranger;
  stranger.with_key(identity, target.key);
  stranger.connect("127.0.0.1:" + std::to_string(target.port));
  if (!stranger.sees(ZMQ_EVENT_HANDSHAKE_SUCCEEDED)) _exit(4);
  if (with_hello && !(stranger.send(hello_from(identity, target.id)) && stranger.receive())) _exit(5);
  queue_flood(stranger, part);
  _exit(stranger.sees(ZMQ_EVENT_DISCONNECTED, 60'000) ? 0 : 6);
}

struct Outcome {
  int exit_code = -1;
  std::size_t growth_bytes = 0;
};

Outcome watch_attack(pid_t child) {
  Outcome outcome;
  const auto before = resident_bytes();
  for (int status = 0;;) {
    outcome.growth_bytes = std::max(outcome.growth_bytes, std::max(resident_bytes(), before) - before);
    if (waitpid(child, &status, WNOHANG) == child) {
      if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
      return outcome;
    }
    usleep(1000);
  }
}

// Forks before this process has a ZeroMQ context: a child must not inherit one.
void check_flood(bool with_hello) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) attack(ends[0], with_hello);
  Station hub;
  const Target target{hub.id(), hub.identity.curve_public(), hub.transport->port()};
  REQUIRE(write(ends[1], &target, sizeof target) == sizeof target);
  const auto outcome = watch_attack(child);
  close(ends[0]);
  close(ends[1]);
  MESSAGE("memory grew by " << outcome.growth_bytes / 1024 << " KiB");
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.growth_bytes < growth_max);
  CHECK(hub.transport->counters().kicked_unfinished == 1);
  CHECK(hub.diary->count<FrameReceived>() == 0);
  if (with_hello) CHECK(hub.diary->next<LinkDown>()->reason.find("unfinished") != std::string::npos);
  Station honest({.listen = false});
  honest.dial(hub);
  CHECK(honest.diary->next<LinkUp>());
}

}  // namespace

TEST_CASE("flood: 1 GiB of unfinished message from an unknown key is cut off") { check_flood(false); }

TEST_CASE("flood: the same after Hello") { check_flood(true); }
