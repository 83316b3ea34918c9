// What this peer does for one job: which unit next, what runs, what it has answered, what it gave back.
//
// Rules: units are taken in the forced order (order.hpp), oldest open block first, so leftovers come first when claims
// lapse. A unit is passed over when it is accepted, answered or running here, given back a short while ago, or covered:
// when as many live claims of others stand on it as agreeing answers are missing. A unit given back (time, host memory, a
// dead executor) waits 30 s, doubling; nobody else learns of it. Archives that no live peer holds are executed again first.
// Cost of a pick: O(units of the blocks between the first block with work left for this peer and the one it finds work in).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/claim_table.hpp"
#include "coordinator-less/protocol/order.hpp"
#include "coordinator-less/protocol/verdict.hpp"

namespace starling::protocol {

class OwnWork {
 public:
  OwnWork(UnitOrder& order, const Verdict& verdict, const ClaimTable& claims, std::uint32_t unit_count);

  std::optional<UnitIndex> pick(base::Instant now);  // a unit to start; the caller tells on_started
  void on_started(UnitIndex unit, base::Instant now);
  void on_answered(UnitIndex unit, const Digest& archive);  // also for answers restored from disk
  void on_released(UnitIndex unit, base::Instant now);
  void on_reopened(UnitIndex unit);  // was accepted, is not any more
  void execute_again(UnitIndex unit);

  bool running(UnitIndex unit) const { return running_.contains(unit); }
  std::size_t running_count() const { return running_.size(); }
  std::vector<UnitIndex> running_units() const;
  std::vector<UnitIndex> poll_claims_to_renew(base::Instant now);
  bool answered(UnitIndex unit) const { return answered_[unit]; }
  std::uint64_t executions() const { return executions_; }
  bool awaits(const Digest& archive) const;  // of an own answer whose unit is not accepted yet

  void check_invariants() const;

 private:
  struct Backoff {
    base::Instant until;
    base::Duration next;
  };
  bool eligible(UnitIndex unit, base::Instant now) const;

  UnitOrder& order_;
  const Verdict& verdict_;
  const ClaimTable& claims_;
  std::vector<bool> answered_;
  std::map<UnitIndex, base::Instant> running_;  // -> when its claim was last sent
  std::map<UnitIndex, Backoff> released_;
  std::set<UnitIndex> again_;
  std::map<Digest, std::set<UnitIndex>> archives_;  // of own answers
  std::uint32_t cursor_ = 0;  // every block before it holds nothing more for this peer
  std::uint64_t executions_ = 0;
};

}  // namespace starling::protocol
