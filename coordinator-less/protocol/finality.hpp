// Which accepted units nothing is expected to take back any more (decision 0020). Pure: a function of evidence and verdict, hence of
// statements, judges and parameters; the same on every machine, and offline.
//
// An accepted unit is final when the first of these holds:
//   believed  the class is `trusted`: any single result is believed, and nobody audits.
//   checked   a judge of the reader executed it himself and found what is accepted: a result or an audit in his own log, or a replay
//             of his whose tiers agree. His word alone bans, so it is believed here too. A judge who said two things said none, nor did one
//             whom other judges' proofs ban.
//   passed    at least as many of its supporters as the class asks have passed five later audits or 200 further units (evaluation.hpp).
//             Audits of keys without work are none: whoever makes keys could copy as many as he likes.
// A unit of a job is final when every segment up to the one that ends it is.
// The last units of a log have nothing behind them, so without judges who look no job is ever final to its last unit. A reader's own
// peer is a judge of his: node.hpp executes again what is not final while its user waits for it.
// Final is no promise: a ban takes back what the banned supported, whenever it comes.
// Cost: one unit O(its answers) and what Evaluation::is_final costs; all of them O(answers + replays) and as often that.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"

namespace starling::protocol {

inline constexpr std::uint32_t audits_until_final = EvaluationParameters{}.audits_until_final;
inline constexpr std::uint32_t units_until_final = EvaluationParameters{}.units_until_final;

enum class FinalBecause : std::uint8_t { believed, checked, passed };

// Nothing: it is not accepted, or not final yet. `number` as segments.hpp has it.
std::optional<FinalBecause> why_final(const JobEvidence& evidence, const Verdict& verdict, UnitIndex number);

struct FinalUnits {
  std::uint32_t count = 0;          // units of the job, by their last segment
  std::vector<UnitIndex> waiting;   // numbers that are accepted and not final, ascending
  std::uint32_t waiting_units = 0;  // units of the job that these belong to
};
FinalUnits final_units(const JobEvidence& evidence, const Verdict& verdict, std::uint32_t unit_count);

// Verified results of every author, for favours (fair_share.hpp) and folds, whatever else it is known by. Fuel of no unit more than `unit_fuel_max`, nor than so many times as
// the median of the accepted ones: else one wrong accepted unit, which may state any fuel, outweighed what all others did. O(answers).
inline constexpr std::uint64_t favour_medians_max = 16;
struct VerifiedWork {
  std::uint32_t units = 0;
  std::uint64_t fuel = 0;
  bool operator==(const VerifiedWork&) const = default;
};
std::uint64_t unit_fuel_max_of(const Manifest& manifest);  // what it allows a unit to burn
std::map<PeerId, VerifiedWork> verified_work(const JobEvidence& evidence, const Verdict& verdict, std::uint64_t unit_fuel_max);

// How far one supporter of an accepted unit has come since.
struct SupporterPassed {
  PeerId peer;
  std::uint32_t audits = 0;  // later verified results of it whose unit was audited and found right
  std::uint32_t units = 0;   // later verified results
  bool enough() const { return audits >= audits_until_final || units >= units_until_final; }
  bool operator==(const SupporterPassed&) const = default;
};
// By id; empty when it is not accepted. O(answers of the whole job): for people.
std::vector<SupporterPassed> supporters_passed(const JobEvidence& evidence, const Verdict& verdict, UnitIndex number);

}  // namespace starling::protocol
