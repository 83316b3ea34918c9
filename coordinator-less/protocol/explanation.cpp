#include "coordinator-less/protocol/explanation.hpp"

#include <algorithm>
#include <map>
#include <ranges>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"

namespace starling::protocol {
namespace {

using Facts = std::vector<ResultFact>;

// Answers of one author from one input stand side by side.
template <class Holds>
bool some_other(const Facts& facts, std::size_t i, const Holds& holds) {
  const auto same = [&](const ResultFact& other) {
    return other.author == facts[i].author && other.outcome.input == facts[i].outcome.input && holds(other);
  };
  return (i > 0 && same(facts[i - 1])) || (i + 1 < facts.size() && same(facts[i + 1]));
}

// At one place of the log, with another fingerprint: one entry to V.
bool same_entry_before(const Facts& facts, std::size_t i) {
  return i > 0 && facts[i - 1].author == facts[i].author && facts[i - 1].outcome == facts[i].outcome && facts[i - 1].at == facts[i].at;
}

AnswerStanding standing_of_void(const JobView& job, const Facts& facts, std::size_t i) {
  if (some_other(facts, i, [&](const ResultFact& other) { return other.outcome != facts[i].outcome; })) return AnswerStanding::contradicts_itself;
  const auto said_before = [&](const ResultFact& other) { return other.outcome == facts[i].outcome && job.verdict.hearing(other) != Hearing::void_; };
  if (some_other(facts, i, said_before)) return AnswerStanding::repeats;
  return facts[i].audit ? AnswerStanding::audit_void : AnswerStanding::contradicts_log;
}

// What its author, his log and his order make of an answer; nothing if it counts.
std::optional<AnswerStanding> why_without_weight(const JobView& job, const UnitVerdict& verdict, const Facts& facts, std::size_t i) {
  const Hearing hearing = job.verdict.hearing(facts[i]);
  switch (hearing) {
    case Hearing::void_: return standing_of_void(job, facts, i);
    case Hearing::probation: return AnswerStanding::probation;
    case Hearing::unknown: return AnswerStanding::unasked;
    default: break;
  }
  if (verdict.accepted) return std::nullopt;  // whatever may count has joined it, or contradicts it
  switch (hearing) {
    case Hearing::out_of_order: return AnswerStanding::before_turn;
    case Hearing::later_block: return AnswerStanding::waits_for_blocks;
    case Hearing::out_of_window: return AnswerStanding::out_of_window;
    default: return std::nullopt;
  }
}

AnswerStanding standing_of(const JobView& job, UnitIndex number, const UnitVerdict& verdict, std::size_t i) {
  const Facts& facts = job.evidence.results(number);
  if (job.verdict.banned(facts[i].author)) return AnswerStanding::banned;
  if (job.verdict.withdrawn(facts[i].author)) return AnswerStanding::taken_back;
  if (job.verdict.proven_wrong(number, facts[i])) return AnswerStanding::proven_wrong;
  const auto input = job.verdict.input(number);
  if (!input) return AnswerStanding::unasked;
  if (facts[i].outcome.input != input->name) return AnswerStanding::other_beginning;
  if (same_entry_before(facts, i)) return AnswerStanding::repeats;
  if (const auto why = why_without_weight(job, verdict, facts, i)) return *why;
  const bool agrees = facts[i].outcome == verdict.outcome;
  if (facts[i].audit) return agrees ? AnswerStanding::audit_agrees : AnswerStanding::audit_differs;
  return agrees ? AnswerStanding::agrees : AnswerStanding::differs;
}

UnitState state_of(const UnitVerdict& verdict) {
  if (verdict.accepted) return UnitState::accepted;
  if (verdict.skipped) return UnitState::skipped;
  if (!verdict.open) return UnitState::waits;
  return verdict.outcome ? UnitState::open : UnitState::unanswered;
}

template <class Rows>
std::uint64_t cut(Rows& rows, std::size_t rows_max) {
  if (rows.size() <= rows_max) return 0;
  const std::uint64_t more = rows.size() - rows_max;
  rows.resize(rows_max);
  return more;
}

bool tiers_agree(const ReplayFact& replay) {
  return replay.compiled == replay.interpreted && replay.fingerprint == replay.interpreted_fingerprint;
}

ReplayFinding finding_of(const ReplayFact& replay, const ResultFact& answer) {
  if (answer.outcome.input != replay.compiled.input) return ReplayFinding::other_beginning;
  if (answer.outcome != replay.compiled) return ReplayFinding::wrong_answer;
  return answer.fingerprint == replay.fingerprint ? ReplayFinding::right_answer : ReplayFinding::copied_answer;
}

// Of an accused with several answers the replay is told by the one that it speaks of most plainly: findings are in that order.
ReplayExplanation explain_replay(const JobView& job, const ReplayFact& replay) {
  ReplayExplanation out{.fact = replay, .statement = {}, .counts = job.verdict.judges().contains(replay.judge), .finding = ReplayFinding::no_such_answer, .answered_in = {}};
  for (const ResultFact& answer : std::ranges::equal_range(job.evidence.results(replay.unit), replay.accused, {}, &ResultFact::author)) {
    const ReplayFinding finding = finding_of(replay, answer);
    if (finding >= out.finding) continue;
    out.finding = finding;
    out.answered_in = answer.statement;
  }
  if (!tiers_agree(replay)) out.finding = ReplayFinding::tiers_differ;
  return out;
}

std::vector<AnswerExplanation> explain_answers(const JobView& job, UnitIndex number, const UnitVerdict& verdict) {
  std::vector<AnswerExplanation> out;
  const Facts& facts = job.evidence.results(number);
  out.reserve(facts.size());
  for (std::size_t i = 0; i < facts.size(); ++i)
    out.push_back({facts[i].author, facts[i].statement, facts[i].entry, facts[i].at, {}, facts[i].outcome, facts[i].fingerprint != Digest{}, standing_of(job, number, verdict, i)});
  std::ranges::stable_sort(out, {}, &AnswerExplanation::standing);
  return out;
}

// The verdict says fresh_members_max also when as many are not enough.
bool fresh_peers_suffice(const JobView& job, UnitIndex number, const UnitVerdict& verdict) {
  if (verdict.missing < fresh_members_max || !verdict.open) return true;
  std::vector<PeerId> strangers(fresh_members_max);
  for (std::size_t i = 0; i < strangers.size(); ++i) {
    strangers[i].bytes.fill(std::byte{0xff});  // no point of the curve, so nobody's key
    strangers[i].bytes.front() = static_cast<std::byte>(i);
  }
  return job.verdict.would_accept(number, strangers);
}

void add_saturating(std::uint64_t& sum, std::uint64_t value) { sum += std::min(value, UINT64_MAX - sum); }

void count_answer(const JobView& job, UnitIndex number, const UnitVerdict& verdict, std::size_t i, PeerStanding& author) {
  const ResultFact& fact = job.evidence.results(number)[i];
  const AnswerStanding standing = standing_of(job, number, verdict, i);
  ++author.stated;
  if (!verdict.accepted) {
    ++(verdict.skipped ? author.without_weight : author.undecided);
  } else if (standing == AnswerStanding::agrees) {
    ++author.verified;
    add_saturating(author.verified_fuel, fact.outcome.fuel);
  } else if (standing == AnswerStanding::audit_agrees) {
    ++author.audits;
  } else if (fact.outcome.input == verdict.outcome->input && fact.outcome != *verdict.outcome) {
    ++author.contradicted;
  } else {
    ++author.without_weight;
  }
}

std::vector<PeerStanding> standings_of(const JobView& job) {
  std::map<PeerId, PeerStanding> all;
  for (UnitIndex number = 0; number < job.evidence.unit_count(); ++number) {
    const Facts& facts = job.evidence.results(number);
    const UnitVerdict verdict = job.verdict.unit(number);
    for (std::size_t i = 0; i < facts.size(); ++i) count_answer(job, number, verdict, i, all[facts[i].author]);
  }
  for (const ReplayFact& replay : job.evidence.replays()) {
    ++all[replay.judge].replays;
    if (explain_replay(job, replay).proves_fault()) all[replay.accused].proven_by.insert(replay.judge);
  }
  for (const auto& [peer, units] : job.verdict.faults()) all[peer].faulty_units = static_cast<std::uint32_t>(units.size());
  std::vector<PeerStanding> out;
  out.reserve(all.size());
  for (auto& [peer, standing] : all) {
    standing.peer = peer;
    standing.banned = job.verdict.banned(peer);
    standing.withdrawn = job.verdict.withdrawn(peer);
    standing.verified_units = job.verdict.verified_units(peer);
    out.push_back(std::move(standing));
  }
  return out;
}

void count_number(const JobView& job, UnitIndex number, JobExplanation& out) {
  const Segments segments(job.manifest);
  const UnitVerdict verdict = job.verdict.unit(number);
  out.contested += verdict.contested ? 1U : 0U;
  const UnitState state = state_of(verdict);
  switch (state) {
    case UnitState::waits: ++out.waits; break;
    case UnitState::skipped: ++out.skipped; break;
    case UnitState::unanswered: ++out.unanswered; break;
    case UnitState::open: ++out.open; break;
    case UnitState::accepted: ++out.accepted; break;
  }
  if (state == UnitState::open || state == UnitState::unanswered)
    out.open_units.push_back({segments.unit_of(number), segments.segment_of(number), verdict.contested, verdict.missing});
}

void append_outcome(Bytes& out, const Outcome& outcome) {
  base::append_u32(out, static_cast<std::uint32_t>(outcome.kind));
  base::append_u32(out, static_cast<std::uint32_t>(outcome.code));
  base::append(out, outcome.digest.view());
  base::append_u64(out, outcome.archive_bytes);
  base::append_u64(out, outcome.fuel);
  base::append(out, outcome.input.view());
}

// Of those of whom there is something to say.
void append_keys(Bytes& out, const JobView& job) {
  const auto work = verified_work(job.evidence, job.verdict, unit_fuel_max_of(job.manifest));
  std::uint32_t count = 0;
  Bytes rows;
  for (const auto& [key, answers] : job.evidence.results_by_author()) {
    const auto faults = job.verdict.faults().find(key);
    const auto faulty_units = faults == job.verdict.faults().end() ? 0U : static_cast<std::uint32_t>(faults->second.size());
    const std::uint32_t verified_units = job.verdict.verified_units(key);
    const bool withdrawn = job.verdict.withdrawn(key);
    const auto earned = work.find(key);
    if (verified_units == 0 && faulty_units == 0 && !withdrawn && earned == work.end()) continue;
    ++count;
    base::append(rows, key.view());
    base::append_u32(rows, verified_units);
    base::append_u32(rows, faulty_units);
    base::append_u32(rows, withdrawn ? 1 : 0);
    base::append_u32(rows, earned == work.end() ? 0 : earned->second.units);
    base::append_u64(rows, earned == work.end() ? 0 : earned->second.fuel);
  }
  base::append_u32(out, count);
  base::append(out, rows);
}

}  // namespace

UnitExplanation explain_unit(const JobView& job, UnitIndex number) {
  STARLING_ENSURE(number < job.evidence.unit_count());
  const Segments segments(job.manifest);
  const UnitVerdict verdict = job.verdict.unit(number);
  UnitExplanation out;
  out.unit = segments.unit_of(number);
  out.segment = segments.segment_of(number);
  out.segments_max = static_cast<std::uint32_t>(segments.of_a_unit());
  out.state = state_of(verdict);
  out.ends = job.verdict.ends(number);
  out.contested = verdict.contested;
  out.quarantined = job.verdict.quarantined();
  out.supporters = verdict.supporters;
  out.dissenters = verdict.dissenters;
  out.missing = verdict.missing;
  out.fresh_target = job.verdict.fresh_target();
  out.outcome = verdict.outcome;
  out.final = why_final(job.evidence, job.verdict, number);
  out.passed = supporters_passed(job.evidence, job.verdict, number);
  cut(out.passed, limits::answers_told_max);
  out.answers = explain_answers(job, number, verdict);
  if (fresh_peers_suffice(job, number, verdict)) out.needed = verdict.supporters + verdict.missing;
  for (const ReplayFact& replay : job.evidence.replays())
    if (replay.unit == number) out.replays.push_back(explain_replay(job, replay));
  out.answers_more = cut(out.answers, limits::answers_told_max);
  out.replays_more = cut(out.replays, limits::replays_told_max);
  return out;
}

JobExplanation explain_job(const JobView& job) {
  JobExplanation out;
  out.units = job.manifest.unit_count;
  out.segments = job.evidence.unit_count();
  out.ended = job.verdict.ended_count();
  out.ended_failed = job.verdict.accepted_failures_count();
  for (UnitIndex number = 0; number < out.segments; ++number) count_number(job, number, out);
  std::ranges::stable_sort(out.open_units, {}, [](const auto& unit) { return !unit.contested; });
  cut(out.open_units, limits::open_units_told_max);
  out.final = final_units(job.evidence, job.verdict, out.units).count;
  out.fresh_target = job.verdict.fresh_target();
  out.quarantined = job.verdict.quarantined();
  out.answers = job.evidence.result_count();
  out.replays = job.evidence.replays().size();
  out.judges.assign(job.verdict.judges().begin(), job.verdict.judges().end());
  out.peers = standings_of(job);
  return out;
}

UnitIndex telling_segment(const JobView& job, UnitIndex unit) {
  UnitIndex number = unit;
  while (job.verdict.unit(number).accepted && !job.verdict.ends(number)) number = *job.verdict.next(number);
  return number;
}

std::vector<ReplayExplanation> proofs_against(const JobView& job, const PeerId& peer) {
  std::vector<ReplayExplanation> out;
  for (const ReplayFact& replay : job.evidence.replays_of(peer)) {
    ReplayExplanation explained = explain_replay(job, replay);
    if (explained.proves_fault() && out.size() < limits::replays_told_max) out.push_back(std::move(explained));
  }
  return out;
}

void cite(AnswerExplanation& answer, const Statement& statement) {
  const auto* results = std::get_if<Results>(&statement.body);
  if (results == nullptr || answer.statement != statement.id || answer.entry >= results->entries.size()) return;
  if (!results->entries[answer.entry].audit) answer.position = results->entries[answer.entry].position;
}

void cite(std::vector<ReplayExplanation>& replays, const Statement& statement) {
  const auto* replay = std::get_if<Replay>(&statement.body);
  if (replay == nullptr) return;
  const ReplayFact fact = fact_of(statement.author, *replay);
  for (auto& told : replays)
    if (told.fact == fact && (!told.statement || statement.id < *told.statement)) told.statement = statement.id;
}

Bytes verdict_bytes(const JobView& job, const JobId& id) {
  Bytes out = base::copy(base::view("starling verdicts 2\n"));
  base::append(out, id.view());
  base::append_u32(out, job.evidence.unit_count());
  for (UnitIndex number = 0; number < job.evidence.unit_count(); ++number) {
    const UnitVerdict verdict = job.verdict.unit(number);
    base::append_u32(out, static_cast<std::uint32_t>(state_of(verdict)) * 4 + (verdict.contested ? 2U : 0U) + (verdict.outcome ? 1U : 0U));
    if (!verdict.outcome) continue;
    base::append_u32(out, verdict.supporters);
    base::append_u32(out, verdict.dissenters);
    append_outcome(out, *verdict.outcome);
  }
  base::append_u32(out, static_cast<std::uint32_t>(job.verdict.banned().size()));
  for (const PeerId& peer : job.verdict.banned()) base::append(out, peer.view());
  base::append_u32(out, job.verdict.quarantined() ? 1 : 0);
  append_keys(out, job);
  return out;
}

}  // namespace starling::protocol
