#include "worker/execution/executor/guest_faults.hpp"

#include <signal.h>

#include <atomic>
#include <cstdint>
#include <utility>

// The C library's own names for what this file defines anew.
extern "C" int __sigaction(int number, const struct sigaction* action, struct sigaction* old) noexcept;

namespace starling::execution {
namespace {

constexpr std::uint64_t reach_bytes = 1ULL << 33;

using Handler = void (*)(int, siginfo_t*, void*);
std::atomic<Handler> engines_handler = nullptr;
constinit thread_local const std::byte* guest_memory = nullptr;

bool is_fault(int number) { return number == SIGSEGV || number == SIGBUS || number == SIGFPE; }

bool is_guests(int number, const siginfo_t& info) {
  const auto at = reinterpret_cast<std::uintptr_t>(info.si_addr);
  const auto memory = reinterpret_cast<std::uintptr_t>(guest_memory);
  return number != SIGFPE && info.si_code > 0 && memory != 0 && at >= memory && at - memory < reach_bytes;
}

void on_fault(int number, siginfo_t* info, void* context) {
  const Handler handler = engines_handler;
  if (handler != nullptr && is_guests(number, *info)) return handler(number, info, context);
  struct sigaction fatal{};
  fatal.sa_handler = SIG_DFL;
  __sigaction(number, &fatal, nullptr);  // the instruction runs again, and ends the process
}

}  // namespace

GuestFaults::GuestFaults(const std::byte* memory) : before_(std::exchange(guest_memory, memory)) {}
GuestFaults::~GuestFaults() { guest_memory = before_; }

}  // namespace starling::execution

using namespace starling::execution;

extern "C" int sigaction(int number, const struct sigaction* action, struct sigaction* old) noexcept {
  if (!is_fault(number) || action == nullptr || (action->sa_flags & SA_SIGINFO) == 0) return __sigaction(number, action, old);
  engines_handler = action->sa_sigaction;
  struct sigaction ours = *action;
  ours.sa_sigaction = on_fault;
  return __sigaction(number, &ours, old);
}

extern "C" sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (is_fault(number) && handler == SIG_DFL && engines_handler != nullptr) return SIG_DFL;
  struct sigaction action{}, old{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  return __sigaction(number, &action, &old) == 0 ? old.sa_handler : SIG_ERR;
}
