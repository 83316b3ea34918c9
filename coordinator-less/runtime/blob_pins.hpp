// Blobs that nobody may evict although the core does not need them (yet): put for a job still to be submitted, or just
// being fetched. Counted; thread-safe.
#pragma once

#include <map>
#include <mutex>

#include "coordinator-less/base/ids.hpp"

namespace starling::runtime {

class BlobPins {
 public:
  void pin(const base::Digest& blob) {
    const std::lock_guard lock(mutex_);
    ++counts_[blob];
  }
  void unpin(const base::Digest& blob) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(blob);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }
  void unpin_all(const base::Digest& blob) {
    const std::lock_guard lock(mutex_);
    counts_.erase(blob);
  }
  bool pinned(const base::Digest& blob) const {
    const std::lock_guard lock(mutex_);
    return counts_.contains(blob);
  }

 private:
  mutable std::mutex mutex_;
  std::map<base::Digest, std::size_t> counts_;
};

class BlobPin {
 public:
  BlobPin(BlobPins& pins, const base::Digest& blob) : pins_(pins), blob_(blob) { pins_.pin(blob_); }
  BlobPin(const BlobPin&) = delete;
  BlobPin& operator=(const BlobPin&) = delete;
  ~BlobPin() { pins_.unpin(blob_); }

 private:
  BlobPins& pins_;
  base::Digest blob_;
};

}  // namespace starling::runtime
