// Ids of statements whose bytes are on the disk alone, of all jobs that sleep: 34 bytes each, in order, so that the 256 buckets of comparison
// (statement_store.hpp) are stretches of them. In 16 groups by the first four bits: one is copied at a time when a job comes or goes.
// Cost: a job that comes or goes O(all ids), a question O(log ids).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class SleepingIds {
 public:
  struct Entry {
    MessageId id;
    std::uint16_t job;  // its number here
  };
  static constexpr std::size_t jobs_max = std::numeric_limits<std::uint16_t>::max();

  bool full() const { return numbers_.size() >= jobs_max; }
  void add(const JobId& job, const std::vector<MessageId>& ids);  // REQUIRES: not full, the job is not here
  std::vector<MessageId> remove(const JobId& job);                // what was added; nothing when it is not here
  bool contains(const MessageId& id) const;
  std::span<const Entry> bucket(std::size_t number) const;  // whose first byte is this, by id
  std::size_t size() const;
  void check_invariants() const;

 private:
  static constexpr std::size_t group_count = 16;
  std::array<std::vector<Entry>, group_count> groups_;
  std::map<JobId, std::uint16_t> numbers_;
  std::uint16_t next_ = 0;
};

}  // namespace starling::protocol
