#include "coordinator-less/runtime/range_reader.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::runtime {

base::Expected<int> RangeReader::open(const base::JobId&, const protocol::BlobRef& blob) {
  if (auto begun = blobs_->begin(blob.name, blob.size_bytes); !begun) return std::unexpected(std::move(begun).error());
  return blobs_->open_descriptor(blob.name);
}

base::Expected<void> RangeReader::ensure(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf,
                                         std::uint64_t count) {
  return fetch_range(job, blob, first_leaf, count, clock_().steady + limits::unit_input_timeout);
}

void RangeReader::close() {
  const std::lock_guard lock(mutex_);
  closing_ = true;
  changed_.notify_all();
}

bool RangeReader::pause() {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::milliseconds(limits::fetch_retry_interval.ms), [this] { return closing_; });
}

base::Expected<void> RangeReader::ask_once(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf,
                                           std::uint64_t count, base::Instant deadline) {
  auto wait = std::make_shared<RangeWait>();
  {
    const std::lock_guard lock(mutex_);  // after close() the loop may be gone
    if (closing_) return base::fail(base::ErrorCode::interrupted, "this peer is closing");
    inbox_->push(Call{[=](Driver& driver) { driver.want_range(job, blob, first_leaf, count, wait); }});
  }
  const auto left_ms = std::max<std::int64_t>(0, (deadline - clock_().steady).ms);
  if (auto answer = wait->wait(std::chrono::milliseconds(left_ms))) return *answer;
  return base::fail(base::ErrorCode::temporary, "blob " + blob.name.brief() + " did not arrive in time", "try again");
}

base::Expected<void> RangeReader::fetch_range(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf,
                                              std::uint64_t count, base::Instant deadline) {
  while (true) {
    if (blobs_->has_range(blob.name, first_leaf, count)) return {};
    auto answer = ask_once(job, blob, first_leaf, count, deadline);
    if (answer) continue;  // ready, or evicted again in between
    if (answer.error().code == base::ErrorCode::interrupted) return answer;
    if (deadline < clock_().steady + limits::fetch_retry_interval || !pause()) return answer;
  }
}

base::Expected<void> RangeReader::fetch_whole(const base::JobId& job, const protocol::BlobRef& blob, base::Instant deadline) {
  const auto leaves = base::leaf_count(blob.size_bytes);
  for (std::uint64_t first = 0; first < leaves; first += limits::fetch_window_leaves) {
    if (blobs_->has(blob.name)) break;
    const auto count = std::min(limits::fetch_window_leaves, leaves - first);
    if (auto got = fetch_range(job, blob, first, count, deadline); !got) return got;
  }
  if (blobs_->has(blob.name)) return {};
  return base::fail(base::ErrorCode::temporary, "blob " + blob.name.brief() + " was evicted while it came in",
                    "give this peer a larger quota");
}

}  // namespace starling::runtime
