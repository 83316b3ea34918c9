// Which folds are kept, and what they say together (fold.hpp). Of each author and job the newest; an empty one takes the others' place too, so that what
// was taken back does not return. Their bytes are in the statement store; here stands what is compared.
// A newer one counts when it says that it was made fold_spacing later: so no key floods others with them.
// Bounds: folds_per_job_max of a job, folds_max of all; what comes beyond them is refused, but for this peer's own.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class FoldTable {
 public:
  struct Kept {
    MessageId statement;
    std::uint64_t sequence = 0;
    Digest root, judges;
    std::uint32_t failures = 0;
  };
  struct Taken {
    bool taken = false;
    std::optional<MessageId> replaced;  // its statement goes
  };
  Taken take(const PeerId& author, const MessageId& statement, const Fold& fold, bool own);
  // Not taken, whatever comes later: it is old, or there is no room.
  bool settled(const PeerId& author, const Fold& fold) const;
  const Kept* find(const JobId& job, const PeerId& author) const;
  // What enough keys that name these judges say, and none of them otherwise.
  struct Belief {
    Digest root;
    std::uint32_t failures = 0;
    std::vector<MessageId> statements;  // that say so
  };
  std::optional<Belief> believed(const JobId& job, const Digest& judges) const;
  void forget(const JobId& job);
  std::size_t size() const { return size_; }

  void check_invariants() const;

 private:
  bool room_for(const JobId& job) const;
  std::map<JobId, std::map<PeerId, Kept>> folds_;
  std::size_t size_ = 0;
};

}  // namespace starling::protocol
