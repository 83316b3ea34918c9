// What each neighbour's comparisons, requests and lists of archives may cost this peer: bytes sent, listed or looked through, and rows of the disk, which it
// reads for jobs that sleep (statement_store.hpp).
//
// Rule: a summary, a list or a Want is answered, and a list of archives read, while there is something left of both, and what the answer took is paid afterwards, so one answer may
// leave a debt. What is not answered comes again with a later comparison; lists are repeated too. Rows are what is looked up or listed, and every
// limits::stored_bytes_per_read of statements; neighbours share limits::stored_reads_per_s of them alike.
// Attack: a question of 300 bytes can be worth megabytes. A neighbour that asks all the time gets his share, one burst and one answer besides. A new link
// begins with what the last one of that key left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "coordinator-less/base/allowance.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

class NeighbourBudget {
 public:
  bool may_ask(const base::PeerId& peer, base::Instant now, std::size_t neighbours) {
    Purse& purse = purses_[peer];
    purse.rows.set_rate(now, std::max<std::int64_t>(limits::stored_reads_per_s / static_cast<std::int64_t>(std::max<std::size_t>(neighbours, 1)), 1));
    return purse.bytes.left(now) && purse.rows.left(now);
  }
  void pay_bytes(const base::PeerId& peer, std::size_t bytes) { purses_[peer].bytes.spend(static_cast<std::int64_t>(bytes)); }
  void pay_rows(const base::PeerId& peer, std::uint64_t rows) { purses_[peer].rows.spend(static_cast<std::int64_t>(rows)); }

  // Those that owe nothing need not be remembered.
  template <class Linked>
  void forget_idle(base::Instant now, const Linked& linked) {
    std::erase_if(purses_, [&](auto& entry) { return !linked(entry.first) && entry.second.bytes.full(now) && entry.second.rows.full(now); });
  }

 private:
  struct Purse {
    base::Allowance bytes{limits::answers_burst_bytes, limits::answers_bytes_per_s}, rows{limits::stored_reads_burst, limits::stored_reads_per_s};
  };
  std::map<base::PeerId, Purse> purses_;
};

}  // namespace starling::protocol
