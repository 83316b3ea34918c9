#include "coordinator-less/protocol/verdict.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/segments.hpp"
#include "coordinator-less/protocol/verification_class.hpp"

namespace starling::protocol {
namespace {

constexpr std::uint64_t ppm = 1'000'000;

// 4^members: the odds of a group of fresh peers, L = 4 each.
std::uint64_t odds(std::uint32_t members) { return 1ULL << (2 * std::min(members, credible_members_max)); }

// 4^n / (1 + 4^n + others) >= 1 - epsilon, rearranged so that nothing overflows: epsilon 4^n >= (1 - epsilon) (1 + others).
bool credible(std::uint32_t members, std::uint64_t others, std::uint32_t epsilon_ppm) {
  if (epsilon_ppm >= ppm) return true;
  return epsilon_ppm * odds(members) / (ppm - epsilon_ppm) >= 1 + others;
}

bool acceptable(const VerdictParameters& parameters, std::uint32_t members, std::uint64_t others) {
  if (members < answers_required(parameters.verification)) return false;
  if (parameters.verification == VerificationClass::trusted) return true;
  return credible(members, others, parameters.epsilon_ppm);
}

std::optional<Outcome> accepted_outcome(const UnitVerdict& verdict) {
  return verdict.accepted ? verdict.outcome : std::nullopt;
}

bool tiers_agree(const ReplayFact& replay) {
  return replay.compiled == replay.interpreted && replay.fingerprint == replay.interpreted_fingerprint;
}

// What went on from another archive says nothing about it.
bool wrong(const ResultFact& fact, const Execution& replayed) {
  return replayed.outcome.input == fact.outcome.input && replayed != Execution{fact.outcome, fact.fingerprint};
}

bool copied(const ResultFact& fact, const Execution& replayed) {
  return replayed.outcome == fact.outcome && replayed.fingerprint != fact.fingerprint;
}

using Proofs = std::map<PeerId, std::set<Execution>>;

bool proven_wrong_by(const Proofs* proofs, const ResultFact& fact) {
  if (proofs == nullptr) return false;
  const auto found = proofs->find(fact.author);
  if (found == proofs->end()) return false;
  return std::ranges::any_of(found->second, [&](const Execution& replayed) { return wrong(fact, replayed); });
}

// Of a fact that is proven wrong.
bool proven_copied_by(const Proofs& proofs, const ResultFact& fact) {
  return std::ranges::any_of(proofs.at(fact.author), [&](const Execution& replayed) { return copied(fact, replayed); });
}

// An author with several answers from one input has them side by side.
bool doubled(const std::vector<ResultFact>& facts, std::size_t i) {
  const auto same = [&](const ResultFact& other) { return other.author == facts[i].author && other.outcome.input == facts[i].outcome.input; };
  return (i > 0 && same(facts[i - 1])) || (i + 1 < facts.size() && same(facts[i + 1]));
}

struct Groups {
  std::optional<Outcome> leader;
  std::uint32_t supporters = 0;
  std::vector<std::uint32_t> others;
};

Groups group(std::vector<Outcome> answers) {
  std::ranges::sort(answers);
  Groups groups;
  for (auto first = answers.begin(); first != answers.end();) {
    const auto last = std::ranges::upper_bound(first, answers.end(), *first);
    const auto size = static_cast<std::uint32_t>(last - first);
    if (size > groups.supporters) {
      if (groups.leader) groups.others.push_back(groups.supporters);
      groups.leader = *first;
      groups.supporters = size;
    } else {
      groups.others.push_back(size);
    }
    first = last;
  }
  return groups;
}

}  // namespace

std::optional<std::uint32_t> members_needed(const VerdictParameters& parameters,
                                            const std::vector<std::uint32_t>& other_groups) {
  std::uint64_t others = 0;
  for (const std::uint32_t size : other_groups) others += odds(size);
  for (std::uint32_t members = 1; members <= credible_members_max; ++members) {
    if (acceptable(parameters, members, others)) return members;
  }
  return std::nullopt;
}

bool banned_by(const JobEvidence& evidence, const std::set<PeerId>& judges, const PeerId& accused) {
  std::set<UnitIndex> faulty;
  for (const ReplayFact& replay : evidence.replays_of(accused)) {
    if (!judges.contains(replay.judge) || !tiers_agree(replay)) continue;
    const auto& facts = evidence.results(replay.unit);
    const Execution replayed{replay.compiled, replay.fingerprint};
    for (std::size_t i = 0; i < facts.size(); ++i) {
      if (facts[i].author != accused || !wrong(facts[i], replayed)) continue;
      if (doubled(facts, i) || copied(facts[i], replayed)) return true;
      faulty.insert(replay.unit);
    }
  }
  return faulty.size() >= limits::faults_to_ban;
}

VerdictParameters parameters_of(const Manifest& manifest) {
  return {manifest.verification, manifest.epsilon_ppm, Segments(manifest).stride()};
}

Verdict::Verdict(const JobEvidence& evidence, std::set<PeerId> judges, VerdictParameters parameters)
    : evidence_(evidence), judges_(std::move(judges)), parameters_(parameters) {
  for (const ReplayFact& replay : evidence_.replays()) note_replay(replay);
  for (const auto& [unit, proofs] : proofs_) collect_faults(unit);
  units_.reserve(evidence_.unit_count());
  for (UnitIndex unit = 0; unit < evidence_.unit_count(); ++unit) units_.push_back(unanswered(unit));
  for (UnitIndex unit = 0; unit < units_.size(); ++unit) {
    if (!evidence_.results(unit).empty()) evaluate(unit);
  }
}

void Verdict::on_results(UnitIndex unit) { settle(unit); }

void Verdict::on_replay(const ReplayFact& replay) {
  if (note_replay(replay)) settle(replay.unit);
}

bool Verdict::note_replay(const ReplayFact& replay) {
  if (!judges_.contains(replay.judge)) return false;
  if (!tiers_agree(replay)) {
    quarantined_ = true;
    return false;
  }
  return proofs_[replay.unit][replay.accused].insert({replay.compiled, replay.fingerprint}).second;
}

std::vector<PeerId> Verdict::collect_faults(UnitIndex unit) {
  std::vector<PeerId> newly_banned;
  const Proofs* proofs = proofs_of(unit);
  if (proofs == nullptr) return newly_banned;
  const auto& facts = evidence_.results(unit);
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const ResultFact& fact = facts[i];
    if (!proven_wrong_by(proofs, fact)) continue;
    auto& faulty_units = faults_[fact.author];
    faulty_units.insert(unit);
    const bool no_error = doubled(facts, i) || proven_copied_by(*proofs, fact);
    if ((no_error || faulty_units.size() >= limits::faults_to_ban) && banned_.insert(fact.author).second) newly_banned.push_back(fact.author);
  }
  return newly_banned;
}

void Verdict::settle(UnitIndex unit) {
  for (const PeerId& peer : collect_faults(unit)) {
    for (UnitIndex other = 0; other < units_.size(); ++other) {
      if (other != unit && evidence_.answered(peer, other)) evaluate(other);
    }
  }
  evaluate(unit);
}

Verdict::Start Verdict::start_after(const UnitVerdict& previous) {
  if (previous.skipped) return {true, std::nullopt};
  if (!previous.accepted) return {};
  if (previous.outcome->kind != OutcomeKind::checkpoint) return {true, std::nullopt};
  return {false, BlobRef{previous.outcome->digest, previous.outcome->archive_bytes}};
}

Verdict::Start Verdict::start_of(UnitIndex unit) const {
  const auto before = previous(unit);
  return before ? start_after(units_[*before]) : Start{false, BlobRef{}};
}

std::optional<BlobRef> Verdict::input(UnitIndex unit) const { return start_of(unit).input; }

const ResultFact* Verdict::answer_of(const PeerId& peer, UnitIndex unit) const {
  const auto from = input(unit);
  return from ? evidence_.answer_of(peer, unit, from->name) : nullptr;
}

bool Verdict::ends(UnitIndex unit, const UnitVerdict& verdict) const {
  return verdict.accepted && (verdict.outcome->kind != OutcomeKind::checkpoint || !next(unit));
}

void Verdict::evaluate(UnitIndex unit) {
  for (std::optional<UnitIndex> at = unit; at && record(*at, judge(*at));) at = next(*at);
}

UnitVerdict Verdict::unanswered(UnitIndex unit) const {
  UnitVerdict verdict;
  const Start start = start_of(unit);
  verdict.open = start.input.has_value();
  verdict.skipped = start.skipped;
  if (!verdict.skipped) verdict.missing = fresh_target();
  return verdict;
}

UnitVerdict Verdict::judge(UnitIndex unit) const {
  UnitVerdict verdict = unanswered(unit);
  if (!verdict.open) return verdict;
  const Digest from = input(unit)->name;
  const auto& facts = evidence_.results(unit);
  const Proofs* proofs = proofs_of(unit);
  std::vector<Outcome> counting;
  counting.reserve(facts.size());
  const Outcome* first_outcome = nullptr;
  for (std::size_t i = 0; i < facts.size(); ++i) {
    if (facts[i].outcome.input != from || banned_.contains(facts[i].author)) continue;
    if (first_outcome == nullptr) first_outcome = &facts[i].outcome;
    verdict.contested = verdict.contested || facts[i].outcome != *first_outcome;
    if (!doubled(facts, i) && !proven_wrong_by(proofs, facts[i])) counting.push_back(facts[i].outcome);
  }
  const auto answers = static_cast<std::uint32_t>(counting.size());
  const Groups groups = group(std::move(counting));
  const auto needed = members_needed(parameters_, groups.others);
  verdict.outcome = groups.leader;
  verdict.supporters = groups.supporters;
  verdict.dissenters = answers - groups.supporters;
  verdict.accepted = needed && verdict.supporters >= *needed;
  verdict.missing = verdict.accepted ? 0 : needed ? *needed - verdict.supporters : credible_members_max;
  return verdict;
}

bool Verdict::record(UnitIndex unit, UnitVerdict verdict) {
  UnitVerdict& current = units_[unit];
  if (accepted_outcome(current) != accepted_outcome(verdict)) changed_.try_emplace(unit, accepted_outcome(current));
  const auto failed = [&](const UnitVerdict& of) { return ends(unit, of) && of.outcome->kind != OutcomeKind::ok; };
  accepted_count_ += (verdict.accepted ? 1U : 0U) - (current.accepted ? 1U : 0U);
  accepted_failures_count_ += (failed(verdict) ? 1U : 0U) - (failed(current) ? 1U : 0U);
  ended_count_ += (ends(unit, verdict) ? 1U : 0U) - (ends(unit, current) ? 1U : 0U);
  skipped_count_ += (verdict.skipped ? 1U : 0U) - (current.skipped ? 1U : 0U);
  const Start before = start_after(current);
  const bool moves_next = next(unit) && before != start_after(verdict);
  if (moves_next) moved_.try_emplace(*next(unit), before);
  current = std::move(verdict);
  return moves_next;
}

const Verdict::Proofs* Verdict::proofs_of(UnitIndex unit) const {
  const auto found = proofs_.find(unit);
  return found == proofs_.end() ? nullptr : &found->second;
}

bool Verdict::proven_wrong(UnitIndex unit, const ResultFact& fact) const {
  return proven_wrong_by(proofs_of(unit), fact);
}

std::vector<UnitIndex> Verdict::poll_changed() {
  std::vector<UnitIndex> units;
  for (const auto& [unit, before] : std::exchange(changed_, {})) {
    if (accepted_outcome(units_[unit]) != before) units.push_back(unit);
  }
  for (const auto& [unit, before] : std::exchange(moved_, {})) {
    if (start_of(unit) != before) units.push_back(unit);
  }
  std::ranges::sort(units);
  const auto repeated = std::ranges::unique(units);
  units.erase(repeated.begin(), repeated.end());
  return units;
}

void Verdict::check_invariants() const {
  const Verdict fresh(evidence_, judges_, parameters_);
  STARLING_ENSURE(units_ == fresh.units_);
  STARLING_ENSURE(proofs_ == fresh.proofs_);
  STARLING_ENSURE(faults_ == fresh.faults_);
  STARLING_ENSURE(banned_ == fresh.banned_);
  STARLING_ENSURE(quarantined_ == fresh.quarantined_);
  STARLING_ENSURE(accepted_count_ == fresh.accepted_count_);
  STARLING_ENSURE(accepted_failures_count_ == fresh.accepted_failures_count_);
  STARLING_ENSURE(ended_count_ == fresh.ended_count_);
  STARLING_ENSURE(skipped_count_ == fresh.skipped_count_);
}

}  // namespace starling::protocol
