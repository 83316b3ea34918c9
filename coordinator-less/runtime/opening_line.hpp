// Statements that the core is about to ask for, opened together ahead of its question.
//
// The core takes the statements of a batch one after the other: peek, and open when it does not know the id. A signature takes 60 us, on
// one core. So the driver says what a batch holds (expect), and the first open() of a window opens that statement and the next
// ones on all cores; what was found waits here for the core's own question. Rules:
// - Every statement is opened by the same function as one by one, and given out only when asked for: ids, errors and their order are the same.
// - Ahead is opened only what the core, if it came to it now, would open: from a neighbour it listens to, not known, and of one id only
//   the first copy. A neighbour of whom one was wrong is given nothing ahead any more, since the core reads on in his next frames until
//   his link has ended. So at most signatures_together_max - 1 checks are in vain for each link that is cut.
// - Nothing is read twice: an id seen here waits for the core's peek.
// - Less than signatures_together_min at once are not worth waking threads: the old way, as on a machine of one core.
// Cost: the line holds the batch's statements until the batch is over; of these at most signatures_together_max are parsed ahead.
// Not thread-safe: the protocol thread's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/runtime/cores.hpp"

namespace starling::runtime {

// A statement that a frame brought, in the order in which the core will come to it.
struct StatementAhead {
  base::PeerId from;
  std::shared_ptr<const base::Bytes> raw;
};

// What the core would do if it came to a statement now.
struct CoreView {
  std::function<bool(const base::PeerId&)> listens_to;
  std::function<bool(const base::MessageId&)> knows;
};

class OpeningLine {
 public:
  using Raw = std::shared_ptr<const base::Bytes>;
  using Opened = base::Expected<protocol::Statement>;
  struct Functions {  // called on any thread
    std::function<base::Expected<base::MessageId>(base::ByteView)> peek;
    std::function<Opened(const Raw&)> open;
  };

  OpeningLine(Functions functions, std::size_t threads) : functions_(std::move(functions)), cores_(threads) {}

  // What was expected before and is not asked for yet is forgotten.
  void expect(std::vector<StatementAhead> line, CoreView core);
  base::Expected<base::MessageId> peek(base::ByteView raw);
  Opened open(const Raw& raw);

  Cores& cores() { return cores_; }

 private:
  struct Entry {
    StatementAhead ahead;
    std::size_t place = 0;  // in the line
    std::optional<base::Expected<base::MessageId>> id = {};
    std::optional<Opened> opened = {};
  };
  const base::Expected<base::MessageId>& id_of(Entry& entry);
  std::vector<Entry*> window_from(Entry& first);

  Functions functions_;
  Cores cores_;
  std::deque<Entry> line_;
  std::size_t looked_at_ = 0;  // of the line: what stands before is passed, opened, or was not wanted
  std::unordered_map<const std::byte*, Entry*> places_;  // by the address of their bytes, which the line holds
  std::set<base::MessageId> waiting_;                    // ids of what is opened and not asked for yet
  std::set<base::PeerId> suspects_;                      // neighbours, of whom one was wrong
  CoreView core_;
};

}  // namespace starling::runtime
