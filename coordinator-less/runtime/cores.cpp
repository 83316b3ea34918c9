#include "coordinator-less/runtime/cores.hpp"

#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>

#include "coordinator-less/base/check.hpp"

namespace starling::runtime {

struct Cores::Arena {
  explicit Arena(std::size_t threads) : tasks(static_cast<int>(threads)) {}
  tbb::task_arena tasks;
};

std::size_t Cores::usual_threads() {
  return std::clamp<std::size_t>(static_cast<std::size_t>(tbb::info::default_concurrency()), 1, limits::computing_threads_max);
}

Cores::Cores(std::size_t threads) : threads_(threads) {
  if (threads_ > 1) arena_ = std::make_unique<Arena>(threads_);
}
Cores::~Cores() = default;

// The counter also says in our own code what TBB's library does: all before comes before the work, and the work before the return.
// The thread sanitizer does not see into that library.
void Cores::each(std::size_t count, const std::function<void(std::size_t)>& work) {
  if (!arena_ || count < 2) {
    for (std::size_t i = 0; i < count; ++i) work(i);
    return;
  }
  std::atomic<std::size_t> left = 0;
  left.store(count, std::memory_order_release);
  arena_->tasks.execute([&] {
    tbb::parallel_for(
        tbb::blocked_range<std::size_t>(0, count, 1),
        [&](const tbb::blocked_range<std::size_t>& range) {
          STARLING_ENSURE(left.load(std::memory_order_acquire) > 0);
          for (std::size_t i = range.begin(); i < range.end(); ++i) work(i);
          left.fetch_sub(range.size(), std::memory_order_acq_rel);
        },
        tbb::simple_partitioner());
  });
  STARLING_ENSURE(left.load(std::memory_order_acquire) == 0);
}

}  // namespace starling::runtime
