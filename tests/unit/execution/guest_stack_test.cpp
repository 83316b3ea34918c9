// The guard below the guests' stack, by a frame that steps over everything smaller.
#include "worker/execution/guest_stack.hpp"

#include <doctest/doctest.h>

#ifdef STARLING_HAS_EXECUTOR  // not under sanitizers, which watch stacks themselves

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coordinator-less/base/limits.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

const volatile char* address_here() {
  volatile char here = 0;
  const volatile char* volatile out = &here;
  return out;
}

// How a process ends that runs `work` on a guest stack: a signal, or 0.
int signal_of(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::signal(SIGSEGV, SIG_DFL);
    GuestStack stack;
    // Memory that a frame would land in if the guard were smaller: the kernel puts it right below.
    ::mmap(nullptr, std::size_t{8} << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack.is_there()) stack.run(work);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

// A frame of that size of which only the lowest byte is touched.
void touch_below(std::size_t bytes) {
  volatile char* frame = static_cast<volatile char*>(__builtin_alloca(bytes));
  frame[0] = 1;
}

}  // namespace

TEST_CASE("guest stack: work runs on it, with all of its size, and comes back") {
  GuestStack stack;
  REQUIRE(stack.is_there());
  const volatile char* inside = nullptr;
  for (int i = 0; i < 3; ++i) {
    int sum = 0;
    stack.run([&] {
      inside = address_here();
      touch_below(limits::executor_stack_bytes - 64 * 1024);
      for (int n = 0; n < 10; ++n) sum += n;
    });
    CHECK(sum == 45);
  }
  const auto distance = inside > address_here() ? inside - address_here() : address_here() - inside;
  CHECK(static_cast<std::size_t>(distance) > limits::executor_stack_bytes / 2);
}

TEST_CASE("guest stack: whatever leaves it dies of SIGSEGV, by small frames or by one that is larger than everything else") {
  CHECK(signal_of([] { touch_below(limits::executor_stack_bytes / 2); }) == 0);
  for (const std::size_t beyond : {std::size_t{4096}, std::size_t{1} << 20, std::size_t{1} << 30, (std::size_t{1} << 32) - limits::executor_stack_bytes})
    CHECK(signal_of([=] { touch_below(limits::executor_stack_bytes + beyond); }) == SIGSEGV);
}

#endif  // STARLING_HAS_EXECUTOR
