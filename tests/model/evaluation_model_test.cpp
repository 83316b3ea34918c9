// V in lockstep with the naive model: random evidence in random arrival order, settled now and then.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/rng.hpp"
#include "tests/model/evaluation_model.hpp"

namespace {

using namespace starling::protocol;
using starling::base::Rng;
using starling::model::EvaluationModel;

void shuffle(auto& range, Rng& rng) {
  for (std::size_t i = range.size(); i > 1; --i) std::swap(range[i - 1], range[rng.below(i)]);
}

struct RandomOrders : OwnOrders {
  RandomOrders(std::uint32_t peers, std::uint32_t units, std::uint32_t block, Rng& rng) : orders(peers) {
    for (auto& blocks : orders) {
      for (UnitIndex first = 0; first < units; first += block) {
        std::vector<UnitIndex> own;
        for (UnitIndex unit = first; unit < std::min(first + block, units); ++unit) own.push_back(unit);
        shuffle(own, rng);
        blocks.push_back(own);
      }
    }
  }
  std::span<const UnitIndex> own_order(PeerIndex peer, std::uint32_t block) override { return orders[peer][block]; }
  std::vector<std::vector<std::vector<UnitIndex>>> orders;
};

// Outcome 4 i + a: answer a from what answer i of the unit before left. Of each unit some answers go on.
struct RandomChains : Chains {
  RandomChains(std::uint32_t units, Rng& rng) : ends(4 * units) {
    for (std::size_t i = 0; i < ends.size(); ++i) ends[i] = rng.below(i % 4 == 0 ? 20 : 4) == 0;
  }
  bool goes_on(UnitIndex unit, OutcomeIndex outcome) override { return !ends[4 * unit + outcome % 4]; }
  bool follows(UnitIndex, OutcomeIndex outcome, OutcomeIndex before) override { return outcome / 4 == before % 4; }
  bool same_input(UnitIndex, OutcomeIndex one, OutcomeIndex other) override { return one / 4 == other / 4; }
  std::vector<bool> ends;
};

struct World {
  std::uint32_t peers = 0;
  EvaluationParameters parameters;
  std::vector<EntryFact> entries;
  std::vector<ReplayedFact> replays;
  std::vector<ForkedFact> forks;
  std::vector<std::pair<PeerIndex, std::uint32_t>> earned;
  std::vector<PeerIndex> withdrawn;
  std::unique_ptr<RandomOrders> orders;
  std::unique_ptr<RandomChains> chains;
};

EvaluationParameters random_parameters(Rng& rng) {
  EvaluationParameters parameters;
  const VerificationClass classes[] = {VerificationClass::trusted, VerificationClass::fast, VerificationClass::standard,
                                       VerificationClass::standard, VerificationClass::strict};
  const std::uint32_t epsilons[] = {1'000, 20'000, 60'000, 60'000};
  parameters.verification = classes[rng.below(5)];
  parameters.epsilon_ppm = epsilons[rng.below(4)];
  parameters.unit_count = static_cast<std::uint32_t>(20 + rng.below(90));
  parameters.block_units = static_cast<std::uint32_t>(4 + rng.below(rng.below(2) == 0 ? 24 : 80));
  parameters.fault_reach = static_cast<std::uint32_t>(rng.below(2) == 0 ? rng.below(20) : 200);
  parameters.judges = {0};
  if (rng.below(2) == 0) parameters.judges.push_back(1);
  parameters.audits_until_final = static_cast<std::uint32_t>(1 + rng.below(4));
  parameters.units_until_final = static_cast<std::uint32_t>(1 + rng.below(30));
  parameters.work_per_audit = work_per_audit_at(static_cast<std::uint32_t>(rng.below(2) == 0 ? 5 : 1 + rng.below(50)));
  return parameters;
}

// Of random worlds, or of ones where most is a matter of what peers earn as they go on: many answers to a unit, none from chains; or where
// most is said again, and again behind forks and bans; or random ones in which some keys take back what they said.
enum class Kind { any, earning, repeating, withdrawing };

// Peers answer roughly in block order; a share lies in concert, some fork, repeat themselves, audit, are replayed.
World random_world(Rng& rng, Kind kind = Kind::any) {
  World world;
  world.parameters = random_parameters(rng);
  world.peers = static_cast<std::uint32_t>(2 + rng.below(12));
  if (kind == Kind::earning) {
    world.parameters.verification = VerificationClass::standard;
    world.parameters.epsilon_ppm = rng.below(4) == 0 ? 20'000 : 1'000;
    world.parameters.unit_count += 60;
    world.peers += 4;
  }
  const std::uint32_t units = world.parameters.unit_count;
  if (rng.below(2) == 0) world.orders = std::make_unique<RandomOrders>(world.peers, units, world.parameters.block_units, rng);
  if (kind != Kind::earning && rng.below(2) == 0) {
    world.chains = std::make_unique<RandomChains>(units, rng);
    world.parameters.stride = static_cast<std::uint32_t>(1 + rng.below(units / 2));
  }
  const auto begins = [&](UnitIndex unit) { return unit < world.parameters.stride || world.parameters.stride == 0; };
  const bool tidy = kind != Kind::repeating && rng.below(kind == Kind::earning ? 2 : 3) == 0;  // no liars, forks or repetitions: the fast path
  for (PeerIndex peer = 0; peer < world.peers; ++peer) {
    const bool liar = !tidy && rng.below(4) == 0;
    const std::uint64_t lie_percent = rng.below(60), audit_percent = rng.below(3) == 0 ? 15 : 0;
    LogPlace at;
    std::vector<UnitIndex> mine;
    for (UnitIndex unit = 0; unit < units; ++unit) {
      if (rng.below(3) != 0) mine.push_back(unit);
    }
    for (std::size_t i = 0; i + 1 < mine.size(); ++i) {  // a little out of order
      if (rng.below(4) == 0) std::swap(mine[i], mine[std::min(mine.size() - 1, i + rng.below(12))]);
    }
    for (const UnitIndex unit : mine) {
      EntryFact fact{peer, at, unit, 0, 0, rng.below(100) < audit_percent};
      if (liar && rng.below(100) < lie_percent) fact.outcome = static_cast<OutcomeIndex>(1 + rng.below(2));
      if (fact.audit && rng.below(3) == 0) fact.outcome = 1;  // contradicts what is accepted long since
      if (!tidy && !begins(unit) && rng.below(liar ? 4 : 12) == 0) fact.outcome += static_cast<OutcomeIndex>(4 * (1 + rng.below(2)));
      if (world.orders) {
        const auto order = world.orders->own_order(peer, unit / world.parameters.block_units);
        fact.position = static_cast<std::uint32_t>(std::ranges::find(order, unit) - order.begin());
        if (rng.below(peer % 4 == 3 ? 6 : 60) == 0) ++fact.position;
      }
      world.entries.push_back(fact);
      ++at.index;
      if (tidy) continue;
      if (kind == Kind::repeating && rng.below(3) == 0) {  // something of all that it said
        EntryFact again = world.entries[world.entries.size() - 1 - rng.below(std::min<std::size_t>(at.index, 30))];
        if (again.peer != peer) continue;
        if (again.at = at; rng.below(5) == 0) again.audit = !again.audit;
        world.entries.push_back(again);
        ++at.index;
        continue;
      }
      if (rng.below(40) == 0) {  // says something again, or otherwise, here or later
        fact.at = rng.below(2) == 0 ? at : LogPlace{at.chain, static_cast<std::uint32_t>(rng.below(at.index))};
        if (rng.below(2) == 0) fact.outcome += 3 - fact.outcome % 4;
        if (!begins(unit) && rng.below(2) == 0) fact.outcome = (fact.outcome + 4) % 12;
        if (rng.below(2) == 0) fact.audit = !fact.audit;
        world.entries.push_back(fact);
        ++at.index;
      }
      if (rng.below(300) == 0) world.forks.push_back({peer, {at.chain, static_cast<std::uint32_t>(at.index + rng.below(20))}});
      if (rng.below(50) == 0) at = {at.chain + 1, static_cast<std::uint32_t>(rng.below(3))};
    }
    if (rng.below(5) == 0) world.earned.emplace_back(peer, static_cast<std::uint32_t>(rng.below(40)));
  }
  if (!tidy) {
    for (const EntryFact& fact : world.entries) {
      if (fact.outcome % 4 == 0 ? rng.below(400) != 0 : rng.below(4) != 0) continue;
      ReplayedFact replay{static_cast<PeerIndex>(rng.below(3)), fact.peer, fact.unit, 0, 0, {fact.at.chain, fact.at.index + static_cast<std::uint32_t>(rng.below(9))}, rng.below(40) == 0};
      if (rng.below(10) != 0) replay.compiled = replay.interpreted = fact.outcome - fact.outcome % 4;
      if (rng.below(30) == 0) replay.interpreted = 5;
      world.replays.push_back(replay);
    }
  }
  for (PeerIndex peer = 0; kind == Kind::withdrawing && peer < world.peers; ++peer)
    if (rng.below(4) == 0) world.withdrawn.push_back(peer);
  return world;
}

// What changed since the last look is what poll_changed() names.
struct Watch {
  void look(Evaluation& evaluation) {
    const std::vector<UnitIndex> changed = evaluation.poll_changed();
    REQUIRE(std::ranges::is_sorted(changed));
    for (UnitIndex unit = 0; unit < evaluation.parameters().unit_count; ++unit) {
      const std::pair now(evaluation.accepted_outcome(unit), evaluation.skipped(unit));
      REQUIRE(std::ranges::count(changed, unit) == (now == closing[unit] ? 0 : 1));
      closing[unit] = now;
    }
  }
  std::map<UnitIndex, std::pair<std::optional<OutcomeIndex>, bool>> closing;
};

void compare_questions(const Evaluation& evaluation, const EvaluationModel& model, const EvaluationModel::Conclusion& expected, std::uint32_t peers, Rng& rng) {
  for (UnitIndex unit = 0; unit < model.parameters.unit_count; ++unit) {
    REQUIRE(evaluation.standings(unit) == model.standings(expected, unit));
    std::vector<PeerIndex> more;
    for (std::uint64_t n = rng.below(6); n > 0; --n) more.push_back(static_cast<PeerIndex>(rng.below(peers + 2)));
    const std::set<PeerIndex> different(more.begin(), more.end());
    more.assign(different.begin(), different.end());
    shuffle(more, rng);
    REQUIRE(evaluation.would_accept(unit, more) == model.would_accept(expected, unit, different));
    REQUIRE(evaluation.is_final(unit) == model.is_final(expected, unit));
  }
  REQUIRE(evaluation.banned() == std::vector<PeerIndex>(expected.banned.begin(), expected.banned.end()));
}

void compare(const Evaluation& evaluation, const EvaluationModel& model, std::uint32_t peers, Rng& rng) {
  const auto expected = model.conclude();
  compare_questions(evaluation, model, expected, peers, rng);
  for (UnitIndex unit = 0; unit < model.parameters.unit_count; ++unit) {
    const auto found = expected.accepted.find(unit);
    REQUIRE(evaluation.accepted(unit) == (found != expected.accepted.end()));
    const auto skipped = expected.skipped.find(unit);
    REQUIRE(evaluation.skipped(unit) == (skipped != expected.skipped.end()));
    if (evaluation.skipped(unit)) REQUIRE(evaluation.accepted_at(unit) == skipped->second);
    if (found == expected.accepted.end()) continue;
    REQUIRE(evaluation.accepted_outcome(unit) == found->second.outcome);
    REQUIRE(evaluation.accepted_at(unit) == found->second.stage);
  }
  for (PeerIndex peer = 0; peer < peers; ++peer) {
    REQUIRE(evaluation.banned(peer) == expected.banned.contains(peer));
    const auto k = expected.k.find(peer);
    REQUIRE(evaluation.verified_units(peer) == (k == expected.k.end() ? 0 : k->second));
    const auto faulty = expected.faulty_units.find(peer);
    REQUIRE(evaluation.faulty_units(peer) == (faulty == expected.faulty_units.end() ? 0 : faulty->second));
    REQUIRE(evaluation.withdrawn(peer) == model.withdrawn.contains(peer));
  }
  REQUIRE(evaluation.quarantined() == expected.quarantined);
  REQUIRE(evaluation.accepted_count() == expected.accepted.size());
  REQUIRE(evaluation.skipped_count() == expected.skipped.size());
}

// Of answers to what their author had answered before: those that asked for no look at his whole log, and all.
struct Repetitions {
  int cheap = 0, banned = 0, all = 0;
};

// Hears everything in random order, some of it twice; mostly log by log as it happens, or all mixed up.
Repetitions lockstep(std::uint64_t seed, Kind kind = Kind::any) {
  Repetitions repetitions;
  CAPTURE(seed);
  Rng rng(seed);
  const World world = random_world(rng, kind);
  Evaluation evaluation(world.parameters, world.orders.get(), world.chains.get());
  EvaluationModel model{world.parameters, world.orders.get(), world.chains.get(), {}, {}, {}, {}, {}};
  std::vector<std::pair<std::uint64_t, std::size_t>> arrivals;
  const std::size_t total = world.entries.size() + world.replays.size() + world.forks.size() + world.earned.size() + world.withdrawn.size();
  const std::uint64_t disorder = rng.below(3) == 0 ? 1'000'000 : 1 + rng.below(20);
  for (std::size_t i = 0; i < total; ++i) {
    const std::uint64_t natural = i < world.entries.size() ? world.entries[i].at.index + 60U * world.entries[i].at.chain : rng.below(120);
    arrivals.emplace_back(natural * 10 + rng.below(10 * disorder), i);
    if (rng.below(20) == 0) arrivals.emplace_back(rng.below(2000), i);
  }
  std::ranges::sort(arrivals);
  const std::uint64_t settle_every = 1 + rng.below(rng.below(2) == 0 ? 3 : 40);
  const std::uint64_t compare_every = 1 + arrivals.size() / 6;
  std::uint64_t settled = 0;
  Watch watch;
  Rng questions(seed);
  for (std::size_t n = 0; n < arrivals.size(); ++n) {
    const std::size_t i = arrivals[n].second;
    if (i < world.entries.size()) {
      const EntryFact& fact = world.entries[i];
      const bool again = evaluation.entries_of(fact.peer, fact.unit) > 0 && !evaluation.looks_anew();
      evaluation.add(fact);
      model.entries.push_back(fact);
      if (again) {
        const bool cheap = !evaluation.looks_anew();
        ++repetitions.all;
        repetitions.cheap += cheap ? 1 : 0;
        repetitions.banned += cheap && evaluation.banned(fact.peer) ? 1 : 0;
      }
    } else if (const std::size_t r = i - world.entries.size(); r < world.replays.size()) {
      evaluation.add(world.replays[r]);
      model.replays.push_back(world.replays[r]);
    } else if (const std::size_t f = r - world.replays.size(); f < world.forks.size()) {
      evaluation.add(world.forks[f]);
      model.forks.push_back(world.forks[f]);
    } else if (const std::size_t w = f - world.forks.size(); w < world.earned.size()) {
      const auto& [peer, units] = world.earned[w];
      evaluation.set_earned_elsewhere(peer, units);
      model.earned_elsewhere[peer] = units;
    } else {
      const PeerIndex peer = world.withdrawn[w - world.earned.size()];
      evaluation.add(WithdrawnFact{peer});
      model.withdrawn.insert(peer);
    }
    if (rng.below(settle_every) != 0 && n + 1 < arrivals.size()) continue;
    evaluation.settle();
    if (settled % 3 == 0) watch.look(evaluation);
    if (settled++ % 4 == 0) evaluation.check_invariants();
    if (settled % compare_every == 0 || n + 1 == arrivals.size()) compare(evaluation, model, world.peers, questions);
  }
  return repetitions;
}

}  // namespace

TEST_CASE("evaluation: incremental, from scratch and the naive model agree on random evidence in random order") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) lockstep(seed);
  lockstep(4898);  // an answer took room in its author's window although another of his had joined before it
}

TEST_CASE("evaluation: so they do where what peers earn lets fewer of them accept what is accepted already, only earlier") {
  for (std::uint64_t seed = 1; seed <= 120; ++seed) lockstep(seed, Kind::earning);
  lockstep(1538, Kind::earning);  // an answer was never credited whose unit moved out of a stage that was to be run again
}

TEST_CASE("evaluation: so they do where most is said again, which seldom asks for a look at the whole log") {
  Repetitions sum;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    const Repetitions one = lockstep(seed, Kind::repeating);
    sum.all += one.all, sum.cheap += one.cheap, sum.banned += one.banned;
  }
  MESSAGE(sum.all, " answers said again, ", sum.cheap, " of them for nothing, ", sum.banned, " by banned keys");
  CHECK(sum.cheap > 4000);
  CHECK(sum.cheap > sum.all / 3);
  CHECK(sum.banned > 50);
}

TEST_CASE("evaluation: so they do where keys take back what they said, before they say it, in the midst of it or after they were banned") {
  for (std::uint64_t seed = 1; seed <= 120; ++seed) lockstep(seed, Kind::withdrawing);
  int spared = 0;  // that would be banned
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng(seed);
    const World world = random_world(rng, Kind::withdrawing);
    Evaluation evaluation(world.parameters, world.orders.get(), world.chains.get());
    for (const EntryFact& fact : world.entries) evaluation.add(fact);
    for (const ReplayedFact& replay : world.replays) evaluation.add(replay);
    evaluation.settle();
    for (const PeerIndex peer : world.withdrawn) {
      const bool banned = evaluation.banned(peer);
      evaluation.add(WithdrawnFact{peer});
      evaluation.settle();
      spared += banned && !evaluation.banned(peer) ? 1 : 0;
    }
  }
  CHECK(spared > 5);
}

TEST_CASE("evaluation: the lockstep reaches what it is there for") {
  int accepted = 0, open = 0, banned = 0, contested = 0, late = 0, quarantined = 0, skipped = 0, went_on = 0, final = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng(seed);
    const World world = random_world(rng);
    Evaluation evaluation(world.parameters, world.orders.get(), world.chains.get());
    for (const EntryFact& fact : world.entries) evaluation.add(fact);
    for (const ReplayedFact& replay : world.replays) evaluation.add(replay);
    evaluation.settle();
    quarantined += evaluation.quarantined() ? 1 : 0;
    for (PeerIndex peer = 0; peer < world.peers; ++peer) banned += evaluation.banned(peer) ? 1 : 0;
    for (UnitIndex unit = 0; unit < world.parameters.unit_count; ++unit) {
      ++(evaluation.accepted(unit) ? accepted : open);
      contested += evaluation.standings(unit).dissenters > 0 ? 1 : 0;
      skipped += evaluation.skipped(unit) ? 1 : 0;
      final += evaluation.is_final(unit) ? 1 : 0;
      went_on += evaluation.accepted(unit) && world.chains && unit >= world.parameters.stride ? 1 : 0;
      late += evaluation.accepted(unit) && evaluation.accepted_at(unit) > 3 ? 1 : 0;
    }
  }
  CHECK(accepted > 500);
  CHECK(open > 500);
  CHECK(banned > 10);
  CHECK(contested > 200);
  CHECK(late > 150);
  CHECK(quarantined > 3);
  CHECK(skipped > 50);
  CHECK(went_on > 100);
  CHECK(final > 100);
  CHECK(final < accepted - 100);
}
