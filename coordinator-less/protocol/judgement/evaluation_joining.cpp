// Evaluation's part that lets an answer join the past stage in which it would have counted, and sees whether anything else follows.
#include <algorithm>
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

// False: it has consequences that only running the stages again can tell.
bool Evaluation::join(EntryIndex e) {
  const UnitIndex unit = entries_[e].unit;
  const bool uncredited = entries_[e].uncredited;
  entries_[e].uncredited = false;
  const Stage first = opened_at(unit);
  if (first == never) return true;  // what opens it marks it
  if (skipped(unit)) return true;
  if (!closed(unit)) return join_open(unit, first);
  const Stage stage = stage_of_[unit];
  for (Stage earlier = first; earlier < stage; ++earlier) {
    if (judge_at(unit, earlier)) return false;
  }
  if (judge_at(unit, stage) != outcome_of_[unit]) return false;
  if (!verified(e) || !uncredited) return true;
  affected_.clear();
  credit_at(e, stage);
  return std::ranges::all_of(std::exchange(affected_, {}), [&](UnitIndex other) { return still_stands(other, stage); });
}

// It and what goes on from it, as far as that has answers.
bool Evaluation::join_open(UnitIndex unit, Stage first) {
  while (const auto found = first_acceptance(unit, first)) {
    const auto [stage, outcome] = *found;
    if (!close_in_past(unit, outcome, stage)) return false;
    const auto after = parameters_.next(unit);
    if (!after || closed(*after)) return true;
    unit = *after;
    first = opened_at(unit);
  }
  mark(unit);
  return true;
}

std::optional<std::pair<Stage, OutcomeIndex>> Evaluation::first_acceptance(UnitIndex unit, Stage first) {
  if (entries_.result_count(unit) < rule_.members_min) return std::nullopt;
  for (Stage stage = first; stage < journal_.size(); ++stage) {
    if (const auto outcome = judge_at(unit, stage)) return std::pair(stage, *outcome);
  }
  return std::nullopt;
}

bool Evaluation::close_in_past(UnitIndex unit, OutcomeIndex outcome, Stage stage) {
  closing_.clear();
  list_closing(unit, outcome);
  if (opens_by_closing(stage)) return false;
  close_listed(outcome, stage);
  affected_.clear();
  for (const EntryIndex e : entries_.of(unit)) {
    if (entries_[e].audit() || !verified(e)) continue;
    entries_[e].pending = entries_[e].uncredited = false;
    credit_at(e, stage);
  }
  return std::ranges::all_of(std::exchange(affected_, {}), [&](UnitIndex other) { return still_stands(other, stage); });
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

// After a change of weights from `after` on: is it accepted in the same stage, with the same outcome, or still open?
bool Evaluation::still_stands(UnitIndex unit, Stage after) {
  if (skipped(unit)) return true;
  const Stage end = closed(unit) ? stage_of_[unit] : static_cast<Stage>(journal_.size());
  bool stands = true;
  for (Stage stage = std::max(after + 1, opened_at(unit)); stage < end && stands; ++stage) stands = !judge_at(unit, stage);
  if (stands && closed(unit)) return judge_at(unit, end) == outcome_of_[unit];
  mark(unit);
  return stands;
}

}  // namespace starling::protocol
