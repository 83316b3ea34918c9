#include "coordinator-less/protocol/judgement/evaluation.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {
namespace {

std::uint32_t window_of(std::uint32_t k) { return std::min(window_max, window_min + k / units_per_window_step); }

}  // namespace

Evaluation::Evaluation(EvaluationParameters parameters, OwnOrders* orders, Chains* chains)
    : parameters_(std::move(parameters)),
      orders_(orders),
      chains_(chains),
      rule_(parameters_),
      entries_(parameters_.unit_count),
      logs_(entries_, parameters_, chains_),
      outcome_of_(parameters_.unit_count, 0),
      stage_of_(parameters_.unit_count, never),
      is_marked_(parameters_.unit_count, false),
      is_noted_(parameters_.unit_count, false),
      is_changed_(parameters_.unit_count, false) {
  STARLING_ENSURE(parameters_.block_units > 0 && (parameters_.stride == 0 || chains_ != nullptr));
  for (const PeerIndex judge : parameters_.judges) {
    if (judge >= judge_.size()) judge_.resize(judge + 1, false);
    judge_[judge] = true;
  }
  const std::uint32_t blocks = parameters_.block_count();
  for (std::uint32_t block = 0; block < blocks; ++block) open_in_block_.push_back(parameters_.end_of(block) - parameters_.first_of(block));
  oldest_at_.assign(blocks, never);
  reached_at_.assign(blocks, never);
  if (blocks > 0) oldest_at_.front() = reached_at_.front() = 0;
  if (orders_ != nullptr && !rule_.any_counts) turns_.emplace(entries_, parameters_, *orders_, rule_.members_min);
}

Evaluation::Peer& Evaluation::peer_at(PeerIndex peer) {
  if (peer >= peers_.size()) peers_.resize(peer + 1);
  return peers_[peer];
}

// ---------------------------------------------------------------- what comes in

EntryIndex Evaluation::store(const EntryFact& fact) {
  const EntryIndex e = entries_.add(fact);
  entries_[e].at_position = !fact.audit && (!turns_ || turns_->at_its_position(entries_[e]));
  return e;
}

void Evaluation::add(const EntryFact& fact) {
  STARLING_ENSURE(fact.unit < parameters_.unit_count && fact.outcome < 1U << 31);
  Peer& peer = peer_at(fact.peer);
  const bool last = logs_.behind_all(peer, fact.at);
  const auto place = logs_.place_for(peer, fact);
  if (!place) return;
  has_news_ = true;
  const EntryIndex e = store(fact);
  peer.first_block = std::min(peer.first_block, block_of(fact.unit));
  const WayIn way = peer.restand ? WayIn::held : logs_.way_in(peer, e, *place);
  if (way == WayIn::held) logs_.hold(peer, e, *place);
  else if (last) enter(e, way);
  else enter_among(e, *place, way);
  if (turns_ && !fact.audit) {
    for (const EntryIndex released : turns_->on_answer(e)) consider(released, false);
  }
  if (way == WayIn::plain) touch_by(entries_[e]);
  if (way == WayIn::held) ask_restand(fact.peer);
}

void Evaluation::enter(EntryIndex e, WayIn way) {
  Peer& peer = peers_[entries_[e].peer];
  logs_.enter_at_end(peer, e, way);
  const std::uint32_t rank = entries_[e].rank;
  // For now it is unverified in every stage; settle() sees whether it is more.
  for (auto state = peer.past.rbegin(); state != peer.past.rend() && state->window_end == rank; ++state) advance(peer, *state, 0);
  if (peer.now.window_end == rank) advance(peer, peer.now, 0);
}

// Besides the log, windows change: in each state that reaches as far one answer may be pushed out.
void Evaluation::enter_among(EntryIndex e, std::size_t place, WayIn way) {
  Entry& entry = entries_[e];
  Peer& peer = peers_[entry.peer];
  logs_.enter_among(peer, e, place, way);
  entry.uncredited = verified(e);
  peer.beyond = true;
  const auto widen = [&](State& state, Stage first) {
    state.low = std::min(state.low, entry.rank);
    if (state.window_end <= place) return;
    ++state.window_end;
    if (!entry.audit() && way == WayIn::plain && ++state.unverified >= window_of(state.k)) narrow(peer, state, first);
  };
  widen(peer.now, peer.past.empty() ? 0 : peer.past.back().before + 1);
  for (std::size_t i = peer.past.size(); i-- > 0;) {
    if (peer.past[i].window_end <= place && peer.past[i].low <= place) break;
    widen(peer.past[i], i == 0 ? 0 : peer.past[i - 1].before + 1);
  }
}

// ---------------------------------------------------------------- windows

bool Evaluation::takes_room(EntryIndex e, Stage stage) const {
  const Entry& entry = entries_[e];
  if (entry.audit() || entry.standing != EntryStanding::counts) return false;
  return !verified(e) || entry.uncredited || stage_of_[entry.unit] >= stage;
}

// A full window ends behind the last one that takes room. One too many of these leave it in this state, which began with stage `first`.
void Evaluation::narrow(const Peer& peer, State& state, Stage first) {
  const auto trim = [&] {
    while (!takes_room(peer.log[state.window_end - 1], state.before)) --state.window_end;
  };
  trim();
  if (state.unverified == window_of(state.k)) return;
  const Entry& last = entries_[peer.log[--state.window_end]];
  --state.unverified;
  trim();
  const std::uint32_t block = block_of(last.unit);
  first = std::max(first, entry_stage(block));
  if (oldest_at_[block] <= first) first = std::max(first, block + 1 < oldest_at_.size() ? oldest_at_[block + 1] : never);
  if (first == never || first > std::min(state.before, stage_of_[last.unit])) return;
  touch(first);
  mark(last.unit);
}

// Fills the window; what is accepted before `stage` takes no room in it.
void Evaluation::advance(const Peer& peer, State& state, Stage stage) {
  const std::uint32_t window = window_of(state.k);
  while (state.window_end < peer.log.size() && state.unverified < window) {
    const EntryIndex e = peer.log[state.window_end++];
    if (!takes_room(e, stage)) continue;
    ++state.unverified;
    if (entries_.result_count(entries_[e].unit) >= rule_.members_min) affected_.push_back(entries_[e].unit);
  }
}

// Which stage first has another outcome because of this newest entry of its author.
void Evaluation::touch_by(const Entry& entry) {
  const std::uint32_t block = block_of(entry.unit);
  if (entry.audit()) {
    peers_[entry.peer].beyond = true;
    const bool dissents = accepted(entry.unit) && outcome_of_[entry.unit] != entry.outcome;
    if (dissents && entry.standing == EntryStanding::counts && follows(entry, stage_of_[entry.unit])) touch(stage_of_[entry.unit]);
    return;
  }
  if (block == oldest_open_) peers_[entry.peer].beyond = true;
  consider(peers_[entry.peer].log[entry.rank], true);
}

// A result that from now on counts as far as its author goes. Stages it may change are looked at by settle().
void Evaluation::consider(EntryIndex e, bool uncredited) {
  Entry& entry = entries_[e];
  if (!accepted(entry.unit) && !could_accept(entry)) return;
  entry.uncredited = entry.uncredited || uncredited;
  if (!entry.pending) pending_.push_back(e);
  entry.pending = true;
}

// With every agreeing result counting and nobody dissenting: an upper bound for all stages so far.
bool Evaluation::could_accept(const Entry& newest) const {
  LogOdds sum = 0;
  std::uint32_t members = 0;
  for (const EntryIndex e : entries_.of(newest.unit)) {
    const Entry& entry = entries_[e];
    if (entry.audit() || !entry.in_order || entry.outcome != newest.outcome || entry.standing != EntryStanding::counts) continue;
    sum += log_odds(peers_[entry.peer].now.k);
    ++members;
  }
  return rule_.accepts(members, sum, 0);
}

void Evaluation::ask_restand(PeerIndex peer) {
  has_news_ = true;
  Peer& asked = peers_[peer];
  if (!asked.log.empty()) touch(entry_stage(asked.first_block));
  if (asked.restand) return;
  asked.restand = true;
  to_restand_.push_back(peer);
}

void Evaluation::add(const ReplayedFact& fact) {
  const auto place = std::ranges::lower_bound(replays_, fact);
  if (place != replays_.end() && *place == fact) return;
  replays_.insert(place, fact);
  if (fact.judge >= judge_.size() || !judge_[fact.judge]) return;
  if (fact.compiled != fact.interpreted) {
    quarantined_ = true;
    return;
  }
  peer_at(fact.accused).replays.push_back(fact);
  ask_restand(fact.accused);
}

void Evaluation::add(const ForkedFact& fact) {
  if (!logs_.add_fork(peer_at(fact.peer), fact.at)) ask_restand(fact.peer);
}

void Evaluation::add(const WithdrawnFact& fact) {
  if (std::exchange(peer_at(fact.peer).withdrawn, true)) return;
  ask_restand(fact.peer);
}

void Evaluation::set_earned_elsewhere(PeerIndex peer, std::uint32_t units) {
  if (peer_at(peer).earned_elsewhere == units) return;
  peers_[peer].earned_elsewhere = units;
  ask_restand(peer);
}

// ---------------------------------------------------------------- logs looked at anew

void Evaluation::restand(PeerIndex index) {
  Peer& peer = peers_[index];
  peer.restand = false;
  logs_.restand(peer);
  const bool fresh = peer.silent() || peer.faulty_units > 0 || peer.forked_at.has_value();
  peer.now = {never, fresh ? 0 : peer.earned_elsewhere, 0, 0, 0};
  peer.past.clear();
  peer.beyond = true;
  for (const EntryIndex e : peer.log) mark(entries_[e].unit);
  if (turns_) turns_->on_restood(peer.log);
  advance_window(peer);
}

void Evaluation::reorder(std::uint32_t block) {
  turns_->reorder(block);
  for (UnitIndex unit = parameters_.first_of(block); unit < parameters_.end_of(block); ++unit) {
    if (!closed(unit)) mark(unit);
  }
}

bool Evaluation::window_full(PeerIndex peer) const {
  return peer < peers_.size() && peers_[peer].now.unverified >= window_of(peers_[peer].now.k);
}

}  // namespace starling::protocol
