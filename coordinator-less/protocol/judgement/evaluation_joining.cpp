// Evaluation's part that lets an answer join the past stage in which it would have counted, and sees whether anything else follows.
#include <algorithm>
#include <ranges>
#include <span>
#include <utility>

#include "coordinator-less/protocol/judgement/evaluation.hpp"

namespace starling::protocol {
const Evaluation::State& Evaluation::state_at(PeerIndex peer, Stage stage) const {
  const Peer& p = peers_[peer];
  const State* found = &p.now;
  for (auto state = p.past.rbegin(); state != p.past.rend() && state->before >= stage; ++state) found = &*state;
  return *found;
}

// The same, as a record of its own that may differ from what follows.
Evaluation::State& Evaluation::state_before(PeerIndex peer, Stage stage) {
  Peer& p = peers_[peer];
  auto place = p.past.end();
  while (place != p.past.begin() && (place - 1)->before >= stage) --place;
  if (place != p.past.end() && place->before == stage) return *place;
  State state = place == p.past.end() ? p.now : *place;
  state.before = stage;
  journal_[stage].changed.push_back(peer);
  return *p.past.insert(place, state);
}

bool Evaluation::counts_at(const Entry& entry, Stage stage) const {
  if (entry.standing != EntryStanding::counts || !follows(entry, stage)) return false;
  if (entry.audit() || rule_.any_counts) return true;
  if (!entry.in_order) return false;
  const std::uint32_t block = block_of(entry.unit);
  if (entry_stage(block) > stage) return false;
  if (entry.rank < state_at(entry.peer, stage).window_end) return true;
  return oldest_at_[block] <= stage && (block + 1 == oldest_at_.size() || oldest_at_[block + 1] > stage);
}

const Tally& Evaluation::gather_at(UnitIndex unit, Stage stage) {
  tally_.clear();
  for (const EntryIndex e : entries_.of(unit)) {
    if (counts_at(entries_[e], stage)) tally_.add(entries_[e], log_odds(state_at(entries_[e].peer, stage).k));
  }
  return tally_;
}

// Where it has consequences that only running the stages again can tell, touches the first stage that they reach.
void Evaluation::join(EntryIndex e) {
  const UnitIndex unit = entries_[e].unit;
  const bool uncredited = entries_[e].uncredited;
  entries_[e].uncredited = false;
  const Stage first = opened_at(unit);
  if (first == never || skipped(unit)) return;  // what opens it marks it
  if (!closed(unit)) return join_open(unit, first);
  const Stage stage = stage_of_[unit];
  if (const auto earlier = first_acceptance(unit, first, std::min(stage, horizon()))) touch(earlier->first);
  if (stage >= horizon()) return;
  if (judge_at(unit, stage) != outcome_of_[unit]) return touch(stage);
  if (verified(e) && uncredited) credit_at(e, stage, never);
}

// It and what goes on from it, as far as that has answers.
void Evaluation::join_open(UnitIndex unit, Stage first) {
  while (const auto found = first_acceptance(unit, first, horizon())) {
    close_in_past(unit, found->second, found->first);
    const auto after = parameters_.next(unit);
    if (!after || closed(*after)) return;
    unit = *after;
    first = opened_at(unit);
  }
  mark(unit);
}

// Among the stages from `first` to before `end`. Who counts in a stage counts in all later ones, with no less weight: what is not enough for
// any group alone in one was not enough before.
std::optional<std::pair<Stage, OutcomeIndex>> Evaluation::first_acceptance(UnitIndex unit, Stage first, Stage end) {
  if (entries_.result_count(unit) < rule_.members_min || first >= end) return std::nullopt;
  const auto enough = [&](Stage stage) { return gather_at(unit, stage).accepted_undisputed(); };
  if (!enough(end - 1)) return std::nullopt;
  if (first + 1 == end) return tally_.accepted().transform([&](OutcomeIndex outcome) { return std::pair(first, outcome); });
  const auto stages = std::views::iota(first, end - 1);
  for (Stage stage = *std::ranges::partition_point(stages, [&](Stage at) { return !enough(at); }); stage < end; ++stage) {
    if (const auto outcome = judge_at(unit, stage)) return std::pair(stage, *outcome);
  }
  return std::nullopt;
}

void Evaluation::close_in_past(UnitIndex unit, OutcomeIndex outcome, Stage stage) {
  closing_.clear();
  list_closing(unit, outcome);
  close_listed(outcome, stage);
  for (const UnitIndex closed : closing_) note_earlier(block_of(closed), stage, never);
  for (const EntryIndex e : entries_.of(unit)) {
    if (entries_[e].audit() || !verified(e)) continue;
    entries_[e].pending = entries_[e].uncredited = false;
    credit_at(e, stage, never);
  }
}

// A unit of this block is closed in this stage, before only in another or never: others' results may count from an earlier one on.
void Evaluation::note_earlier(std::uint32_t block, Stage stage, Stage before) {
  if (block + 1 == reached_at_.size()) return;
  const bool passes = passed(block) && reached_at_[block] < reached_at_[block + 1] && stage + 1 < reached_at_[block + 1];
  const bool closes = open_in_block_[block] == 0 && (before == never ? block == oldest_open_ : before + 1 == oldest_at_[block + 1]);
  if ((passes || closes) && !std::ranges::contains(earlier_blocks_, block)) earlier_blocks_.push_back(block);
}

// Touches the first stage in which they do.
void Evaluation::open_earlier() {
  for (const std::uint32_t block : std::exchange(earlier_blocks_, {})) {
    const std::span stages(&stage_of_[parameters_.first_of(block)], &stage_of_[parameters_.end_of(block) - 1] + 1);
    const Stage passed_at = reached_at_[block + 1];
    const auto before = std::ranges::count_if(stages, [&](Stage stage) { return stage < passed_at - 1; });
    if (2 * static_cast<std::size_t>(before) >= stages.size()) {
      std::vector<Stage> sorted(stages.begin(), stages.end());
      const auto half = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
      std::ranges::nth_element(sorted, half);
      const Stage at = *half == never ? never : std::max(reached_at_[block], *half + 1);
      if (at < passed_at) touch(at);
    }
    if (open_in_block_[block] > 0) continue;
    const Stage closed = std::max(oldest_at_[block], std::ranges::max(stages) + 1);
    if (closed < oldest_at_[block + 1]) touch(closed);
  }
}

// From behind this stage on, to the one that `end` begins with or, if there is none, to now.
void Evaluation::credit_at(EntryIndex e, Stage stage, Stage end) {
  const Entry& entry = entries_[e];
  if (end != never) state_before(entry.peer, end);  // without one if he was not credited there, since that stage is run again anyway
  state_before(entry.peer, stage);
  Peer& peer = peers_[entry.peer];
  const auto credit = [&](State& state) {
    if (peer.earns(entry)) ++state.k;
    if (entry.rank < state.window_end) --state.unverified;
    advance(peer, state, state.before);
  };
  for (State& state : peer.past) {
    if (state.before > stage && state.before <= end) credit(state);
  }
  if (end == never) credit(peer.now);
  affected_.clear();  // are among those that note_affected() finds
  if (peer.credited_from == never) credited_.push_back(entry.peer);
  peer.credited_from = std::min(peer.credited_from, stage);
}

// Units with other weights in the stages behind those in which somebody was credited, and those that these touch in turn.
void Evaluation::look_after_credited() {
  std::vector<std::pair<UnitIndex, Stage>> affected;
  while (!credited_.empty()) {
    std::ranges::sort(credited_, {}, [&](PeerIndex peer) { return peers_[peer].credited_from; });  // so that a unit is noted with its first stage
    for (const PeerIndex peer : std::exchange(credited_, {})) note_affected(peer, std::exchange(peers_[peer].credited_from, never), affected);
    for (const auto& [unit, stage] : affected) is_noted_[unit] = false;
    for (const auto& [unit, stage] : affected) look_after(unit, stage);
    affected.clear();
  }
}

void Evaluation::note_affected(PeerIndex index, Stage stage, std::vector<std::pair<UnitIndex, Stage>>& affected) {
  const Peer& peer = peers_[index];
  for (std::uint32_t rank = state_at(index, stage).low; rank < peer.log.size(); ++rank) {
    const Entry& entry = entries_[peer.log[rank]];
    if (stage_of_[entry.unit] <= stage || is_noted_[entry.unit]) continue;
    if (entry.standing != EntryStanding::counts || entries_.result_count(entry.unit) < rule_.members_min) continue;
    is_noted_[entry.unit] = true;
    affected.emplace_back(entry.unit, stage);
  }
}

// Is it still accepted in the same stage, with the same outcome, or still open? One that is open joins an earlier stage by itself.
void Evaluation::look_after(UnitIndex unit, Stage stage) {
  if (skipped(unit)) return;
  const Stage end = stage_of_[unit];
  if (end == never) return closable_.push_back(unit);
  if (const auto earlier = first_acceptance(unit, std::max(stage + 1, opened_at(unit)), std::min(end, horizon()))) {
    if (earlier->second == outcome_of_[unit] && !parameters_.next(unit)) accept_earlier(unit, earlier->first);
    else touch(earlier->first);
  } else if (end < horizon() && !unanimous(unit) && judge_at(unit, end) != outcome_of_[unit]) {
    touch(end);
  }
}

// With the same outcome: its credits move, and what follows from them.
void Evaluation::accept_earlier(UnitIndex unit, Stage stage) {
  const Stage end = std::exchange(stage_of_[unit], stage);
  auto& closed = journal_[end].closed;
  *std::ranges::find(closed, unit) = closed.back();
  closed.pop_back();
  if (closed.empty()) touch(end);  // there is no such stage then
  journal_[stage].closed.push_back(unit);
  note_earlier(block_of(unit), stage, end);
  for (const EntryIndex e : entries_.of(unit)) {
    if (!entries_[e].audit() && !entries_[e].uncredited && verified(e)) credit_at(e, stage, end);
  }
}

// More weight in that case cannot end what is accepted.
bool Evaluation::unanimous(UnitIndex unit) const {
  const auto answers = entries_.of(unit);
  return std::ranges::all_of(answers, [&](EntryIndex e) { return entries_[e].outcome == entries_[*answers.begin()].outcome; });
}

void Evaluation::join_closable() {
  look_after_credited();
  for (; !closable_.empty(); look_after_credited()) {
    const UnitIndex unit = closable_.back();
    closable_.pop_back();
    if (closed(unit)) continue;
    const Stage first = opened_at(unit);
    if (first != never) join_open(unit, first);
  }
}

}  // namespace starling::protocol
