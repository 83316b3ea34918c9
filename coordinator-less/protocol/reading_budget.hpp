// How much of the disk the questions of each neighbour may make this peer read, for jobs that sleep (statement_store.hpp).
//
// Rule: each neighbour has a purse of rows that fills with its equal share of limits::stored_reads_per_s, up to stored_reads_burst. A summary, a list or a
// Want is answered while there is something in it, and what the answer took is paid afterwards, so one answer may leave a debt. What is not
// answered comes again with a later comparison. Rows are what is looked up or listed, and every limits::stored_bytes_per_read of statements.
// Attack: a neighbour that compares all the time gets his share of the disk, one burst and one answer besides. A new link begins with
// what the last one of that key left.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/time.hpp"

namespace starling::protocol {

class ReadingBudget {
 public:
  bool may_ask(const base::PeerId& peer, base::Instant now, std::size_t neighbours) {
    const std::int64_t rows_per_s = std::max<std::int64_t>(limits::stored_reads_per_s / static_cast<std::int64_t>(std::max<std::size_t>(neighbours, 1)), 1);
    if (purses_.size() > limits::neighbours_max)
      std::erase_if(purses_, [&](auto& entry) { return filled(entry.second, now, rows_per_s) == limits::stored_reads_burst; });
    return filled(purses_.try_emplace(peer, Purse{limits::stored_reads_burst, now}).first->second, now, rows_per_s) > 0;
  }
  void pay(const base::PeerId& peer, std::uint64_t rows) {  // REQUIRES: may_ask, just now
    purses_.at(peer).rows -= static_cast<std::int64_t>(rows);
  }

 private:
  struct Purse {
    std::int64_t rows = 0;
    base::Instant at;
  };
  static std::int64_t filled(Purse& purse, base::Instant now, std::int64_t rows_per_s) {
    const std::int64_t ms = std::min<std::int64_t>(now.ms - purse.at.ms, 3'600'000);  // an hour fills any
    const std::int64_t more = ms * rows_per_s / 1000;
    if (more == 0) return purse.rows;  // the part of a row is not lost
    purse = {std::min(purse.rows + more, limits::stored_reads_burst), now};
    return purse.rows;
  }
  std::map<base::PeerId, Purse> purses_;
};

}  // namespace starling::protocol
