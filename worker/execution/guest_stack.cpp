#include "worker/execution/guest_stack.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::execution {
namespace {

constexpr std::size_t mapping_bytes = limits::guest_stack_guard_bytes + limits::executor_stack_bytes;
constexpr std::size_t kept_bytes = 256 * 1024;  // what ordinary guests touch: not given back between items

// makecontext hands over nothing but ints.
void enter(unsigned low, unsigned high) {
  const auto address = std::uintptr_t{high} << 32 | low;
  (*reinterpret_cast<const std::function<void()>*>(address))();
}

}  // namespace

GuestStack::GuestStack() {
  void* at = ::mmap(nullptr, mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (at == MAP_FAILED) return;
  mapping_ = at;
  if (::mprotect(begin(), limits::executor_stack_bytes, PROT_READ | PROT_WRITE) != 0) {
    ::munmap(at, mapping_bytes);
    mapping_ = nullptr;
    return;
  }
  ::madvise(begin(), limits::executor_stack_bytes, MADV_NOHUGEPAGE);  // an item that needs 8 KiB would take 2 MiB
}

GuestStack::~GuestStack() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes);
}

std::byte* GuestStack::begin() const { return static_cast<std::byte*>(mapping_) + limits::guest_stack_guard_bytes; }

void GuestStack::run(const std::function<void()>& work) {
  STARLING_ENSURE(is_there());
  ucontext_t here, there;
  STARLING_ENSURE(::getcontext(&there) == 0);
  there.uc_stack.ss_sp = begin();
  there.uc_stack.ss_size = limits::executor_stack_bytes;
  there.uc_link = &here;
  const auto address = reinterpret_cast<std::uintptr_t>(&work);
  ::makecontext(&there, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(address), static_cast<unsigned>(address >> 32));
  STARLING_ENSURE(::swapcontext(&here, &there) == 0);
  ::madvise(begin(), limits::executor_stack_bytes - kept_bytes, MADV_DONTNEED);
}

}  // namespace starling::execution
