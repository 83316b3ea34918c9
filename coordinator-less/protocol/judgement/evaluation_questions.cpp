// Evaluation's part that answers questions.
#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/protocol/judgement/evaluation.hpp"

namespace starling::protocol {

std::optional<OutcomeIndex> Evaluation::accepted_outcome(UnitIndex unit) const {
  if (!accepted(unit)) return std::nullopt;
  return outcome_of_[unit];
}

Hearing Evaluation::hearing(PeerIndex peer, LogPlace at) const {
  const Entry* entry = peer < peers_.size() ? logs_.find(peers_[peer], at) : nullptr;
  if (entry == nullptr) return Hearing::unknown;
  if (peers_[peer].banned) return Hearing::banned;
  switch (entry->standing) {
    case EntryStanding::wrong: return Hearing::proven_wrong;
    case EntryStanding::void_: return Hearing::void_;
    case EntryStanding::dropped: return Hearing::probation;
    case EntryStanding::counts: break;
  }
  if (!follows(*entry, never)) return Hearing::other_input;
  if (entry->audit()) return Hearing::audit;
  if (rule_.any_counts) return Hearing::counts;
  if (!entry->in_order) return Hearing::out_of_order;
  if (block_of(entry->unit) > reached_ + 1) return Hearing::later_block;
  const bool agrees = accepted(entry->unit) && outcome_of_[entry->unit] == entry->outcome;
  return in_window(*entry) || agrees ? Hearing::counts : Hearing::out_of_window;
}

std::uint32_t Evaluation::entries_of(PeerIndex peer, UnitIndex unit) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(entries_.of(unit), [&](EntryIndex e) { return entries_[e].peer == peer; }));
}

bool Evaluation::is_final(UnitIndex unit) const {
  if (!accepted(unit)) return false;
  const auto passed = std::ranges::count_if(entries_.of(unit), [&](EntryIndex e) {
    return !entries_[e].audit() && verified(e) && entries_[e].rank < passed_before(peers_[entries_[e].peer]);
  });
  return static_cast<std::uint32_t>(passed) >= rule_.members_min;
}

// The results of this peer that enough verified ones of his stand behind: those of lower rank. Looked for from the end, once after each settle()
// with news.
std::uint32_t Evaluation::passed_before(const Peer& peer) const {
  if (peer.passed_at == news_settled_) return peer.passed_before;
  peer.passed_at = news_settled_;
  std::uint32_t audits = 0, units = 0, rank = static_cast<std::uint32_t>(peer.log.size());
  for (; rank > 0 && audits < parameters_.audits_until_final && units < parameters_.units_until_final; --rank) {
    const EntryIndex e = peer.log[rank - 1];
    if (entries_[e].audit() || !verified(e)) continue;
    ++units;
    if (audited(entries_[e].unit)) ++audits;
  }
  return peer.passed_before = rank;
}

bool Evaluation::audited(UnitIndex unit) const {
  return std::ranges::any_of(entries_.of(unit), [&](EntryIndex e) { return entries_[e].audit() && verified(e) && vouches(entries_[e]); });
}

bool Evaluation::vouches(const Entry& audit) const {
  return (audit.peer < judge_.size() && judge_[audit.peer]) || audit.rank < vouching_before(peers_[audit.peer]);
}

bool Evaluation::vouches(PeerIndex peer, LogPlace at) const {
  const Entry* entry = peer < peers_.size() ? logs_.find(peers_[peer], at) : nullptr;
  return entry != nullptr && entry->audit() && vouches(*entry);
}

// The audits of this peer that enough verified results stand behind: the first ones, of lower rank. Looked for once after each settle() with news.
std::uint32_t Evaluation::vouching_before(const Peer& peer) const {
  if (peer.vouching_at == news_settled_) return peer.vouching_before;
  peer.vouching_at = news_settled_;
  std::uint32_t left = peer.now.k / work_per_vouching_audit, rank = 0;
  for (; rank < peer.log.size(); ++rank) {
    const EntryIndex e = peer.log[rank];
    if (entries_[e].audit() && verified(e) && left-- == 0) break;
  }
  return peer.vouching_before = rank;
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

bool Evaluation::would_accept(UnitIndex unit, std::span<const PeerIndex> more) const {
  if (closed(unit)) return true;
  Tally tally(rule_);
  const Group* leader = gather(unit, tally).leader(std::less<>());
  Group then = leader == nullptr ? Group{.outcome = open_outcome} : *leader;
  std::vector<PeerIndex> agreeing;
  for (const EntryIndex e : entries_.of(unit)) {
    const Entry& entry = entries_[e];
    if (!entry.audit() && entry.outcome == then.outcome && counts(e)) agreeing.push_back(entry.peer);
  }
  std::ranges::sort(agreeing);
  for (const PeerIndex peer : more) {
    if (tally.wins(then)) return true;  // further ones take nothing away
    if (std::ranges::binary_search(agreeing, peer)) continue;
    ++then.members;
    then.results += log_odds(verified_units(peer));
  }
  return tally.wins(then);
}

Standings Evaluation::standings(UnitIndex unit, const Lower& lower) const {
  if (skipped(unit)) return {};
  if (accepted(unit)) return standings_of_accepted(unit);
  Tally tally(rule_);
  const Group* leader = gather(unit, tally).leader(lower);
  Standings standings;
  Group then{.outcome = open_outcome};
  if (leader != nullptr) {
    then = *leader;
    standings = {leader->outcome, leader->members, tally.voices_beside(leader->outcome), 0};
  }
  for (standings.missing = 1; *standings.missing <= fresh_members_max; ++*standings.missing) {
    ++then.members;
    then.results += log_odds(0);
    if (tally.wins(then)) return standings;
  }
  standings.missing.reset();
  return standings;
}

Standings Evaluation::standings_of_accepted(UnitIndex unit) const {
  Standings standings{outcome_of_[unit], 0, 0, 0};
  for (const EntryIndex e : entries_.of(unit)) {
    const Entry& entry = entries_[e];
    if (entry.standing != EntryStanding::counts || !follows(entry, never)) continue;
    if (entry.outcome != outcome_of_[unit]) ++standings.dissenters;
    else if (!entry.audit()) ++standings.supporters;
  }
  return standings;
}

void Evaluation::check_invariants() const {
  STARLING_ENSURE(to_restand_.empty() && pending_.empty() && touched_from_ == never);
  Evaluation fresh(parameters_, orders_, chains_);
  for (const Entry& entry : entries_.all()) fresh.add(entry.fact());
  for (const ReplayedFact& replay : replays_) fresh.add(replay);
  for (PeerIndex peer = 0; peer < peers_.size(); ++peer) {
    for (const LogPlace& fork : peers_[peer].forks) fresh.add(ForkedFact{peer, fork});
    if (peers_[peer].withdrawn) fresh.add(WithdrawnFact{peer});
  }
  for (PeerIndex peer = 0; peer < peers_.size(); ++peer) fresh.set_earned_elsewhere(peer, peers_[peer].earned_elsewhere);
  fresh.settle();
  STARLING_ENSURE(stage_of_ == fresh.stage_of_ && oldest_open_ == fresh.oldest_open_ && reached_at_ == fresh.reached_at_);
  STARLING_ENSURE(oldest_at_ == fresh.oldest_at_ && accepted_count_ == fresh.accepted_count_ && skipped_count_ == fresh.skipped_count_);
  STARLING_ENSURE(open_in_block_ == fresh.open_in_block_ && quarantined_ == fresh.quarantined_);
  STARLING_ENSURE(!turns_ || turns_->same_excuses(*fresh.turns_));
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
      if (!mine.silent()) STARLING_ENSURE(entry.work == again.work && entry.is_work == again.is_work);  // else nothing of it matters
    }
  }
}

}  // namespace starling::protocol
