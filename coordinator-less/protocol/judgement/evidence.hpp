// The grow-only set of signed facts about one job, indexed by unit. It believes nothing: verdict.hpp draws conclusions.
//
// Rules: a fact is (author, unit, outcome, fingerprint) from a Results entry, or a Replay. Equal facts count once, whichever
// statements carry them. Adding is commutative, associative and idempotent, so peers that hold the same statements hold the same evidence, in any order.
// Attacks: a flood of entries is bounded per author, unit and input: the two lowest different answers are kept, whatever the order
// they came in. Two are enough: two outcomes void each other, of two fingerprints a replay proves at least one wrong, and a proof beside
// a second answer bans (verdict.hpp).
// Of a unit that goes on from an archive (segments.hpp) the rules hold for each archive apart: who was given another beginning
// gives another answer, and contradicts nobody, not even himself. How many archives a key may name is bounded by its statements alone:
// were some dropped, a liar could push out by made-up ones what is proven of him.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

struct ResultFact {
  PeerId author;
  MessageId statement;  // of those that carry this fact the first in the author's log, results before audits
  std::uint32_t entry = 0;
  LogPlace at;
  Outcome outcome;
  Digest fingerprint = {};
  bool audit = false;
};

struct ReplayFact {
  PeerId judge;
  MessageId accused_statement;
  PeerId accused;
  UnitIndex unit = 0;
  Outcome compiled, interpreted;
  Digest fingerprint = {}, interpreted_fingerprint = {};
  LogPlace head = {};
  auto operator<=>(const ReplayFact&) const = default;
};

ReplayFact fact_of(const PeerId& judge, const Replay& replay);

class JobEvidence {
 public:
  explicit JobEvidence(std::uint32_t unit_count);
  JobEvidence(const JobEvidence&) = delete;
  JobEvidence& operator=(const JobEvidence&) = delete;

  // Entries for units outside the job are ignored. Returns the units about which something is new.
  std::vector<UnitIndex> add_results(const PeerId& author, const MessageId& statement, const Results& results);
  // False: known already, or for a unit outside the job.
  bool add_replay(const PeerId& judge, const Replay& replay);

  std::uint32_t unit_count() const { return static_cast<std::uint32_t>(units_.size()); }
  const std::vector<ResultFact>& results(UnitIndex unit) const { return units_[unit]; }  // ordered by (author, input, outcome, fingerprint)
  const std::set<ReplayFact>& replays() const { return replays_; }
  std::span<const ReplayFact* const> replays_about(UnitIndex unit) const;
  std::vector<ReplayFact> replays_of(const PeerId& accused) const;
  bool answered(const PeerId& author, UnitIndex unit) const;
  const ResultFact* answer_of(const PeerId& author, UnitIndex unit, const Digest& input = {}) const;  // the lowest, should there be several
  LogPlace head_of(const PeerId& author) const;  // his last entry here; the least of places when there is none
  std::uint64_t result_count() const { return result_count_; }  // distinct facts = executions stated
  std::map<PeerId, std::uint64_t> results_by_author() const;

  void check_invariants() const;

 private:
  std::vector<std::vector<ResultFact>> units_;
  std::set<ReplayFact> replays_;
  std::map<UnitIndex, std::vector<const ReplayFact*>> replays_about_;  // these
  std::map<PeerId, LogPlace> heads_;
  std::uint64_t result_count_ = 0;
};

}  // namespace starling::protocol
