// The statements this peer keeps (manifests, cancels, results, replays, peer records) and set comparison over their ids.
//
// Comparison of this floor (range-based reconciliation replaces it with the scalable overlay): ids fall into 256 buckets by
// their first byte; a Summary holds each bucket's wrapping 64-bit sum of the ids' second words. Differing buckets are then
// listed whole. A bucket with more ids than one message holds is listed in pages: a message of one bucket that is full speaks
// only of the ids from its first to its last. Pages share their border and follow each other from comparison to comparison,
// so no number of ids ground into one bucket ends its convergence; what lies outside the lister's first and last id is found
// when the other side lists. Buckets take turns too, so that some that never become equal do not starve the rest.
// Sums can be forged by whoever may choose ids, which hides statements only from himself: the next random
// neighbour compares again. Cost: 2 KiB per comparison, 32 bytes an id in differing buckets.
// Memory: what travels, once. Of results the decoded body is let go: the evidence holds what they say, and there are many of them.
// Of a job that sleeps only the manifest is kept and the ids of the others, so that comparison does not wake it; who asks for these is
// answered from the disk.
// Also remembered, in a bounded ring: ids of statements that are not kept (claims), so that floods end.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/protocol/recent_set.hpp"
#include "coordinator-less/protocol/sleeping_ids.hpp"

namespace starling::protocol {

struct KeptStatement {
  MessageId id;
  PeerId author;
  StatementType type = StatementType::results;
  std::shared_ptr<const Bytes> raw;
  std::shared_ptr<const Body> body;  // none of results
};

class StatementStore {
 public:
  bool contains(const MessageId& id) const { return statements_.contains(id) || asleep_.contains(id); }
  bool seen(const MessageId& id) const { return contains(id) || ephemeral_.contains(id); }
  void remember_ephemeral(const MessageId& id) { ephemeral_.insert(id); }

  void add(const Statement& statement, const JobId& job);
  void remove(const MessageId& id);
  void remove_job(const JobId& job);
  bool can_sleep() const { return !asleep_.full(); }
  void sleep(const JobId& job);  // REQUIRES: can_sleep(), its statements are durable
  void wake(const JobId& job);   // forgets all but the manifest: the caller adds the others again
  // Of what is in memory:
  std::optional<KeptStatement> find(const MessageId& id) const;
  std::vector<KeptStatement> of_job(const JobId& job) const;  // manifest first
  std::size_t size() const { return statements_.size() + asleep_.size(); }

  Summary summary() const;
  // What to answer to a neighbour's summary: ids of the buckets that differ; nullopt when none does.
  std::optional<BucketIds> compare(const Summary& theirs);
  struct Difference {
    std::vector<std::shared_ptr<const Bytes>> they_lack;  // manifests first, so that they can be understood
    std::vector<MessageId> they_lack_asleep;              // ... and these, which are on the disk
    std::vector<MessageId> we_lack;
  };
  Difference difference(const BucketIds& theirs) const;
  Difference wanted(const Want& want) const;

  void check_invariants() const;

 private:
  using Siblings = std::map<JobId, std::vector<MessageId>>;
  struct Kept {
    PeerId author;
    StatementType type;
    std::shared_ptr<const Bytes> raw;
    std::shared_ptr<const Body> body;
    Siblings::iterator job;
  };
  using Entry = std::map<MessageId, Kept>::value_type;
  static KeptStatement told(const Entry& entry);
  static std::uint64_t word_of(const MessageId& id);
  std::vector<MessageId> page_of(std::size_t bucket);
  static std::vector<std::shared_ptr<const Bytes>> in_reading_order(std::vector<const Kept*> statements);

  std::map<MessageId, Kept> statements_;
  Siblings by_job_;
  SleepingIds asleep_;
  std::array<std::uint64_t, 256> sums_{};
  RecentSet<MessageId, limits::seen_statements_max> ephemeral_;
  std::size_t first_bucket_ = 0;           // of the next comparison's answer
  std::array<MessageId, 256> next_page_{};  // of buckets that take several messages: where the next one begins
};

}  // namespace starling::protocol
