// What there is to tell people about a job: who computed a unit and who agreed, why it is accepted or open, and what every
// peer's work came to. Pure: from (manifest, evidence, verdict) to plain structs, without a word of text; who shows them finds the
// words. It has no rule of its own: what counts is verdict.hpp's business, and this is the one place that looks into it on behalf of people.
//
// An answer stands as the first of these that holds: its author is banned; he took back all that he said; it is proven wrong; nothing is asked of the unit now (it
// waits, or is skipped); it went on from another archive than the accepted one; it is void (its author gave two different answers, the same
// one before, or contradicts his log; an audit without work behind it); its author is on probation; it is an audit, and agrees with the
// leading group or differs from it; while the unit is open, one of V's reasons why it does not count yet (its position, block or
// window); it agrees with the leading group; it differs from it. So supporters are those that agree, dissenters those that differ, audits
// included. Only who stated one answer several times may be among them while it is told otherwise: its first place in the log is what is told.
// A peer's answers, each counted once: verified (agrees, and the unit is accepted), contradicted (the unit is accepted otherwise, from
// the same input, however the answer stands), undecided (the unit is not accepted), audits (that agree with what is accepted),
// without weight (the rest). Credit is the fuel of the verified ones.
// Cost: a unit O(its answers + replays of the job), a job O(its answers). Bounds: limits answers_told_max, replays_told_max,
// open_units_told_max; what is beyond is counted.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/protocol/finality.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"

namespace starling::protocol {

struct JobView {
  const Manifest& manifest;
  const JobEvidence& evidence;
  const Verdict& verdict;
};

enum class AnswerStanding : std::uint8_t {
  agrees,
  differs,
  audit_agrees,        // supports nothing
  audit_differs,       // but dissents
  before_turn,         // too many earlier positions of its author's order are open, or it is not at its position
  waits_for_blocks,    // earlier blocks are not half accepted
  out_of_window,       // too many answers of its author before it are unverified
  probation,           // dropped by a proven fault of its author, before or after it
  repeats,             // its author gave the same answer before, with another fingerprint
  contradicts_log,     // another statement of its author has its place in the log, or that of one before it
  audit_void,          // no work stands behind it, or its author contradicts his log
  contradicts_itself,
  other_beginning,
  unasked,
  proven_wrong,
  taken_back,          // with all else that its author said in this job
  banned
};

struct AnswerExplanation {
  PeerId author;
  MessageId statement;
  std::uint32_t entry = 0;                // of that statement
  LogPlace at;                            // in the author's log
  std::optional<std::uint32_t> position;  // in the author's own order; cite() knows it
  Outcome outcome;
  bool fingerprint = false;
  AnswerStanding standing = AnswerStanding::agrees;
};

// What a replay says of the accused's answer, whether or not its judge counts.
enum class ReplayFinding : std::uint8_t { wrong_answer, copied_answer, right_answer, other_beginning, tiers_differ, no_such_answer };

struct ReplayExplanation {
  ReplayFact fact;
  std::optional<MessageId> statement;  // that published it; cite() knows it
  bool counts = false;                 // its author is one of the judges
  ReplayFinding finding = ReplayFinding::right_answer;
  std::optional<MessageId> answered_in;  // the accused's statement that carries the answer it speaks of
  bool proves_fault() const { return counts && (finding == ReplayFinding::wrong_answer || finding == ReplayFinding::copied_answer); }
};

enum class UnitState : std::uint8_t { waits, skipped, unanswered, open, accepted };

struct UnitExplanation {
  UnitIndex unit = 0;
  std::uint32_t segment = 0, segments_max = 1;
  UnitState state = UnitState::unanswered;
  bool ends = false;       // accepted, and nothing goes on from it
  bool contested = false;
  bool quarantined = false;
  std::uint32_t supporters = 0, dissenters = 0;
  std::uint32_t missing = 0;            // further agreeing answers of fresh peers that would accept it; of others fewer may do
  std::optional<std::uint32_t> needed;  // agreeing answers in all, if the further ones are of fresh peers; empty: no number of them is enough
  std::uint32_t fresh_target = 0;       // ... when all are, and nobody differs
  std::optional<Outcome> outcome;       // of the leading group
  std::optional<FinalBecause> final;       // finality.hpp; of this segment alone
  std::vector<SupporterPassed> passed;     // of an accepted one, the first limits::answers_told_max
  std::vector<AnswerExplanation> answers;  // by standing, then author
  std::uint64_t answers_more = 0;
  std::vector<ReplayExplanation> replays;  // of this unit
  std::uint64_t replays_more = 0;
  // What only a running peer knows; not part of the verdict.
  struct Circumstances {
    std::uint32_t archive_holders = 0;  // live peers, this one included
    std::uint32_t claims = 0;           // others who say that they work on it
    bool running_here = false;
  };
  std::optional<Circumstances> here;
};

struct PeerStanding {
  PeerId peer;
  std::uint64_t stated = 0, verified = 0, contradicted = 0, undecided = 0, audits = 0, without_weight = 0;
  std::uint64_t verified_fuel = 0;
  std::uint32_t faulty_units = 0;  // proven before these judges
  bool banned = false;
  std::set<PeerId> proven_by;      // the judges whose replays prove these faults
  std::uint64_t replays = 0;       // that it made
  std::uint32_t verified_units = 0;  // k: verified results behind its last fault or fork, which is how far it is believed
  bool withdrawn = false;            // it took back all that it said
  bool operator==(const PeerStanding&) const = default;
};

struct JobExplanation {
  std::uint32_t units = 0;     // of the job
  std::uint32_t segments = 0;  // numbers in all: equals units where they are not cut
  std::uint32_t ended = 0, ended_failed = 0;  // units
  std::uint32_t final = 0;     // of these (finality.hpp)
  std::uint32_t accepted = 0, open = 0, unanswered = 0, waits = 0, skipped = 0;  // numbers
  std::uint32_t contested = 0;  // numbers with different answers, accepted ones included
  struct OpenUnit {
    UnitIndex unit = 0;
    std::uint32_t segment = 0;
    bool contested = false;
    std::uint32_t missing = 0;
    bool operator==(const OpenUnit&) const = default;
  };
  std::vector<OpenUnit> open_units;  // the first ones that are open or unanswered, contested ones before the others
  std::uint32_t fresh_target = 0;
  bool quarantined = false;
  std::uint64_t answers = 0, replays = 0;
  std::vector<PeerId> judges;
  std::vector<PeerStanding> peers;  // everybody who answered or replayed, by id
  Digest digest;                    // of verdict_bytes(), made by who has a hash at hand
};

// REQUIRES: number < evidence.unit_count()
UnitExplanation explain_unit(const JobView& job, UnitIndex number);
JobExplanation explain_job(const JobView& job);
// The number of the segment of this unit that tells most: the one that ended it, else the first that is not accepted.
UnitIndex telling_segment(const JobView& job, UnitIndex unit);

// Replays before these judges that prove the peer's answers wrong.
std::vector<ReplayExplanation> proofs_against(const JobView& job, const PeerId& peer);

// Adds what stands in this statement and not in the evidence: positions of answers, ids of replays.
void cite(AnswerExplanation& answer, const Statement& statement);
void cite(std::vector<ReplayExplanation>& replays, const Statement& statement);

// Every verdict of the job in one canonical form: equal bytes, equal verdicts. What became of each unit, who is banned, whether the program is
// quarantined; and of each key that answered k, faulty units, whether it took all back, and verified work (finality.hpp). The judges are not part of
// it, nor is finality: every peer is a judge of what it executed itself, so no two peers' bytes would ever be equal. O(answers).
Bytes verdict_bytes(const JobView& job, const JobId& id);

}  // namespace starling::protocol
