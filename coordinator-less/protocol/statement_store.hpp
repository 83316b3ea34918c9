// The statements this peer keeps (manifests, cancels, results, replays, peer records, folds) and set comparison over their ids.
//
// Comparison of this floor (range-based reconciliation replaces it with the scalable overlay): ids fall into 256 buckets by
// their first byte; a Summary holds each bucket's wrapping 64-bit sum of the ids' second words. Differing buckets are then
// listed whole. A bucket with more ids than one message holds is listed in pages: a message of one bucket that is full speaks
// only of the ids from its first to its last. Pages share their border and follow each other from comparison to comparison,
// so no number of ids ground into one bucket ends its convergence; what lies outside the lister's first and last id is found
// when the other side lists. Buckets take turns too, so that some that never become equal do not starve the rest.
// Headlines are what is to be known of all jobs first: manifests, cancellations, peer records and folds. New neighbours compare these alone, so that who is told
// that a job is folded (fold.hpp) can leave its evidence out of the comparison that follows: the other side counts and lists none of it either, but
// only of jobs of which it sees the same as the folds.
// Sums of what is left out are walked once for each job that is awake, and kept up from then on; walked() tells what that came to, for who asked to pay.
// Sums can be forged by whoever may choose ids, which hides statements only from himself: the next random
// neighbour compares again. Cost: 2 KiB per comparison, 32 bytes an id in differing buckets.
// Memory: what travels, once. Of results the decoded body is let go: the evidence holds what they say, and there are many of them;
// of folds too, which are read once.
// Of a job that sleeps only headlines are kept and sums of the others' ids (sleeping_ids.hpp), so that summaries need nothing else. Whether one of
// these is known, and which ones a bucket has, is asked from the disk, without waking the job; so are the statements that a neighbour asks for.
// What neighbours can make this peer read there: for each statement of a bundle whose id is not in memory two look-ups, before its signature would be
// checked, which costs ten times as much. For a summary the ids of one answer and one page more; for a list what it lists and one answer; for a Want
// what it names and stored_bytes_per_answer_max. These three together are bounded for each neighbour and second (neighbour_budget.hpp). reads() tells what it came to.
// While the disk cannot be read all that it might know counts as seen, and summaries and lists are not answered: a later comparison brings it again.
// Also remembered, in a bounded ring: ids of statements that are not kept (claims), so that floods end.
#pragma once

#include <array>
#include <bitset>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/protocol/recent_set.hpp"
#include "coordinator-less/protocol/sleeping_ids.hpp"
#include "coordinator-less/protocol/stored_evidence.hpp"

namespace starling::protocol {

struct KeptStatement {
  MessageId id;
  PeerId author;
  StatementType type = StatementType::results;
  std::shared_ptr<const Bytes> raw;
  std::shared_ptr<const Body> body;  // none of results and folds
};

bool headline(StatementType type);

class StatementStore {
 public:
  explicit StatementStore(StoredEvidence* stored = nullptr) : stored_(stored) {}

  bool here(const MessageId& id) const { return statements_.contains(id) || ephemeral_.contains(id); }  // in memory: costs no look on the disk
  bool contains(const MessageId& id) const { return statements_.contains(id) || asleep(id); }
  bool seen(const MessageId& id) const { return here(id) || asleep(id); }
  void remember_ephemeral(const MessageId& id) { ephemeral_.insert(id); }

  void add(const Statement& statement, const JobId& job);
  void remove(const MessageId& id);
  void remove_job(const JobId& job);
  void sleep(const JobId& job);  // REQUIRES: its statements are durable, and read back by what this was made with
  void wake(const JobId& job);   // forgets all but the headlines: the caller adds the others again
  void recount(const JobId& job);  // one that sleeps: its sums are what the disk lists now
  // Of what is in memory:
  std::optional<KeptStatement> find(const MessageId& id) const;
  std::vector<KeptStatement> of_job(const JobId& job) const;  // manifest first
  std::size_t size() const { return statements_.size() + asleep_.size(); }
  BucketSums sums_asleep(const JobId& job) const { return asleep_.sums(job); }  // of a job that sleeps: what it adds to summaries beside its manifest
  std::uint64_t walked() const { return walked_; }  // statements that were added up because a comparison left their job out, so far
  std::uint64_t reads() const { return reads_; }  // rows of the disk that were asked for, so far

  // Of the jobs in `without` all but the headlines is left out.
  using Jobs = std::set<JobId>;
  Summary summary(bool headlines = false, const Jobs& without = {}) const;
  // What to answer to a neighbour's summary: ids of the buckets that differ; nullopt when none does.
  std::optional<BucketIds> compare(const Summary& theirs, const Jobs& without = {});
  struct Difference {
    std::vector<std::shared_ptr<const Bytes>> they_lack;  // manifests first, so that they can be understood
    std::vector<MessageId> they_lack_asleep;              // ... and these, which are on the disk if at all
    std::vector<MessageId> we_lack;
  };
  Difference difference(const BucketIds& theirs, const Jobs& without = {}) const;
  Difference wanted(const Want& want) const;

  void check_invariants() const;

 private:
  using Siblings = std::map<JobId, std::vector<MessageId>>;
  struct Kept {
    PeerId author;
    StatementType type;
    std::uint32_t place;  // among its siblings
    std::shared_ptr<const Bytes> raw;
    std::shared_ptr<const Body> body;
    Siblings::iterator job;
  };
  using Entry = std::map<MessageId, Kept>::value_type;
  static KeptStatement told(const Entry& entry);
  using Ids = base::Expected<std::vector<MessageId>>;
  bool asleep(const MessageId& id) const;  // also when that cannot be told
  struct Scope {  // what a comparison is about
    bool headlines;
    const Jobs& without;
  };
  static bool covers(const Scope& scope, const Kept& kept) { return headline(kept.type) || (!scope.headlines && !scope.without.contains(kept.job->first)); }
  const BucketSums& sums_awake(const JobId& job, const std::vector<MessageId>& siblings) const;
  BucketSums sums_of(const Scope& scope) const;
  Ids ids_asleep(const Scope& scope, std::size_t bucket, const MessageId& first, const MessageId& last, std::size_t count_max) const;
  Ids ids_in(const Scope& scope, std::size_t bucket, const MessageId& first, std::size_t count_max) const;
  Ids page_of(const Scope& scope, std::size_t bucket);
  struct Asleep {
    std::vector<MessageId> they_lack;
    std::set<MessageId> known;            // of what they list
    std::bitset<id_bucket_count> whole;   // looked through: what they list of these and is not known is not asleep
  };
  base::Expected<Asleep> compare_asleep(const Scope& scope, const BucketIds& theirs, const std::set<MessageId>& their_ids) const;
  static std::vector<std::shared_ptr<const Bytes>> in_reading_order(std::vector<const Kept*> statements);

  struct Page {
    MessageId before, next;  // where the last one began and ended
  };

  StoredEvidence* stored_;
  std::map<MessageId, Kept> statements_;
  Siblings by_job_;
  SleepingIds asleep_;
  BucketSums sums_, headline_sums_;
  RecentSet<MessageId, limits::seen_statements_max> ephemeral_;
  std::size_t first_bucket_ = 0;                // of the next comparison's answer
  std::array<Page, id_bucket_count> pages_{};   // of buckets that take several messages
  mutable std::map<JobId, BucketSums> counted_;  // of jobs awake that a comparison left out, but for headlines
  mutable std::uint64_t reads_ = 0, walked_ = 0;
};

}  // namespace starling::protocol
