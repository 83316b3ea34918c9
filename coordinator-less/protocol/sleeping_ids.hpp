// What stays in memory of the ids of statements whose bytes are on the disk alone: of each job that sleeps how many they are and, for each of the
// 256 buckets of comparison (statement_store.hpp) that it has ids in, the wrapping sum of their second words. With these a summary is told without
// the disk; the ids themselves are asked from there (stored_evidence.hpp).
// Cost: 8 bytes a bucket that is not empty and 120 a job, 2.2 KB at most, however many statements; a job that comes is gone through once, one that
// goes costs its buckets.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

inline constexpr std::size_t id_bucket_count = 256;
inline std::size_t bucket_of(const MessageId& id) { return std::to_integer<std::size_t>(id.bytes[0]); }

// Wrapping sums of ids by bucket: what a set of statements adds to a summary.
class BucketSums {
 public:
  void add(const MessageId& id) { sums_[bucket_of(id)] += word_of(id); }
  void remove(const MessageId& id) { sums_[bucket_of(id)] -= word_of(id); }
  void add(const BucketSums& others);
  void remove(const BucketSums& others);
  std::uint64_t& operator[](std::size_t bucket) { return sums_[bucket]; }
  std::uint64_t operator[](std::size_t bucket) const { return sums_[bucket]; }
  auto begin() const { return sums_.begin(); }
  auto end() const { return sums_.end(); }
  bool operator==(const BucketSums&) const = default;

 private:
  static std::uint64_t word_of(const MessageId& id) { return base::read_u64(id.view().subspan(8, 8)); }
  std::array<std::uint64_t, id_bucket_count> sums_{};
};

class SleepingIds {
 public:
  void add(const JobId& job, std::span<const MessageId> ids);  // REQUIRES: the job is not here
  void remove(const JobId& job);
  bool contains(const JobId& job) const { return jobs_.contains(job); }
  bool empty() const { return jobs_.empty(); }
  std::size_t size() const { return size_; }  // ids
  BucketSums sums(const JobId& job) const;    // all zero when it is not here
  // Calls use(job) for each that has ids in this bucket, by id.
  template <class Use>
  void for_each_in(std::size_t bucket, const Use& use) const {
    for (const auto& [id, job] : jobs_)
      if (job.used[bucket]) use(id);
  }
  void check_invariants() const;

 private:
  struct Job {
    std::size_t count = 0;
    std::bitset<id_bucket_count> used;  // a sum that is zero says nothing: who chooses ids chooses it
    std::vector<std::uint64_t> sums;    // of the used ones, in order
  };
  std::map<JobId, Job> jobs_;
  std::size_t size_ = 0;
};

}  // namespace starling::protocol
