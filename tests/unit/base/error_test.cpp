#include "coordinator-less/base/error.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>

#include "coordinator-less/base/check.hpp"

namespace starling::base {
namespace {

constexpr ErrorCode all_codes[] = {
    ErrorCode::internal,  ErrorCode::usage,   ErrorCode::bad_input, ErrorCode::job_failed,  ErrorCode::timeout,
    ErrorCode::not_found, ErrorCode::refused, ErrorCode::temporary, ErrorCode::interrupted, ErrorCode::malformed};

Expected<int> half(int n) {
  if (n % 2 != 0) return fail(ErrorCode::bad_input, "odd", "give an even number");
  return n / 2;
}

Expected<int> quarter(int n) {
  STARLING_TRY(const int once, half(n));
  STARLING_TRY(const int twice, half(once));
  return twice;
}

TEST_CASE("no error exits 0 and every code has a name of its own") {
  std::set<std::string> names;
  for (const auto code : all_codes) {
    CHECK(exit_code(code) > 0);
    names.insert(name_of(code));
  }
  CHECK(names.size() == std::size(all_codes));
  CHECK(exit_code(ErrorCode::temporary) == 75);
  CHECK(exit_code(ErrorCode::interrupted) == 130);
}

TEST_CASE("TRY takes the value or passes the first error up whole") {
  CHECK(quarter(12) == 3);
  const auto failed = quarter(6);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == ErrorCode::bad_input);
  CHECK(failed.error().message == "odd");
  CHECK(failed.error().hint == "give an even number");
}

int signal_of(bool condition) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    std::signal(SIGABRT, SIG_DFL);  // the test runner's own handler would speak
    STARLING_ENSURE(condition);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_CASE("ENSURE aborts the process when its condition does not hold") {
  CHECK(signal_of(true) == 0);
  CHECK(signal_of(false) == SIGABRT);
}

}  // namespace
}  // namespace starling::base
