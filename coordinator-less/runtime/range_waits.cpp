#include "coordinator-less/runtime/range_waits.hpp"

namespace starling::runtime {

void RangeWait::resolve(base::Expected<void> answer) {
  const std::lock_guard lock(mutex_);
  if (!answer_) answer_ = std::move(answer);
  changed_.notify_all();
}

std::optional<base::Expected<void>> RangeWait::wait(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, timeout, [this] { return answer_.has_value(); });
  abandoned_ = true;
  return answer_;
}

bool RangeWait::abandoned() const {
  const std::lock_guard lock(mutex_);
  return abandoned_;
}

void RangeWaits::add(const base::Digest& blob, std::uint64_t first_leaf, std::uint64_t leaf_count, std::shared_ptr<RangeWait> wait) {
  std::erase_if(waits_, [](const auto& entry) { return entry.second->abandoned(); });
  waits_.emplace(Key{blob, first_leaf, leaf_count}, std::move(wait));
}

void RangeWaits::resolve(const base::Digest& blob, std::uint64_t first_leaf, std::uint64_t leaf_count, const base::Expected<void>& answer) {
  const auto [begin, end] = waits_.equal_range({blob, first_leaf, leaf_count});
  for (auto it = begin; it != end; ++it) it->second->resolve(answer);
  waits_.erase(begin, end);
}

void RangeWaits::resolve_all(const base::Expected<void>& answer) {
  for (const auto& [key, wait] : waits_) wait->resolve(answer);
  waits_.clear();
}

}  // namespace starling::runtime
