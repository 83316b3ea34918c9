#include "coordinator-less/protocol/replay_plan.hpp"

#include <algorithm>
#include <ranges>

#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

ReplayPlan::ReplayPlan(const PeerId& self, const JobEvidence& evidence, const Verdict& verdict, Notary& notary, bool doubts)
    : self_(self), evidence_(evidence), verdict_(verdict), notary_(notary), doubts_(doubts) {}

void ReplayPlan::on_unit_changed(UnitIndex unit) {
  if (const auto it = queued_of_.find(unit); it != queued_of_.end()) {
    for (const Rank& rank : it->second) queue_.erase(rank);
    queued_of_.erase(it);
  }
  own_.erase(unit);
  const ResultFact* mine = verdict_.answer_of(self_, unit);
  if (doubts_ && mine != nullptr && own_contradicted(unit, *mine)) own_[unit] = {mine->statement, self_, unit};
  const bool contested = verdict_.contested(unit);
  const auto input = verdict_.input(unit);
  if (!input || (!contested && past_.suspects.empty() && evidence_.replays_about(unit).empty())) return;
  const Outcome* accepted = verdict_.accepted_outcome(unit);
  for (const ResultFact& fact : evidence_.results(unit)) {
    if (fact.outcome.input != input->name) continue;
    const bool differs = mine != nullptr ? fact.outcome != mine->outcome : accepted != nullptr && fact.outcome != *accepted;
    const bool doubted = (contested && differs) || suspected({fact.statement, fact.author, unit});
    if (doubted || accused_of_copying(unit, fact)) enqueue(fact, unit, !doubted);
  }
}

void ReplayPlan::enqueue(const ResultFact& fact, UnitIndex unit, bool only_accused) {
  const ReplayTarget target{fact.statement, fact.author, unit};
  if (fact.author == self_ || verdict_.proven_wrong(unit, fact) || !wanted(target)) return;
  Bytes bytes = base::copy(self_.view());
  base::append(bytes, fact.statement.view());
  base::append_u32(bytes, unit);
  const Rank rank{only_accused, notary_.digest(bytes)};
  queue_[rank] = target;
  queued_of_[unit].push_back(rank);
}

void ReplayPlan::on_suspect(const ReplayTarget& target) {
  if (!may_prove(target)) return;
  auto& copies = past_.suspects[target.accused];
  if (copies.size() == limits::replays_per_accused_max || std::ranges::contains(copies, target.unit, &ReplayTarget::unit)) return;
  copies.insert(target);
  if (copies.size() < limits::copies_until_suspect) return;
  for (const ReplayTarget& copy : std::set(copies)) on_unit_changed(copy.unit);
}

bool ReplayPlan::suspected(const ReplayTarget& target) const {
  const auto copies = past_.suspects.find(target.accused);
  return copies != past_.suspects.end() && copies->second.size() >= limits::copies_until_suspect && copies->second.contains(target);
}

// By anybody's replay: whoever believes its author alone has units open that nobody else would do again.
bool ReplayPlan::accused_of_copying(UnitIndex unit, const ResultFact& fact) const {
  if (const auto it = past_.cleared.find(fact.author); it != past_.cleared.end() && it->second >= limits::accusations_replayed_max) return false;
  return std::ranges::any_of(evidence_.replays_about(unit) | std::views::take(limits::accusations_looked_at_max), [&](const ReplayFact* replay) {
    return replay->accused == fact.author && replay->judge != self_ && replay->compiled == fact.outcome && replay->interpreted == fact.outcome &&
           replay->fingerprint == replay->interpreted_fingerprint && replay->fingerprint != fact.fingerprint;
  });
}

bool ReplayPlan::may_prove(const ReplayTarget& target) const { return wanted(target) && proofs_left(target.accused) > running_against(target.accused); }

bool ReplayPlan::own_contradicted(UnitIndex unit, const ResultFact& mine) const {
  const Outcome* accepted = verdict_.accepted_outcome(unit);
  return (accepted != nullptr && *accepted != mine.outcome && !mine.audit) || verdict_.proven_wrong(unit, mine);
}

std::optional<ReplayTarget> ReplayPlan::next_own() const {
  if (own_.empty() || judges_nobody() || proofs_left(self_) <= running_against(self_)) return std::nullopt;
  for (const auto& [unit, target] : own_)
    if (wanted(target)) return target;
  return std::nullopt;
}

bool ReplayPlan::doubts_itself() const {
  const auto holds_up = [&](const ReplayTarget& target) {
    const ResultFact* mine = target.accused == self_ ? verdict_.answer_of(self_, target.unit) : nullptr;
    return mine != nullptr && !mine->audit;
  };
  if (std::ranges::any_of(running_, holds_up)) return true;
  if (!next_own()) return false;
  return std::ranges::any_of(own_, [&](const auto& own) { return wanted(own.second) && holds_up(own.second); });
}

// Given-up replays prove nothing, so they have a bound of their own and the proofs keep theirs.
std::uint32_t ReplayPlan::proofs_left(const PeerId& accused) const {
  if (const auto it = past_.given_up.find(accused); it != past_.given_up.end() && it->second >= limits::replays_given_up_max) return 0;
  const auto it = past_.spent.find(accused);
  return limits::replays_per_accused_max - (it == past_.spent.end() ? 0U : std::min(it->second, limits::replays_per_accused_max));
}

std::uint32_t ReplayPlan::running_against(const PeerId& accused) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(running_, [&](const ReplayTarget& target) { return target.accused == accused && !published(target); }));
}

bool ReplayPlan::wanted(const ReplayTarget& target) const {
  // One unit of a key proves one fault, however many statements carry its answers.
  const auto same = [&](const ReplayTarget& other) { return other.accused == target.accused && other.unit == target.unit; };
  return !verdict_.banned(target.accused) && !verdict_.withdrawn(target.accused) && std::ranges::none_of(running_, same) && std::ranges::none_of(past_.done, same);
}

// Bans and spent bounds never come back, so what they rule out leaves the queue for good; what runs may be given up.
std::optional<ReplayTarget> ReplayPlan::next() {
  if (judges_nobody()) return std::nullopt;
  if (const auto own = next_own()) return own;
  for (auto next = queue_.begin(); next != queue_.end();) {
    const ReplayTarget target = next->second;
    const bool speaks_of_it = std::ranges::contains(running_, target.unit, &ReplayTarget::unit);
    if (speaks_of_it) ++next;
    else if (!wanted(target) || proofs_left(target.accused) == 0) next = queue_.erase(next);
    else if (!may_prove(target)) ++next;
    else return target;
  }
  return std::nullopt;
}

void ReplayPlan::on_started(const ReplayTarget& target) { running_.insert(target); }

void ReplayPlan::set_aside(const ReplayTarget& target) {
  if (target.accused == self_) own_.erase(target.unit);
  std::erase_if(queue_, [&](const auto& entry) { return entry.second == target; });
}

void ReplayPlan::on_given_up(const ReplayTarget& target) {
  running_.erase(target);
  if (past_.done.insert(target).second) ++past_.given_up[target.accused];
}

bool ReplayPlan::on_tiers_differed(const ReplayTarget& target) {
  if (!past_.differed.insert(target).second) return true;
  running_.erase(target);
  on_unit_changed(target.unit);
  return false;
}

void ReplayPlan::on_ended(const ReplayTarget& target) { running_.erase(target); }

void ReplayPlan::on_published(const Replay& replay) {
  const ReplayTarget target{replay.accused_statement, replay.accused, replay.unit};
  if (replay.unit >= evidence_.unit_count() || !past_.done.insert(target).second) return;
  ++past_.own_replays;
  const ResultFact* fact = verdict_.answer_of(replay.accused, replay.unit);
  const Execution found{replay.compiled, replay.fingerprint};
  const bool right = fact != nullptr && Execution{fact->outcome, fact->fingerprint} == found && Execution{replay.interpreted, replay.interpreted_fingerprint} == found;
  const bool only_accused = right && !verdict_.contested(replay.unit) && !suspected(target);
  ++(only_accused ? past_.cleared : past_.spent)[replay.accused];
}

void ReplayPlan::on_own_replayed(const ReplayTarget& target, const Execution& compiled, const Execution& interpreted) {
  running_.erase(target);
  if (!past_.done.insert(target).second) return;
  ++past_.spent[self_];
  const ResultFact* mine = verdict_.answer_of(self_, target.unit);
  if (compiled != interpreted) past_.tiers_differ = true;
  else if (mine != nullptr && mine->outcome.input == compiled.outcome.input && Execution{mine->outcome, mine->fingerprint} != compiled) past_.own_errors.insert(target.unit);
}

void ReplayPlan::on_found(const ReplayTarget& target, const Outcome& right) {
  const ResultFact* mine = verdict_.answer_of(self_, target.unit);
  if (mine != nullptr && mine->audit && mine->outcome != right && mine->outcome.input == right.input) past_.own_errors.insert(target.unit);
}

void ReplayPlan::on_contradicts_itself(UnitIndex unit) { past_.own_errors.insert(unit); }

bool ReplayPlan::takes_back() const {
  return doubts_ && !verdict_.withdrawn(self_) && (past_.tiers_differ || errs_as_often_as_bans());
}

// Within so many entries of its log as bans; entries of different chains are as if next to each other.
bool ReplayPlan::errs_as_often_as_bans() const {
  if (past_.own_errors.size() < limits::faults_to_ban) return false;
  std::vector<LogPlace> places;
  for (const UnitIndex unit : past_.own_errors)
    if (const ResultFact* mine = evidence_.answer_of(self_, unit, verdict_.input(unit).value_or(BlobRef{}).name)) places.push_back(mine->at);
  std::ranges::sort(places);
  constexpr std::size_t others = limits::faults_to_ban - 1;
  for (std::size_t i = others; i < places.size(); ++i) {
    const LogPlace first = places[i - others], last = places[i];
    if (first.chain != last.chain || last.index - first.index < fault_span_work) return true;
  }
  return false;
}

std::uint32_t ReplayPlan::pending() const {
  std::map<PeerId, std::uint32_t> wanted_of;
  for (const auto& [key, target] : queue_)
    if (wanted(target) && !judges_nobody()) ++wanted_of[target.accused];
  for (const auto& [unit, target] : own_)
    if (wanted(target) && !judges_nobody()) ++wanted_of[self_];
  std::uint32_t total = static_cast<std::uint32_t>(running_.size());
  for (const auto& [accused, count] : wanted_of) {
    const std::uint32_t left = proofs_left(accused), running = running_against(accused);
    if (left > running) total += std::min(count, left - running);
  }
  return total;
}

std::optional<ReplayTarget> ReplayPlan::running(const MessageId& statement, UnitIndex unit) const {
  const auto it = std::ranges::find_if(running_, [&](const ReplayTarget& t) { return t.statement == statement && t.unit == unit; });
  return it == running_.end() ? std::nullopt : std::optional(*it);
}

bool replay_allowed(bool open_work, std::uint64_t executions, std::uint64_t replays_started) {
  return !open_work || (replays_started + 1) * 100 <= executions * limits::replay_share_percent;
}

}  // namespace starling::protocol
