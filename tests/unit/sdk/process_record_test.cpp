#include "sdk/client/process_record.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "tests/support/scratch.hpp"

using namespace starling;
using client::ProcessRecord;

namespace {

// A child that sleeps until it is told to end. It is ready when this returns: doctest's own handler, inherited by the fork,
// would report a crash.
pid_t sleeping_child() {
  std::array<int, 2> ready{};
  REQUIRE(::pipe(ready.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGTERM, SIG_DFL);
    ::close(ready[1]);
    ::close(ready[0]);
    while (true) ::pause();
  }
  ::close(ready[1]);
  char none = 0;
  REQUIRE(::read(ready[0], &none, 1) == 0);  // the child closed its end
  ::close(ready[0]);
  return child;
}

}  // namespace

TEST_CASE("a record survives its file") {
  testing::ScratchFolder scratch;
  const auto own = client::process_record_of(::getpid());
  REQUIRE(own.has_value());
  REQUIRE(client::write_process_record(scratch.path() / "pid", *own).has_value());
  CHECK(client::read_process_record(scratch.path() / "pid") == own);
  CHECK(client::is_alive(*own));
  CHECK_FALSE(client::read_process_record(scratch.path() / "none").has_value());
}

TEST_CASE("a process is told to stop, and its end is seen") {
  const pid_t child = sleeping_child();
  const auto record = client::process_record_of(child);
  REQUIRE(record.has_value());
  CHECK(client::terminate(*record, std::chrono::seconds(10)).has_value());
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status));
  CHECK_FALSE(client::is_alive(*record));
  CHECK(client::terminate(*record, std::chrono::seconds(1)).error().code == base::ErrorCode::not_found);
}

TEST_CASE("a stranger with the same pid is left alone") {
  const pid_t child = sleeping_child();
  auto record = client::process_record_of(child).value();
  record.start_ticks += 1;
  CHECK(client::terminate(record, std::chrono::seconds(1)).error().code == base::ErrorCode::not_found);
  int status = 0;
  CHECK(::waitpid(child, &status, WNOHANG) == 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
}
