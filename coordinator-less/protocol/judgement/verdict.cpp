#include "coordinator-less/protocol/judgement/verdict.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "coordinator-less/protocol/judgement/evaluation.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/protocol/judgement/verification_class.hpp"

namespace starling::protocol {
namespace {

constexpr std::uint32_t no_position = std::numeric_limits<std::uint32_t>::max();  // no own order has it

bool tiers_agree(const ReplayFact& replay) {
  return replay.compiled == replay.interpreted && replay.fingerprint == replay.interpreted_fingerprint;
}

// What went on from another archive says nothing about it.
bool wrong(const ResultFact& fact, const ReplayFact& replay) {
  return fact.author == replay.accused && replay.compiled.input == fact.outcome.input &&
         Execution{replay.compiled, replay.fingerprint} != Execution{fact.outcome, fact.fingerprint};
}

bool copied(const ResultFact& fact, const ReplayFact& replay) {
  return replay.compiled == fact.outcome && replay.fingerprint != fact.fingerprint;
}

// An author with several answers from one input has them side by side.
bool doubled(const std::vector<ResultFact>& facts, std::size_t i) {
  const auto same = [&](const ResultFact& other) { return other.author == facts[i].author && other.outcome.input == facts[i].outcome.input; };
  return (i > 0 && same(facts[i - 1])) || (i + 1 < facts.size() && same(facts[i + 1]));
}

// Of a fact that the replay proves wrong.
bool no_error_explains(const std::vector<ResultFact>& facts, std::size_t i, const ReplayFact& replay) {
  return doubled(facts, i) || copied(facts[i], replay);
}

}  // namespace

std::optional<std::uint32_t> members_needed(const VerdictParameters& parameters, const std::vector<std::uint32_t>& other_groups) {
  const auto group_of = [](std::uint64_t size) { return std::min(static_cast<LogOdds>(size) * log_odds(0), group_log_odds_max); };
  Odds others = 0;
  for (const std::uint32_t size : other_groups) others = sum_of_odds(others, odds(group_of(size)));
  for (std::uint32_t members = answers_required(parameters.verification); members <= fresh_members_max; ++members) {
    if (parameters.verification == VerificationClass::trusted || credible(group_of(members), others, parameters.epsilon_ppm)) return members;
  }
  return std::nullopt;
}

bool banned_by(const JobEvidence& evidence, const std::set<PeerId>& judges, const PeerId& accused) {
  std::set<UnitIndex> faulty;
  for (const ReplayFact& replay : evidence.replays_of(accused)) {
    if (!judges.contains(replay.judge) || !tiers_agree(replay)) continue;
    const auto& facts = evidence.results(replay.unit);
    for (std::size_t i = 0; i < facts.size(); ++i) {
      if (!wrong(facts[i], replay)) continue;
      if (no_error_explains(facts, i, replay)) return true;
      faulty.insert(replay.unit);
    }
  }
  return faulty.size() >= limits::faults_to_ban;
}

VerdictParameters parameters_of(const Manifest& manifest) {
  return {manifest.verification, manifest.epsilon_ppm, Segments(manifest).stride(), manifest.known, manifest.audit_percent};
}

// ---------------------------------------------------------------- dense numbers

// V's unit is a place in the common order; a peer and an outcome of a unit are numbered as they come, which V does not depend on.
class Verdict::Mapping : public OwnOrders, public Chains {
 public:
  Mapping(std::uint32_t unit_count, std::uint32_t stride, const UnitOrder* order) : stride_(stride), order_(order), outcomes_(unit_count) {
    STARLING_ENSURE(order == nullptr || order->unit_count() == unit_count);
  }

  PeerIndex index_of(const PeerId& peer) {
    const auto [it, fresh] = indices_.try_emplace(peer, static_cast<PeerIndex>(peers_.size()));
    if (fresh) peers_.push_back(peer);
    return it->second;
  }
  std::optional<PeerIndex> find(const PeerId& peer) const {
    const auto it = indices_.find(peer);
    return it == indices_.end() ? std::nullopt : std::optional(it->second);
  }
  const PeerId& peer(PeerIndex index) const { return peers_[index]; }
  PeerIndex peer_count() const { return static_cast<PeerIndex>(peers_.size()); }

  OutcomeIndex index_of(UnitIndex unit, const Outcome& outcome) {
    auto& known = outcomes_[unit];
    const auto found = std::ranges::find(known, outcome);
    const auto index = static_cast<OutcomeIndex>(found - known.begin());
    if (found == known.end()) known.push_back(outcome);
    return index;
  }
  const Outcome& outcome(UnitIndex unit, OutcomeIndex index) const { return outcomes_[unit][index]; }

  std::uint32_t place_of(UnitIndex unit) const { return order_ == nullptr ? unit : order_->place_of(unit); }
  UnitIndex unit_at(std::uint32_t place) const { return order_ == nullptr ? place : order_->unit_at(place); }
  std::uint32_t block_units() const { return order_ == nullptr ? std::max(1U, static_cast<std::uint32_t>(outcomes_.size())) : order_->block_units(); }
  std::uint32_t place_in_block(UnitIndex unit, std::uint32_t position) const {
    const std::uint32_t first = place_of(unit) / block_units() * block_units();
    return position >= first && position - first < block_units() ? position - first : no_position;
  }

  // The place at which a second statement of the author follows the same one.
  std::optional<LogPlace> fork_of(PeerIndex author, const MessageId& statement, const Results& results) {
    const auto [it, fresh] = followers_.try_emplace({author, results.previous}, Follower{statement, results.place(0)});
    if (fresh || it->second.statement == statement) return std::nullopt;
    const LogPlace later = std::max(it->second.at, results.place(0));
    if (results.place(0) < it->second.at) it->second = {statement, results.place(0)};  // so that the order of arrival does not matter
    return later;
  }

  std::span<const UnitIndex> own_order(PeerIndex peer, std::uint32_t block) override {
    const auto key = std::pair(block, peer);
    if (const auto it = own_orders_.find(key); it != own_orders_.end()) return it->second;
    const std::size_t block_size = std::min<std::size_t>(block_units(), outcomes_.size());
    if ((own_orders_.size() + 1) * block_size > limits::own_order_units_kept_max && !own_orders_.empty()) own_orders_.erase(own_orders_.begin());
    return own_orders_.emplace(key, order_->own_places(peers_[peer], block)).first->second;
  }

  // What comes late to a closed block draws its author's order anew.
  void forget_orders_before(std::uint32_t block) {
    if (std::exchange(open_from_, block) != block) own_orders_.erase(own_orders_.begin(), own_orders_.lower_bound({block, 0}));
  }

  bool goes_on(UnitIndex place, OutcomeIndex index) override { return outcome(unit_at(place), index).kind == OutcomeKind::checkpoint; }
  bool follows(UnitIndex place, OutcomeIndex index, OutcomeIndex before) override {
    const Outcome& from = outcome(unit_at(place - stride_), before);
    return from.kind == OutcomeKind::checkpoint && outcome(unit_at(place), index).input == from.digest;
  }
  bool same_input(UnitIndex place, OutcomeIndex a, OutcomeIndex b) override {
    const UnitIndex unit = unit_at(place);
    return outcome(unit, a).input == outcome(unit, b).input;
  }

 private:
  struct Follower {
    MessageId statement;
    LogPlace at;
  };
  std::uint32_t stride_;
  const UnitOrder* order_;
  std::map<PeerId, PeerIndex> indices_;
  std::vector<PeerId> peers_;
  std::vector<std::vector<Outcome>> outcomes_;  // per unit
  std::map<std::pair<PeerIndex, MessageId>, Follower> followers_;
  std::map<std::pair<std::uint32_t, PeerIndex>, std::vector<UnitIndex>> own_orders_;
  std::uint32_t open_from_ = 0;                 // the oldest open block, when orders were let go
};

// ---------------------------------------------------------------- what comes in

Verdict::Verdict(const JobEvidence& evidence, std::set<PeerId> judges, VerdictParameters parameters, const UnitOrder* order)
    : evidence_(evidence),
      judges_(std::move(judges)),
      parameters_(parameters),
      mapping_(std::make_unique<Mapping>(evidence.unit_count(), parameters.stride, order)),
      closed_(evidence.unit_count(), open_still) {
  EvaluationParameters dense;
  dense.verification = parameters_.verification;
  dense.epsilon_ppm = parameters_.epsilon_ppm;
  dense.unit_count = evidence_.unit_count();
  dense.block_units = mapping_->block_units();
  dense.stride = parameters_.stride;
  dense.work_per_audit = work_per_audit_at(parameters_.audit_percent);
  for (const PeerId& judge : judges_) dense.judges.push_back(mapping_->index_of(judge));
  evaluation_ = std::make_unique<Evaluation>(std::move(dense), order == nullptr ? nullptr : mapping_.get(), mapping_.get());
  for (const KnownPeer& known : parameters_.known) evaluation_->set_earned_elsewhere(mapping_->index_of(known.peer), known.units);
  evaluation_->settle();
}

Verdict::~Verdict() = default;

void Verdict::on_results(const PeerId& author, const MessageId& statement, const Results& results) {
  const PeerIndex peer = mapping_->index_of(author);
  if (results.takes_back()) {
    withdrawn_.insert(author);
    return evaluation_->add(WithdrawnFact{peer});
  }
  if (const auto fork = mapping_->fork_of(peer, statement, results)) evaluation_->add(ForkedFact{peer, *fork});
  for (std::size_t i = 0; i < results.entries.size(); ++i) {
    const ResultEntry& entry = results.entries[i];
    if (entry.unit >= evidence_.unit_count() || out_of_nowhere(entry.unit, entry.outcome)) continue;
    evaluation_->add(EntryFact{peer, results.place(i), mapping_->place_of(entry.unit), mapping_->place_in_block(entry.unit, entry.position),
                               mapping_->index_of(entry.unit, entry.outcome), entry.audit});
    tell_replays_again(entry.unit, author);
  }
}

void Verdict::on_replay(const ReplayFact& replay) {
  if (!judges_.contains(replay.judge)) return;
  if (tiers_agree(replay)) proofs_[replay.unit].insert(replay);
  tell_replay(replay);
}

// V is told whether an error explains it: not any more, once the accused has said enough.
void Verdict::tell_replay(const ReplayFact& replay) {
  const auto& facts = evidence_.results(replay.unit);
  bool no_error = false;
  for (std::size_t i = 0; i < facts.size() && tiers_agree(replay); ++i) {
    if (!wrong(facts[i], replay)) continue;
    faults_[replay.accused].insert(replay.unit);
    no_error = no_error || no_error_explains(facts, i, replay);
  }
  if (tiers_agree(replay) && out_of_nowhere(replay.unit, replay.compiled)) return;
  const OutcomeIndex compiled = mapping_->index_of(replay.unit, replay.compiled);
  const OutcomeIndex other = compiled == 0 ? 1 : 0;  // V asks only whether it is the same
  evaluation_->add(ReplayedFact{mapping_->index_of(replay.judge), mapping_->index_of(replay.accused), mapping_->place_of(replay.unit), compiled,
                                tiers_agree(replay) ? compiled : other, replay.head, no_error});
}

void Verdict::tell_replays_again(UnitIndex unit, const PeerId& accused) {
  const auto proofs = proofs_.find(unit);
  if (proofs == proofs_.end()) return;
  for (const ReplayFact& replay : proofs->second) {
    if (replay.accused == accused) tell_replay(replay);
  }
}

void Verdict::settle() {
  evaluation_->settle();
  mapping_->forget_orders_before(evaluation_->oldest_open_block());
  for (const std::uint32_t place : evaluation_->poll_changed()) {
    const UnitIndex unit = mapping_->unit_at(place);
    const OutcomeIndex now = closed_with(unit);
    if (closed_[unit] == now) continue;
    count(unit, closed_[unit], false);
    count(unit, now, true);
    changed_.try_emplace(unit, closed_[unit]);
    closed_[unit] = now;
  }
  if (proofs_.empty()) return;
  banned_.clear();
  for (const PeerIndex peer : evaluation_->banned()) banned_.insert(mapping_->peer(peer));
}

OutcomeIndex Verdict::closed_with(UnitIndex unit) const {
  const std::uint32_t place = mapping_->place_of(unit);
  if (evaluation_->skipped(place)) return skipped_now;
  return evaluation_->accepted_outcome(place).value_or(open_still);
}

void Verdict::count(UnitIndex unit, OutcomeIndex closed, bool in) {
  const std::uint32_t one = in ? 1U : ~0U;
  if (closed == open_still) return;
  if (closed == skipped_now) {
    counts_.skipped += one;
    return;
  }
  counts_.accepted += one;
  if (!ends(unit, closed)) return;
  counts_.ended += one;
  if (mapping_->outcome(unit, closed).kind != OutcomeKind::ok) counts_.failures += one;
}

// ---------------------------------------------------------------- questions

const Outcome* Verdict::accepted_outcome(UnitIndex unit) const {
  const OutcomeIndex closed = closed_[unit];
  return closed >= skipped_now ? nullptr : &mapping_->outcome(unit, closed);
}

bool Verdict::skipped(UnitIndex unit) const { return closed_[unit] == skipped_now; }

bool Verdict::ends(UnitIndex unit, OutcomeIndex closed) const {
  return closed < skipped_now && (mapping_->outcome(unit, closed).kind != OutcomeKind::checkpoint || !next(unit));
}

bool Verdict::ends(UnitIndex unit) const { return ends(unit, closed_[unit]); }

Verdict::Start Verdict::start_after(UnitIndex unit, OutcomeIndex closed) const {
  if (closed == open_still) return {};
  if (closed == skipped_now) return {true, std::nullopt};
  const Outcome& outcome = mapping_->outcome(unit, closed);
  if (outcome.kind != OutcomeKind::checkpoint) return {true, std::nullopt};
  return {false, BlobRef{outcome.digest, outcome.archive_bytes}};
}

Verdict::Start Verdict::start_of(UnitIndex unit) const {
  const auto before = previous(unit);
  return before ? start_after(*before, closed_[*before]) : Start{false, BlobRef{}};
}

const ResultFact* Verdict::answer_of(const PeerId& peer, UnitIndex unit) const {
  const auto from = input(unit);
  return from ? evidence_.answer_of(peer, unit, from->name) : nullptr;
}

bool Verdict::contested(UnitIndex unit) const {
  const auto from = input(unit);
  const Outcome* first = nullptr;
  for (const ResultFact& fact : evidence_.results(unit)) {
    if (!from || fact.outcome.input != from->name || silent(fact.author)) continue;
    if (first != nullptr && *first != fact.outcome) return true;
    first = &fact.outcome;
  }
  return false;
}

UnitVerdict Verdict::unit(UnitIndex unit) const {
  UnitVerdict verdict;
  const Start start = start_of(unit);
  verdict.open = start.input.has_value();
  verdict.skipped = start.skipped;
  if (!verdict.open) {
    verdict.missing = verdict.skipped ? 0 : fresh_target();
    return verdict;
  }
  const auto standings = evaluation_->standings(mapping_->place_of(unit), [&](OutcomeIndex one, OutcomeIndex other) {
    return mapping_->outcome(unit, one) < mapping_->outcome(unit, other);
  });
  verdict.accepted = accepted(unit);
  if (standings.leader) verdict.outcome = mapping_->outcome(unit, *standings.leader);
  verdict.supporters = standings.supporters;
  verdict.dissenters = standings.dissenters;
  verdict.missing = standings.missing.value_or(fresh_members_max);
  verdict.contested = contested(unit);
  return verdict;
}

bool Verdict::would_accept(UnitIndex unit, const std::vector<PeerId>& more) const {
  std::vector<PeerIndex> indices;
  PeerIndex stranger = mapping_->peer_count();
  for (const PeerId& peer : more) {
    const auto known = mapping_->find(peer);
    indices.push_back(known ? *known : stranger++);
  }
  return evaluation_->would_accept(mapping_->place_of(unit), indices);
}

std::uint32_t Verdict::blocks_open_to(const PeerId& author) const {
  if (parameters_.verification == VerificationClass::trusted) return std::numeric_limits<std::uint32_t>::max();
  const auto peer = mapping_->find(author);
  if (peer && evaluation_->window_full(*peer)) return evaluation_->oldest_open_block() + 1;
  return evaluation_->block_reached() + 2;
}

bool Verdict::looks_anew_at(const PeerId& peer) const {
  const auto index = mapping_->find(peer);
  return index && evaluation_->looks_anew_at(*index);
}

bool Verdict::looks_anew() const { return evaluation_->looks_anew(); }
bool Verdict::quarantined() const { return evaluation_->quarantined(); }
bool Verdict::vouches(const ResultFact& audit) const {
  const auto peer = mapping_->find(audit.author);
  return peer && evaluation_->vouches(*peer, audit.at);
}
bool Verdict::is_final(UnitIndex unit) const { return evaluation_->is_final(mapping_->place_of(unit)); }

std::uint32_t Verdict::verified_units(const PeerId& peer) const {
  const auto index = mapping_->find(peer);
  return index ? evaluation_->verified_units(*index) : 0;
}

Hearing Verdict::hearing(const ResultFact& fact) const {
  const auto peer = mapping_->find(fact.author);
  return peer ? evaluation_->hearing(*peer, fact.at) : Hearing::unknown;
}

bool Verdict::void_answer_of(const PeerId& peer, UnitIndex unit) const {
  const ResultFact* answer = answer_of(peer, unit);
  return answer != nullptr && !looks_anew_at(peer) && hearing(*answer) == Hearing::void_;
}

std::uint32_t Verdict::entries_of(const PeerId& peer, UnitIndex unit) const {
  const auto index = mapping_->find(peer);
  return index ? evaluation_->entries_of(*index, mapping_->place_of(unit)) : 0;
}

bool Verdict::proven_wrong(UnitIndex unit, const ResultFact& fact) const {
  const auto proofs = proofs_.find(unit);
  return proofs != proofs_.end() && std::ranges::any_of(proofs->second, [&](const ReplayFact& replay) { return wrong(fact, replay); });
}

std::vector<UnitIndex> Verdict::poll_changed() {
  std::vector<UnitIndex> units;
  for (const auto& [unit, before] : std::exchange(changed_, {})) {
    if (closed_[unit] == before) continue;
    units.push_back(unit);
    if (next(unit) && start_after(unit, before) != start_after(unit, closed_[unit])) units.push_back(*next(unit));
  }
  std::ranges::sort(units);
  const auto repeated = std::ranges::unique(units);
  units.erase(repeated.begin(), repeated.end());
  return units;
}

void Verdict::check_invariants() const {
  evaluation_->check_invariants();
  for (UnitIndex unit = 0; unit < closed_.size(); ++unit) STARLING_ENSURE(closed_[unit] == closed_with(unit));
  Counts counts;
  for (UnitIndex unit = 0; unit < closed_.size(); ++unit) {
    counts.accepted += accepted(unit) ? 1U : 0U;
    counts.skipped += skipped(unit) ? 1U : 0U;
    counts.ended += ends(unit) ? 1U : 0U;
    counts.failures += ends(unit) && accepted_outcome(unit)->kind != OutcomeKind::ok ? 1U : 0U;
    STARLING_ENSURE(skipped(unit) == start_of(unit).skipped);
  }
  STARLING_ENSURE(counts == counts_);
  for (const PeerId& peer : withdrawn_) STARLING_ENSURE(evaluation_->withdrawn(*mapping_->find(peer)));
  for (const PeerId& peer : banned_) STARLING_ENSURE(evaluation_->banned(*mapping_->find(peer)));
}

}  // namespace starling::protocol
