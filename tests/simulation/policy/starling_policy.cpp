// Our own policy: the real V (protocol/judgement/evaluation.hpp) inside the statistical model of trial.hpp.
#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/judgement/evaluation.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"
#include "tests/simulation/policy/timing.hpp"
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
constexpr std::uint64_t doubt_rounds = rounds_per_replay;  // in which a peer that was contradicted executes that again, and nothing else
constexpr std::uint32_t lies_per_key = 2;               // of who rations them
constexpr double set_back_share = 0.1;                  // of peers, to an older image of their disks
constexpr std::uint32_t set_back_repeats = 5;           // units that such a peer answers again
constexpr std::uint64_t set_back_rounds = 3;            // until it hears what it had said
constexpr std::uint64_t squat_rounds = 4;               // that a claim stands
constexpr std::uint32_t final_samples = 200;            // is_final walks whole logs

template <class T>
void shuffle(std::vector<T>& values, Rng& rng) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.below(i)]);
}

struct Worker {
  bool liar = false, lazy = false, gone = false, bad_tier = false;
  std::uint32_t chain = 0, next_index = 0;  // in its log
  std::uint32_t lies = 0;            // in which it took part
  std::uint64_t set_back_at = 0;     // round; 0: never
  std::uint32_t results = 0;
  std::uint64_t executions = 0;
  std::uint32_t replayed = 0;        // times accused by the reader
  std::vector<UnitIndex> checked;    // own answers that were contradicted, executed again by itself
  std::uint32_t errors = 0;          // found so
  std::uint32_t doubts = 0;          // of these results that it has not ended yet
  bool careful = false;              // it has erred twice: it states only what two of its executions agree on
  bool retired = false;              // its tiers differ, or it took back what it said: it computes no more of this job
  bool withdrawn = false, banned_once = false;
  std::vector<UnitIndex> answered;   // results only
  std::map<PeerIndex, std::set<UnitIndex>> copies_seen;  // by an executor
  std::set<UnitIndex> copies;        // that somebody says it copied: judges look
};

struct Doubt {
  std::uint64_t from, until;  // rounds: in between it does nothing else
  PeerIndex peer;
  UnitIndex unit;
  OutcomeIndex stated;
  bool audit;
};

struct Answer {
  PeerIndex peer;
  OutcomeIndex outcome;
  bool audit;
  bool copied = false;  // its fingerprint is not that of any execution
};

struct UnitState {
  std::vector<Answer> answers;
  bool replayed = false;         // the truth is known to the judges
  bool disputed = false;         // listed
  bool ever_accepted = false;
  bool ever_wrong = false;
  bool lie_wanted = false;       // the coalition's coin
  bool waits = false;            // listed as open
  std::uint64_t first_answer = 0;  // round
  std::uint64_t claimed_until = 0;  // round; by a squatter
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
    if (!honest_attack()) {
      for (std::uint32_t i = 0; i < liars; ++i) workers_[order[i]].liar = true;
      if (trial.attack == Attack::lazy_auditor) {
        for (std::uint32_t i = liars; i < 2 * liars && i < order.size(); ++i) workers_[order[i]].lazy = true;
      }
    }
    if (trial.attack == Attack::tier) {
      if (trial.judge_has_tier) workers_[1].bad_tier = true;
      for (std::uint32_t i = 0; i < liars; ++i) workers_[order[i]].bad_tier = true;
    }
    for (std::uint32_t i = 0; trial.attack == Attack::image && i < set_back_share * trial.peers; ++i) {
      workers_[order[i]].set_back_at = 5 + rng_.below(trial.units_per_peer);
    }
    for (PeerIndex peer = 0; peer < trial.peers; ++peer) {
      if (workers_[peer].liar && trial.farmed > 0) evaluation_.set_earned_elsewhere(peer, trial.farmed);
    }
    measures_.units = units_.size();
    measures_.identities = honest_attack() ? 0 : liars;
    final_.resize((units_.size() + final_step() - 1) / final_step());
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
  bool honest_attack() const {  // nobody means harm
    return trial_.attack == Attack::none || trial_.attack == Attack::hardware || trial_.attack == Attack::image ||
           trial_.attack == Attack::tier || trial_.attack == Attack::bomber;
  }

  static EvaluationParameters parameters(const Trial& trial) {
    EvaluationParameters p;
    p.verification = trial.verification;
    p.epsilon_ppm = trial.epsilon_ppm;
    p.unit_count = trial.units();
    p.block_units = block_size_of(trial.peers / 8);  // as many units as peers: a round takes half a block
    p.fault_reach = trial.fault_reach;
    p.work_per_audit = work_per_audit_at(static_cast<std::uint32_t>(std::lround(100 * trial.audit_share)));
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
    end_doubts();
    free_ = live_;
    std::erase_if(free_, [&](PeerIndex peer) { return workers_[peer].retired || workers_[peer].doubts > 0; });
    shuffle(free_, rng_);
    bool busy = false;
    const bool open_work = evaluation_.accepted_count() < units_.size();
    if (!open_work && closing_budget_ == 0 && !closing_) {
      closing_ = true;
      closing_budget_ = static_cast<std::uint64_t>(trial_.closing_share * static_cast<double>(measures_.executions));
    }
    set_back();
    audit_round(busy);
    if (trial_.attack == Attack::flood) flood();
    if (open_work) busy = work_round() || busy;
    evaluation_.settle();
    note_accepted();
    note_final();
    // Replays take a while to be made and to spread.
    if (measures_.rounds % rounds_per_replay == 0 || !busy) busy = dispute_round(!busy) || busy;
    busy = busy || !disputes_.empty() || !doubts_.empty();
    busy = withdraw() || busy;
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
    if (measures_.rounds < unit.claimed_until) return true;
    drawn_.clear();
    bool enough = false;
    const bool oldest = index / evaluation_.parameters().block_units == evaluation_.oldest_open_block();
    for (std::size_t i = free_.size(); i-- > 0 && !enough && drawn_.size() < answers_per_round_max;) {
      const PeerIndex peer = free_[i];
      if (answered(unit, peer) || (!oldest && evaluation_.window_full(peer))) continue;
      free_.erase(free_.begin() + static_cast<std::ptrdiff_t>(i));
      drawn_.push_back(peer);
      enough = evaluation_.would_accept(index, drawn_);
    }
    if (drawn_.empty()) return false;
    const auto squats = [&](PeerIndex peer) { return trial_.attack == Attack::squatter && workers_[peer].liar; };
    if (std::erase_if(drawn_, squats) > 0) unit.claimed_until = measures_.rounds + squat_rounds;
    const bool all_liars = std::ranges::all_of(drawn_, [&](PeerIndex peer) { return workers_[peer].liar; });
    std::vector<OutcomeIndex> outcomes;
    const bool rationed = trial_.attack == Attack::ration &&
                          std::ranges::any_of(drawn_, [&](PeerIndex peer) { return workers_[peer].lies >= lies_per_key; });
    for (const PeerIndex peer : drawn_) outcomes.push_back(answer_of(peer, unit, all_liars && enough && !rationed));
    const bool there_to_copy = !unit.answers.empty() || !all_liars;  // it waits for those who execute
    for (std::size_t i = 0; i < drawn_.size(); ++i) {
      const bool copied = copies(drawn_[i]) && there_to_copy;
      if (outcomes[i] != right_answer) ++workers_[drawn_[i]].lies;
      state(drawn_[i], index, outcomes[i], false, copied);
      if (!copied) ++measures_.executions;
    }
    return true;
  }

  bool copies(PeerIndex peer) const { return trial_.attack == Attack::copier && workers_[peer].liar; }

  OutcomeIndex own_lie(PeerIndex peer) const { return first_own_lie + peer; }

  bool seen(const UnitState& unit, OutcomeIndex outcome) const {
    return std::ranges::any_of(unit.answers, [&](const Answer& a) { return a.outcome == outcome; });
  }

  // Two executions that err give one wrong outcome hardly ever; here they always do.
  bool errs(const Worker& worker) { return rng_.chance(worker.careful ? trial_.rate * trial_.rate : trial_.rate); }

  OutcomeIndex answer_of(PeerIndex peer, const UnitState& unit, bool coalition_decides) {
    const Worker& worker = workers_[peer];
    if (trial_.attack == Attack::hardware) return errs(worker) ? own_lie(peer) : right_answer;
    if (trial_.attack == Attack::tier) return worker.bad_tier && unit.lie_wanted ? common_lie : right_answer;
    if (trial_.attack == Attack::bomber) return rng_.chance(0.5) ? right_answer : common_lie;
    if (!worker.liar) return right_answer;
    switch (trial_.attack) {
      case Attack::selective:
      case Attack::whitewasher:
      case Attack::withdrawer:
      case Attack::farmer:
      case Attack::ration:
      case Attack::lazy_auditor:
        if (!coalition_decides || seen(unit, right_answer)) return right_answer;
        return unit.lie_wanted || seen(unit, common_lie) ? common_lie : right_answer;
      case Attack::constant: return unit.lie_wanted ? common_lie : right_answer;
      case Attack::independent: return rng_.chance(trial_.rate) ? own_lie(peer) : right_answer;
      case Attack::sleeper: return worker.results >= sleeper_honest_units ? common_lie : right_answer;
      case Attack::copier: return unit.answers.empty() ? right_answer : unit.answers.front().outcome;
      case Attack::flood: return own_lie(peer);
      default: return right_answer;
    }
  }

  void state(PeerIndex peer, UnitIndex index, OutcomeIndex outcome, bool audit, bool copied = false) {
    Worker& worker = workers_[peer];
    UnitState& unit = units_[index];
    if (unit.answers.empty()) unit.first_answer = measures_.rounds;
    evaluation_.add(EntryFact{peer, {worker.chain, worker.next_index++}, index, 0, outcome, audit});
    unit.answers.push_back({peer, outcome, audit, copied});
    if (!audit) {
      ++worker.results;
      worker.answered.push_back(index);
    }
    ++worker.executions;
    if (worker.careful) ++measures_.executions;
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

  // A machine that comes back from an older image begins a chain behind a statement that was followed already, and answers again what it
  // has forgotten; when it hears what it had said it begins another one.
  void set_back() {
    if (trial_.attack != Attack::image) return;
    for (const PeerIndex peer : live_) {
      Worker& worker = workers_[peer];
      if (worker.set_back_at == 0 || measures_.rounds < worker.set_back_at) continue;
      const bool comes_back = measures_.rounds == worker.set_back_at;
      if (!comes_back && measures_.rounds != worker.set_back_at + set_back_rounds) continue;
      ++worker.chain;
      worker.next_index = 0;
      if (!comes_back) continue;
      forks_.push_back({peer, {worker.chain, 0}});
      evaluation_.add(forks_.back());
      const auto last = worker.answered.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(worker.answered.size(), set_back_repeats));
      for (const UnitIndex unit : std::vector<UnitIndex>(last, worker.answered.end())) state(peer, unit, right_answer, false);
      measures_.executions += set_back_repeats;
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
    if (trial_.attack == Attack::hardware && errs(worker)) outcome = own_lie(peer);
    if (trial_.attack == Attack::tier && worker.bad_tier && units_[*index].lie_wanted) outcome = common_lie;
    if (trial_.attack == Attack::bomber && rng_.chance(0.5)) outcome = common_lie;
    state(peer, *index, outcome, true, copies(peer));
    if (copies(peer)) return true;
    ++measures_.executions;
    if (!worker.liar && !worker.lazy) compare_fingerprints(peer, *index);
    return true;
  }

  // Whoever executes a unit sees by the way whose fingerprints are not of an execution. From the second such answer on it says so (decision 0029).
  void compare_fingerprints(PeerIndex executor, UnitIndex index) {
    for (const Answer& answer : units_[index].answers) {
      Worker& other = workers_[answer.peer];
      if (!answer.copied || other.copies.size() >= limits::replays_per_accused_max) continue;
      auto& seen = other.copies_seen[executor];
      if (!seen.insert(index).second || seen.size() < limits::copies_until_suspect) continue;
      for (const UnitIndex copy : seen) {
        if (!other.copies.insert(copy).second) continue;
        if (trial_.roots) measures_.executions += dispute_executions;  // its own replay of it
        dispute(copy);
      }
    }
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
      Worker& accused = workers_[answer.peer];
      const bool copied = answer.copied && accused.copies.contains(index);
      if (answer.outcome == right_answer && !copied && trial_.attack != Attack::bomber) continue;
      if (!trial_.roots && accused.replayed >= replays_per_accused) continue;
      ++accused.replayed;
      ReplayedFact fact{judge, answer.peer, index, right_answer, right_answer, head_of(accused), copied};
      if (trial_.attack == Attack::bomber) fact.interpreted = common_lie;
      if (workers_[judge].bad_tier && unit.lie_wanted) fact.compiled = common_lie;
      evaluation_.add(fact);
      replays_.push_back(fact);
      doubt_itself(answer, index, true);
      named = true;
    }
    if (!unit.replayed && named) {
      measures_.executions += trial_.roots ? dispute_executions : 0;
      if (!trial_.roots) ++reader_replays_;
    }
    unit.replayed = true;
    compare_fingerprints(judge, index);
    return named;
  }

  // An honest peer whose result is contradicted by what is accepted, or whose answer by a judge, executes it again itself on two tiers, a result
  // before anything else. If these differ it computes no more of this job; if its answer was wrong it has erred.
  void doubt_itself(const Answer& answer, UnitIndex index, bool proven) {
    Worker& worker = workers_[answer.peer];
    if (answer.audit && !proven) return;  // audits contradict by trade
    if (worker.liar || worker.lazy || worker.checked.size() >= limits::replays_per_accused_max || std::ranges::contains(worker.checked, index)) return;
    worker.checked.push_back(index);
    measures_.executions += dispute_executions;
    if (!answer.audit && trial_.heard_late == 0) ++worker.doubts;
    const std::uint64_t from = measures_.rounds + trial_.heard_late;
    doubts_.push_back({from, from + doubt_rounds, answer.peer, index, answer.outcome, answer.audit});
  }

  void end_doubts() {
    for (const Doubt& doubt : doubts_) {
      if (!doubt.audit && trial_.heard_late > 0 && doubt.from == measures_.rounds) ++workers_[doubt.peer].doubts;
    }
    for (; !doubts_.empty() && doubts_.front().until <= measures_.rounds; doubts_.pop_front()) {
      const Doubt& doubt = doubts_.front();
      Worker& worker = workers_[doubt.peer];
      if (!doubt.audit) --worker.doubts;
      const bool tiers_differ = trial_.attack == Attack::bomber || (worker.bad_tier && units_[doubt.unit].lie_wanted);
      if (tiers_differ) worker.retired = true;
      else if (doubt.stated != right_answer && ++worker.errors >= limits::errors_until_twice) worker.careful = true;
    }
  }

  // Who knows that its machine errs takes back what it said before three proofs ban its key.
  bool withdraw() {
    const std::size_t before = withdrawn_.size();
    for (PeerIndex peer = 0; peer < workers_.size(); ++peer) {
      Worker& worker = workers_[peer];
      const bool errs = worker.retired || worker.errors >= limits::faults_to_ban;
      if (worker.liar || worker.withdrawn || !errs || evaluation_.faulty_units(peer) < trial_.takes_back_at) continue;
      take_back(peer);
    }
    if (withdrawn_.size() == before) return false;
    evaluation_.settle();
    note_accepted();
    return true;
  }

  void take_back(PeerIndex peer) {
    workers_[peer].retired = workers_[peer].withdrawn = true;
    withdrawn_.push_back(peer);
    evaluation_.add(WithdrawnFact{peer});
  }

  // The last entry; of a chain that was just begun, the place before its first is as good.
  static LogPlace head_of(const Worker& worker) { return {worker.chain, worker.next_index == 0 ? 0 : worker.next_index - 1}; }

  void false_replays() {
    for (int i = 0; i < 5; ++i) {
      const auto judge = static_cast<PeerIndex>(rng_.below(workers_.size()));
      const auto accused = static_cast<PeerIndex>(rng_.below(workers_.size()));
      if (!workers_[judge].liar || workers_[accused].answered.empty()) continue;
      const ReplayedFact fact{judge, accused, workers_[accused].answered.front(), common_lie, common_lie,
                              {workers_[accused].chain, workers_[accused].next_index}, true};
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
      const bool returns = trial_.attack == Attack::whitewasher || trial_.attack == Attack::withdrawer;
      const bool washes = returns && workers_[peer].liar && evaluation_.faulty_units(peer) > (trial_.attack == Attack::withdrawer ? 1U : 0U);
      workers_[peer].gone = evaluation_.banned(peer) || washes;
      workers_[peer].banned_once = workers_[peer].banned_once || evaluation_.banned(peer);
      if (washes && trial_.attack == Attack::withdrawer) take_back(peer);
      if (!workers_[peer].gone) live_.push_back(peer);
      if (workers_[peer].gone && returns) ++newcomers;
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
      const OutcomeIndex accepted = *evaluation_.accepted_outcome(unit);
      if (accepted != right_answer && !std::exchange(state.ever_wrong, true)) ++measures_.ever_wrong;
      for (const Answer& answer : state.answers) {
        if (answer.outcome != accepted) doubt_itself(answer, unit, false);
      }
    }
    waiting_.insert(waiting_.begin(), reopened.begin(), reopened.end());  // before all new ones
  }

  std::uint32_t final_step() const { return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(units_.size()) / final_samples); }

  void note_final() {
    for (std::size_t i = 0; i < final_.size(); ++i) {
      const auto unit = static_cast<UnitIndex>(i * final_step());
      if (final_[i] || !evaluation_.accepted(unit) || !evaluation_.is_final(unit)) continue;
      final_[i] = static_cast<double>(measures_.rounds - units_[unit].first_answer);
    }
  }

  bool only_liars_answered(const UnitState& unit) const {
    return std::ranges::all_of(unit.answers, [&](const Answer& a) { return workers_[a.peer].liar; });
  }

  void finish() {
    evaluation_.settle();  // who has just left may have taken back what it said
    for (UnitIndex unit = 0; unit < units_.size(); ++unit) {
      if (!evaluation_.accepted(unit)) ++measures_.open;
      else if (evaluation_.accepted_outcome(unit) != right_answer) ++measures_.wrong;
    }
    for (PeerIndex peer = 0; peer < workers_.size(); ++peer) {
      const Worker& worker = workers_[peer];
      if (evaluation_.banned(peer)) ++(worker.liar ? measures_.liars_banned : measures_.honest_bans);
      if (!worker.liar && evaluation_.faulty_units(peer) > 0) ++measures_.honest_faults;
      if (!worker.liar && worker.banned_once) ++measures_.honest_bans_for_now;
    }
    policy::note_final(measures_, final_);
    measures_.replays = replays_.size();
    measures_.withdrawn = static_cast<std::uint32_t>(withdrawn_.size());
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
    for (PeerIndex peer = 0; peer < trial_.peers; ++peer) {
      if (workers_[peer].liar && trial_.farmed > 0) other.set_earned_elsewhere(peer, trial_.farmed);
    }
    for (const ForkedFact& fork : forks_) other.add(fork);
    for (const PeerIndex peer : withdrawn_) other.add(WithdrawnFact{peer});
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
  std::vector<ForkedFact> forks_;
  std::vector<PeerIndex> withdrawn_;
  std::deque<Doubt> doubts_;          // of honest peers about themselves
  std::vector<std::optional<double>> final_;  // per sample
  std::uint64_t reader_replays_ = 0;
  bool closing_ = false;
  std::uint64_t closing_budget_ = 0;
};

}  // namespace

Measures run_starling(const Trial& trial) { return Swarm(trial).run(); }

}  // namespace starling::simulation::policy
