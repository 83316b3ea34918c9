// What the evidence of one job implies for given judges, unit by unit and key by key: evaluation.hpp for those who speak of jobs. It gives
// keys, units and outcomes the dense numbers that V works with, tells it every entry and replay, and adds what is about jobs:
// chains of segments, counts, and what has changed. A pure function of statements, judges and parameters, in any order of arrival.
//
// Rules beside those of evaluation.hpp:
//   fault    a judge's replay whose tiers agree, and differ from the accused's answer in the outcome or in the fingerprint beside it (and
//            he really stated that), proves the answer wrong.
//   ban      at once when no error explains it: the right outcome with a fingerprint that the accused's execution does not give (none
//            where it gives one, or one where it gives none, included), for that was copied; or two different answers to that
//            unit. The latter because evidence keeps two answers of a key: else a copier would push his copy out by lower lies.
//   fork     besides what evaluation.hpp says: two statements of a key that follow the same one.
//   withdrawn  a key that took back what it said (Results without entries). Its answers contest nothing. What no error explains bans it still.
//   chain    as in evaluation.hpp, in words of jobs: with a stride, unit n >= stride goes on from what was accepted of n - stride. It is open while that is accepted with
//            kind checkpoint; skipped (nothing to do, no answers) when that is accepted with any other kind, or skipped itself;
//            else it waits. Of an open unit only answers whose `input` is that accepted archive count, or contest; the others
//            are neither votes nor faults, so nobody is blamed for having gone on from what was accepted then and is no more.
//            Below the stride the input is zero. Reopening n makes what follows wait again; nothing is forgotten.
// "No answer yet" and acceptance are properties of the whole set: a later dissenter reopens a unit, by design.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/facts.hpp"
#include "coordinator-less/protocol/judgement/hearing.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"

namespace starling::protocol {

class Evaluation;

struct VerdictParameters {
  VerificationClass verification = VerificationClass::standard;
  std::uint32_t epsilon_ppm = 1000;
  std::uint32_t stride = 0;  // of chains (segments.hpp); 0: no unit goes on from another
  std::vector<KnownPeer> known = {};  // k that the manifest says was earned under its owner before
  std::uint32_t audit_percent = limits::audit_share_percent;
};
VerdictParameters parameters_of(const Manifest& manifest);

struct UnitVerdict {
  bool open = true;                    // answers to it count; false: it is skipped, or waits for what it goes on from
  bool skipped = false;
  bool accepted = false;
  std::optional<Outcome> outcome;      // of the leading group, accepted or not; empty without counting answers
  std::uint32_t supporters = 0;        // of the leading group
  std::uint32_t dissenters = 0;        // counting answers outside it
  std::uint32_t missing = 0;           // further answers of fresh keys, agreeing with the leading group, that would accept it (0 if accepted;
                                       // or skipped; fresh_target() while it waits; fresh_members_max also when as many are not enough)
  bool contested = false;              // at least two different outcomes among authors not banned and not withdrawn, proven ones included
  bool operator==(const UnitVerdict&) const = default;
};

// Pure: agreeing fresh keys needed beside these groups of fresh dissenters (sizes), or nullopt when no number up to 20 is enough.
std::optional<std::uint32_t> members_needed(const VerdictParameters& parameters, const std::vector<std::uint32_t>& other_groups);

// What one execution gives: its outcome, and the fingerprint for one peer.
struct Execution {
  Outcome outcome;
  Digest fingerprint;
  auto operator<=>(const Execution&) const = default;
};

// Pure: do these judges' replays alone ban the key? Counts faulty units over the whole job, as statements alone do not say what is work.
bool banned_by(const JobEvidence& evidence, const std::set<PeerId>& judges, const PeerId& accused);

// Calling order: construct; after the evidence took a statement call on_results or on_replay with it; when some were taken call settle(); then
// ask. `evidence` and `order` must outlive this. Without `order` positions are not checked and the job is one block. Cost: evaluation.hpp.
class Verdict {
 public:
  Verdict(const JobEvidence& evidence, std::set<PeerId> judges, VerdictParameters parameters, const UnitOrder* order = nullptr);
  ~Verdict();
  Verdict(const Verdict&) = delete;
  Verdict& operator=(const Verdict&) = delete;

  void on_results(const PeerId& author, const MessageId& statement, const Results& results);
  void on_replay(const ReplayFact& replay);
  void settle();
  bool looks_anew_at(const PeerId& peer) const;
  bool looks_anew() const;  // the next settle() may cost as much as an evaluation from scratch

  UnitVerdict unit(UnitIndex unit) const;  // O(answers of the unit)
  bool accepted(UnitIndex unit) const { return accepted_outcome(unit) != nullptr; }
  const Outcome* accepted_outcome(UnitIndex unit) const;
  bool skipped(UnitIndex unit) const;
  bool contested(UnitIndex unit) const;  // O(answers of the unit)
  bool has_input(UnitIndex unit) const { return start_of(unit).input.has_value(); }
  std::uint32_t fresh_target() const { return members_needed(parameters_, {}).value_or(fresh_members_max); }
  std::uint32_t accepted_count() const { return counts_.accepted; }
  std::uint32_t accepted_failures_count() const { return counts_.failures; }  // ended with an outcome other than ok
  std::uint32_t ended_count() const { return counts_.ended; }  // accepted, and nothing goes on from it
  std::uint32_t skipped_count() const { return counts_.skipped; }

  // --- what is worth starting
  // Would it be accepted if these keys, as credible as they are now, agreed with its leading answer?
  bool would_accept(UnitIndex unit, const std::vector<PeerId>& more) const;
  // One past the last block (of the order) in which a further result of this key counts: elsewhere it should start nothing.
  std::uint32_t blocks_open_to(const PeerId& author) const;
  std::uint32_t verified_units(const PeerId& peer) const;

  // --- chains
  std::optional<UnitIndex> previous(UnitIndex unit) const { return unit < parameters_.stride || parameters_.stride == 0 ? std::nullopt : std::optional(unit - parameters_.stride); }
  std::optional<UnitIndex> next(UnitIndex unit) const { return parameters_.stride == 0 || evidence_.unit_count() - unit <= parameters_.stride ? std::nullopt : std::optional(unit + parameters_.stride); }
  bool ends(UnitIndex unit) const;  // accepted, and nothing goes on from it
  std::optional<BlobRef> input(UnitIndex unit) const { return start_of(unit).input; }  // what it goes on from: zero where it begins, nothing while it is not open
  const ResultFact* answer_of(const PeerId& peer, UnitIndex unit) const;  // the one that counts, or would but for a rule about its author

  // --- keys
  bool banned(const PeerId& peer) const { return banned_.contains(peer); }
  bool withdrawn(const PeerId& peer) const { return withdrawn_.contains(peer); }
  std::uint32_t entries_of(const PeerId& peer, UnitIndex unit) const;  // that it stated about this unit; O(answers of the unit)
  const std::set<PeerId>& banned() const { return banned_; }
  const std::map<PeerId, std::set<UnitIndex>>& faults() const { return faults_; }  // proven, per key
  bool proven_wrong(UnitIndex unit, const ResultFact& fact) const;
  bool void_answer_of(const PeerId& peer, UnitIndex unit) const;  // it gave one, and that is void (Hearing::void_), not only until it is looked at
  Hearing hearing(const ResultFact& fact) const;  // of the entry that carries it
  bool quarantined() const;
  const std::set<PeerId>& judges() const { return judges_; }
  const VerdictParameters& parameters() const { return parameters_; }
  bool vouches(const ResultFact& audit) const;  // for finality, if it is verified (evaluation.hpp)
  bool is_final(UnitIndex unit) const;  // its supporters have passed enough (evaluation.hpp); finality.hpp knows more

  // Units whose acceptance, accepted outcome or input changed, or that are skipped or not any more, since the last call, ascending.
  std::vector<UnitIndex> poll_changed();

  void check_invariants() const;

 private:
  class Mapping;
  struct Start {  // what the unit before it says about a unit
    bool skipped = false;
    std::optional<BlobRef> input;
    bool operator==(const Start&) const = default;
  };
  struct Counts {
    std::uint32_t accepted = 0, failures = 0, ended = 0, skipped = 0;
    bool operator==(const Counts&) const = default;
  };
  static constexpr OutcomeIndex open_still = ~OutcomeIndex{0}, skipped_now = open_still - 1;

  // It went on from an archive where a unit begins: neither vote nor fault.
  bool out_of_nowhere(UnitIndex unit, const Outcome& outcome) const { return !previous(unit) && outcome.input != Digest{}; }
  void count(UnitIndex unit, OutcomeIndex closed, bool in);
  bool ends(UnitIndex unit, OutcomeIndex closed) const;
  Start start_after(UnitIndex unit, OutcomeIndex closed) const;
  Start start_of(UnitIndex unit) const;
  bool silent(const PeerId& peer) const { return banned(peer) || withdrawn(peer); }
  OutcomeIndex closed_with(UnitIndex unit) const;
  void tell_replay(const ReplayFact& replay);
  void tell_replays_again(UnitIndex unit, const PeerId& accused);

  const JobEvidence& evidence_;
  std::set<PeerId> judges_;
  VerdictParameters parameters_;
  std::unique_ptr<Mapping> mapping_;
  std::unique_ptr<Evaluation> evaluation_;
  std::map<UnitIndex, std::set<ReplayFact>> proofs_;  // judges' replays whose tiers agree
  std::map<PeerId, std::set<UnitIndex>> faults_;
  std::set<PeerId> banned_, withdrawn_;
  std::vector<OutcomeIndex> closed_;                  // per unit, as counted
  Counts counts_;
  std::map<UnitIndex, OutcomeIndex> changed_;         // unit -> what it was closed with at the last poll
};

}  // namespace starling::protocol
