// Evaluation's part that lets an answer join the past stage in which it would have counted, and sees whether anything else follows.
#include <algorithm>
#include <ranges>
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

std::optional<OutcomeIndex> Evaluation::judge_at(UnitIndex unit, Stage stage) {
  tally_.clear();
  for (const EntryIndex e : entries_.of(unit)) {
    if (counts_at(entries_[e], stage)) tally_.add(entries_[e], log_odds(state_at(entries_[e].peer, stage).k));
  }
  return tally_.accepted();
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
  if (!verified(e) || !uncredited) return;
  affected_.clear();
  credit_at(e, stage);
  look_after_affected(stage);
}

// It and what goes on from it, as far as that has answers.
void Evaluation::join_open(UnitIndex unit, Stage first) {
  while (const auto found = first_acceptance(unit, first, horizon())) {
    const auto [stage, outcome] = *found;
    if (!close_in_past(unit, outcome, stage)) break;
    const auto after = parameters_.next(unit);
    if (!after || closed(*after)) return;
    unit = *after;
    first = opened_at(unit);
  }
  mark(unit);
}

// Among the stages from `first` to before `end`. While all agree, who counts in a stage counts in all later ones, with no less weight.
std::optional<std::pair<Stage, OutcomeIndex>> Evaluation::first_acceptance(UnitIndex unit, Stage first, Stage end) {
  if (entries_.result_count(unit) < rule_.members_min || first >= end) return std::nullopt;
  if (unanimous(unit)) {
    if (!judge_at(unit, end - 1)) return std::nullopt;
    const auto stages = std::views::iota(first, end - 1);
    first = *std::ranges::partition_point(stages, [&](Stage stage) { return !judge_at(unit, stage); });
  }
  for (; first < end; ++first) {
    if (const auto outcome = judge_at(unit, first)) return std::pair(first, *outcome);
  }
  return std::nullopt;
}

bool Evaluation::unanimous(UnitIndex unit) const {
  const auto answers = entries_.of(unit);
  return std::ranges::all_of(answers, [&](EntryIndex e) { return entries_[e].outcome == entries_[*answers.begin()].outcome; });
}

// False: the stage has to be run again.
bool Evaluation::close_in_past(UnitIndex unit, OutcomeIndex outcome, Stage stage) {
  closing_.clear();
  list_closing(unit, outcome);
  if (opens_by_closing(stage)) {
    touch(stage);
    return false;
  }
  close_listed(outcome, stage);
  affected_.clear();
  for (const EntryIndex e : entries_.of(unit)) {
    if (entries_[e].audit() || !verified(e)) continue;
    entries_[e].pending = entries_[e].uncredited = false;
    credit_at(e, stage);
  }
  look_after_affected(stage);
  return true;
}

// A block that closes, or is passed earlier than before, lets results of others count.
bool Evaluation::opens_by_closing(Stage stage) {
  for (const UnitIndex unit : closing_) --open_in_block_[block_of(unit)];
  const bool opens = std::ranges::any_of(closing_, [&](UnitIndex unit) {
    const std::uint32_t block = block_of(unit);
    if (open_in_block_[block] == 0) return true;
    return passed(block) && (block >= reached_ || passes_earlier(block, stage));
  });
  for (const UnitIndex unit : closing_) ++open_in_block_[block_of(unit)];
  return opens;
}

// Of a block that is passed: would it have been so in an earlier stage with closing_ closed in this one?
bool Evaluation::passes_earlier(std::uint32_t block, Stage stage) const {
  if (block + 1 == reached_at_.size()) return false;
  const Stage opened = reached_at_[block + 1];
  if (opened <= stage + 1 || opened == reached_at_[block]) return false;
  const UnitIndex first = parameters_.first_of(block), last = parameters_.end_of(block);
  auto closed_before = static_cast<std::uint32_t>(std::ranges::count(closing_, block, [&](UnitIndex unit) { return block_of(unit); }));
  for (UnitIndex unit = first; unit < last; ++unit) closed_before += stage_of_[unit] < opened - 1 ? 1U : 0U;
  return 2 * closed_before >= last - first;
}

void Evaluation::credit_at(EntryIndex e, Stage stage) {
  const Entry& entry = entries_[e];
  const std::uint32_t low = state_before(entry.peer, stage).low;
  Peer& peer = peers_[entry.peer];
  const auto credit = [&](State& state) {
    if (peer.earns(entry)) ++state.k;
    if (entry.rank < state.window_end) --state.unverified;
    advance(peer, state, state.before);
  };
  for (State& state : peer.past) {
    if (state.before > stage) credit(state);
  }
  credit(peer.now);
  for (std::uint32_t rank = low; rank < peer.log.size(); ++rank) {
    const Entry& other = entries_[peer.log[rank]];
    if (other.standing != EntryStanding::counts || other.unit == entry.unit || entries_.result_count(other.unit) < rule_.members_min) continue;
    if (stage_of_[other.unit] > stage) affected_.push_back(other.unit);
  }
}

// Units with other weights in the stages behind this one.
void Evaluation::look_after_affected(Stage stage) {
  std::vector<UnitIndex> affected = std::exchange(affected_, {});
  std::ranges::sort(affected);
  const auto repeated = std::ranges::unique(affected);
  affected.erase(repeated.begin(), repeated.end());
  for (const UnitIndex unit : affected) look_after(unit, stage);
  affected.clear();
  affected_ = std::move(affected);
}

// Is it still accepted in the same stage, with the same outcome, or still open? One that is open joins an earlier stage by itself.
void Evaluation::look_after(UnitIndex unit, Stage stage) {
  if (skipped(unit)) return;
  const Stage end = stage_of_[unit];
  if (end == never) return closable_.push_back(unit);
  if (const auto earlier = first_acceptance(unit, std::max(stage + 1, opened_at(unit)), std::min(end, horizon()))) touch(earlier->first);
  if (end < horizon() && judge_at(unit, end) != outcome_of_[unit]) touch(end);
}

void Evaluation::join_closable() {
  while (!closable_.empty()) {
    const UnitIndex unit = closable_.back();
    closable_.pop_back();
    if (closed(unit)) continue;
    const Stage first = opened_at(unit);
    if (first != never) join_open(unit, first);
  }
}

}  // namespace starling::protocol
