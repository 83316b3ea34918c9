// Blocking reads of blob ranges for threads other than the protocol's: the executor's and the callers' of Peer.
#pragma once

#include <atomic>
#include <chrono>

#include "coordinator-less/runtime/driver.hpp"

namespace starling::runtime {

class RangeReader final : public UnitInputs {
 public:
  RangeReader(std::shared_ptr<storage::BlobStore> blobs, std::shared_ptr<Inbox> inbox, std::function<base::Now()> clock)
      : blobs_(std::move(blobs)), inbox_(std::move(inbox)), clock_(std::move(clock)) {}

  base::Expected<int> open(const base::JobId& job, const protocol::BlobRef& blob) override;
  bool whole(const base::Digest& blob) override { return blobs_->has(blob); }
  base::Expected<void> ensure(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf,
                              std::uint64_t count) override;

  // Asks again while nobody has it, until the time is over. Errors: temporary with the last reason, interrupted when closing.
  base::Expected<void> fetch_range(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf,
                                   std::uint64_t count, base::Instant deadline);
  base::Expected<void> fetch_whole(const base::JobId& job, const protocol::BlobRef& blob, base::Instant deadline);

  void close();  // sleeping threads return; nobody waits from now on

 private:
  base::Expected<void> ask_once(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf,
                                std::uint64_t count, base::Instant deadline);
  bool pause();  // false: closing

  std::shared_ptr<storage::BlobStore> blobs_;
  std::shared_ptr<Inbox> inbox_;
  std::function<base::Now()> clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closing_ = false;
};

}  // namespace starling::runtime
