// A version that grows whenever something visible changed, and threads that wait for it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace starling::runtime {

class ChangeSignal {
 public:
  void bump() {
    const std::lock_guard lock(mutex_);
    ++version_;
    changed_.notify_all();
  }
  std::uint64_t wait_after(std::uint64_t seen, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return version_ > seen; });
    return version_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t version_ = 1;
};

}  // namespace starling::runtime
