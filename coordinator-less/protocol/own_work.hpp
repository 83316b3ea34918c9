// What this peer does for one job: which unit next, what runs, what it has answered, what it gave back.
//
// Rules: units are taken in the forced order (order.hpp), oldest open block first, so leftovers come first when claims
// lapse, in blocks where a further result of this peer counts (evaluation.hpp). A unit is passed over when it is accepted, answered
// or running here, given back a short while ago, or covered: when it would be accepted if all whose claims stand on it agreed. A unit given back (time, host memory, a
// dead executor) waits 30 s, doubling; nobody else learns of it. Archives that no live peer holds are executed again first.
// Where one answer is enough, peers need not meet: each begins with the units that fall to it (unit mod workers) in all
// blocks it may work in, then helps with the rest. That is courtesy and a hint; two that disagree about it only meet.
// In a chain (verdict.hpp) a unit is passed over while it is not open, or its input is not here yet (the caller fetches it);
// blocks in which only such units are left do not count towards how far ahead a peer may work where all blocks count. An answer that was made
// from another input than the present one is none: the unit is answered once more. So is one to a unit that begins a chain, if it is void
// (evaluation.hpp), but not a third time: who answers differently each time would go on for ever. In later segments one answer from an input is all.
// Units started beyond the slots wait in the executor's queue; one that waits is given back when it needs no more answers,
// or when a peer with a lower id claims it and that covers it (of two that crossed, one keeps it).
// An audit executes an accepted unit once more (audit_plan.hpp). Nobody is told before its end, and it is no answer that others wait for.
// Cost of a pick: O(units of the blocks between the first block with work left for this peer and the one it finds work in).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/claim_table.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"

namespace starling::protocol {

class OwnWork {
 public:
  OwnWork(UnitOrder& order, const Verdict& verdict, const ClaimTable& claims, std::uint32_t unit_count);

  using Ready = std::function<bool(UnitIndex)>;
  // A unit to start; the caller tells on_started. `ready`: its input is here; asked in order of preference.
  std::optional<UnitIndex> pick(base::Instant now, const Ready& ready = [](UnitIndex) { return true; });
  // Answers still missing of what this peer may start, each unit with one at least; counts no further than `enough`.
  std::uint64_t copies_open(base::Instant now, std::uint64_t enough, const std::function<std::uint32_t(UnitIndex)>& said) const;
  void set_share(std::uint32_t rank, std::uint32_t workers);  // this peer's place among the workers it is linked to
  void on_started(UnitIndex unit, base::Instant now, const Digest& input = {}, bool audit = false);
  // Its execution here ended with this; unless it was made for the bytes alone, on_stated follows.
  void on_answered(UnitIndex unit, const Digest& archive, const Digest& input = {}, bool states = true);
  // A statement of this key says so: made here just now, restored from disk, or made by another machine with the same key. What still
  // runs here runs on, and its end states nothing again.
  void on_stated(UnitIndex unit, const Digest& archive, const Digest& input = {}, bool audit = false);
  void on_log_forked() { cursor_ = 0; }  // answers that were given may be void now, and are wanted again
  void on_released(UnitIndex unit, base::Instant now);
  void on_accepted(UnitIndex unit, const Digest& own_archive);
  void on_reopened(UnitIndex unit, const std::optional<Digest>& own_archive);  // was accepted, is not any more
  void execute_again(UnitIndex unit) { again_.insert(unit); }
  template <class Lost>
  void forget_again_unless(const Lost& lost) {  // meanwhile somebody turned up who holds it
    std::erase_if(again_, [&](UnitIndex unit) { return !lost(unit); });
  }
  bool has_again() const { return !again_.empty(); }
  bool wanted_again(UnitIndex unit) const { return again_.contains(unit); }

  static bool covered(UnitIndex unit, const Verdict& verdict, const ClaimTable& claims);

  // A unit that waits for a slot is not worth its execution any more: true when the caller is to stop it.
  bool give_back(UnitIndex unit);
  bool given_back(UnitIndex unit) const { return given_back_.contains(unit); }
  void on_given_back(UnitIndex unit);

  bool running(UnitIndex unit) const { return running_.contains(unit); }
  bool auditing(UnitIndex unit) const;
  std::size_t running_count() const { return running_.size(); }
  std::vector<UnitIndex> running_units() const;
  std::vector<UnitIndex> poll_claims_to_renew(base::Instant now);
  bool runs_in_vain(UnitIndex unit) const;  // from what is not its input any more
  bool answered(UnitIndex unit) const;      // from what it goes on from now
  std::uint64_t executions() const { return executions_; }
  bool awaits(const Digest& archive) const;  // of an own answer whose unit is not accepted yet

  void check_invariants() const;

 private:
  struct Backoff {
    base::Instant until;
    base::Duration next;
  };
  struct Running {
    base::Instant claimed;  // last
    Digest input;
    bool audit = false;
  };
  bool eligible(UnitIndex unit, base::Instant now) const;
  bool covered(UnitIndex unit) const { return covered(unit, verdict_, claims_); }
  bool wants_answer(UnitIndex unit) const;
  std::optional<UnitIndex> pick_in_order(base::Instant now, bool share_only, const Ready& ready);

  UnitOrder& order_;
  const Verdict& verdict_;
  const ClaimTable& claims_;
  std::vector<std::uint8_t> stated_;    // how often, audits aside; more than twice counts as twice
  std::map<UnitIndex, Digest> unstated_;  // answered, from this input, and not stated yet
  std::map<UnitIndex, std::set<Digest>> inputs_;  // that own answers went on from; not of units that begin a chain
  std::map<UnitIndex, Running> running_;
  std::map<UnitIndex, Backoff> released_;
  std::set<UnitIndex> again_;
  std::set<UnitIndex> given_back_;  // running still, asked to stop
  std::map<Digest, std::set<UnitIndex>> archives_;  // of own answers to units that are not accepted
  bool one_answer_is_enough_;
  std::uint32_t rank_ = 0, workers_ = 1;
  std::uint32_t cursor_ = 0;  // every block before it holds nothing more for this peer
  std::uint64_t executions_ = 0;
};

}  // namespace starling::protocol
