// Which folds are kept, and what they say together (fold.hpp). Of each author and job the one with the highest sequence, and among equal ones the highest
// id; an empty one takes the others' place too, so that what was taken back does not return. Their bytes are in the statement store.
// Another one of a key and job is taken no sooner than fold_spacing after the last came here, so that no key floods others; comparison brings it again.
// Bounds: folds_per_job_max of a job, folds_max of all: those with the lowest ranks (fold_rank) stay, this peer's own or not. So which ones are kept
// follows from what was stated alone, and peers that compare come to the same.
// Attack: 64 keys ground to low ranks push all others' folds of a job out. Who believes theirs is told the same lie as by three (fold.hpp).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class FoldTable {
 public:
  struct Kept {
    MessageId statement;
    Digest rank;
    base::Instant since;
    Fold fold;
  };
  struct Taken {
    bool taken = false;
    std::vector<MessageId> gone = {};  // their statements go
    std::optional<JobId> lost = {};    // one of its folds made room
  };
  // own: this peer's, which it spaces itself.
  Taken take(const PeerId& author, const MessageId& statement, const Fold& fold, const Digest& rank, base::Instant now, bool own);
  // Not taken, whatever comes later: a higher one of its author is here, or those that are have lower ranks. Not: it came too soon.
  bool settled(const PeerId& author, const MessageId& statement, const Fold& fold, const Digest& rank) const;
  const Kept* find(const JobId& job, const PeerId& author) const;
  // What enough keys that name these judges say, and none of them otherwise.
  struct Belief {
    Digest root;
    std::uint32_t failures = 0;
    std::vector<PeerId> authors;  // who say so
    std::vector<Fold> said;       // ... and what
  };
  std::optional<Belief> believed(const JobId& job, const Digest& judges) const;
  void forget(const JobId& job);
  std::size_t size() const { return size_; }

  void check_invariants() const;

 private:
  using Place = std::tuple<Digest, JobId, PeerId>;
  std::optional<Place> gives_way(const JobId& job) const;
  MessageId drop(const Place& place);
  std::map<JobId, std::map<PeerId, Kept>> folds_;
  std::set<Place> by_rank_;
  std::size_t size_ = 0;
};

}  // namespace starling::protocol
