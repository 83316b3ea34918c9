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
// Cost: of the first statements_ahead_max statements of a batch, until it is over, 100 bytes each, and the ids of those looked at and not asked for
// yet; at most signatures_together_max are parsed ahead. What a batch has beyond these is opened one by one.
// Not thread-safe: the protocol thread's.
#pragma once

#include <functional>
#include <map>
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
  // What is known of a statement of the line ahead of the core's question, until it asks for a later one.
  struct Seen {
    base::Expected<base::MessageId> id;
    std::optional<Opened> opened = {};
  };
  std::optional<std::size_t> place_of(base::ByteView raw) const;
  Seen& see(std::size_t place);
  std::vector<std::size_t> window_from(std::size_t first);

  Functions functions_;
  Cores cores_;
  std::vector<StatementAhead> line_;
  std::map<std::size_t, Seen> seen_;                     // by place in the line
  std::size_t looked_at_ = 0;  // of the line: what stands before is passed, opened, or was not wanted
  std::unordered_map<const std::byte*, std::size_t> places_;  // by the address of their bytes, which the line holds
  std::set<base::MessageId> waiting_;                    // ids of what is opened and not asked for yet
  std::set<base::PeerId> suspects_;                      // neighbours, of whom one was wrong
  CoreView core_;
};

}  // namespace starling::runtime
