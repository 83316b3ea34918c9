// V(evidence, judges, parameters): what signed facts imply about each unit of a job. A pure function: no clock, no float,
// no map order, no network address; the same on every machine, and offline.
//
// Rules of this floor (credibility earned by verified work comes with a later one, so every k is 0):
//   fault    a replay by a judge whose two tiers agree with each other and differ from the accused's answer to that unit, or
//            from the fingerprint beside it (the accused really stated them in the evidence), proves that answer wrong: it
//            supports nothing and contradicts nothing from then on.
//   ban      the third distinct proven faulty unit of a key bans it for these judges: none of its answers count. One is enough
//            when no error explains it: the right outcome with a fingerprint that the accused's execution does not give (none
//            where it gives one, or one where it gives none, included), for that was copied; or two different answers to that
//            unit. The latter because evidence keeps two answers of a key: else a copier would push his copy out by lower lies.
//   program  a judge's replay whose two tiers differ quarantines the program for these judges; nobody is blamed by it.
//   group    the answers to a unit that count, one per author, grouped by outcome. With the assumed share of saboteurs
//            f = 0.2 a fresh peer is right with c = 0.8, odds L = c / (1 - c) = 4. Credibility of group a with n_a members
//            (Sarmenta, FGCS 2002, in odds form): 4^n_a / (1 + sum over groups g of 4^n_g).
//   accept   the most credible group when it has at least r members (trusted, fast 1; standard 2; strict 3) and credibility
//            >= 1 - epsilon; class trusted needs no credibility. At epsilon 0.06: two agreeing, four beside one dissenter;
//            at 0.001: five and seven. Compared as integers, with exponents capped at 20 members (4^20 < 2^41).
//            More members lead; between equal groups the lower outcome does (such a tie is never credible up to epsilon 0.5).
//   chain    with a stride, unit n >= stride goes on from what was accepted of n - stride. It is open while that is accepted with
//            kind checkpoint; skipped (nothing to do, no answers) when that is accepted with any other kind, or skipped itself;
//            else it waits. Of an open unit only answers whose `input` is that accepted archive count, or contest; the others
//            are neither votes nor faults, so nobody is blamed for having gone on from what was accepted then and is no more.
//            Below the stride the input is zero. A proof speaks of answers from the same input only. Reopening n makes
//            what follows wait again; nothing is forgotten.
// "No answer yet" and acceptance are properties of the whole set: a later dissenter reopens a unit, by design.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/protocol/evidence.hpp"

namespace starling::protocol {

struct VerdictParameters {
  VerificationClass verification = VerificationClass::standard;
  std::uint32_t epsilon_ppm = 1000;
  std::uint32_t stride = 0;  // of chains (segments.hpp); 0: no unit goes on from another
};
VerdictParameters parameters_of(const Manifest& manifest);

struct UnitVerdict {
  bool open = true;                    // answers to it count; false: it is skipped, or waits for what it goes on from
  bool skipped = false;
  bool accepted = false;
  std::optional<Outcome> outcome;      // of the leading group, accepted or not; empty without counting answers
  std::uint32_t supporters = 0;        // of the leading group
  std::uint32_t dissenters = 0;        // counting answers outside it
  std::uint32_t missing = 0;           // further answers agreeing with the leading group that would accept it (0 if accepted;
                                       // credible_members_max when no number of them is enough)
  bool contested = false;              // at least two different outcomes among unbanned authors, proven ones included
  bool operator==(const UnitVerdict&) const = default;
};

// Counting members of a group beyond this many add no credibility: 4^20 < 2^41.
inline constexpr std::uint32_t credible_members_max = 20;

// Pure: members of the leading group needed beside these dissenting groups (sizes), or nullopt when no number up to 20 is enough.
std::optional<std::uint32_t> members_needed(const VerdictParameters& parameters, const std::vector<std::uint32_t>& other_groups);

// What one execution gives: its outcome, and the fingerprint for one peer.
struct Execution {
  Outcome outcome;
  Digest fingerprint;
  auto operator<=>(const Execution&) const = default;
};

// Pure: do these judges' replays alone ban the key?
bool banned_by(const JobEvidence& evidence, const std::set<PeerId>& judges, const PeerId& accused);

// Calling order: construct over the evidence (evaluates it whole); after the evidence grew call on_results or on_replay;
// then ask. Incremental updates equal construction from scratch, by test. Cost: on_results O(answers of the unit), a ban
// O(units), either times the units that go on from it; at construction every accepted unit counts as changed.
class Verdict {
 public:
  Verdict(const JobEvidence& evidence, std::set<PeerId> judges, VerdictParameters parameters);

  void on_results(UnitIndex unit);
  void on_replay(const ReplayFact& replay);

  const UnitVerdict& unit(UnitIndex unit) const { return units_[unit]; }
  std::uint32_t fresh_target() const { return members_needed(parameters_, {}).value_or(credible_members_max); }
  std::uint32_t accepted_count() const { return accepted_count_; }
  std::uint32_t accepted_failures_count() const { return accepted_failures_count_; }  // ended with an outcome other than ok
  std::uint32_t ended_count() const { return ended_count_; }  // accepted, and nothing goes on from it
  std::uint32_t skipped_count() const { return skipped_count_; }

  // --- chains
  std::optional<UnitIndex> previous(UnitIndex unit) const { return unit < parameters_.stride || parameters_.stride == 0 ? std::nullopt : std::optional(unit - parameters_.stride); }
  std::optional<UnitIndex> next(UnitIndex unit) const { return parameters_.stride == 0 || units_.size() - unit <= parameters_.stride ? std::nullopt : std::optional(unit + parameters_.stride); }
  bool ends(UnitIndex unit) const { return ends(unit, units_[unit]); }  // accepted, and nothing goes on from it
  std::optional<BlobRef> input(UnitIndex unit) const;                   // what it goes on from: zero where it begins, nothing while it is not open
  const ResultFact* answer_of(const PeerId& peer, UnitIndex unit) const;  // the one that counts, or would but for a rule about its author
  bool banned(const PeerId& peer) const { return banned_.contains(peer); }
  const std::set<PeerId>& banned() const { return banned_; }
  const std::map<PeerId, std::set<UnitIndex>>& faults() const { return faults_; }  // proven, per key
  bool proven_wrong(UnitIndex unit, const ResultFact& fact) const;
  bool quarantined() const { return quarantined_; }
  const std::set<PeerId>& judges() const { return judges_; }
  // Units whose acceptance, accepted outcome or input changed, or that are skipped or not any more, since the last call, ascending.
  std::vector<UnitIndex> poll_changed();

  void check_invariants() const;  // equals a fresh evaluation

 private:
  using Proofs = std::map<PeerId, std::set<Execution>>;  // accused -> what judges' replays of one unit gave

  bool note_replay(const ReplayFact& replay);  // false: nothing new about its unit
  std::vector<PeerId> collect_faults(UnitIndex unit);  // who is banned by them now
  void settle(UnitIndex unit);
  struct Start {  // what the unit before it says about a unit
    bool skipped = false;
    std::optional<BlobRef> input;
    bool operator==(const Start&) const = default;
  };
  static Start start_after(const UnitVerdict& previous);
  Start start_of(UnitIndex unit) const;
  bool ends(UnitIndex unit, const UnitVerdict& verdict) const;
  void evaluate(UnitIndex unit);  // and what goes on from it
  UnitVerdict unanswered(UnitIndex unit) const;
  UnitVerdict judge(UnitIndex unit) const;
  bool record(UnitIndex unit, UnitVerdict verdict);  // true: what goes on from it must be judged again
  const Proofs* proofs_of(UnitIndex unit) const;

  const JobEvidence& evidence_;
  std::set<PeerId> judges_;
  VerdictParameters parameters_;
  std::vector<UnitVerdict> units_;
  std::map<UnitIndex, Proofs> proofs_;
  std::map<PeerId, std::set<UnitIndex>> faults_;
  std::set<PeerId> banned_;
  bool quarantined_ = false;
  std::uint32_t accepted_count_ = 0;
  std::uint32_t accepted_failures_count_ = 0;
  std::uint32_t ended_count_ = 0;
  std::uint32_t skipped_count_ = 0;
  std::map<UnitIndex, Start> moved_;  // unit -> its start at the last poll
  std::map<UnitIndex, std::optional<Outcome>> changed_;  // unit -> its accepted outcome at the last poll
};

}  // namespace starling::protocol
