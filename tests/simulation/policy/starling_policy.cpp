// Our own policy: the real V (protocol/judgement/evaluation.hpp) inside the statistical model of trial.hpp.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/judgement/evaluation.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"
#include "tests/simulation/policy/trial.hpp"

namespace starling::simulation::policy {
namespace {

using namespace protocol;
using base::Rng;

constexpr OutcomeIndex right_answer = 0, common_lie = 1, first_own_lie = 2;
constexpr std::uint32_t answers_per_round_max = 8;      // to one unit
constexpr std::uint32_t dispute_executions = 3;         // two tiers and what it takes to fetch and start them
constexpr std::uint64_t rounds_per_replay = 4;
constexpr std::uint32_t sleeper_honest_units = 50;
constexpr std::uint32_t flood_guesses = 10;
constexpr std::uint32_t replays_per_accused = 3;        // of a reader that is no root
constexpr std::uint64_t rounds_max = 20'000;

template <class T>
void shuffle(std::vector<T>& values, Rng& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
}

struct Worker {
  bool liar = false, lazy = false, gone = false;
  std::uint32_t next_index = 0;      // in its log
  std::uint32_t results = 0;
  std::uint64_t executions = 0;
  std::uint32_t replayed = 0;        // times accused by the reader
  std::vector<UnitIndex> answered;   // results only
};

struct Answer {
  PeerIndex peer;
  OutcomeIndex outcome;
  bool audit;
};

struct UnitState {
  std::vector<Answer> answers;
  bool replayed = false;         // the truth is known to the judges
  bool disputed = false;         // listed
  bool ever_accepted = false;
  bool ever_wrong = false;
  bool lie_wanted = false;       // the coalition's coin
  bool waits = false;            // listed as open
};

class Swarm {
 public:
  explicit Swarm(const Trial& trial)
      : trial_(trial), rng_(trial.seed * 0x9e3779b97f4a7c15ULL + 77), evaluation_(parameters(trial)), units_(trial.units()) {
    for (std::uint32_t i = 0; i < trial.peers; ++i) new_worker(false);
    // Peer 0 and 1 are the roots, or peer 0 the reader: never saboteurs.
    const auto liars = static_cast<std::uint32_t>(std::lround(trial.f * trial.peers));
    std::vector<PeerIndex> order;
    for (PeerIndex peer = 2; peer < trial.peers; ++peer) order.push_back(peer);
    shuffle(order, rng_);
    if (trial.attack != Attack::none && trial.attack != Attack::hardware && trial.attack != Attack::bomber) {
      for (std::uint32_t i = 0; i < liars; ++i) workers_[order[i]].liar = true;
      if (trial.attack == Attack::lazy_auditor) {
        for (std::uint32_t i = liars; i < 2 * liars && i < order.size(); ++i) workers_[order[i]].lazy = true;
      }
    }
    measures_.units = units_.size();
    measures_.identities = liars;
    for (UnitState& unit : units_) unit.lie_wanted = rng_.chance(trial.rate);
  }

  Measures run() {
    while (measures_.rounds < rounds_max && !evaluation_.quarantined()) {
      ++measures_.rounds;
      if (!round()) break;
    }
    finish();
    return measures_;
  }

 private:
  static EvaluationParameters parameters(const Trial& trial) {
    EvaluationParameters p;
    p.verification = trial.verification;
    p.epsilon_ppm = trial.epsilon_ppm;
    p.unit_count = trial.units();
    p.block_units = block_size_of(trial.peers / 8);  // as many units as peers: a round takes half a block
    p.fault_reach = trial.fault_reach;
    p.judges = trial.roots ? std::vector<PeerIndex>{0, 1} : std::vector<PeerIndex>{0};
    return p;
  }

  PeerIndex new_worker(bool liar) {
    const auto peer = static_cast<PeerIndex>(workers_.size());
    Worker worker;
    worker.liar = liar;
    workers_.push_back(worker);
    live_.push_back(peer);
    if (trial_.earned_before > 0 && measures_.rounds == 0) evaluation_.set_earned_elsewhere(peer, trial_.earned_before);
    return peer;
  }

  // False when nothing is left to do.
  bool round() {
    free_ = live_;
    shuffle(free_, rng_);
    bool busy = false;
    const bool open_work = evaluation_.accepted_count() < units_.size();
    if (!open_work && closing_budget_ == 0 && !closing_) {
      closing_ = true;
      closing_budget_ = static_cast<std::uint64_t>(trial_.closing_share * static_cast<double>(measures_.executions));
    }
    audit_round(busy);
    if (trial_.attack == Attack::flood) flood();
    if (open_work) busy = work_round() || busy;
    evaluation_.settle();
    note_accepted();
    // Replays take a while to be made and to spread.
    if (measures_.rounds % rounds_per_replay == 0 || !busy) busy = dispute_round(!busy) || busy;
    busy = busy || !disputes_.empty();
    expel();
    return busy;
  }

  // ------------------------------------------------------------ work

  bool work_round() {
    bool busy = false;
    std::vector<UnitIndex> still;
    std::size_t looked = 0;
    for (; looked < waiting_.size() && !free_.empty(); ++looked) {
      const UnitIndex unit = waiting_[looked];
      if (evaluation_.accepted(unit)) {
        units_[unit].waits = false;
        continue;
      }
      busy = assign(unit) || busy;
      still.push_back(unit);
    }
    still.insert(still.end(), waiting_.begin() + static_cast<std::ptrdiff_t>(looked), waiting_.end());
    waiting_ = std::move(still);
    const std::uint32_t reach = (evaluation_.block_reached() + 2) * evaluation_.parameters().block_units;
    while (!free_.empty() && next_unit_ < units_.size() && next_unit_ < reach) {
      waiting_.push_back(next_unit_);
      units_[next_unit_].waits = true;
      busy = assign(next_unit_++) || busy;
    }
    return busy;
  }

  bool answered(const UnitState& unit, PeerIndex peer) const {
    return std::ranges::any_of(unit.answers, [&](const Answer& a) { return a.peer == peer; });
  }

  // Draws free peers for a unit until their agreement would accept it, then lets them answer.
  bool assign(UnitIndex index) {
    UnitState& unit = units_[index];
    drawn_.clear();
    bool enough = false;
    const bool oldest = index / evaluation_.parameters().block_units == evaluation_.oldest_open_block();
    for (std::size_t i = free_.size(); i-- > 0 && !enough && drawn_.size() < answers_per_round_max;) {
      const PeerIndex peer = free_[i];
      if (answered(unit, peer) || (!oldest && evaluation_.window_full(peer))) continue;
      free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
      if (trial_.attack == Attack::squatter && workers_[peer].liar) continue;  // the claim lapses
      drawn_.push_back(peer);
      enough = evaluation_.would_accept(index, drawn_);
    }
    if (drawn_.empty()) return false;
    const bool all_liars = std::ranges::all_of(drawn_, [&](PeerIndex peer) { return workers_[peer].liar; });
    std::vector<OutcomeIndex> outcomes;
    for (const PeerIndex peer : drawn_) outcomes.push_back(answer_of(peer, unit, all_liars && enough));
    for (std::size_t i = 0; i < drawn_.size(); ++i) state(drawn_[i], index, outcomes[i], false);
    measures_.executions += drawn_.size();
    return true;
  }

  OutcomeIndex own_lie(PeerIndex peer) const { return first_own_lie + peer; }

  bool seen(const UnitState& unit, OutcomeIndex outcome) const {
    return std::ranges::any_of(unit.answers, [&](const Answer& a) { return a.outcome == outcome; });
  }

  OutcomeIndex answer_of(PeerIndex peer, const UnitState& unit, bool coalition_decides) {
    const Worker& worker = workers_[peer];
    if (trial_.attack == Attack::hardware) return rng_.chance(1e-4) ? own_lie(peer) : right_answer;
    if (trial_.attack == Attack::bomber) return rng_.chance(0.5) ? right_answer : common_lie;
    if (!worker.liar) return right_answer;
    switch (trial_.attack) {
      case Attack::selective:
      case Attack::whitewasher:
      case Attack::lazy_auditor:
        if (!coalition_decides || seen(unit, right_answer)) return right_answer;
        return unit.lie_wanted || seen(unit, common_lie) ? common_lie : right_answer;
      case Attack::constant: return unit.lie_wanted ? common_lie : right_answer;
      case Attack::independent: return rng_.chance(trial_.rate) ? own_lie(peer) : right_answer;
      case Attack::sleeper: return worker.results >= sleeper_honest_units ? common_lie : right_answer;
      case Attack::copier: return unit.answers.empty() ? own_lie(peer) : unit.answers.front().outcome;
      case Attack::flood: return own_lie(peer);
      default: return right_answer;
    }
  }

  void state(PeerIndex peer, UnitIndex index, OutcomeIndex outcome, bool audit) {
    Worker& worker = workers_[peer];
    UnitState& unit = units_[index];
    evaluation_.add(EntryFact{peer, {0, worker.next_index++}, index, 0, outcome, audit});
    unit.answers.push_back({peer, outcome, audit});
    if (!audit) {
      ++worker.results;
      worker.answered.push_back(index);
    }
    ++worker.executions;
    ++measures_.statements;
    if (unit.answers.front().outcome != outcome || unit.replayed) dispute(index);
  }

  void flood() {
    for (const PeerIndex peer : live_) {
      if (!workers_[peer].liar) continue;
      for (std::uint32_t i = 0; i < flood_guesses; ++i) {
        const auto index = static_cast<UnitIndex>(rng_.below(std::min<std::uint64_t>(next_unit_ + 1, units_.size())));
        if (!answered(units_[index], peer)) state(peer, index, own_lie(peer), false);
      }
    }
  }

  // ------------------------------------------------------------ audits

  void audit_round(bool& busy) {
    std::vector<PeerIndex> rest;
    for (const PeerIndex peer : free_) {
      const bool accuses = trial_.attack == Attack::accuser && workers_[peer].liar && rng_.chance(0.5);
      const bool audits = closing_ ? closing_budget_ > 0 : rng_.chance(trial_.audit_share);
      if ((!audits && !accuses) || !audit(peer)) {
        rest.push_back(peer);
        continue;
      }
      if (closing_ && closing_budget_ > 0) --closing_budget_;
      busy = true;
    }
    free_ = std::move(rest);
  }

  // A peer drawn by the auditor's coin, then one of its accepted units, best one that nobody has audited.
  std::optional<UnitIndex> draw_audit(PeerIndex auditor) {
    std::optional<UnitIndex> found;
    for (int tries = 0; tries < 12; ++tries) {
      const Worker& audited = workers_[rng_.below(workers_.size())];
      if (audited.answered.empty()) continue;
      const UnitIndex index = audited.answered[rng_.below(audited.answered.size())];
      const UnitState& unit = units_[index];
      if (!evaluation_.accepted(index)) continue;
      if (std::ranges::any_of(unit.answers, [&](const Answer& a) { return a.peer == auditor; })) continue;
      found = index;
      if (std::ranges::none_of(unit.answers, &Answer::audit)) break;
    }
    return found;
  }

  bool audit(PeerIndex peer) {
    const auto index = draw_audit(peer);
    if (!index) return false;
    const Worker& worker = workers_[peer];
    const OutcomeIndex accepted = *evaluation_.accepted_outcome(*index);
    OutcomeIndex outcome = right_answer;
    if (worker.liar || worker.lazy) outcome = accepted;
    if (worker.liar && trial_.attack == Attack::accuser) outcome = common_lie;
    if (worker.liar && trial_.attack == Attack::independent && rng_.chance(trial_.rate)) outcome = own_lie(peer);
    if (trial_.attack == Attack::hardware && rng_.chance(1e-4)) outcome = own_lie(peer);
    if (trial_.attack == Attack::bomber && rng_.chance(0.5)) outcome = common_lie;
    state(peer, *index, outcome, true);
    ++measures_.executions;
    return true;
  }

  // ------------------------------------------------------------ disputes

  void dispute(UnitIndex index) {
    if (std::exchange(units_[index].disputed, true)) return;
    disputes_.push_back(index);
  }

  bool dispute_round(bool idle) {
    if (trial_.attack == Attack::accuser) false_replays();
    if (disputes_.empty()) return false;
    std::vector<UnitIndex> later;
    bool busy = false;
    shuffle(disputes_, rng_);
    for (const UnitIndex index : std::exchange(disputes_, {})) {
      const bool may = trial_.roots || units_[index].replayed || idle || reader_replays_ * 100 < workers_[0].executions;
      if (!may) {
        later.push_back(index);
        continue;
      }
      busy = replay(index) || busy;
    }
    disputes_.insert(disputes_.end(), later.begin(), later.end());
    if (busy) {
      evaluation_.settle();
      note_accepted();
    }
    return busy;
  }

  // A judge executes the unit on two tiers and names everyone who answered otherwise.
  bool replay(UnitIndex index) {
    UnitState& unit = units_[index];
    unit.disputed = false;
    const PeerIndex judge = trial_.roots ? static_cast<PeerIndex>(rng_.below(2)) : 0;
    bool named = false;
    for (const Answer& answer : unit.answers) {
      if (answer.outcome == right_answer && trial_.attack != Attack::bomber) continue;
      Worker& accused = workers_[answer.peer];
      if (!trial_.roots && accused.replayed >= replays_per_accused) continue;
      ++accused.replayed;
      ReplayedFact fact{judge, answer.peer, index, right_answer, right_answer, {0, accused.next_index - 1}, false};
      if (trial_.attack == Attack::bomber) fact.interpreted = common_lie;
      evaluation_.add(fact);
      replays_.push_back(fact);
      named = true;
    }
    if (!unit.replayed && named) {
      measures_.executions += trial_.roots ? dispute_executions : 0;
      if (!trial_.roots) ++reader_replays_;
    }
    unit.replayed = true;
    return named;
  }

  void false_replays() {
    for (int i = 0; i < 5; ++i) {
      const auto judge = static_cast<PeerIndex>(rng_.below(workers_.size()));
      const auto accused = static_cast<PeerIndex>(rng_.below(workers_.size()));
      if (!workers_[judge].liar || workers_[accused].answered.empty()) continue;
      const ReplayedFact fact{judge, accused, workers_[accused].answered.front(), common_lie, common_lie,
                              {0, workers_[accused].next_index}, true};
      evaluation_.add(fact);
      replays_.push_back(fact);
    }
  }

  // Banned peers leave; so do, to come back, whitewashers once a fault is proven.
  void expel() {
    const std::vector<PeerIndex> before = live_;
    live_.clear();
    std::uint32_t newcomers = 0;
    for (const PeerIndex peer : before) {
      const bool washes = trial_.attack == Attack::whitewasher && workers_[peer].liar && evaluation_.faulty_units(peer) > 0;
      workers_[peer].gone = evaluation_.banned(peer) || washes;
      if (!workers_[peer].gone) live_.push_back(peer);
      if (workers_[peer].gone && trial_.attack == Attack::whitewasher) ++newcomers;
    }
    for (std::uint32_t i = 0; i < newcomers; ++i) {
      new_worker(true);
      ++measures_.identities;
    }
  }

  // ------------------------------------------------------------ bookkeeping

  void note_accepted() {
    std::vector<UnitIndex> reopened;
    for (UnitIndex unit = 0; unit < next_unit_; ++unit) {
      UnitState& state = units_[unit];
      if (!evaluation_.accepted(unit)) {
        if (!std::exchange(state.waits, true)) reopened.push_back(unit);
        continue;
      }
      if (!std::exchange(state.ever_accepted, true) && only_liars_answered(state)) ++measures_.coalition_units;
      if (evaluation_.accepted_outcome(unit) != right_answer && !std::exchange(state.ever_wrong, true)) ++measures_.ever_wrong;
    }
    waiting_.insert(waiting_.begin(), reopened.begin(), reopened.end());  // before all new ones
  }

  bool only_liars_answered(const UnitState& unit) const {
    return std::ranges::all_of(unit.answers, [&](const Answer& a) { return workers_[a.peer].liar; });
  }

  void finish() {
    for (UnitIndex unit = 0; unit < units_.size(); ++unit) {
      if (!evaluation_.accepted(unit)) ++measures_.open;
      else if (evaluation_.accepted_outcome(unit) != right_answer) ++measures_.wrong;
    }
    for (PeerIndex peer = 0; peer < workers_.size(); ++peer) {
      const Worker& worker = workers_[peer];
      if (evaluation_.banned(peer)) ++(worker.liar ? measures_.liars_banned : measures_.honest_bans);
      if (!worker.liar && evaluation_.faulty_units(peer) > 0) ++measures_.honest_faults;
    }
    measures_.quarantined = evaluation_.quarantined();
    if (!trial_.roots) measures_.executions += measures_.executions / 100;  // each peer replays for itself, within 1 %
    second_reader();
  }

  // Hears the same facts in another order, in a few portions, and must come to the same conclusions.
  void second_reader() {
    struct Heard {
      EntryFact entry;
      const ReplayedFact* replay = nullptr;
    };
    std::vector<Heard> facts;
    evaluation_.for_each_entry([&](const EntryFact& fact) { facts.push_back({fact, nullptr}); });
    for (const ReplayedFact& fact : replays_) facts.push_back({{}, &fact});
    shuffle(facts, rng_);
    Evaluation other(parameters(trial_));
    if (trial_.earned_before > 0) {
      for (PeerIndex peer = 0; peer < trial_.peers; ++peer) other.set_earned_elsewhere(peer, trial_.earned_before);
    }
    std::size_t heard = 0;
    for (const Heard& fact : facts) {
      if (fact.replay != nullptr) other.add(*fact.replay);
      else other.add(fact.entry);
      if (++heard == facts.size() / 2) other.settle();
    }
    other.settle();
    for (UnitIndex unit = 0; unit < units_.size(); ++unit) {
      ++measures_.comparisons;
      if (other.accepted_outcome(unit) == evaluation_.accepted_outcome(unit)) ++measures_.agreements;
    }
    for (PeerIndex peer = 0; peer < workers_.size(); ++peer) {
      ++measures_.comparisons;
      if (other.banned(peer) == evaluation_.banned(peer) && other.verified_units(peer) == evaluation_.verified_units(peer)) ++measures_.agreements;
    }
  }

  const Trial trial_;
  Rng rng_;
  Evaluation evaluation_;
  Measures measures_;
  std::vector<Worker> workers_;
  std::vector<PeerIndex> live_, free_, drawn_;
  std::vector<UnitState> units_;
  std::vector<UnitIndex> waiting_;    // open, in the order in which they are offered
  UnitIndex next_unit_ = 0;
  std::vector<UnitIndex> disputes_;
  std::vector<ReplayedFact> replays_;
  std::uint64_t reader_replays_ = 0;
  bool closing_ = false;
  std::uint64_t closing_budget_ = 0;
};

}  // namespace

Measures run_starling(const Trial& trial) { return Swarm(trial).run(); }

}  // namespace starling::simulation::policy
