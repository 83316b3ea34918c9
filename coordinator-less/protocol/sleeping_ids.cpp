#include "coordinator-less/protocol/sleeping_ids.hpp"

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {

void BucketSums::add(const BucketSums& others) {
  for (std::size_t bucket = 0; bucket < sums_.size(); ++bucket) sums_[bucket] += others.sums_[bucket];
}

void BucketSums::remove(const BucketSums& others) {
  for (std::size_t bucket = 0; bucket < sums_.size(); ++bucket) sums_[bucket] -= others.sums_[bucket];
}

void SleepingIds::add(const JobId& job, std::span<const MessageId> ids) {
  const auto [place, fresh] = jobs_.try_emplace(job);
  STARLING_ENSURE(fresh);
  Job& added = place->second;
  BucketSums sums;
  for (const MessageId& id : ids) {
    sums.add(id);
    added.used.set(bucket_of(id));
  }
  added.count = ids.size();
  added.sums.reserve(added.used.count());
  for (std::size_t bucket = 0; bucket < id_bucket_count; ++bucket)
    if (added.used[bucket]) added.sums.push_back(sums[bucket]);
  size_ += added.count;
}

void SleepingIds::remove(const JobId& job) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;
  size_ -= found->second.count;
  jobs_.erase(found);
}

BucketSums SleepingIds::sums(const JobId& job) const {
  BucketSums out;
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return out;
  auto sum = found->second.sums.begin();
  for (std::size_t bucket = 0; bucket < id_bucket_count; ++bucket)
    if (found->second.used[bucket]) out[bucket] = *sum++;
  return out;
}

void SleepingIds::check_invariants() const {
  std::size_t count = 0;
  for (const auto& [id, job] : jobs_) {
    STARLING_ENSURE(job.sums.size() == job.used.count() && job.count >= job.sums.size());
    count += job.count;
  }
  STARLING_ENSURE(count == size_);
}

}  // namespace starling::protocol
