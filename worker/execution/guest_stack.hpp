// The native stack that guests run on, apart from every thread's own, above a guard that no frame can step over.
//
// How far a guest may recurse is counted by its own code, in slots, the same on every tier (instrument/call_graph.hpp). How many native
// bytes that takes is the compiler's matter and has no bound that slots could give: unoptimised code keeps a place in the frame for
// every value that was ever alive across a call. So the stack is sized for frames as compilers usually make them
// (limits::executor_stack_bytes), and what does not fit must end the process and never do anything else: it touches the guard, the
// kernel finds no room for the signal's frame, and the process dies of SIGSEGV. The host then takes code of a lower tier, at last the
// interpreter, which keeps guests' frames on the heap: the outcome is what was counted.
// The guard is as large as the largest frame that a compiler makes, since a frame may be touched at its far end first.
#pragma once

#include <cstddef>
#include <functional>

namespace starling::execution {

class GuestStack {
 public:
  GuestStack();
  ~GuestStack();
  GuestStack(const GuestStack&) = delete;
  GuestStack& operator=(const GuestStack&) = delete;

  bool is_there() const { return mapping_ != nullptr; }  // else the host had no room for it

  // Runs `work`, which must not throw, to its end on this stack. REQUIRES: is_there(), and nothing runs on it.
  void run(const std::function<void()>& work);

 private:
  std::byte* begin() const;  // of the usable part: the lowest address

  void* mapping_ = nullptr;
};

}  // namespace starling::execution
