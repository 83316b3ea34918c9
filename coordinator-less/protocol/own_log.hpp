// This peer's own log of results in one job: where the next statement stands, and which one it follows.
//
// Each start of the peer begins a new chain. A machine that was restored from an older image follows what its lost life followed: a fork, and
// readers void the later part, its new chain. When it hears of the lost statements (as of those of a second machine with its key) it begins
// another chain, which follows a statement that nobody else follows: from then on it counts again.
#pragma once

#include <algorithm>
#include <limits>
#include <map>
#include <ranges>
#include <set>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class OwnLog {
 public:
  // A number above all chains of this key that are known; `least` is the time, so that it is above the unknown ones as well.
  void begin_chain(std::uint32_t least) { next_ = {std::max(least, known_ ? next_.chain + 1 : 0), 0}; }

  Results prepare(const JobId& job, std::vector<ResultEntry> entries) {
    if (next_.index > std::numeric_limits<std::uint32_t>::max() - entries.size()) begin_chain(0);
    return {job, next_.index, std::move(entries), next_.chain, last()};
  }

  // Of this key: made here just now, read from disk, or come from elsewhere.
  void on_stated(const MessageId& statement, const Results& results, bool from_elsewhere) {
    stated_ += results.entries.size();
    next_ = known_ ? std::max(next_, end_of(results)) : end_of(results);
    known_ = true;
    ends_[end_of(results)] = statement;
    followed_.insert(results.previous);
    if (from_elsewhere) begin_chain(0);
  }

  std::uint64_t stated() const { return stated_; }

 private:
  static LogPlace end_of(const Results& results) { return results.place(results.entries.size()); }
  MessageId last() const {  // the last statement that none follows
    for (const auto& [end, statement] : std::views::reverse(ends_)) {
      if (!followed_.contains(statement)) return statement;
    }
    return {};
  }

  LogPlace next_;
  std::map<LogPlace, MessageId> ends_;  // of the own statements
  std::set<MessageId> followed_;
  bool known_ = false;  // some statement
  std::uint64_t stated_ = 0;
};

}  // namespace starling::protocol
