#include "coordinator-less/protocol/judgement/evaluation.hpp"

#include <algorithm>
#include <array>
#include <ranges>
#include <tuple>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/protocol/judgement/verification_class.hpp"

namespace starling::protocol {
namespace {

std::uint32_t window_of(std::uint32_t k) { return std::min(window_max, window_min + k / units_per_window_step); }

// Of the n-th audit of a log, with so much work before it.
bool idle_talk(std::uint32_t n, std::uint32_t work) { return n > audits_free && work < work_per_audit * (n - audits_free); }

}  // namespace

Evaluation::Evaluation(EvaluationParameters parameters, OwnOrders* orders, Chains* chains)
    : parameters_(std::move(parameters)),
      orders_(orders),
      chains_(chains),
      members_min_(answers_required(parameters_.verification)),
      alone_min_(credible_alone(parameters_.epsilon_ppm)),
      any_counts_(parameters_.verification == VerificationClass::trusted),
      first_entry_(parameters_.unit_count, none),
      result_count_(parameters_.unit_count, 0),
      outcome_of_(parameters_.unit_count, 0),
      stage_of_(parameters_.unit_count, never),
      is_marked_(parameters_.unit_count, false),
      is_changed_(parameters_.unit_count, false) {
  STARLING_ENSURE(parameters_.block_units > 0 && (parameters_.stride == 0 || chains_ != nullptr));
  for (const PeerIndex judge : parameters_.judges) {
    if (judge >= judge_.size()) judge_.resize(judge + 1, false);
    judge_[judge] = true;
  }
  const std::uint32_t blocks = (parameters_.unit_count + parameters_.block_units - 1) / parameters_.block_units;
  open_in_block_.assign(blocks, parameters_.block_units);
  if (blocks > 0) open_in_block_.back() = parameters_.unit_count - (blocks - 1) * parameters_.block_units;
  oldest_at_.assign(blocks, never);
  if (blocks > 0) oldest_at_.front() = 0;
  reached_at_.assign(blocks, never);
  if (blocks > 0) reached_at_.front() = 0;
  if (any_counts_) orders_ = nullptr;
  if (orders_ == nullptr) return;
  excused_.resize(parameters_.unit_count);
  for (UnitIndex unit = 0; unit < parameters_.unit_count; ++unit) excused_[unit] = chained(unit);
  ahead_of_block_.resize(blocks);
}

Evaluation::Peer& Evaluation::peer_at(PeerIndex peer) {
  if (peer >= peers_.size()) {
    peers_.resize(peer + 1);
  }
  return peers_[peer];
}

// ---------------------------------------------------------------- facts

bool Evaluation::known(const Peer& peer, const EntryFact& fact, std::size_t& place) const {
  const auto key_of = [&](EntryIndex e) {
    const Entry& entry = entries_[e];
    return std::tuple(entry.at, entry.unit, entry.position, OutcomeIndex{entry.outcome}, entry.audit());
  };
  const std::tuple key(fact.at, fact.unit, fact.position, fact.outcome, fact.audit);
  const auto found = std::ranges::lower_bound(peer.log, key, {}, key_of);
  place = static_cast<std::size_t>(found - peer.log.begin());
  return found != peer.log.end() && key_of(*found) == key;
}

Evaluation::EntryIndex Evaluation::store(const EntryFact& fact) {
  const auto e = static_cast<EntryIndex>(entries_.size());
  entries_.push_back({fact.at, fact.peer, fact.unit, fact.position, fact.outcome & 0x7fff'ffffU, fact.audit ? 1U : 0U, 0, 0,
                      first_entry_[fact.unit], Standing::counts, false, false, true, false, false});
  entries_[e].at_position = !fact.audit && (orders_ == nullptr || at_its_position(entries_[e]));
  first_entry_[fact.unit] = e;
  if (!fact.audit && result_count_[fact.unit] < std::numeric_limits<std::uint8_t>::max()) ++result_count_[fact.unit];
  return e;
}

void Evaluation::add(const EntryFact& fact) {
  STARLING_ENSURE(fact.unit < parameters_.unit_count && fact.outcome < 1U << 31);
  Peer& peer = peer_at(fact.peer);
  std::size_t place = peer.log.size();
  const bool last = peer.log.empty() || entries_[peer.log.back()].at < fact.at;
  if (!last && known(peer, fact, place)) return;
  bool first_answer = true;
  for (EntryIndex e = first_entry_[fact.unit]; e != none && first_answer; e = entries_[e].next_of_unit) {
    first_answer = entries_[e].peer != fact.peer;
  }
  const EntryIndex e = store(fact);
  peer.first_block = std::min(peer.first_block, block_of(fact.unit));
  const bool plain = first_answer && !peer.restand && (last ? plain_end(peer, fact) : plain_middle(peer, entries_[e], place));
  if (!plain) {
    entries_[e].standing = Standing::void_;  // until restand()
    peer.log.insert(peer.log.begin() + static_cast<std::ptrdiff_t>(place), e);
  } else if (last) {
    append(e);
  } else {
    insert(e, place);
  }
  if (orders_ != nullptr && !fact.audit) note_answer(e);
  if (plain) touch_by(entries_[e]);
  else ask_restand(fact.peer);
}

// Nothing known about the log reaches as far as an entry at its end, except that it may be on probation or banned.
bool Evaluation::plain_end(const Peer& peer, const EntryFact& fact) const {
  if (!peer.troubled) return true;
  return (!peer.forked_chain || fact.at.chain > *peer.forked_chain) &&
         std::ranges::none_of(peer.replays, [&](const ReplayedFact& replay) { return replay.unit == fact.unit || fact.at <= replay.head; });
}

void Evaluation::append(EntryIndex e) {
  Entry& entry = entries_[e];
  Peer& peer = peers_[entry.peer];
  entry.rank = static_cast<std::uint32_t>(peer.log.size());
  entry.work = peer.work;
  entry.is_work = entry.at_position;
  if (entry.is_work) ++peer.work;
  if (peer.banned) entry.standing = Standing::void_;
  else if (entry.work < peer.probation_end) entry.standing = Standing::dropped;
  peer.log.push_back(e);
  if (entry.audit() && idle_talk(++peer.audits, entry.work) && entry.standing == Standing::counts) entry.standing = Standing::void_;
  // For now it is unverified in every stage; settle() sees whether it is more.
  for (auto state = peer.past.rbegin(); state != peer.past.rend() && state->window_end == entry.rank; ++state) advance(peer, *state, 0);
  if (peer.now.window_end == entry.rank) advance(peer, peer.now, 0);
}

// Among other entries: of a log without trouble nothing then changes but ranks, windows, and perhaps which audits have work behind them.
bool Evaluation::plain_middle(const Peer& peer, const Entry& entry, std::size_t place) const {
  if (peer.troubled || (place < peer.log.size() && entries_[peer.log[place]].at == entry.at)) return false;
  return place > 0 ? entries_[peer.log[place - 1]].at != entry.at && audits_stand(peer, entry, place) : audits_stand(peer, entry, place);
}

bool Evaluation::audits_stand(const Peer& peer, const Entry& entry, std::size_t place) const {
  if (peer.audits < audits_free) return true;
  const auto is_audit = [&](EntryIndex e) { return entries_[e].audit(); };
  const auto before = std::ranges::count_if(std::span(peer.log).first(place), is_audit);
  std::uint32_t audits = static_cast<std::uint32_t>(before) + (entry.audit() ? 1 : 0);
  if (entry.audit() && idle_talk(audits, work_at(peer, place))) return false;
  for (const EntryIndex e : std::span(peer.log).subspan(place)) {
    const Entry& later = entries_[e];
    if (later.audit() && idle_talk(++audits, later.work + (entry.at_position ? 1 : 0)) != (later.standing == Standing::void_)) return false;
  }
  return true;
}

bool Evaluation::takes_room(EntryIndex e, Stage stage) const {
  const Entry& entry = entries_[e];
  if (entry.audit() || entry.standing != Standing::counts) return false;
  return !verified(e) || entry.uncredited || stage_of_[entry.unit] >= stage;
}

void Evaluation::insert(EntryIndex e, std::size_t place) {
  Entry& entry = entries_[e];
  Peer& peer = peers_[entry.peer];
  entry.rank = static_cast<std::uint32_t>(place);
  entry.work = work_at(peer, place);
  entry.is_work = entry.at_position;
  entry.uncredited = verified(e);
  peer.log.insert(peer.log.begin() + static_cast<std::ptrdiff_t>(place), e);
  for (const EntryIndex later : std::span(peer.log).subspan(place + 1)) {
    ++entries_[later].rank;
    if (entry.is_work) ++entries_[later].work;
  }
  ++(entry.audit() ? peer.audits : peer.work);
  if (!entry.audit() && !entry.is_work) --peer.work;
  peer.beyond = true;
  const auto widen = [&](State& state, Stage first) {
    state.low = std::min(state.low, entry.rank);
    if (state.window_end <= place) return;
    ++state.window_end;
    if (!entry.audit() && ++state.unverified >= window_of(state.k)) narrow(peer, state, first);
  };
  widen(peer.now, peer.past.empty() ? 0 : peer.past.back().before + 1);
  for (std::size_t i = peer.past.size(); i-- > 0;) {
    if (peer.past[i].window_end <= place && peer.past[i].low <= place) break;
    widen(peer.past[i], i == 0 ? 0 : peer.past[i - 1].before + 1);
  }
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
    if (result_count_[entries_[e].unit] >= members_min_) affected_.push_back(entries_[e].unit);
  }
}

// Which stage first has another outcome because of this newest entry of its author.
void Evaluation::touch_by(const Entry& entry) {
  const std::uint32_t block = block_of(entry.unit);
  if (entry.audit()) {
    peers_[entry.peer].beyond = true;
    const bool dissents = accepted(entry.unit) && outcome_of_[entry.unit] != entry.outcome;
    if (dissents && entry.standing == Standing::counts && follows(entry, stage_of_[entry.unit])) touch(stage_of_[entry.unit]);
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
  for (EntryIndex e = first_entry_[newest.unit]; e != none; e = entries_[e].next_of_unit) {
    const Entry& entry = entries_[e];
    if (entry.audit() || !entry.in_order || entry.outcome != newest.outcome || entry.standing != Standing::counts) continue;
    sum += log_odds(peers_[entry.peer].now.k);
    ++members;
  }
  return acceptable(members, sum, 0);
}

// Results of a block count for the first time when all before the one before it are passed.
Stage Evaluation::entry_stage(std::uint32_t block) const { return block <= 1 || any_counts_ ? 0 : reached_at_[block - 1]; }

void Evaluation::ask_restand(PeerIndex peer) {
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
  auto& forks = peer_at(fact.peer).forks;
  if (std::ranges::contains(forks, fact.at)) return;
  forks.push_back(fact.at);
  ask_restand(fact.peer);
}

void Evaluation::set_earned_elsewhere(PeerIndex peer, std::uint32_t units) {
  if (peer_at(peer).earned_elsewhere == units) return;
  peers_[peer].earned_elsewhere = units;
  ask_restand(peer);
}

// ---------------------------------------------------------------- what follows from one log

void Evaluation::restand(PeerIndex index) {
  Peer& peer = peers_[index];
  peer.restand = peer.troubled = peer.banned = false;
  peer.credit_from = peer.probation_end = peer.faulty_units = 0;
  peer.forked_chain.reset();
  for (std::uint32_t rank = 0; rank < peer.log.size(); ++rank) {
    entries_[peer.log[rank]].rank = rank;
    entries_[peer.log[rank]].standing = Standing::counts;
  }
  own_ = peer.log;
  std::ranges::sort(own_, {}, [&](EntryIndex e) { return std::pair(entries_[e].unit, entries_[e].rank); });
  stand_forks(peer);
  stand_work(peer);
  stand_faults(peer);
  stand_repetitions(peer);
  stand_audits(peer);
  const bool fresh = peer.banned || peer.faulty_units > 0;
  peer.now = {never, fresh ? 0 : peer.earned_elsewhere, 0, 0, 0};
  peer.past.clear();
  peer.beyond = true;
  for (const EntryIndex e : peer.log) {
    const Entry& entry = entries_[e];
    mark(entry.unit);
    if (orders_ == nullptr || excused_[entry.unit] == excusable(entry.unit)) continue;
    excused_[entry.unit] = !excused_[entry.unit];
    to_reorder_.push_back(block_of(entry.unit));
  }
  advance_window(peer);
}

// Forks among one key's answers to one unit, by place; those from one input more than a key may have are void.
void Evaluation::stand_inputs(std::span<const EntryIndex> answers, std::vector<LogPlace>& forks) {
  struct Input {
    OutcomeIndex first;
    bool forked;
  };
  std::vector<Input> inputs;
  const auto input_of = [&](const Entry& entry) {
    return std::ranges::find_if(inputs, [&](const Input& input) { return same_input(entry.unit, entry.outcome, input.first); });
  };
  for (const EntryIndex e : answers) {
    Entry& entry = entries_[e];
    const auto input = input_of(entry);
    if (input == inputs.end()) {
      if (inputs.size() < inputs_per_unit_max) inputs.push_back({entry.outcome, false});
      else entry.standing = Standing::void_;
      continue;
    }
    input->forked = input->forked || entry.outcome != input->first;
    if (input->forked) forks.push_back(entry.at);
  }
  for (const EntryIndex e : answers) {
    const auto input = input_of(entries_[e]);
    if (input != inputs.end() && input->forked) entries_[e].standing = Standing::void_;
  }
}

std::vector<LogPlace> Evaluation::find_forks(Peer& peer) {
  std::vector<LogPlace> forks = peer.forks;
  for (std::size_t i = 1; i < peer.log.size(); ++i) {
    if (entries_[peer.log[i]].at == entries_[peer.log[i - 1]].at) forks.push_back(entries_[peer.log[i]].at);
  }
  const auto one_unit = [&](EntryIndex one, EntryIndex other) { return entries_[one].unit == entries_[other].unit; };
  for (const auto answers : own_ | std::views::chunk_by(one_unit)) {
    if (answers.size() > 1) stand_inputs(answers, forks);
  }
  return forks;
}

void Evaluation::stand_forks(Peer& peer) {
  std::vector<LogPlace> forks = find_forks(peer);
  if (forks.empty()) return;
  peer.troubled = true;
  std::ranges::sort(forks);
  peer.forked_chain = forks.back().chain;
  for (const EntryIndex e : peer.log) {
    Entry& entry = entries_[e];
    const auto first = std::ranges::lower_bound(forks, entry.at.chain, {}, &LogPlace::chain);
    if (first == forks.end() || first->chain != entry.at.chain || entry.at < *first) continue;
    entry.standing = Standing::void_;
    peer.credit_from = std::max(peer.credit_from, entry.rank + 1);
  }
}

void Evaluation::stand_work(Peer& peer) {
  std::optional<UnitIndex> worked;
  for (const EntryIndex e : own_) {
    Entry& entry = entries_[e];
    entry.is_work = entry.at_position && entry.standing == Standing::counts && worked != entry.unit;
    if (entry.is_work) worked = entry.unit;
  }
  peer.work = 0;
  for (const EntryIndex e : peer.log) {
    entries_[e].work = peer.work;
    if (entries_[e].is_work) ++peer.work;
  }
}

// What a fault makes doubtful: the work before the head that the judge had seen, the probation behind it, and all among that.
void Evaluation::drop_around(const Peer& peer, std::size_t head_rank) {
  const std::uint32_t head_work = work_at(peer, head_rank);
  std::size_t first = head_rank, last = head_rank;
  while (first > 0 && work_at(peer, first - 1) + parameters_.fault_reach >= head_work) --first;
  while (last < peer.log.size() && work_at(peer, last) < head_work + probation_work) ++last;
  for (; first < last; ++first) {
    Entry& entry = entries_[peer.log[first]];
    if (entry.standing == Standing::counts) entry.standing = Standing::dropped;
  }
}

void Evaluation::stand_faults(Peer& peer) {
  struct Fault {
    UnitIndex unit;
    std::uint32_t rank, head_rank;
  };
  std::vector<Fault> faults;
  for (const ReplayedFact& replay : peer.replays) {
    const auto head = std::ranges::upper_bound(peer.log, replay.head, {}, [&](EntryIndex e) { return entries_[e].at; });
    Fault fault{replay.unit, std::numeric_limits<std::uint32_t>::max(), static_cast<std::uint32_t>(head - peer.log.begin())};
    for (EntryIndex e = first_entry_[replay.unit]; e != none; e = entries_[e].next_of_unit) {
      Entry& entry = entries_[e];
      if (entry.peer != replay.accused || !same_input(entry.unit, entry.outcome, replay.compiled)) continue;
      if (replay.fingerprint_wrong) peer.banned = true;
      if (entry.outcome == replay.compiled) continue;
      if (entry.standing == Standing::counts) entry.standing = Standing::wrong;
      fault.rank = std::min(fault.rank, entry.rank);
    }
    if (fault.rank == std::numeric_limits<std::uint32_t>::max()) continue;
    fault.head_rank = std::max(fault.head_rank, fault.rank + 1);
    const auto same = std::ranges::find(faults, fault.unit, &Fault::unit);
    if (same == faults.end()) {
      faults.push_back(fault);
    } else {  // several judges: the one that had seen least drops least
      same->rank = std::min(same->rank, fault.rank);
      same->head_rank = std::min(same->head_rank, fault.head_rank);
    }
  }
  peer.troubled = peer.troubled || !peer.replays.empty();
  peer.faulty_units = static_cast<std::uint32_t>(faults.size());
  std::ranges::sort(faults, {}, &Fault::rank);
  for (std::size_t i = 2; i < faults.size(); ++i) {
    if (work_at(peer, faults[i].rank) - work_at(peer, faults[i - 2].rank) < fault_span_work) peer.banned = true;
  }
  for (const Fault& fault : faults) {
    if (peer.banned) break;
    drop_around(peer, fault.head_rank);
    peer.probation_end = std::max(peer.probation_end, work_at(peer, fault.head_rank) + probation_work);
  }
  if (!peer.banned) return;
  for (const EntryIndex e : peer.log) entries_[e].standing = Standing::void_;
}

void Evaluation::stand_repetitions(Peer& peer) {
  const auto key = [&](EntryIndex e) {
    const Entry& entry = entries_[e];
    return std::tuple(entry.unit, OutcomeIndex{entry.outcome}, entry.audit(), entry.rank);
  };
  const auto equal = [&](EntryIndex one, EntryIndex other) {
    return entries_[one].unit == entries_[other].unit && entries_[one].outcome == entries_[other].outcome;
  };
  std::ranges::sort(own_, {}, key);
  for (const auto answers : own_ | std::views::chunk_by(equal)) {
    if (answers.size() == 1) continue;
    peer.troubled = true;
    bool counted = false;
    for (const EntryIndex e : answers) {
      if (entries_[e].standing != Standing::counts) continue;
      if (std::exchange(counted, true)) entries_[e].standing = Standing::void_;
    }
  }
}

void Evaluation::stand_audits(Peer& peer) {
  peer.audits = 0;
  for (const EntryIndex e : peer.log) {
    Entry& entry = entries_[e];
    if (entry.audit() && idle_talk(++peer.audits, entry.work) && entry.standing == Standing::counts) entry.standing = Standing::void_;
  }
}

// ---------------------------------------------------------------- own orders

bool Evaluation::at_its_position(const Entry& entry) const {
  const auto order = orders_->own_order(entry.peer, block_of(entry.unit));
  return entry.position < order.size() && order[entry.position] == entry.unit;
}

// Are at most the slack's number of earlier positions open? Looks no further than it must; what is stale is dropped when it blocks.
bool Evaluation::reaches(Cursor& cursor, PeerIndex peer, std::uint32_t block, std::uint32_t position) const {
  const auto order = orders_->own_order(peer, block);
  const std::size_t slack = std::max(order_slack_min, static_cast<std::uint32_t>(order.size()) / order_slack_divisor);
  const auto closed = [&](std::uint32_t at) { return excused_[order[at]] || answered(peer, order[at]); };
  for (;;) {
    for (; cursor.scanned < position && cursor.open.size() <= slack; ++cursor.scanned) {
      if (!closed(cursor.scanned)) cursor.open.push_back(cursor.scanned);
    }
    if (cursor.open.size() <= slack || position <= cursor.open[slack]) return true;
    if (std::erase_if(cursor.open, closed) == 0) return false;
  }
}

bool Evaluation::answered(PeerIndex peer, UnitIndex unit) const {
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    if (entries_[e].peer == peer && !entries_[e].audit()) return true;
  }
  return false;
}

bool Evaluation::excusable(UnitIndex unit) const {
  if (chained(unit)) return true;
  std::array<PeerIndex, answers_required(VerificationClass::strict)> keys;
  std::size_t known = 0;
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    const Entry& entry = entries_[e];
    if (!entry.at_position || entry.standing == Standing::void_) continue;
    const auto end = keys.begin() + static_cast<std::ptrdiff_t>(known);
    if (std::find(keys.begin(), end, entry.peer) == end) keys[known++] = entry.peer;
    if (known == members_min_) return true;
  }
  return false;
}

void Evaluation::place_in_order(EntryIndex e) {
  Entry& entry = entries_[e];
  entry.in_order = false;
  if (!entry.at_position) return;  // and never will be
  const std::uint32_t block = block_of(entry.unit);
  Cursor& cursor = cursors_[cursor_key(block, entry.peer)];
  entry.in_order = reaches(cursor, entry.peer, block, entry.position);
  if (entry.in_order) return;
  if (cursor.ahead.empty()) ahead_of_block_[block].push_back(entry.peer);
  const auto place = std::ranges::upper_bound(cursor.ahead, entry.position, {}, [&](EntryIndex other) { return entries_[other].position; });
  cursor.ahead.insert(place, e);
}

// A new result: its author's own later ones may come into order, and everybody's, if the unit becomes excused by it.
void Evaluation::note_answer(EntryIndex e) {
  const Entry& entry = entries_[e];
  const std::uint32_t block = block_of(entry.unit);
  const bool excuses = !excused_[entry.unit] && excusable(entry.unit);
  if (excuses) excused_[entry.unit] = true;
  place_in_order(e);
  std::erase_if(ahead_of_block_[block], [&](PeerIndex peer) { return (excuses || peer == entry.peer) && release_ahead(peer, entry.unit); });
}

// This unit is open to him no more. True: nothing of his lies ahead now.
bool Evaluation::release_ahead(PeerIndex peer, UnitIndex unit) {
  const std::uint32_t block = block_of(unit);
  const auto order = orders_->own_order(peer, block);
  Cursor& cursor = cursors_[cursor_key(block, peer)];
  if (std::ranges::none_of(cursor.open, [&](std::uint32_t at) { return order[at] == unit; })) return false;
  auto first = cursor.ahead.begin();
  for (; first != cursor.ahead.end() && reaches(cursor, peer, block, entries_[*first].position); ++first) {
    entries_[*first].in_order = true;
    consider(*first, false);
  }
  cursor.ahead.erase(cursor.ahead.begin(), first);
  return cursor.ahead.empty();
}

// Excuses may also be taken back, so that everything in the block is placed anew.
void Evaluation::reorder(std::uint32_t block) {
  cursors_.erase(cursors_.lower_bound(cursor_key(block, 0)), cursors_.lower_bound(cursor_key(block + 1, 0)));
  ahead_of_block_[block].clear();
  const UnitIndex first = block * parameters_.block_units;
  const UnitIndex last = std::min(first + parameters_.block_units, parameters_.unit_count);
  for (UnitIndex unit = first; unit < last; ++unit) {
    for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
      if (!entries_[e].audit()) place_in_order(e);
    }
    if (!closed(unit)) mark(unit);
  }
}

// ---------------------------------------------------------------- chains

std::optional<UnitIndex> Evaluation::next(UnitIndex unit) const {
  if (parameters_.stride == 0 || parameters_.unit_count - unit <= parameters_.stride) return std::nullopt;
  return unit + parameters_.stride;
}

bool Evaluation::same_input(UnitIndex unit, OutcomeIndex one, OutcomeIndex other) const {
  return one == other || !chained(unit) || chains_->same_input(unit, one, other);
}

// The first stage in which its results could count.
Stage Evaluation::opened_at(UnitIndex unit) const {
  const Stage entered = entry_stage(block_of(unit));
  if (!chained(unit)) return entered;
  const UnitIndex before = unit - parameters_.stride;
  return accepted(before) ? std::max(entered, stage_of_[before] + 1) : never;
}

// Was what it goes on from accepted before this stage? (If with an outcome that does not go on, its own unit is skipped.)
bool Evaluation::follows(const Entry& entry, Stage stage) const {
  if (!chained(entry.unit)) return true;
  const UnitIndex before = entry.unit - parameters_.stride;
  return accepted(before) && stage_of_[before] < stage && chains_->follows(entry.unit, entry.outcome, outcome_of_[before]);
}

// The unit, and those behind it if nothing goes on from this outcome.
void Evaluation::list_closing(UnitIndex unit, OutcomeIndex outcome) {
  closing_.push_back(unit);
  if (!next(unit) || chains_->goes_on(unit, outcome)) return;
  for (auto after = next(unit); after; after = next(*after)) closing_.push_back(*after);
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

// ---------------------------------------------------------------- stages

void Evaluation::settle() {
  affected_.clear();
  bool joining = to_restand_.empty() && touched_from_ >= journal_.size();
  for (const EntryIndex e : std::exchange(pending_, {})) {
    const bool joined = !entries_[e].pending;  // with another of its unit
    entries_[e].pending = false;
    if (joined || (joining && join(e))) continue;
    joining = false;
    touch(entry_stage(block_of(entries_[e].unit)));
    mark(entries_[e].unit);
    entries_[e].uncredited = false;
  }
  if (touched_from_ < journal_.size()) roll_back(touched_from_);
  touched_from_ = never;
  for (const PeerIndex peer : std::exchange(to_restand_, {})) restand(peer);
  std::ranges::sort(to_reorder_);
  const auto repeated = std::ranges::unique(to_reorder_);
  to_reorder_.erase(repeated.begin(), repeated.end());
  for (const std::uint32_t block : std::exchange(to_reorder_, {})) reorder(block);
  while (run_stage()) {
  }
}

// ---------------------------------------------------------------- joining a past stage

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
  if (entry.standing != Standing::counts || !follows(entry, stage)) return false;
  if (entry.audit() || any_counts_) return true;
  if (!entry.in_order) return false;
  const std::uint32_t block = block_of(entry.unit);
  if (entry_stage(block) > stage) return false;
  if (entry.rank < state_at(entry.peer, stage).window_end) return true;
  return oldest_at_[block] <= stage && (block + 1 == oldest_at_.size() || oldest_at_[block + 1] > stage);
}

std::optional<OutcomeIndex> Evaluation::judge_at(UnitIndex unit, Stage stage) {
  const auto weigh = [&](EntryIndex e, LogOdds& weight) {
    if (!counts_at(entries_[e], stage)) return false;
    weight = log_odds(state_at(entries_[e].peer, stage).k);
    return true;
  };
  gather(unit, weigh, groups_);
  return decide(groups_);
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
    const auto after = next(unit);
    if (!after || closed(*after)) return true;
    unit = *after;
    first = opened_at(unit);
  }
  mark(unit);
  return true;
}

std::optional<std::pair<Stage, OutcomeIndex>> Evaluation::first_acceptance(UnitIndex unit, Stage first) {
  if (result_count_[unit] < members_min_) return std::nullopt;
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
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
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
  const UnitIndex first = block * parameters_.block_units;
  const UnitIndex last = std::min(first + parameters_.block_units, parameters_.unit_count);
  auto closed_before = static_cast<std::uint32_t>(std::ranges::count(closing_, block, [&](UnitIndex unit) { return block_of(unit); }));
  for (UnitIndex unit = first; unit < last; ++unit) closed_before += stage_of_[unit] < opened - 1 ? 1U : 0U;
  return 2 * closed_before >= last - first;
}

void Evaluation::credit_at(EntryIndex e, Stage stage) {
  const Entry& entry = entries_[e];
  const std::uint32_t low = state_before(entry.peer, stage).low;
  Peer& peer = peers_[entry.peer];
  const auto credit = [&](State& state) {
    if (earns(peer, entry)) ++state.k;
    if (entry.rank < state.window_end) --state.unverified;
    advance(peer, state, state.before);
  };
  for (State& state : peer.past) {
    if (state.before > stage) credit(state);
  }
  credit(peer.now);
  for (std::uint32_t rank = low; rank < peer.log.size(); ++rank) {
    const Entry& other = entries_[peer.log[rank]];
    if (other.standing != Standing::counts || other.unit == entry.unit || result_count_[other.unit] < members_min_) continue;
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

void Evaluation::mark(UnitIndex unit) {
  if (is_marked_[unit]) return;
  is_marked_[unit] = true;
  marked_.push_back(unit);
}

void Evaluation::mark_block(std::uint32_t block) {
  if (block >= open_in_block_.size()) return;
  const UnitIndex first = block * parameters_.block_units;
  const UnitIndex last = std::min(first + parameters_.block_units, parameters_.unit_count);
  for (UnitIndex unit = first; unit < last; ++unit) {
    if (result_count_[unit] >= members_min_ && !closed(unit)) mark(unit);
  }
}

bool Evaluation::verified(EntryIndex e) const {
  const Entry& entry = entries_[e];
  return entry.standing == Standing::counts && accepted(entry.unit) && outcome_of_[entry.unit] == entry.outcome;
}

bool Evaluation::in_window(const Entry& entry) const {
  return entry.rank < peers_[entry.peer].now.window_end || block_of(entry.unit) == oldest_open_;
}

bool Evaluation::counts(EntryIndex e) const {
  const Entry& entry = entries_[e];
  if (entry.standing != Standing::counts || !follows(entry, never)) return false;
  return entry.audit() || any_counts_ || (entry.in_order && block_of(entry.unit) <= reached_ + 1 && in_window(entry));
}

bool Evaluation::acceptable(std::uint32_t members, LogOdds group, Odds others) const {
  if (members < members_min_) return false;
  if (any_counts_) return true;
  return others == 0 ? group >= alone_min_ : credible(group, others, parameters_.epsilon_ppm);
}

template <class Weigh>
void Evaluation::gather(UnitIndex unit, const Weigh& weigh, Groups& groups) const {
  groups.clear();
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    LogOdds each = 0;
    if (!weigh(e, each)) continue;
    const Entry& entry = entries_[e];
    auto group = std::ranges::find(groups, OutcomeIndex{entry.outcome}, &Group::outcome);
    if (group == groups.end()) group = groups.insert(group, {entry.outcome, 0, 0, 0, 0});
    group->all += each;
    ++group->voices;
    if (entry.audit()) continue;
    group->results += each;
    ++group->members;
  }
}

void Evaluation::gather(UnitIndex unit, Groups& groups) const {
  const auto weigh = [&](EntryIndex e, LogOdds& weight) {
    if (!counts(e)) return false;
    weight = log_odds(peers_[entries_[e].peer].now.k);
    return true;
  };
  gather(unit, weigh, groups);
}

std::optional<OutcomeIndex> Evaluation::judge(UnitIndex unit) {
  gather(unit, groups_);
  return decide(groups_);
}

// Alone at the head by its results, and acceptable beside all that others say.
bool Evaluation::wins(const Groups& groups, const Group& group) const {
  Odds others = 0;
  for (const Group& other : groups) {
    if (other.outcome == group.outcome) continue;
    if (other.members > 0 && other.results >= group.results) return false;
    others = sum_of_odds(others, odds(other.all));
  }
  return acceptable(group.members, group.results, others);
}

std::optional<OutcomeIndex> Evaluation::decide(const Groups& groups) const {
  const auto leader = std::ranges::max_element(groups, {}, &Group::results);
  if (leader == groups.end() || leader->members < members_min_ || !wins(groups, *leader)) return std::nullopt;
  return leader->outcome;
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
    const auto after = next(unit);
    if (after && result_count_[*after] >= members_min_ && !closed(*after)) mark(*after);
  }
  for (const auto& [unit, outcome] : accepting) credit_supporters(unit);
  open_blocks();
  for (const PeerIndex peer : journal_.back().changed) {
    advance_window(peers_[peer]);
    mark_open_units(peer);
  }
  return true;
}

void Evaluation::credit_supporters(UnitIndex unit) {
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    const Entry& entry = entries_[e];
    if (entry.audit() || !verified(e)) continue;
    note_change(entry.peer);
    Peer& peer = peers_[entry.peer];
    if (earns(peer, entry)) ++peer.now.k;
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
  const auto idle = [&](EntryIndex e) { return verified(e) || entries_[e].standing != Standing::counts; };
  while (peer.now.low < peer.log.size() && idle(peer.log[peer.now.low])) ++peer.now.low;
  bool beyond = false;
  for (std::uint32_t rank = peer.now.low; rank < peer.log.size(); ++rank) {
    const bool inside = any_counts_ || rank < peer.now.window_end;
    if (!inside && !peer.beyond) break;
    const Entry& entry = entries_[peer.log[rank]];
    if (entry.standing != Standing::counts || closed(entry.unit)) continue;
    const std::uint32_t block = block_of(entry.unit);
    const bool oldest = block == oldest_open_;
    if ((any_counts_ || block <= reached_ + 1) && result_count_[entry.unit] >= members_min_ && (inside || oldest || entry.audit())) mark(entry.unit);
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
    if (++oldest_open_ < blocks) oldest_at_[oldest_open_] = static_cast<Stage>(journal_.size());
  }
  for (std::uint32_t block = reached_before + 2; block <= reached_ + 1; ++block) mark_block(block);
  if (oldest_open_ != oldest_before && oldest_open_ < blocks) oldest_changed();
}

void Evaluation::oldest_changed() {
  mark_block(oldest_open_);
  const UnitIndex first = oldest_open_ * parameters_.block_units;
  const UnitIndex last = std::min(first + parameters_.block_units, parameters_.unit_count);
  for (UnitIndex unit = first; unit < last; ++unit) {
    for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
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
  for (const PeerIndex peer : restored) advance_window(peers_[peer]);
  for (Peer& peer : peers_) peer.beyond = true;
}

// ---------------------------------------------------------------- questions

std::optional<OutcomeIndex> Evaluation::accepted_outcome(UnitIndex unit) const {
  if (!accepted(unit)) return std::nullopt;
  return outcome_of_[unit];
}

bool Evaluation::contested(UnitIndex unit) const {
  if (skipped(unit)) return false;
  std::optional<OutcomeIndex> first;
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    const Entry& entry = entries_[e];
    if (peers_[entry.peer].banned || !follows(entry, never)) continue;
    if (first && *first != entry.outcome) return true;
    first = entry.outcome;
  }
  return false;
}

bool Evaluation::window_full(PeerIndex peer) const {
  return peer < peers_.size() && peers_[peer].now.unverified >= window_of(peers_[peer].now.k);
}

Weight Evaluation::weight(PeerIndex peer, LogPlace at) const {
  if (peer >= peers_.size()) return Weight::unknown;
  const auto& log = peers_[peer].log;
  const auto found = std::ranges::lower_bound(log, at, {}, [&](EntryIndex e) { return entries_[e].at; });
  if (found == log.end() || entries_[*found].at != at) return Weight::unknown;
  const Entry& entry = entries_[*found];
  if (peers_[peer].banned) return Weight::banned;
  if (entry.standing == Standing::wrong) return Weight::proven_wrong;
  if (entry.standing == Standing::void_) return Weight::void_;
  if (entry.standing == Standing::dropped) return Weight::probation;
  if (!follows(entry, never)) return Weight::other_input;
  if (entry.audit()) return Weight::audit;
  if (any_counts_) return Weight::counts;
  if (!entry.in_order) return Weight::out_of_order;
  if (block_of(entry.unit) > reached_ + 1) return Weight::later_block;
  return in_window(entry) || verified(*found) ? Weight::counts : Weight::out_of_window;
}

std::uint32_t Evaluation::entries_of(PeerIndex peer, UnitIndex unit) const {
  std::uint32_t count = 0;
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) count += entries_[e].peer == peer ? 1U : 0U;
  return count;
}

bool Evaluation::may_count(PeerIndex peer, LogPlace at) const {
  if (peer >= peers_.size()) return false;
  const auto& log = peers_[peer].log;
  const auto found = std::ranges::lower_bound(log, at, {}, [&](EntryIndex e) { return entries_[e].at; });
  return found != log.end() && entries_[*found].at == at && entries_[*found].standing == Standing::counts;
}

bool Evaluation::is_final(UnitIndex unit) const {
  if (!accepted(unit)) return false;
  std::uint32_t passed = 0;
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    if (entries_[e].audit() || !verified(e)) continue;
    const auto& log = peers_[entries_[e].peer].log;
    std::uint32_t audits = 0, units = 0;
    for (std::size_t rank = entries_[e].rank + 1; rank < log.size(); ++rank) {
      const Entry& later = entries_[log[rank]];
      if (later.audit() || !verified(log[rank])) continue;
      ++units;
      bool audited = false;
      for (EntryIndex other = first_entry_[later.unit]; other != none && !audited; other = entries_[other].next_of_unit) {
        audited = entries_[other].audit() && verified(other);
      }
      if (audited) ++audits;
    }
    if (audits >= audits_until_final || units >= units_until_final) ++passed;
  }
  return passed >= members_min_;
}

void Evaluation::note_closing(UnitIndex unit) {
  if (is_changed_[unit]) return;
  is_changed_[unit] = true;
  changed_.emplace_back(unit, closing_of(unit));
}

std::vector<UnitIndex> Evaluation::poll_changed() {
  std::vector<UnitIndex> units;
  for (const auto& [unit, before] : std::exchange(changed_, {})) {
    is_changed_[unit] = false;
    if (closing_of(unit) != before) units.push_back(unit);
  }
  std::ranges::sort(units);
  return units;
}

std::vector<PeerIndex> Evaluation::banned() const {
  std::vector<PeerIndex> peers;
  for (PeerIndex peer = 0; peer < peers_.size(); ++peer) {
    if (peers_[peer].banned) peers.push_back(peer);
  }
  return peers;
}

bool Evaluation::proven_wrong(PeerIndex peer, UnitIndex unit, OutcomeIndex outcome) const {
  return peer < peers_.size() && std::ranges::any_of(peers_[peer].replays, [&](const ReplayedFact& replay) {
    return replay.unit == unit && replay.compiled != outcome && same_input(unit, outcome, replay.compiled);
  });
}

std::uint32_t Evaluation::fresh_target(const EvaluationParameters& parameters) {
  const std::uint32_t members_min = answers_required(parameters.verification);
  if (parameters.verification == VerificationClass::trusted) return members_min;
  const LogOdds each = log_odds(0), asked = credible_alone(parameters.epsilon_ppm);
  const auto members = static_cast<std::uint32_t>((asked + each - 1) / each);
  return std::clamp(members, members_min, fresh_members_max);
}

// The group that further answers would most likely join; null when nothing counts.
const Evaluation::Group* Evaluation::best(const Groups& groups, const Lower& lower) {
  const Group* best = nullptr;
  for (const Group& group : groups) {
    const auto strength = [](const Group& of) { return std::pair(of.results, of.all); };
    const bool tie = best != nullptr && strength(group) == strength(*best);
    if (best == nullptr || strength(group) > strength(*best) || (tie && lower(group.outcome, best->outcome))) best = &group;
  }
  return best;
}

bool Evaluation::would_accept(UnitIndex unit, std::span<const PeerIndex> more) const {
  if (closed(unit)) return true;
  Groups groups;
  gather(unit, groups);
  const Group* leader = best(groups);
  Group then = leader == nullptr ? Group{open_outcome, 0, 0, 0, 0} : *leader;
  std::vector<PeerIndex> agreeing;
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    const Entry& entry = entries_[e];
    if (!entry.audit() && entry.outcome == then.outcome && counts(e)) agreeing.push_back(entry.peer);
  }
  std::ranges::sort(agreeing);
  for (const PeerIndex peer : more) {
    if (wins(groups, then)) return true;  // further ones take nothing away
    if (std::ranges::binary_search(agreeing, peer)) continue;
    ++then.members;
    then.results += log_odds(verified_units(peer));
  }
  return wins(groups, then);
}

Standings Evaluation::standings(UnitIndex unit, const Lower& lower) const {
  if (skipped(unit)) return {};
  if (accepted(unit)) return standings_of_accepted(unit);
  Groups groups;
  gather(unit, groups);
  const Group* leader = best(groups, lower);
  Standings standings;
  Group then{open_outcome, 0, 0, 0, 0};
  if (leader != nullptr) {
    then = *leader;
    standings.leader = leader->outcome;
    standings.supporters = leader->members;
    for (const Group& group : groups) standings.dissenters += &group == leader ? 0 : group.voices;
  }
  for (standings.missing = 1; *standings.missing <= fresh_members_max; ++*standings.missing) {
    ++then.members;
    then.results += log_odds(0);
    if (wins(groups, then)) return standings;
  }
  standings.missing.reset();
  return standings;
}

Standings Evaluation::standings_of_accepted(UnitIndex unit) const {
  Standings standings{outcome_of_[unit], 0, 0, 0};
  for (EntryIndex e = first_entry_[unit]; e != none; e = entries_[e].next_of_unit) {
    const Entry& entry = entries_[e];
    if (entry.standing != Standing::counts || !follows(entry, never)) continue;
    if (entry.outcome != outcome_of_[unit]) ++standings.dissenters;
    else if (!entry.audit()) ++standings.supporters;
  }
  return standings;
}

void Evaluation::check_invariants() const {
  STARLING_ENSURE(to_restand_.empty() && pending_.empty() && touched_from_ == never);
  Evaluation fresh(parameters_, orders_, chains_);
  for (const Entry& entry : entries_) {
    fresh.add(EntryFact{entry.peer, entry.at, entry.unit, entry.position, entry.outcome, entry.audit()});
  }
  for (const ReplayedFact& replay : replays_) fresh.add(replay);
  for (PeerIndex peer = 0; peer < peers_.size(); ++peer) {
    for (const LogPlace& fork : peers_[peer].forks) fresh.add(ForkedFact{peer, fork});
  }
  for (PeerIndex peer = 0; peer < peers_.size(); ++peer) fresh.set_earned_elsewhere(peer, peers_[peer].earned_elsewhere);
  fresh.settle();
  STARLING_ENSURE(stage_of_ == fresh.stage_of_ && oldest_open_ == fresh.oldest_open_ && reached_at_ == fresh.reached_at_);
  STARLING_ENSURE(oldest_at_ == fresh.oldest_at_ && accepted_count_ == fresh.accepted_count_ && skipped_count_ == fresh.skipped_count_);
  STARLING_ENSURE(open_in_block_ == fresh.open_in_block_ && excused_ == fresh.excused_ && quarantined_ == fresh.quarantined_);
  for (UnitIndex unit = 0; unit < parameters_.unit_count; ++unit) {
    STARLING_ENSURE(accepted_outcome(unit) == fresh.accepted_outcome(unit));
  }
  for (PeerIndex peer = 0; peer < fresh.peers_.size(); ++peer) {
    const Peer &mine = peers_[peer], &other = fresh.peers_[peer];
    STARLING_ENSURE(mine.banned == other.banned && mine.faulty_units == other.faulty_units && mine.now.k == other.now.k);
    STARLING_ENSURE(mine.now.window_end == other.now.window_end && mine.now.unverified == other.now.unverified);
    for (std::size_t rank = 0; rank < mine.log.size(); ++rank) {
      const Entry &entry = entries_[mine.log[rank]], &again = fresh.entries_[other.log[rank]];
      STARLING_ENSURE(entry.rank == rank && entry.standing == again.standing && entry.in_order == again.in_order);
      STARLING_ENSURE(entry.work == again.work && entry.is_work == again.is_work);
    }
  }
}

}  // namespace starling::protocol
