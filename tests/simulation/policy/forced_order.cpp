#include "tests/simulation/policy/forced_order.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/judgement/evaluation.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "tests/simulation/notary.hpp"
#include "tests/simulation/policy/timing.hpp"

namespace starling::simulation::policy {
namespace {

using namespace protocol;
using base::Rng;

constexpr OutcomeIndex right_answer = 0, common_lie = 1, first_own_lie = 2;
constexpr double news_rounds = 0.02, idle_look_rounds = 0.25, replay_rounds = 4, claim_rounds = 3;
constexpr double slow_speed = 0.1;
constexpr std::uint32_t dispute_executions = 3;  // two tiers and what it takes to fetch and start them
constexpr std::size_t order_units_kept_max = 40'000'000;
constexpr std::uint32_t final_samples = 200;

class FastDigester final : public Digester {
 public:
  Digest digest(base::ByteView bytes) override { return fast_digest(bytes); }
};

// Everybody's own orders, kept while the blocks they are of are worked on.
class Orders final : public OwnOrders {
 public:
  Orders(std::uint64_t seed, std::uint32_t units, std::uint32_t peers)
      : seed_(seed), order_(base::retag<base::JobId>(digest_of_words({seed, 0x0b})), {}, units, peers, digester_), kept_(order_.block_count()) {
    for (auto& block : kept_) block.resize(peers);
  }

  std::span<const UnitIndex> own_order(PeerIndex peer, std::uint32_t block) override {
    auto& own = kept_[block][peer];
    if (!own.empty()) return own;
    if (units_kept_ > order_units_kept_max) forget_one_but(block);
    own = order_.own_places(base::retag<base::PeerId>(digest_of_words({seed_, 0x1d, peer})), block);
    units_kept_ += own.size();
    return own;
  }

 private:
  void forget_one_but(std::uint32_t block) {
    for (std::uint32_t other = 0; other < kept_.size(); ++other) {
      std::size_t freed = 0;
      if (other == block) continue;
      for (auto& own : kept_[other]) freed += std::exchange(own, {}).size();
      units_kept_ -= freed;
      if (freed > 0) return;
    }
  }

  std::uint64_t seed_;
  FastDigester digester_;
  UnitOrder order_;
  std::vector<std::vector<std::vector<UnitIndex>>> kept_;  // block, peer
  std::size_t units_kept_ = 0;
};

struct Task {
  UnitIndex unit = 0;
  std::uint32_t position = 0;
  bool audit = false;
};

struct Cursor {
  std::uint32_t reopened = 0;  // of the block, when this was found
  std::uint32_t position = 0;  // everything before it is accepted or answered
};

struct Worker {
  bool colludes = false, lies_alone = false, left = false;
  double speed = 1;
  std::uint32_t next_index = 0, executions = 0, audits = 0;
  std::vector<UnitIndex> answered;  // results only
  std::vector<Cursor> cursors;      // per block
  Task task;
  bool liar() const { return colludes || lies_alone; }
};

struct Answer {
  PeerIndex peer;
  std::uint32_t index;  // in its log
  OutcomeIndex outcome;
  bool audit;
  bool named = false;   // by a replay
};

struct UnitState {
  std::vector<Answer> answers;
  std::vector<PeerIndex> runners;  // whose claims stand
  double first_answer = 0, wrong_since = 0;
  bool lie_wanted = false, lies = false;  // the coalition's coin; it has begun to
  bool contested = false, replayed = false, ever_accepted = false, ever_wrong = false, wrong = false;
};

enum class What : std::uint8_t { ends, looks, wakes, news, replay, lapses };

struct Event {
  double at;
  std::uint64_t number;
  What what;
  std::uint32_t who = 0, unit = 0;
  bool operator>(const Event& other) const { return std::pair(at, number) > std::pair(other.at, other.number); }
};

class OrderedSwarm {
 public:
  explicit OrderedSwarm(const OrderedTrial& trial)
      : trial_(trial), rng_(trial.seed * 0x9e3779b97f4a7c15ULL + 1234), orders_(trial.seed, trial.units, trial.peers),
        evaluation_(parameters(), own_orders()), workers_(trial.peers), units_(trial.units) {
    const std::uint32_t blocks = (trial.units + evaluation_.parameters().block_units - 1) / evaluation_.parameters().block_units;
    reopened_.resize(blocks);
    cast();
    for (Worker& worker : workers_) worker.cursors.resize(blocks);
    for (UnitState& unit : units_) unit.lie_wanted = rng_.chance(trial.rate);
    measures_.units = trial.units;
    measures_.fresh_target = members_needed({trial.verification, trial.epsilon_ppm}, {}).value_or(fresh_members_max);
    for (PeerIndex peer = 0; peer < trial.peers; ++peer) plan(rng_.unit(), What::looks, peer);
  }

  OrderedMeasures run() {
    const double rounds_max = 1000 + 200.0 * trial_.units;
    while (!events_.empty() && now_ < rounds_max) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      happen(event);
    }
    finish();
    return measures_;
  }

 private:
  EvaluationParameters parameters() const {
    EvaluationParameters p;
    p.verification = trial_.verification;
    p.epsilon_ppm = trial_.epsilon_ppm;
    p.unit_count = trial_.units;
    p.block_units = trial_.choice == Choice::free ? std::max(trial_.units, 16U) : block_size_of(trial_.peers);
    p.judges = judges();
    return p;
  }
  std::vector<PeerIndex> judges() const { return trial_.peers < 5 ? std::vector<PeerIndex>{0} : std::vector<PeerIndex>{0, 1}; }
  OwnOrders* own_orders() { return trial_.choice == Choice::forced ? &orders_ : nullptr; }

  // The judges are honest, stay, and are as fast as others.
  void cast() {
    std::vector<PeerIndex> others;
    for (auto peer = static_cast<PeerIndex>(judges().size()); peer < trial_.peers; ++peer) others.push_back(peer);
    for (std::size_t i = others.size(); i > 1; --i) std::swap(others[i - 1], others[rng_.below(i)]);
    const auto count = [&](double share) { return std::min(static_cast<std::size_t>(std::lround(share * trial_.peers)), others.size()); };
    std::size_t liars = count(trial_.f);
    for (std::size_t i = 0; i < liars; ++i) workers_[others[i]].colludes = true, workers_[others[i]].speed = trial_.speed;
    if (trial_.one_liar) workers_[others[liars++]].lies_alone = true;
    measures_.liars = static_cast<std::uint32_t>(liars);
    for (std::size_t i = 0; i < count(trial_.slow_share); ++i) workers_[others[others.size() - 1 - i]].speed = slow_speed;
    for (std::size_t i = 0; i < count(trial_.leaving_share); ++i) leaving_.push_back(others[others.size() - 1 - i]);
  }

  void plan(double delay, What what, std::uint32_t who = 0, std::uint32_t unit = 0) {
    events_.push({now_ + delay, next_event_++, what, who, unit});
  }

  void happen(const Event& event) {
    switch (event.what) {
      case What::ends: return end(event.who);
      case What::looks: return look(event.who);
      case What::wakes: return wake();
      case What::news: return hear();
      case What::replay: return replay(event.unit);
      case What::lapses: std::erase(units_[event.unit].runners, event.who); return ask_to_wake();
    }
  }

  void hear() {
    news_planned_ = false;
    evaluation_.settle();
    note_changes();
    note_final();
    if (!leaving_.empty() && evaluation_.accepted_count() * 2 >= units_.size()) leave();
    ask_to_wake();
  }

  void ask_to_wake() {
    if (idle_.empty() || std::exchange(wake_planned_, true)) return;
    plan(std::max(0.0, last_wake_ + idle_look_rounds - now_), What::wakes);
  }

  void wake() {
    wake_planned_ = false;
    last_wake_ = now_;
    for (const PeerIndex peer : std::exchange(idle_, {})) look(peer);
  }

  // ------------------------------------------------------------ who does what next

  void look(PeerIndex peer) {
    Worker& worker = workers_[peer];
    if (worker.left || evaluation_.banned(peer)) return;
    const auto task = choose(peer);
    if (!task) return idle_.push_back(peer);
    worker.task = *task;
    if (!task->audit) units_[task->unit].runners.push_back(peer);
    plan((0.9 + 0.2 * rng_.unit()) / worker.speed, What::ends, peer);
  }

  std::optional<Task> choose(PeerIndex peer) {
    if (audit_due(peer, limits::audit_share_percent)) {
      if (const auto audit = draw_audit(peer)) return audit;
    }
    if (const auto work = workers_[peer].colludes && trial_.manner != Manner::in_turn ? hunt(peer) : pick(peer)) return work;
    if (!audit_due(peer, limits::audit_share_percent + limits::closing_audit_share_percent)) return std::nullopt;
    return draw_audit(peer);
  }

  std::uint32_t blocks_open_to(PeerIndex peer) const {
    const std::uint32_t end = evaluation_.window_full(peer) ? evaluation_.oldest_open_block() + 1 : evaluation_.block_reached() + 2;
    return std::min(end, static_cast<std::uint32_t>(reopened_.size()));
  }

  bool answered(const UnitState& unit, PeerIndex peer) const {
    return std::ranges::any_of(unit.answers, [&](const Answer& a) { return a.peer == peer; });
  }
  bool wants(UnitIndex unit, PeerIndex peer) const { return !evaluation_.accepted(unit) && !answered(units_[unit], peer); }
  bool covered(UnitIndex unit) const { return !units_[unit].runners.empty() && evaluation_.would_accept(unit, units_[unit].runners); }

  UnitIndex first_of(std::uint32_t block) const { return block * evaluation_.parameters().block_units; }
  std::uint32_t size_of(std::uint32_t block) const {
    return std::min(evaluation_.parameters().block_units, trial_.units - first_of(block));
  }
  UnitIndex unit_at(PeerIndex peer, std::uint32_t block, std::uint32_t position) {
    return trial_.choice == Choice::forced ? orders_.own_order(peer, block)[position] : first_of(block) + position;
  }

  // Where this peer's work in the block begins.
  std::uint32_t begin_of(PeerIndex peer, std::uint32_t block) {
    Cursor& cursor = workers_[peer].cursors[block];
    if (cursor.reopened != reopened_[block]) cursor = {reopened_[block], 0};
    while (cursor.position < size_of(block) && !wants(unit_at(peer, block, cursor.position), peer)) ++cursor.position;
    return cursor.position;
  }

  std::optional<Task> pick(PeerIndex peer) {
    if (trial_.choice == Choice::free) return pick_anywhere(peer);
    std::uint32_t ahead = 0;
    for (std::uint32_t block = 0; block < blocks_open_to(peer) && ahead < limits::blocks_ahead_max; ++block) {
      const std::uint32_t begin = begin_of(peer, block);
      if (begin < size_of(block)) ++ahead;
      for (std::uint32_t position = begin; position < size_of(block); ++position) {
        const UnitIndex unit = unit_at(peer, block, position);
        if (wants(unit, peer) && !covered(unit)) return Task{unit, position};
      }
    }
    return std::nullopt;
  }

  std::optional<Task> pick_anywhere(PeerIndex peer) {
    const auto from = static_cast<UnitIndex>(rng_.below(trial_.units));
    for (UnitIndex i = 0; i < trial_.units; ++i) {
      const UnitIndex unit = (from + i) % trial_.units;
      if (wants(unit, peer) && !covered(unit)) return Task{unit, 0};
    }
    return std::nullopt;
  }

  // ------------------------------------------------------------ the coalition

  bool colludes(PeerIndex peer) const { return workers_[peer].colludes; }
  bool others_at(const UnitState& unit) const {
    return std::ranges::any_of(unit.answers, [&](const Answer& a) { return !colludes(a.peer); }) ||
           std::ranges::any_of(unit.runners, [&](PeerIndex p) { return !colludes(p); });
  }
  bool touched(const UnitState& unit) const { return !unit.answers.empty() || !unit.runners.empty(); }

  std::optional<Task> hunt(PeerIndex peer) {
    if (trial_.choice != Choice::forced || trial_.manner == Manner::ignores) return hunt_freely(peer);
    std::optional<Task> fresh, any;
    for (std::uint32_t block = 0; block < blocks_open_to(peer); ++block) {
      const std::uint32_t slack = order_slack(size_of(block));
      std::uint32_t open = 0;
      for (std::uint32_t position = begin_of(peer, block); position < size_of(block) && open <= slack; ++position) {
        const UnitIndex index = unit_at(peer, block, position);
        if (!wants(index, peer)) continue;
        if (!excused(index)) ++open;
        if (covered(index)) continue;
        const UnitState& unit = units_[index];
        if (!others_at(unit)) {
          if (touched(unit)) return Task{index, position};
          if (!fresh) fresh = Task{index, position};
        }
        if (!any) any = Task{index, position};
      }
    }
    return fresh ? fresh : any;
  }

  bool excused(UnitIndex unit) const {
    const auto results = std::ranges::count_if(units_[unit].answers, [&](const Answer& a) { return !a.audit && !evaluation_.banned(a.peer); });
    return results >= static_cast<std::int64_t>(trial_.verification);  // fast 1, standard 2, strict 3
  }

  std::optional<Task> hunt_freely(PeerIndex peer) {
    const UnitIndex end = std::min(first_of(blocks_open_to(peer) - 1) + size_of(blocks_open_to(peer) - 1), trial_.units);
    for (const UnitIndex unit : prey_) {
      if (unit < end && wants(unit, peer) && !others_at(units_[unit]) && !covered(unit)) return task_at(peer, unit);
    }
    if (trial_.choice != Choice::free) {  // far from where the others are
      for (UnitIndex unit = end; unit-- > 0 && unit + 2 * evaluation_.parameters().block_units >= end;) {
        if (!touched(units_[unit])) return task_at(peer, unit);
      }
    }
    for (int attempt = 0; attempt < 50 && trial_.choice == Choice::free; ++attempt) {
      const auto unit = static_cast<UnitIndex>(rng_.below(trial_.units));
      if (!touched(units_[unit])) return task_at(peer, unit);
    }
    return pick(peer);
  }
  Task task_at(PeerIndex peer, UnitIndex unit) {
    if (trial_.choice != Choice::forced) return {unit, 0};
    const auto order = orders_.own_order(peer, unit / evaluation_.parameters().block_units);
    return {unit, static_cast<std::uint32_t>(std::ranges::find(order, unit) - order.begin())};
  }

  OutcomeIndex answer_of(PeerIndex peer, UnitIndex index) {
    UnitState& unit = units_[index];
    if (workers_[peer].lies_alone) return first_own_lie + peer;
    if (!workers_[peer].colludes || !unit.lie_wanted || others_at(unit)) return right_answer;
    if (!unit.lies && unit.answers.empty()) unit.lies = evaluation_.would_accept(index, unit.runners);
    return unit.lies ? common_lie : right_answer;
  }

  // ------------------------------------------------------------ what is stated

  void end(PeerIndex peer) {
    Worker& worker = workers_[peer];
    if (worker.left) return;
    const Task task = worker.task;
    ++worker.executions;
    ++measures_.executions;
    const OutcomeIndex outcome = answer_of(peer, task.unit);
    if (!task.audit) std::erase(units_[task.unit].runners, peer);
    if (!evaluation_.banned(peer)) state(peer, task, outcome);
    look(peer);
  }

  void state(PeerIndex peer, const Task& task, OutcomeIndex outcome) {
    Worker& worker = workers_[peer];
    UnitState& unit = units_[task.unit];
    if (unit.answers.empty()) unit.first_answer = now_;
    evaluation_.add(EntryFact{peer, {0, worker.next_index}, task.unit, task.audit ? 0 : task.position, outcome, task.audit});
    unit.answers.push_back({peer, worker.next_index++, outcome, task.audit});
    ++measures_.statements;
    if (task.audit) ++worker.audits;
    else worker.answered.push_back(task.unit);
    if (unit.answers.front().outcome != outcome || unit.replayed) contest(task.unit);
    if (others_at(unit)) prey_.erase(task.unit);
    else prey_.insert(task.unit);
    if (!std::exchange(news_planned_, true)) plan(news_rounds, What::news);
  }

  void leave() {
    for (const PeerIndex peer : std::exchange(leaving_, {})) {
      workers_[peer].left = true;
      const bool works = std::ranges::find(units_[workers_[peer].task.unit].runners, peer) != units_[workers_[peer].task.unit].runners.end();
      if (works) plan(claim_rounds, What::lapses, peer, workers_[peer].task.unit);
    }
  }

  // ------------------------------------------------------------ audits and replays

  bool audit_due(PeerIndex peer, std::uint64_t share_percent) const {
    const Worker& worker = workers_[peer];
    if (worker.colludes || trial_.verification == VerificationClass::trusted) return false;
    return (worker.audits + 1) * 100 <= worker.executions * share_percent;
  }

  // As AuditPlan::draw has it.
  std::optional<Task> draw_audit(PeerIndex auditor) {
    std::optional<Task> found;
    for (std::size_t attempt = 0; attempt < limits::audit_draws_max; ++attempt) {
      const auto key = static_cast<PeerIndex>(rng_.below(workers_.size()));
      const auto& answers = workers_[key].answered;
      if (key == auditor || answers.empty() || rng_.below(limits::audit_verified_units_min) >= evaluation_.verified_units(key)) continue;
      const UnitIndex index = answers[rng_.below(answers.size())];
      const UnitState& unit = units_[index];
      const auto theirs = std::ranges::find(unit.answers, key, &Answer::peer);
      if (answered(unit, auditor) || evaluation_.accepted_outcome(index) != theirs->outcome) continue;
      found = Task{index, 0, true};
      if (std::ranges::none_of(unit.answers, &Answer::audit)) break;
    }
    return found;
  }

  void contest(UnitIndex unit) {
    if (!std::exchange(units_[unit].contested, true)) plan(replay_rounds, What::replay, 0, unit);
  }

  void replay(UnitIndex index) {
    UnitState& unit = units_[index];
    unit.contested = false;
    if (!std::exchange(unit.replayed, true)) measures_.executions += dispute_executions;
    const PeerIndex judge = judges()[rng_.below(judges().size())];
    for (Answer& answer : unit.answers) {
      if (answer.outcome == right_answer || std::exchange(answer.named, true)) continue;
      const ReplayedFact fact{judge, answer.peer, index, right_answer, right_answer, {0, workers_[answer.peer].next_index - 1}, false};
      evaluation_.add(fact);
      replays_.push_back(fact);
    }
    if (!std::exchange(news_planned_, true)) plan(news_rounds, What::news);
  }

  // ------------------------------------------------------------ bookkeeping

  void note_changes() {
    for (const UnitIndex index : evaluation_.poll_changed()) {
      UnitState& unit = units_[index];
      const auto outcome = evaluation_.accepted_outcome(index);
      if (!outcome) ++reopened_[index / evaluation_.parameters().block_units];
      if (outcome && !std::exchange(unit.ever_accepted, true) && only_coalition_counts(index)) ++measures_.alone_at_once;
      const bool wrong = outcome && *outcome != right_answer;
      if (wrong && !unit.wrong) unit.wrong_since = now_;
      if (!wrong && unit.wrong) wrong_rounds_.push_back(now_ - unit.wrong_since);
      unit.wrong = wrong;
      if (wrong && !std::exchange(unit.ever_wrong, true)) ++measures_.ever_wrong;
    }
    const bool all = evaluation_.accepted_count() == units_.size();
    if (!all) measures_.finished_rounds = 0;
    else if (measures_.finished_rounds == 0) measures_.finished_rounds = now_;
    const auto banned = static_cast<std::uint32_t>(evaluation_.banned().size());
    if (std::exchange(measures_.liars_banned, banned) < banned) measures_.removed_rounds = now_;
  }

  bool only_coalition_counts(UnitIndex index) const {
    return std::ranges::all_of(units_[index].answers, [&](const Answer& a) {
      const bool supports = !a.audit && a.outcome == evaluation_.accepted_outcome(index) && evaluation_.hearing(a.peer, {0, a.index}) == Hearing::counts;
      return !supports || colludes(a.peer);
    });
  }

  void note_final() {
    if (now_ < next_final_look_) return;
    next_final_look_ = now_ + 1;
    const std::uint32_t step = std::max<std::uint32_t>(1, trial_.units / final_samples);
    if (final_.empty()) final_.resize((trial_.units + step - 1) / step);
    for (std::size_t i = 0; i < final_.size(); ++i) {
      const auto unit = static_cast<UnitIndex>(i * step);
      if (!final_[i] && evaluation_.accepted(unit) && evaluation_.is_final(unit)) final_[i] = now_ - units_[unit].first_answer;
    }
  }

  void finish() {
    next_final_look_ = 0;
    note_final();
    policy::note_final(measures_, final_);
    measures_.wrong_rounds_mean = mean(wrong_rounds_);
    measures_.wrong_rounds_p99 = quantile(wrong_rounds_, 0.99);
    measures_.rounds = now_;
    measures_.replays = replays_.size();
    for (UnitIndex unit = 0; unit < units_.size(); ++unit) {
      if (!evaluation_.accepted(unit)) ++measures_.open;
      else if (units_[unit].wrong) ++measures_.wrong;
      if (evaluation_.accepted(unit) && only_coalition_counts(unit) && nobody_else_executed(units_[unit])) ++measures_.alone_left;
    }
    measures_.liars_banned = 0;
    for (PeerIndex peer = 0; peer < workers_.size(); ++peer) {
      if (!workers_[peer].liar() && !workers_[peer].left) ++measures_.honest_left;
      if (evaluation_.banned(peer)) ++(workers_[peer].liar() ? measures_.liars_banned : measures_.honest_bans);
    }
    second_reader();
  }

  bool nobody_else_executed(const UnitState& unit) const {
    return !unit.replayed && std::ranges::all_of(unit.answers, [&](const Answer& a) { return colludes(a.peer); });
  }

  // Hears everything in another order, in two portions: the same conclusions.
  void second_reader() {
    std::vector<EntryFact> facts;
    evaluation_.for_each_entry([&](const EntryFact& fact) { facts.push_back(fact); });
    for (std::size_t i = facts.size(); i > 1; --i) std::swap(facts[i - 1], facts[rng_.below(i)]);
    if (std::uint64_t{trial_.units} * trial_.peers > order_units_kept_max) {  // own orders are kept for few blocks at a time
      std::ranges::stable_sort(facts, {}, [&](const EntryFact& fact) { return fact.unit / evaluation_.parameters().block_units; });
    }
    Evaluation other(parameters(), own_orders());
    for (const ReplayedFact& fact : replays_) other.add(fact);
    for (std::size_t i = 0; i < facts.size(); ++i) {
      other.add(facts[i]);
      if (i == facts.size() / 2) other.settle();
    }
    other.settle();
    const auto compare = [&](bool same) { ++measures_.comparisons, measures_.agreements += same ? 1 : 0; };
    for (UnitIndex unit = 0; unit < units_.size(); ++unit) compare(other.accepted_outcome(unit) == evaluation_.accepted_outcome(unit));
    for (PeerIndex peer = 0; peer < workers_.size(); ++peer) {
      compare(other.banned(peer) == evaluation_.banned(peer) && other.verified_units(peer) == evaluation_.verified_units(peer));
    }
  }

  const OrderedTrial trial_;
  Rng rng_;
  Orders orders_;
  Evaluation evaluation_;
  OrderedMeasures measures_;
  std::vector<Worker> workers_;
  std::vector<UnitState> units_;
  std::vector<std::uint32_t> reopened_;  // per block: how often a unit of it was
  std::vector<PeerIndex> idle_, leaving_;
  std::set<UnitIndex> prey_;             // that only the coalition holds
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t next_event_ = 0;
  double now_ = 0, last_wake_ = -1, next_final_look_ = 0;
  bool news_planned_ = false, wake_planned_ = false;
  std::vector<std::optional<double>> final_;  // per sample
  std::vector<double> wrong_rounds_;
  std::vector<ReplayedFact> replays_;
};

}  // namespace

OrderedMeasures run_ordered(const OrderedTrial& trial) { return OrderedSwarm(trial).run(); }

}  // namespace starling::simulation::policy
