// Short computations on several cores at once, while the thread that asks waits: signature checks. TBB's threads compute and own
// nothing (DESIGN section 3). Bounded: usually no more threads than limits::computing_threads_max or the machine has cores. With one all
// runs on the thread that asks, and no other is ever started; nor is one before the first use.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "coordinator-less/base/limits.hpp"

namespace starling::runtime {

class Cores {
 public:
  static std::size_t usual_threads();
  explicit Cores(std::size_t threads = usual_threads());  // with the one that asks
  ~Cores();
  Cores(const Cores&) = delete;
  Cores& operator=(const Cores&) = delete;

  std::size_t threads() const { return threads_; }
  // work(0) .. work(count - 1), each once, in any order and on any of the threads; all are done when it returns.
  void each(std::size_t count, const std::function<void(std::size_t)>& work);

 private:
  struct Arena;
  std::size_t threads_;
  std::unique_ptr<Arena> arena_;  // null: one thread
};

}  // namespace starling::runtime
