// Which faults of native code are the guest's doing.
//
// Native code does not check addresses: what lies outside the guest's memory raises SIGSEGV, and the engine's handler takes that for
// the guest's trap, whatever the address. A compiler's mistake, or native code that a guest has broken, would so end in a trap that
// this machine signs. Here the engine's handler is asked only about addresses that 32 bits and an offset of 32 bits can reach from
// the memory of the guest that this thread runs, while its own code runs. Every other fault kills the process, and the host
// takes code of a lower tier (decision 0017). So does SIGFPE, which the engine would take for a division by zero: its compilers
// write the checks of a division out.
//
// The engine sets its handlers by sigaction() when the first thread begins to run a guest, and takes them away by signal() when the
// last one has ended. Both names are defined by this binary, so those calls come here; what concerns those signals is
// remembered, and the handler of this file stays. (So a thread that begins just as the last one ends keeps its handler, too.)
#pragma once

#include <cstddef>

namespace starling::execution {

// While this lives, a fault in reach of `memory` is the guest's whose native code this thread runs; null: none is. They nest: a host
// function puts a null one around its own work.
class GuestFaults {
 public:
  explicit GuestFaults(const std::byte* memory);
  ~GuestFaults();
  GuestFaults(const GuestFaults&) = delete;
  GuestFaults& operator=(const GuestFaults&) = delete;

 private:
  const std::byte* before_;
};

}  // namespace starling::execution
