// Threads that wait for ranges of blobs, and the core's answers to them. The map lives on the protocol thread; one wait is
// shared between it and the thread that sleeps.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::runtime {

class RangeWait {
 public:
  void resolve(base::Expected<void> answer);  // the first answer counts
  // nullopt: no answer in time; nobody waits any more.
  std::optional<base::Expected<void>> wait(std::chrono::milliseconds timeout);
  bool abandoned() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<base::Expected<void>> answer_;
  bool abandoned_ = false;
};

class RangeWaits {
 public:
  void add(const base::Digest& blob, std::uint64_t first_leaf, std::uint64_t leaf_count, std::shared_ptr<RangeWait> wait);
  void resolve(const base::Digest& blob, std::uint64_t first_leaf, std::uint64_t leaf_count, const base::Expected<void>& answer);
  void resolve_all(const base::Expected<void>& answer);
  std::size_t size() const { return waits_.size(); }

 private:
  using Key = std::tuple<base::Digest, std::uint64_t, std::uint64_t>;
  std::multimap<Key, std::shared_ptr<RangeWait>> waits_;
};

}  // namespace starling::runtime
