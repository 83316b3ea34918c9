#include "coordinator-less/protocol/judgement/evaluation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <vector>

#include "coordinator-less/base/rng.hpp"

namespace {

using namespace starling::protocol;

constexpr OutcomeIndex good = 0, bad = 1;
constexpr PeerIndex root = 900;

// Peers answer, audit and are replayed; each keeps its own log.
struct Court {
  explicit Court(std::uint32_t units = 64, std::uint32_t epsilon_ppm = 60'000, std::uint32_t block_units = 1024)
      : evaluation({VerificationClass::standard, epsilon_ppm, units, block_units, 100, {root}}) {}

  LogPlace state(PeerIndex peer, UnitIndex unit, OutcomeIndex outcome, bool audit = false) {
    const LogPlace at{0, next[peer]++};
    evaluation.add(EntryFact{peer, at, unit, 0, outcome, audit});
    return at;
  }
  void answer(std::initializer_list<PeerIndex> peers, UnitIndex unit, OutcomeIndex outcome = good) {
    for (const PeerIndex peer : peers) state(peer, unit, outcome);
    settle();
  }
  void replay(PeerIndex accused, UnitIndex unit, OutcomeIndex truth, PeerIndex judge = root) {
    evaluation.add(ReplayedFact{judge, accused, unit, truth, truth, {0, next[accused] - 1}, false});
    settle();
  }
  void settle() {
    evaluation.settle();
    evaluation.check_invariants();
  }
  // Makes both peers trusted: units [first, first + count) answered by the two of them.
  void earn(PeerIndex one, PeerIndex other, UnitIndex first, std::uint32_t count) {
    for (UnitIndex unit = first; unit < first + count; ++unit) answer({one, other}, unit);
  }

  Evaluation evaluation;
  std::map<PeerIndex, std::uint32_t> next;
};

// As far as its author's log goes.
bool may_count(const Evaluation& evaluation, PeerIndex peer, LogPlace at) {
  const Hearing hearing = evaluation.hearing(peer, at);
  return hearing != Hearing::unknown && hearing != Hearing::banned && hearing != Hearing::proven_wrong && hearing != Hearing::void_ &&
         hearing != Hearing::probation;
}

std::optional<std::uint32_t> fresh_target(VerificationClass verification, std::uint32_t epsilon_ppm) {
  return Evaluation({verification, epsilon_ppm, 1, 1, 100, {}}).standings(0).missing;
}

}  // namespace

TEST_CASE("evaluation: two fresh peers at 6e-2, five at 1e-3, and pairs once each has three verified units") {
  Court near;
  near.answer({1}, 0);
  CHECK_FALSE(near.evaluation.accepted(0));
  near.answer({2}, 0);
  CHECK(near.evaluation.accepted_outcome(0) == good);
  CHECK(near.evaluation.verified_units(1) == 1);

  Court open(64, 1'000);
  for (UnitIndex unit = 0; unit < 3; ++unit) {
    open.answer({1, 2, 3, 4}, unit);
    if (unit == 0) CHECK_FALSE(open.evaluation.accepted(unit));
    open.answer({5}, unit);
    CHECK(open.evaluation.accepted(unit));
  }
  open.answer({1, 2}, 3);
  CHECK(open.evaluation.accepted(3));
  open.answer({6, 7}, 4);
  CHECK_FALSE(open.evaluation.accepted(4));
}

TEST_CASE("evaluation: k never comes from the unit being judged") {
  Court court(8, 1'000);
  for (UnitIndex unit = 0; unit < 8; ++unit) court.answer({1, 2, 3, 4}, unit);
  CHECK(court.evaluation.accepted_count() == 0);  // four fresh peers can not vouch for each other
}

TEST_CASE("evaluation: a dissenter raises two to four") {
  Court court;
  court.answer({1, 2, 9}, 0, good);
  court.state(8, 0, bad);
  court.settle();
  CHECK_FALSE(court.evaluation.accepted(0));
  CHECK(court.evaluation.standings(0).dissenters == 1);
  court.answer({3}, 0);
  CHECK(court.evaluation.accepted(0));
}

TEST_CASE("evaluation: an audit supports nothing and adds no k, but reopens what it contradicts") {
  Court court;
  court.answer({1}, 0);
  court.state(2, 0, good, true);
  court.settle();
  CHECK_FALSE(court.evaluation.accepted(0));
  court.answer({3}, 0);
  CHECK(court.evaluation.accepted(0));
  CHECK(court.evaluation.verified_units(2) == 0);
  court.state(4, 0, bad, true);
  court.settle();
  CHECK_FALSE(court.evaluation.accepted(0));
  CHECK(court.evaluation.verified_units(1) == 0);
}

TEST_CASE("evaluation: audits that no work stands behind do not count") {
  Court court;
  for (UnitIndex unit = 0; unit < 10; ++unit) court.answer({100 + unit, 200 + unit}, unit);
  for (UnitIndex unit = 0; unit < 10; ++unit) court.state(9, unit, bad, true);
  court.settle();
  CHECK(court.evaluation.accepted_count() == 10 - audits_free);
  CHECK(work_per_audit_at(5) == 8);
  CHECK(work_per_audit_at(33) == 1);
  CHECK(work_per_audit_at(50) == 1);
}

TEST_CASE("evaluation: a window of sixteen unverified results, but none in the oldest open block") {
  Court court(64, 60'000, 16);
  for (UnitIndex unit = 0; unit < 32; ++unit) court.state(1, unit, good);
  for (UnitIndex unit = 16; unit < 32; ++unit) court.state(2, unit, good);
  court.settle();
  CHECK(court.evaluation.accepted_count() == 0);  // his first sixteen are the first block, which nobody confirmed
  Court one_block(64, 60'000, 64);
  for (UnitIndex unit = 0; unit < 32; ++unit) one_block.state(1, unit, good);
  for (UnitIndex unit = 16; unit < 32; ++unit) one_block.state(2, unit, good);
  one_block.settle();
  CHECK(one_block.evaluation.accepted_count() == 16);
}

TEST_CASE("evaluation: results count when half of every block before the last one is accepted") {
  Court court(64, 60'000, 16);
  court.answer({1, 2}, 40);  // block 2
  CHECK_FALSE(court.evaluation.accepted(40));
  for (UnitIndex unit = 0; unit < 7; ++unit) court.answer({3, 4}, unit);
  CHECK_FALSE(court.evaluation.accepted(40));
  court.answer({3, 4}, 7);
  CHECK(court.evaluation.accepted(40));
}

TEST_CASE("evaluation: only positions in a peer's own order count, with four open ones before them") {
  struct Straight : OwnOrders {
    std::vector<UnitIndex> units;
    std::span<const UnitIndex> own_order(PeerIndex, std::uint32_t) override { return units; }
  } orders;
  for (UnitIndex unit = 0; unit < 32; ++unit) orders.units.push_back(unit);
  const auto accepted_at = [&](std::uint32_t position, UnitIndex unit, UnitIndex answered_before) {
    Evaluation evaluation({VerificationClass::standard, 60'000, 32, 32, 100, {}}, &orders);
    for (const PeerIndex peer : {1U, 2U}) {
      std::uint32_t index = 0;
      for (UnitIndex before = 0; before < answered_before; ++before) evaluation.add(EntryFact{peer, {0, index++}, before, before, good, false});
      evaluation.add(EntryFact{peer, {0, index}, unit, position, good, false});
    }
    evaluation.settle();
    evaluation.check_invariants();
    return evaluation.accepted(unit);
  };
  CHECK(accepted_at(4, 4, 0));
  CHECK_FALSE(accepted_at(5, 5, 0));
  CHECK(accepted_at(5, 5, 1));
  CHECK_FALSE(accepted_at(3, 4, 0));  // not where it says
}

namespace {

struct RandomOrders : OwnOrders {
  RandomOrders(std::uint32_t peers, std::uint32_t units, std::uint32_t block_units) : orders(peers) {
    starling::base::Rng rng(7);
    for (auto& blocks : orders) {
      for (UnitIndex first = 0; first < units; first += block_units) {
        std::vector<UnitIndex>& own = blocks.emplace_back();
        for (UnitIndex unit = first; unit < std::min(first + block_units, units); ++unit) own.push_back(unit);
        for (std::size_t i = own.size(); i > 1; --i) std::swap(own[i - 1], own[rng.below(i)]);
      }
    }
  }
  std::span<const UnitIndex> own_order(PeerIndex peer, std::uint32_t block) override { return orders[peer][block]; }
  std::vector<std::vector<std::vector<UnitIndex>>> orders;
};

// An honest swarm without claims: whoever is next answers the first unit of his own order that has no two answers yet. Every
// third answer is heard after the following one.
std::uint64_t rolled_back_in_an_honest_swarm(std::uint32_t units, std::uint32_t block_units, bool ordered) {
  constexpr std::uint32_t peers = 20;
  RandomOrders orders(peers, units, block_units);
  Evaluation evaluation({VerificationClass::standard, 60'000, units, block_units, 100, {}}, ordered ? &orders : nullptr);
  std::vector<std::uint32_t> answers(units, 0), index(peers, 0), block(peers, 0), position(peers, 0);
  std::optional<EntryFact> late;
  for (std::uint32_t turn = 0; evaluation.accepted_count() < units && turn < 100 * units; ++turn) {
    const PeerIndex peer = turn * 7 % peers;
    while (block[peer] < orders.orders[peer].size()) {
      const auto& own = orders.orders[peer][block[peer]];
      if (position[peer] == own.size()) {
        ++block[peer];
        position[peer] = 0;
      } else if (answers[own[position[peer]]] >= 2) {
        ++position[peer];
      } else {
        break;
      }
    }
    if (block[peer] == orders.orders[peer].size()) {
      if (late) evaluation.add(*late);
      late.reset();
      evaluation.settle();
      continue;
    }
    const UnitIndex unit = orders.orders[peer][block[peer]][position[peer]];
    const EntryFact fact{peer, {0, index[peer]++}, unit, position[peer]++, good, false};
    ++answers[unit];
    if (turn % 3 == 0 && !late) {
      late = fact;
      continue;
    }
    evaluation.add(fact);
    if (late && late->peer != peer) {
      evaluation.settle();
      evaluation.add(*late);
      late.reset();
    }
    evaluation.settle();
  }
  CHECK(evaluation.accepted_count() == units);
  evaluation.check_invariants();
  return evaluation.rolled_back_count();
}

}  // namespace

TEST_CASE("evaluation: answers in the usual order take nothing back, with or without own orders, but where a block is half done or done") {
  CHECK(rolled_back_in_an_honest_swarm(600, 600, true) <= 2);
  CHECK(rolled_back_in_an_honest_swarm(600, 600, false) <= 2);
  CHECK(rolled_back_in_an_honest_swarm(1600, 160, true) <= 22);
  CHECK(rolled_back_in_an_honest_swarm(1600, 160, false) <= 22);
}

TEST_CASE("evaluation: what was ahead of its order joins when the earlier answers are heard, and a ban takes excuses back") {
  RandomOrders orders(8, 16, 16);
  for (auto& blocks : orders.orders) std::ranges::sort(blocks.front());
  Evaluation evaluation({VerificationClass::standard, 60'000, 16, 16, 100, {root}}, &orders);
  const auto state = [&](PeerIndex peer, std::uint32_t index, UnitIndex unit, OutcomeIndex outcome = good) {
    evaluation.add(EntryFact{peer, {0, index}, unit, unit, outcome, false});
    evaluation.settle();
    evaluation.check_invariants();
  };
  state(1, 9, 9);
  state(2, 9, 9);
  CHECK_FALSE(evaluation.accepted(9));
  for (UnitIndex unit = 0; unit < 5; ++unit) state(1, unit, unit);
  CHECK_FALSE(evaluation.accepted(9));
  for (UnitIndex unit = 0; unit < 4; ++unit) state(3, unit, unit, bad);
  CHECK_FALSE(evaluation.accepted(9));
  state(3, 4, 4, bad);  // units 0..4 are excused now: two keys have answered them, if not with one voice
  CHECK(evaluation.accepted(9));
  CHECK(evaluation.rolled_back_count() == 0);
  for (const PeerIndex peer : {1U, 3U}) evaluation.add(ReplayedFact{root, peer, 0, good, good, {0, 9}, true});
  evaluation.settle();
  evaluation.check_invariants();
  CHECK(evaluation.banned(3));
  CHECK_FALSE(evaluation.accepted(9));
  state(4, 0, 9);
  state(4, 1, 8);
  CHECK_FALSE(evaluation.accepted(9));
}

TEST_CASE("evaluation: a trusted job asks for no order, window or block") {
  RandomOrders orders(2, 200, 16);
  Evaluation evaluation({VerificationClass::trusted, 1'000, 200, 16, 100, {}}, &orders);
  for (UnitIndex unit = 200; unit-- > 0;) {
    evaluation.add(EntryFact{0, {0, 200 - unit}, unit, 0, good, false});
    evaluation.settle();
    CHECK(evaluation.accepted(unit));
  }
  evaluation.check_invariants();
}

TEST_CASE("evaluation: the first fault drops what came shortly before and after it, and k") {
  Court court(400, 60'000, 1024);
  court.earn(1, 2, 0, 150);
  court.state(1, 200, bad);
  court.settle();
  court.replay(1, 200, good, 7);  // no judge of this reader
  CHECK(court.evaluation.verified_units(1) == 150);
  court.replay(1, 200, good);
  CHECK(court.evaluation.faulty_units(1) == 1);
  CHECK_FALSE(court.evaluation.banned(1));
  CHECK(court.evaluation.verified_units(1) == 0);
  CHECK(court.evaluation.accepted(50));          // rank 50 of 151: beyond the reach of 100
  CHECK_FALSE(court.evaluation.accepted(51));
  court.answer({3}, 51);
  CHECK(court.evaluation.accepted(51));
  court.earn(1, 4, 201, probation_work);
  CHECK_FALSE(court.evaluation.accepted(201 + probation_work - 1));
  court.answer({1, 4}, 300);
  CHECK(court.evaluation.accepted(300));
  CHECK(court.evaluation.verified_units(1) == 1);
}

namespace {

// Everybody's order is the units as they are numbered; what names another position is junk.
struct StraightOrders : OwnOrders {
  explicit StraightOrders(std::uint32_t count) {
    for (UnitIndex unit = 0; unit < count; ++unit) units.push_back(unit);
  }
  std::span<const UnitIndex> own_order(PeerIndex, std::uint32_t) override { return units; }
  std::vector<UnitIndex> units;
};

struct OrderedCourt {
  explicit OrderedCourt(std::uint32_t units)
      : orders(units), evaluation({VerificationClass::standard, 60'000, units, units, 100, {root}}, &orders) {}
  LogPlace state(PeerIndex peer, UnitIndex unit, OutcomeIndex outcome = good, bool audit = false) {
    return state_at(peer, unit, unit, outcome, audit);
  }
  LogPlace state_at(PeerIndex peer, UnitIndex unit, std::uint32_t position, OutcomeIndex outcome = good, bool audit = false) {
    const LogPlace at{0, next[peer]++};
    evaluation.add(EntryFact{peer, at, unit, position, outcome, audit});
    return at;
  }
  // Answers that need no work: units far ahead at a position that is not theirs, each of them twice.
  void junk(PeerIndex peer, std::uint32_t count) {
    for (std::uint32_t n = 0; n < count; ++n) state_at(peer, static_cast<UnitIndex>(orders.units.size()) - 1 - n / 2, 0);
  }
  void replay(PeerIndex accused, UnitIndex unit, LogPlace head) { evaluation.add(ReplayedFact{root, accused, unit, good, good, head, false}); }
  void settle() {
    evaluation.settle();
    evaluation.check_invariants();
  }
  StraightOrders orders;
  Evaluation evaluation;
  std::map<PeerIndex, std::uint32_t> next;
};

}  // namespace

TEST_CASE("evaluation: entries that need no work neither shield earlier work from a fault nor end the probation behind it") {
  OrderedCourt court(2000);
  for (UnitIndex unit = 0; unit < 150; ++unit) {
    for (const PeerIndex peer : {1U, 2U}) court.state(peer, unit);
  }
  court.junk(1, 300);
  const LogPlace lie = court.state(1, 150, bad);
  court.replay(1, 150, lie);
  court.settle();
  CHECK(court.evaluation.accepted(50));
  CHECK_FALSE(court.evaluation.accepted(51));
  CHECK_FALSE(may_count(court.evaluation, 1, {0, 200}));  // junk in between is dropped too
  court.junk(1, 300);
  for (UnitIndex unit = 151; unit < 151 + probation_work; ++unit) court.state(1, unit);
  court.settle();
  CHECK(court.evaluation.hearing(1, {0, court.next[1] - 1}) == Hearing::probation);
  court.state(1, 151 + probation_work);
  court.settle();
  CHECK(may_count(court.evaluation, 1, {0, court.next[1] - 1}));
}

TEST_CASE("evaluation: entries that need no work do not spread faults or buy audits") {
  OrderedCourt court(4000);
  for (UnitIndex unit = 0; unit < 3; ++unit) {
    const LogPlace lie = court.state(1, unit, bad);
    court.replay(1, unit, lie);
    court.junk(1, 1100);
  }
  court.settle();
  CHECK(court.evaluation.banned(1));
  court.junk(2, 80);
  for (UnitIndex unit = 0; unit < audits_free + 1; ++unit) court.state(2, unit, bad, true);
  court.settle();
  CHECK(may_count(court.evaluation, 2, {0, court.next[2] - 2}));
  CHECK_FALSE(may_count(court.evaluation, 2, {0, court.next[2] - 1}));
  for (UnitIndex unit = 0; unit < EvaluationParameters{}.work_per_audit; ++unit) court.state(3, unit);
  for (UnitIndex unit = 10; unit < 10 + audits_free + 1; ++unit) court.state(3, unit, bad, true);
  court.settle();
  CHECK(may_count(court.evaluation, 3, {0, court.next[3] - 1}));
}

TEST_CASE("evaluation: only answers at their position, of keys that are not banned and not forked away, excuse others") {
  const auto accepted_behind = [](auto&& excuse) {
    OrderedCourt court(32);
    for (UnitIndex unit = 0; unit < 8; ++unit) excuse(court, unit);
    for (const PeerIndex peer : {1U, 2U}) court.state(peer, 12);
    court.settle();
    return court.evaluation.accepted(12);
  };
  CHECK_FALSE(accepted_behind([](OrderedCourt&, UnitIndex) {}));
  CHECK_FALSE(accepted_behind([](OrderedCourt& court, UnitIndex unit) {
    for (const PeerIndex peer : {7U, 8U}) court.state_at(peer, unit, unit + 1, bad);
  }));
  const auto at_their_positions = [](OrderedCourt& court, UnitIndex unit) {
    for (const PeerIndex peer : {7U, 8U}) court.state(peer, unit, bad);
  };
  CHECK(accepted_behind(at_their_positions));
  CHECK(accepted_behind([&](OrderedCourt& court, UnitIndex unit) {  // one fault takes no excuse back
    at_their_positions(court, unit);
    if (unit == 0) court.replay(7, unit, {0, 0});
  }));
  CHECK_FALSE(accepted_behind([&](OrderedCourt& court, UnitIndex unit) {
    at_their_positions(court, unit);
    if (unit < 3) court.replay(7, unit, {0, unit});
  }));
  CHECK_FALSE(accepted_behind([&](OrderedCourt& court, UnitIndex unit) {
    at_their_positions(court, unit);
    if (unit == 0) court.evaluation.add(ForkedFact{8, {0, 0}});
  }));
}

TEST_CASE("evaluation: a key that states one unit over and over costs no more than so many entries") {
  Court court(64);
  constexpr std::uint32_t statements = 30'000;  // 9 * 10^8 pairs
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint32_t n = 0; n < statements; ++n) court.state(1, 5, n % 3, n % 5 == 0);
  court.evaluation.settle();
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(1));
  for (const std::uint32_t index : {0U, 1U, statements - 1}) CHECK_FALSE(may_count(court.evaluation, 1, {0, index}));
}

TEST_CASE("evaluation: an answer heard amid a log gains weight with its author, and pushes a dissenter out of the window") {
  Court court(64, 1'000);
  for (const PeerIndex peer : {1U, 2U}) {
    court.evaluation.add(EntryFact{peer, {0, 1}, 0, 0, good, false});
    court.evaluation.add(EntryFact{peer, {0, 2}, 1, 0, good, false});
    court.next[peer] = 3;
  }
  for (const UnitIndex unit : {0U, 1U}) court.answer({3, 4, 5}, unit);
  CHECK(court.evaluation.verified_units(1) == 2);
  for (const PeerIndex peer : {1U, 2U}) court.evaluation.add(EntryFact{peer, {0, 0}, 10, 0, good, false});
  court.settle();
  CHECK_FALSE(court.evaluation.accepted(10));
  court.answer({1, 2, 3, 4}, 2);  // a stage of its own
  CHECK(court.evaluation.accepted_at(2) > court.evaluation.accepted_at(1));
  CHECK(court.evaluation.accepted(10));

  Court blocks(64, 60'000, 16);
  for (std::uint32_t index = 1; index < window_min; ++index) blocks.evaluation.add(EntryFact{9, {0, index}, index, 0, good, false});
  blocks.evaluation.add(EntryFact{9, {0, window_min}, 20, 0, bad, false});
  blocks.answer({1, 2}, 20);
  CHECK_FALSE(blocks.evaluation.accepted(20));
  blocks.evaluation.add(EntryFact{9, {0, 0}, 0, 0, good, false});
  blocks.settle();
  CHECK(blocks.evaluation.accepted(20));
}

TEST_CASE("evaluation: two answers to a unit fork every chain in which one of them is repeated") {
  Court court;
  const auto state = [&](LogPlace at, UnitIndex unit, OutcomeIndex outcome) { court.evaluation.add(EntryFact{1, at, unit, 0, outcome, false}); };
  state({0, 0}, 5, good);
  state({0, 1}, 6, good);
  state({0, 2}, 5, bad);
  state({1, 0}, 7, good);
  state({1, 1}, 5, good);
  state({1, 2}, 8, good);
  court.settle();
  CHECK_FALSE(may_count(court.evaluation, 1, {0, 0}));
  CHECK(may_count(court.evaluation, 1, {0, 1}));
  CHECK(may_count(court.evaluation, 1, {1, 0}));
  CHECK_FALSE(may_count(court.evaluation, 1, {1, 1}));
  CHECK_FALSE(may_count(court.evaluation, 1, {1, 2}));
}

TEST_CASE("evaluation: what is void by itself takes no stage back, however often it is said") {
  constexpr UnitIndex units = 2000;
  Court court(units, 60'000, 200);
  for (UnitIndex unit = 0; unit < units; ++unit) {
    for (const PeerIndex peer : {1U, 2U, 3U}) court.state(peer, unit, good);
    if (unit % 50 == 0) court.evaluation.settle();
  }
  court.settle();
  REQUIRE(court.evaluation.accepted_count() == units);
  const auto rolled_back_by = [&](const auto& say) {
    const std::uint64_t before = court.evaluation.rolled_back_count();
    for (UnitIndex unit = 0; unit < 1000; ++unit) {
      say(unit);
      court.evaluation.settle();
    }
    court.evaluation.check_invariants();
    return court.evaluation.rolled_back_count() - before;
  };
  CHECK(rolled_back_by([&](UnitIndex unit) { court.state(1, unit, good, unit % 3 == 0); }) == 0);
  court.next[1] += 2000;
  CHECK(rolled_back_by([&](UnitIndex unit) {  // the last one first
          court.evaluation.add(EntryFact{1, {0, court.next[1] - unit}, unit, 0, good, false});
        }) == 0);
  court.next[1] += 1;
  // The same behind a fork, and of a banned key: one look at the whole log, then none.
  court.state(2, 0, bad);
  CHECK(rolled_back_by([&](UnitIndex unit) {
          court.state(2, unit, unit % 2 == 0 ? good : bad);
          court.evaluation.add(ForkedFact{2, {0, court.next[2] - 1}});
        }) <= 2 + 500);  // each second one contradicts what counted before the fork
  CHECK(rolled_back_by([&](UnitIndex unit) {
          court.state(2, unit, unit % 2 == 0 ? good : bad);
          court.evaluation.add(ForkedFact{2, {0, court.next[2] - 1}});
        }) == 0);
  court.evaluation.add(ReplayedFact{root, 3, 5, good, good, {0, 9}, true});
  court.settle();
  REQUIRE(court.evaluation.banned(3));
  CHECK(rolled_back_by([&](UnitIndex unit) { court.state(3, unit == 5 ? 6 : unit, unit % 2 == 0 ? good : bad); }) == 0);
}

TEST_CASE("evaluation: entries that are heard in random order seldom take stages back") {
  constexpr UnitIndex units = 900;
  constexpr PeerIndex peers = 30;
  std::vector<EntryFact> facts;
  for (UnitIndex unit = 0; unit < units; ++unit) {
    for (const PeerIndex peer : {unit % peers, (unit + 1 + unit / peers % 7) % peers}) {
      facts.push_back({peer, {0, static_cast<std::uint32_t>(facts.size())}, unit, 0, good, unit % 9 == 0 && peer == unit % peers});
    }
  }
  starling::base::Rng rng(3);
  for (std::size_t i = facts.size(); i > 1; --i) std::swap(facts[i - 1], facts[rng.below(i)]);
  Evaluation evaluation({VerificationClass::standard, 60'000, units, units, 100, {}});
  for (const EntryFact& fact : facts) {
    evaluation.add(fact);
    evaluation.settle();
  }
  evaluation.check_invariants();
  CHECK(evaluation.accepted_count() == units - units / 9);
  CHECK(evaluation.rolled_back_count() <= 100);
}

TEST_CASE("evaluation: three faulty units among a thousand entries ban, three far apart do not") {
  for (const bool near : {true, false}) {
    Court court(4000, 60'000, 4096);
    for (std::uint32_t entry = 0; entry < 2001; ++entry) court.state(1, entry, entry % (near ? 400 : 1000) == 0 && entry <= (near ? 800U : 2000U) ? bad : good);
    const UnitIndex step = near ? 400 : 1000;
    for (UnitIndex unit = 0; unit <= 2 * step; unit += step) court.evaluation.add(ReplayedFact{root, 1, unit, good, good, {0, unit}, false});
    court.settle();
    CHECK(court.evaluation.faulty_units(1) == 3);
    CHECK(court.evaluation.banned(1) == near);
  }
}

TEST_CASE("evaluation: a wrong fingerprint bans, but only a key that really answered; tiers that differ blame nobody") {
  Court court;
  court.answer({1, 2}, 0);
  court.evaluation.add(ReplayedFact{root, 1, 0, good, good, {0, 0}, true});
  court.evaluation.add(ReplayedFact{root, 3, 0, good, good, {0, 0}, true});
  court.settle();
  CHECK(court.evaluation.banned(1));
  CHECK_FALSE(court.evaluation.banned(3));
  CHECK_FALSE(court.evaluation.accepted(0));
  court.evaluation.add(ReplayedFact{root, 2, 0, good, bad, {0, 0}, false});
  court.settle();
  CHECK(court.evaluation.quarantined());
  CHECK(court.evaluation.faulty_units(2) == 0);
}

TEST_CASE("evaluation: a fork voids the tail of its chain, resets k, and bans nobody") {
  Court court(64);
  court.earn(1, 2, 0, 10);
  court.evaluation.add(EntryFact{1, {0, 6}, 20, 0, good, false});  // another entry at a place that is taken
  court.settle();
  CHECK_FALSE(court.evaluation.banned(1));
  CHECK(court.evaluation.accepted(5));
  CHECK_FALSE(court.evaluation.accepted(6));
  CHECK(court.evaluation.verified_units(1) == 0);
  CHECK(may_count(court.evaluation, 1, {0, 5}));
  CHECK_FALSE(may_count(court.evaluation, 1, {0, 9}));
  court.evaluation.add(EntryFact{1, {1, 0}, 30, 0, good, false});  // a new chain
  court.state(2, 30, good);
  court.settle();
  CHECK(court.evaluation.verified_units(1) == 1);
}

TEST_CASE("evaluation: a fork takes away what was earned elsewhere too, in whatever order it is heard") {
  for (const bool forked_first : {false, true}) {
    Court court(64, 1'000);
    if (forked_first) court.evaluation.add(ForkedFact{1, {0, 1}});
    court.evaluation.set_earned_elsewhere(1, 50);
    court.answer({1, 3}, 0);
    CHECK(court.evaluation.accepted(0) != forked_first);
    court.evaluation.add(ForkedFact{1, {0, 1}});
    court.settle();
    CHECK_FALSE(court.evaluation.accepted(0));
    CHECK(court.evaluation.verified_units(1) == 0);
    CHECK_FALSE(court.evaluation.banned(1));
  }
}

TEST_CASE("evaluation: the slack is 5 % of a small block, never less than four positions, and hardly grows with a large one") {
  CHECK(order_slack(16) == 4);
  CHECK(order_slack(64) == 4);
  CHECK(order_slack(128) == 6);
  CHECK(order_slack(256) == 12);
  CHECK(order_slack(2048) == 15);
  CHECK(order_slack(1U << 16) == 20);
}

TEST_CASE("evaluation: what was earned elsewhere counts until a fault") {
  Court court(64, 1'000);
  court.evaluation.set_earned_elsewhere(1, 50);
  court.evaluation.set_earned_elsewhere(2, 50);
  court.answer({1, 2}, 0);
  CHECK(court.evaluation.accepted(0));
  CHECK(court.evaluation.verified_units(1) == 51);
  court.state(1, 1, bad);
  court.replay(1, 1, good);
  CHECK(court.evaluation.verified_units(1) == 0);
}

namespace {

// Outcome 10 i + a: answer a from what answer i of the segment before left. Answer 9 ends its unit.
struct TenthChains : Chains {
  bool goes_on(UnitIndex, OutcomeIndex outcome) override { return outcome % 10 != 9; }
  bool follows(UnitIndex, OutcomeIndex outcome, OutcomeIndex before) override { return outcome / 10 == before % 10; }
  bool same_input(UnitIndex, OutcomeIndex one, OutcomeIndex other) override { return one / 10 == other / 10; }
};

// Four units in four segments: unit u in segment s is 4 s + u.
struct ChainCourt {
  void state(std::initializer_list<PeerIndex> peers, UnitIndex unit, OutcomeIndex outcome, bool audit = false) {
    for (const PeerIndex peer : peers) evaluation.add(EntryFact{peer, {0, next[peer]++}, unit, 0, outcome, audit});
    settle();
  }
  void settle() {
    evaluation.settle();
    evaluation.check_invariants();
  }
  TenthChains chains;
  Evaluation evaluation{{VerificationClass::standard, 60'000, 16, 16, 100, {root}, 4}, nullptr, &chains};
  std::map<PeerIndex, std::uint32_t> next;
};

}  // namespace

TEST_CASE("evaluation: a segment's answers count behind the acceptance of what they went on from") {
  ChainCourt court;
  court.state({1, 2}, 4, 0);
  CHECK_FALSE(court.evaluation.accepted(4));
  court.state({1, 2}, 0, 0);
  CHECK(court.evaluation.accepted(0));
  CHECK(court.evaluation.accepted(4));
  CHECK(court.evaluation.accepted_at(4) == court.evaluation.accepted_at(0) + 1);
  court.state({3, 4}, 8, 10);  // from another archive than the accepted one
  CHECK_FALSE(court.evaluation.accepted(8));
  CHECK(court.evaluation.standings(8).supporters == 0);
  court.state({1, 2}, 8, 0);
  CHECK(court.evaluation.accepted_outcome(8) == 0);
  CHECK(court.evaluation.standings(8).dissenters == 0);
  court.state({5}, 0, 1, true);  // reopens the first, and with it all that follows
  CHECK(court.evaluation.accepted_count() == 0);
  court.state({6, 7}, 0, 0);
  CHECK(court.evaluation.accepted_count() == 3);
  CHECK(court.evaluation.verified_units(1) == 3);
}

TEST_CASE("evaluation: an outcome that does not go on skips the rest of its chain") {
  ChainCourt court;
  court.state({1, 2}, 1, 0);
  court.state({1, 2}, 5, 9);
  CHECK(court.evaluation.accepted(5));
  CHECK(court.evaluation.skipped(9));
  CHECK(court.evaluation.skipped(13));
  CHECK(court.evaluation.closed(13));
  CHECK_FALSE(court.evaluation.accepted(13));
  CHECK_FALSE(court.evaluation.accepted_outcome(13));
  CHECK(court.evaluation.accepted_at(13) == court.evaluation.accepted_at(5));
  CHECK(court.evaluation.accepted_count() == 2);
  CHECK(court.evaluation.skipped_count() == 2);
  CHECK_FALSE(court.evaluation.skipped(8));
  court.state({1, 2}, 0, 9);  // skipped units are done for the block: everything but two whole chains is closed now
  CHECK(court.evaluation.accepted_count() + court.evaluation.skipped_count() == 8);
  CHECK(court.evaluation.block_reached() == 1);
  court.state({3, 4, 5}, 5, 0, true);
  CHECK(court.evaluation.skipped_count() == 3);  // of the other chain
  CHECK_FALSE(court.evaluation.skipped(13));
}

TEST_CASE("evaluation: answers from different inputs are no fork, and a replay speaks of its own input only") {
  ChainCourt court;
  court.state({1, 2}, 0, 0);
  court.state({1}, 4, 10);
  court.state({1}, 4, 0);
  CHECK(may_count(court.evaluation, 1, {0, 1}));
  CHECK(may_count(court.evaluation, 1, {0, 2}));
  court.evaluation.add(ReplayedFact{root, 1, 4, 12, 12, {0, 2}, false});
  court.settle();
  CHECK(court.evaluation.faulty_units(1) == 1);
  CHECK_FALSE(may_count(court.evaluation, 1, {0, 1}));
  ChainCourt other;
  other.state({1, 2}, 0, 0);
  other.state({1}, 4, 10);
  other.evaluation.add(ReplayedFact{root, 1, 4, 5, 5, {0, 1}, true});
  other.settle();
  CHECK(other.evaluation.faulty_units(1) == 0);
  CHECK_FALSE(other.evaluation.banned(1));
  other.state({1}, 4, 11);
  CHECK_FALSE(may_count(other.evaluation, 1, {0, 1}));
}

TEST_CASE("evaluation: of a key's answers to one unit from ever more inputs those from the first few count") {
  ChainCourt court;
  court.state({1, 2}, 0, 0);
  for (OutcomeIndex input = 0; input <= inputs_per_unit_max; ++input) court.state({3}, 4, 10 * (inputs_per_unit_max - input));
  CHECK(may_count(court.evaluation, 3, {0, inputs_per_unit_max - 1}));
  CHECK_FALSE(may_count(court.evaluation, 3, {0, inputs_per_unit_max}));
  court.state({3}, 4, 1);  // from the input that came too late: no fork
  CHECK(may_count(court.evaluation, 3, {0, inputs_per_unit_max - 1}));
}

TEST_CASE("evaluation: final after five audits or two hundred units of its supporters") {
  Court court(600, 60'000, 1024);
  court.earn(1, 2, 0, 200);
  CHECK_FALSE(court.evaluation.is_final(0));
  court.earn(1, 2, 200, 1);
  CHECK(court.evaluation.is_final(0));
  CHECK_FALSE(court.evaluation.is_final(1));
  CHECK_FALSE(court.evaluation.is_final(190));
  court.earn(3, 4, 300, 4 * work_per_vouching_audit);
  for (UnitIndex unit = 196; unit < 200; ++unit) court.state(3, unit, good, true);
  court.settle();
  CHECK_FALSE(court.evaluation.is_final(190));
  court.state(4, 195, good, true);
  court.settle();
  CHECK(court.evaluation.is_final(190));
}

TEST_CASE("evaluation: would_accept tells how many more agreeing peers a unit needs") {
  Court court(8, 1'000);
  court.answer({1, 2}, 0);
  const PeerIndex more[] = {3, 4, 5};
  CHECK_FALSE(court.evaluation.would_accept(0, std::span(more).first(2)));
  CHECK(court.evaluation.would_accept(0, more));
  const PeerIndex again[] = {1, 3, 4};
  CHECK_FALSE(court.evaluation.would_accept(0, again));
}

TEST_CASE("evaluation: standings tell who leads and how many fresh peers are missing") {
  Court court;
  CHECK(court.evaluation.standings(0) == Standings{std::nullopt, 0, 0, 2});
  court.answer({1}, 0);
  CHECK(court.evaluation.standings(0) == Standings{good, 1, 0, 1});
  court.state(2, 0, bad);
  court.state(3, 0, bad, true);
  court.settle();
  CHECK(court.evaluation.standings(0) == Standings{bad, 1, 1, 3});  // of two results one has an audit beside it
  court.answer({4, 5, 6, 7}, 0);
  CHECK(court.evaluation.standings(0) == Standings{good, 5, 2, 0});
  for (PeerIndex peer = 100; peer < 125; ++peer) court.state(peer, 1, peer);
  for (PeerIndex peer = 200; peer < 225; ++peer) court.state(peer, 2, peer % 2);
  court.settle();
  CHECK(court.evaluation.standings(1) == Standings{100, 1, 24, 5});
  CHECK(court.evaluation.standings(2) == Standings{good, 13, 12, 1});
  Court never_sure(8, 0);
  never_sure.answer({1, 2, 3}, 0);
  CHECK(never_sure.evaluation.standings(0) == Standings{good, 3, 0, std::nullopt});
  CHECK(fresh_target(VerificationClass::standard, 1'000) == 5);
  CHECK(fresh_target(VerificationClass::strict, 60'000) == 3);
  CHECK(fresh_target(VerificationClass::fast, 60'000) == 2);
  CHECK(fresh_target(VerificationClass::trusted, 1) == 1);
  CHECK_FALSE(fresh_target(VerificationClass::standard, 0));
}

TEST_CASE("evaluation: poll_changed names what was accepted or reopened, once, and nothing that came back as it was") {
  Court court;
  court.answer({1, 2}, 3);
  court.answer({1, 2}, 1);
  CHECK(court.evaluation.poll_changed() == std::vector<UnitIndex>{1, 3});
  CHECK(court.evaluation.poll_changed().empty());
  court.state(9, 3, bad, true);
  court.settle();
  court.answer({4, 5, 6}, 3);
  CHECK(court.evaluation.rolled_back_count() > 0);
  CHECK(court.evaluation.poll_changed().empty());
  for (PeerIndex peer = 20; peer < 26; ++peer) court.state(peer, 1, bad, true);
  court.settle();
  CHECK(court.evaluation.poll_changed() == std::vector<UnitIndex>{1});
}

TEST_CASE("evaluation: a judge's replay proves another outcome wrong, whether it was stated yet or not") {
  Court court;
  court.answer({1, 2}, 0, bad);
  court.answer({3}, 0, good);
  court.evaluation.add(ReplayedFact{root, 4, 0, good, good, {0, 0}, false});
  court.replay(1, 0, good);
  court.replay(2, 0, good, 7);  // no judge
  court.evaluation.add(ReplayedFact{root, 3, 0, good, good, {0, 0}, false});
  court.answer({4}, 0, bad);
  CHECK(court.evaluation.hearing(1, {0, 0}) == Hearing::proven_wrong);
  CHECK(court.evaluation.hearing(2, {0, 0}) == Hearing::counts);
  CHECK(court.evaluation.hearing(3, {0, 0}) == Hearing::counts);
  CHECK(court.evaluation.hearing(4, {0, 0}) == Hearing::proven_wrong);
  court.evaluation.add(ReplayedFact{root, 2, 0, good, good, {0, 0}, true});
  court.settle();
  CHECK(court.evaluation.banned() == std::vector<PeerIndex>{2});
}
