// Evaluation's part that runs stages and takes them back.
#include <algorithm>
#include <utility>

#include "coordinator-less/protocol/judgement/evaluation.hpp"

namespace starling::protocol {

void Evaluation::settle() {
  if (std::exchange(has_news_, false)) ++news_settled_;
  const bool joining = to_restand_.empty();
  for (const EntryIndex e : std::exchange(pending_, {})) {
    Entry& entry = entries_[e];
    if (!entry.pending) continue;  // it joined with another of its unit
    entry.pending = false;
    if (joining) {
      join(e);
      continue;
    }
    touch(entry_stage(block_of(entry.unit)));
    mark(entry.unit);
    entry.uncredited = false;
  }
  join_closable();
  open_earlier();
  if (touched_from_ < journal_.size()) roll_back(touched_from_);
  touched_from_ = never;
  open_blocks();  // of what joined past stages
  for (const PeerIndex peer : std::exchange(to_restand_, {})) restand(peer);
  if (turns_) {
    for (const std::uint32_t block : turns_->poll_disordered()) reorder(block);
  }
  while (run_stage()) {
  }
}

// ---------------------------------------------------------------- when what counts

// Results of a block count for the first time when all before the one before it are passed.
Stage Evaluation::entry_stage(std::uint32_t block) const { return block <= 1 || rule_.any_counts ? 0 : reached_at_[block - 1]; }

// The first stage in which its results could count.
Stage Evaluation::opened_at(UnitIndex unit) const {
  const Stage entered = entry_stage(block_of(unit));
  if (!parameters_.chained(unit)) return entered;
  const UnitIndex before = unit - parameters_.stride;
  return accepted(before) ? std::max(entered, stage_of_[before] + 1) : never;
}

// Was what it goes on from accepted before this stage? (If with an outcome that does not go on, its own unit is skipped.)
bool Evaluation::follows(const Entry& entry, Stage stage) const {
  if (!parameters_.chained(entry.unit)) return true;
  const UnitIndex before = entry.unit - parameters_.stride;
  return accepted(before) && stage_of_[before] < stage && chains_->follows(entry.unit, entry.outcome, outcome_of_[before]);
}

bool Evaluation::verified(EntryIndex e) const {
  const Entry& entry = entries_[e];
  return entry.standing == EntryStanding::counts && accepted(entry.unit) && outcome_of_[entry.unit] == entry.outcome;
}

bool Evaluation::in_window(const Entry& entry) const {
  return entry.rank < peers_[entry.peer].now.window_end || block_of(entry.unit) == oldest_open_;
}

bool Evaluation::counts(EntryIndex e) const {
  const Entry& entry = entries_[e];
  if (entry.standing != EntryStanding::counts || !follows(entry, never)) return false;
  return entry.audit() || rule_.any_counts || (entry.in_order && block_of(entry.unit) <= reached_ + 1 && in_window(entry));
}

const Tally& Evaluation::gather(UnitIndex unit, Tally& tally) const {
  tally.clear();
  for (const EntryIndex e : entries_.of(unit)) {
    if (counts(e)) tally.add(entries_[e], log_odds(peers_[entries_[e].peer].now.k));
  }
  return tally;
}

// ---------------------------------------------------------------- one stage

void Evaluation::mark(UnitIndex unit) {
  if (is_marked_[unit]) return;
  is_marked_[unit] = true;
  marked_.push_back(unit);
}

void Evaluation::mark_block(std::uint32_t block) {
  if (block >= open_in_block_.size()) return;
  const UnitIndex first = parameters_.first_of(block), last = parameters_.end_of(block);
  for (UnitIndex unit = first; unit < last; ++unit) {
    if (entries_.result_count(unit) >= rule_.members_min && !closed(unit)) mark(unit);
  }
}

bool Evaluation::run_stage() {
  std::vector<std::pair<UnitIndex, OutcomeIndex>> accepting;
  for (const UnitIndex unit : std::exchange(marked_, {})) {
    is_marked_[unit] = false;
    if (closed(unit)) continue;
    if (const auto outcome = judge(unit)) accepting.emplace_back(unit, *outcome);
  }
  if (accepting.empty()) return false;
  const auto stage = static_cast<Stage>(journal_.size());
  journal_.emplace_back();
  for (const auto& [unit, outcome] : accepting) {
    closing_.clear();
    list_closing(unit, outcome);
    close_listed(outcome, stage);
    const auto after = parameters_.next(unit);
    if (after && entries_.result_count(*after) >= rule_.members_min && !closed(*after)) mark(*after);
  }
  for (const auto& [unit, outcome] : accepting) credit_supporters(unit);
  open_blocks();
  for (const PeerIndex peer : journal_.back().changed) {
    advance_window(peers_[peer]);
    mark_open_units(peer);
  }
  return true;
}

// The unit, and those behind it if nothing goes on from this outcome.
void Evaluation::list_closing(UnitIndex unit, OutcomeIndex outcome) {
  closing_.push_back(unit);
  if (!parameters_.next(unit) || chains_->goes_on(unit, outcome)) return;
  for (auto after = parameters_.next(unit); after; after = parameters_.next(*after)) closing_.push_back(*after);
}

void Evaluation::close_listed(OutcomeIndex outcome, Stage stage) {
  for (const UnitIndex unit : closing_) {
    const bool skips = unit != closing_.front();
    note_closing(unit);
    ++(skips ? skipped_count_ : accepted_count_);
    outcome_of_[unit] = skips ? skipped_outcome : outcome;
    stage_of_[unit] = stage;
    --open_in_block_[block_of(unit)];
    journal_[stage].closed.push_back(unit);
  }
}

void Evaluation::credit_supporters(UnitIndex unit) {
  for (const EntryIndex e : entries_.of(unit)) {
    const Entry& entry = entries_[e];
    if (entry.audit() || !verified(e)) continue;
    note_change(entry.peer);
    Peer& peer = peers_[entry.peer];
    if (peer.earns(entry)) ++peer.now.k;
    if (entry.rank < peer.now.window_end) --peer.now.unverified;
  }
}

void Evaluation::note_change(PeerIndex index) {
  const auto stage = static_cast<Stage>(journal_.size() - 1);
  Peer& peer = peers_[index];
  if (!peer.past.empty() && peer.past.back().before == stage) return;
  peer.past.push_back(peer.now);
  peer.past.back().before = stage;
  journal_.back().changed.push_back(index);
}

void Evaluation::advance_window(Peer& peer) {
  affected_.clear();
  advance(peer, peer.now, never);
  for (const UnitIndex unit : std::exchange(affected_, {})) mark(unit);
}

// His word has another weight now wherever it counts.
void Evaluation::mark_open_units(PeerIndex index) {
  Peer& peer = peers_[index];
  const auto idle = [&](EntryIndex e) { return verified(e) || entries_[e].standing != EntryStanding::counts; };
  while (peer.now.low < peer.log.size() && idle(peer.log[peer.now.low])) ++peer.now.low;
  bool beyond = false;
  for (std::uint32_t rank = peer.now.low; rank < peer.log.size(); ++rank) {
    const bool inside = rule_.any_counts || rank < peer.now.window_end;
    if (!inside && !peer.beyond) break;
    const Entry& entry = entries_[peer.log[rank]];
    if (entry.standing != EntryStanding::counts || closed(entry.unit)) continue;
    const std::uint32_t block = block_of(entry.unit);
    const bool oldest = block == oldest_open_;
    if ((rule_.any_counts || block <= reached_ + 1) && entries_.result_count(entry.unit) >= rule_.members_min && (inside || oldest || entry.audit())) mark(entry.unit);
    beyond = beyond || (!inside && (oldest || entry.audit()));
  }
  peer.beyond = beyond;
}

bool Evaluation::passed(std::uint32_t block) const {
  const std::uint32_t first = block * parameters_.block_units;
  return 2 * open_in_block_[block] <= std::min(parameters_.block_units, parameters_.unit_count - first);
}

void Evaluation::open_blocks() {
  const std::uint32_t reached_before = reached_, oldest_before = oldest_open_;
  const auto blocks = static_cast<std::uint32_t>(open_in_block_.size());
  while (reached_ < blocks && passed(reached_)) {
    if (++reached_ < blocks) reached_at_[reached_] = static_cast<Stage>(journal_.size());
  }
  while (oldest_open_ < blocks && open_in_block_[oldest_open_] == 0) {
    if (turns_) turns_->rest(oldest_open_);
    if (++oldest_open_ < blocks) oldest_at_[oldest_open_] = static_cast<Stage>(journal_.size());
  }
  for (std::uint32_t block = reached_before + 2; block <= reached_ + 1; ++block) mark_block(block);
  if (oldest_open_ != oldest_before && oldest_open_ < blocks) oldest_changed();
}

void Evaluation::oldest_changed() {
  mark_block(oldest_open_);
  const UnitIndex first = parameters_.first_of(oldest_open_), last = parameters_.end_of(oldest_open_);
  for (UnitIndex unit = first; unit < last; ++unit) {
    for (const EntryIndex e : entries_.of(unit)) {
      Peer& peer = peers_[entries_[e].peer];
      if (entries_[e].rank >= peer.now.window_end) peer.beyond = true;
    }
  }
}

void Evaluation::roll_back(Stage stage) {
  ++rolled_back_count_;
  std::vector<PeerIndex> restored;
  for (std::size_t i = stage; i < journal_.size(); ++i) {
    for (const UnitIndex unit : journal_[i].closed) {
      const std::uint32_t block = block_of(unit);
      note_closing(unit);
      --(skipped(unit) ? skipped_count_ : accepted_count_);
      stage_of_[unit] = never;
      ++open_in_block_[block];
      oldest_open_ = std::min(oldest_open_, block);
      mark(unit);
    }
    for (const PeerIndex index : journal_[i].changed) {
      Peer& peer = peers_[index];
      while (!peer.past.empty() && peer.past.back().before >= stage) {
        peer.now = peer.past.back();
        peer.past.pop_back();
      }
      peer.now.before = never;
      restored.push_back(index);
    }
  }
  journal_.resize(stage);
  for (auto& oldest : oldest_at_) {
    if (oldest > stage) oldest = never;
  }
  for (auto& reached : reached_at_) {
    if (reached > stage) reached = never;
  }
  for (std::uint32_t block = 0; block <= reached_ && block < reached_at_.size(); ++block) {
    if (reached_at_[block] == never) reached_ = block - 1;
  }
  for (std::uint32_t block = 1; block <= oldest_open_ && block < oldest_at_.size(); ++block) {
    if (oldest_at_[block] == never) oldest_open_ = block - 1;  // the one before closes earlier, by what has moved
  }
  for (const PeerIndex peer : restored) advance_window(peers_[peer]);
  for (Peer& peer : peers_) peer.beyond = true;
}

}  // namespace starling::protocol
