#include "coordinator-less/protocol/replay_plan.hpp"

#include <doctest/doctest.h>

#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

struct Court {
  explicit Court(std::uint32_t units)
      : member(1), evidence(units), verdict(evidence, {member.id()}, {VerificationClass::standard, 60'000}), plan(member.id(), evidence, verdict, member.notary) {}

  static Outcome outcome(std::string_view what) { return {OutcomeKind::ok, 0, testing::digest_of(what)}; }
  void answer(unsigned who, UnitIndex unit, std::string_view what) {
    const Results results = logs[who].prepare(JobId{}, {{unit, 0, outcome(what)}});
    const MessageId statement = base::retag<MessageId>(testing::digest_of(std::to_string(++statements)));
    logs[who].on_stated(statement, results, false);
    const auto news = evidence.add_results(testing::identity(who).id(), statement, results);
    verdict.on_results(testing::identity(who).id(), statement, results);
    verdict.settle();
    for (const UnitIndex changed : news) plan.on_unit_changed(changed);
  }
  void prove(const ReplayTarget& target, std::string_view right) {
    const Replay replay{JobId{}, target.statement, target.accused, target.unit, outcome(right), outcome(right)};
    if (evidence.add_replay(member.id(), replay))
      verdict.on_replay(fact_of(member.id(), replay));
    verdict.settle();
    plan.on_ended(target);
    plan.on_published(replay);
    for (const UnitIndex changed : verdict.poll_changed()) plan.on_unit_changed(changed);
  }

  UnitIndex replays_next(std::string_view right) {
    const auto target = plan.next();
    REQUIRE(target);
    plan.on_started(*target);
    prove(*target, right);
    return target->unit;
  }

  // Somebody's replay says so of the member's own answer.
  void accuse(unsigned judge, UnitIndex unit, std::string_view right) {
    const Replay replay{JobId{}, evidence.answer_of(member.id(), unit)->statement, member.id(), unit, outcome(right), outcome(right)};
    if (evidence.add_replay(testing::identity(judge).id(), replay)) verdict.on_replay(fact_of(testing::identity(judge).id(), replay));
    verdict.settle();
  }
  // ... of an answer that is "right": that it was copied.
  void says_copied(unsigned judge, unsigned who, UnitIndex unit) {
    const PeerId accused = testing::identity(who).id();
    const auto made = testing::digest_of("made up");
    evidence.add_replay(testing::identity(judge).id(), {JobId{}, evidence.answer_of(accused, unit)->statement, accused, unit, outcome("right"), outcome("right"), made, made});
    plan.on_unit_changed(unit);
  }
  void states_elsewhere(unsigned who, std::uint32_t entries) {  // what is not heard of here
    const MessageId statement = base::retag<MessageId>(testing::digest_of(std::to_string(++statements)));
    logs[who].on_stated(statement, logs[who].prepare(JobId{}, std::vector<ResultEntry>(entries)), false);
  }
  void take_back() {
    verdict.on_results(member.id(), {}, {});
    verdict.settle();
  }

  testing::Member member;
  JobEvidence evidence;
  Verdict verdict;
  ReplayPlan plan;
  std::map<unsigned, OwnLog> logs;
  int statements = 0;
};

}  // namespace

TEST_CASE("only answers that contradict the own one are replayed, three per accused, and then nobody is left to ask") {
  Court court(10);
  for (UnitIndex unit = 0; unit < 10; ++unit) {
    court.answer(1, unit, "right");
    court.answer(2, unit, "right");
    court.answer(3, unit, "wrong");
  }
  CHECK(court.plan.pending() == 3);
  const PeerId liar = testing::identity(3).id();
  for (int n = 0; n < 3; ++n) {
    const auto target = court.plan.next();
    REQUIRE(target);
    CHECK(target->accused == liar);
    court.plan.on_started(*target);
    court.prove(*target, "right");
  }
  CHECK(court.verdict.banned(liar));
  CHECK_FALSE(court.plan.next());
  CHECK(court.plan.pending() == 0);
  CHECK(court.plan.own_replays() == 3);
}

TEST_CASE("replays that find the accused right count against the bound; given-up ones have their own") {
  Court court(10);
  for (UnitIndex unit = 0; unit < 10; ++unit) {
    court.answer(1, unit, "my own hardware errs");
    court.answer(2, unit, "right");
  }
  const auto begin = [&] {
    const auto target = court.plan.next();
    REQUIRE(target);
    court.plan.on_started(*target);
    return *target;
  };
  court.plan.on_given_up(begin());
  for (int n = 0; n < 3; ++n) court.prove(begin(), "right");
  CHECK_FALSE(court.plan.next());
  CHECK_FALSE(court.verdict.banned(testing::identity(2).id()));
}

TEST_CASE("who is said to have copied is looked at last and twice, and proofs of what is contested stay as many") {
  Court court(10);
  for (UnitIndex unit = 0; unit < 5; ++unit) court.answer(2, unit, "right");
  for (UnitIndex unit = 0; unit < 5; ++unit) court.says_copied(7, 2, unit);
  CHECK(court.replays_next("right") < 5);
  CHECK(court.plan.next());
  for (UnitIndex unit = 5; unit < 10; ++unit) {
    court.answer(1, unit, "right");
    court.answer(2, unit, "wrong");
  }
  CHECK(court.replays_next("right") >= 5);
  CHECK(court.replays_next("right") >= 5);
  CHECK(court.replays_next("right") >= 5);
  CHECK(court.verdict.banned(testing::identity(2).id()));
}

TEST_CASE("who is found not to have copied twice is not looked at again for that") {
  Court court(10);
  for (UnitIndex unit = 0; unit < 10; ++unit) court.answer(2, unit, "right");
  for (UnitIndex unit = 0; unit < 10; ++unit) court.says_copied(7, 2, unit);
  for (int n = 0; n < 2; ++n) {
    court.replays_next("right");
    for (UnitIndex unit = 0; unit < 10; ++unit) court.plan.on_unit_changed(unit);
  }
  CHECK_FALSE(court.plan.next());
}

TEST_CASE("a replay that another machine with this key says of a unit that is none is nothing") {
  Court court(3);
  court.plan.on_published({JobId{}, {}, testing::identity(2).id(), 3, Court::outcome("a"), Court::outcome("a")});
  CHECK(court.plan.own_replays() == 0);
}

TEST_CASE("what only running replays forbid waits: one that is given up leaves its proof to another") {
  Court court(10);
  for (UnitIndex unit = 0; unit < 10; ++unit) {
    court.answer(1, unit, "right");
    court.answer(2, unit, "wrong");
  }
  for (int n = 0; n < 2; ++n) court.replays_next("right");
  const auto third = court.plan.next();
  REQUIRE(third);
  court.plan.on_started(*third);
  CHECK_FALSE(court.plan.next());
  court.plan.on_given_up(*third);
  CHECK(court.plan.next());
}

TEST_CASE("a machine that cannot replay stops trying") {
  Court court(10);
  for (UnitIndex unit = 0; unit < 10; ++unit) {
    court.answer(1, unit, "right");
    court.answer(2, unit, "wrong");
  }
  for (std::uint32_t n = 0; n < limits::replays_given_up_max; ++n) {
    const auto target = court.plan.next();
    REQUIRE(target);
    court.plan.on_started(*target);
    court.plan.on_given_up(*target);
  }
  CHECK_FALSE(court.plan.next());
}

TEST_CASE("one unit proves one fault, however many answers a key gives to it") {
  Court court(1);
  court.answer(1, 0, "right");
  court.answer(2, 0, "wrong");
  court.answer(2, 0, "wrong again");
  const auto target = court.plan.next();
  if (target) {  // answers that void each other may not even be worth one
    court.plan.on_started(*target);
    CHECK_FALSE(court.plan.next());
  }
}

TEST_CASE("a unit that is open and not answered here is answered, not replayed") {
  Court court(1);
  court.answer(2, 0, "a");
  court.answer(3, 0, "b");
  CHECK_FALSE(court.plan.next());
  for (const unsigned who : {4U, 5U, 6U}) court.answer(who, 0, "a");
  REQUIRE(court.verdict.unit(0).accepted);  // four against one
  const auto target = court.plan.next();
  REQUIRE(target);
  CHECK(target->accused == testing::identity(3).id());
}

TEST_CASE("two peers replay in different orders") {
  const auto order_of = [](unsigned self) {
    const testing::Member member(self);
    testing::Member signer(self);
    JobEvidence evidence(12);
    Verdict verdict(evidence, {member.id()}, {VerificationClass::standard, 60'000});
    ReplayPlan plan(member.id(), evidence, verdict, signer.notary);
    std::vector<UnitIndex> units;
    std::map<unsigned, OwnLog> logs;
    for (UnitIndex unit = 0; unit < 12; ++unit) {
      for (const unsigned who : {self, 20U + unit}) {
        const Results results = logs[who].prepare(JobId{}, {{unit, 0, Court::outcome(who == self ? "right" : "wrong")}});
        const MessageId statement = base::retag<MessageId>(testing::digest_of(std::to_string(who * 100 + unit)));
        logs[who].on_stated(statement, results, false);
        evidence.add_results(testing::identity(who).id(), statement, results);
        verdict.on_results(testing::identity(who).id(), statement, results);
      }
      verdict.settle();
      plan.on_unit_changed(unit);
    }
    while (const auto target = plan.next()) {
      units.push_back(target->unit);
      plan.on_started(*target);
      plan.on_given_up(*target);
    }
    return units;
  };
  const auto one = order_of(1), two = order_of(2);
  CHECK(one.size() == 12);
  CHECK(two.size() == 12);
  CHECK(one != two);
}

namespace {

// The member's own answers to the first units are contradicted by what is accepted.
struct Doubted : Court {
  explicit Doubted(std::uint32_t units) : Court(units + 1) {
    for (UnitIndex unit = 0; unit < units; ++unit) {
      contradict(unit);
      REQUIRE(plan.doubts_itself());
      const auto target = plan.next();
      REQUIRE(target);
      CHECK(target->accused == member.id());
      CHECK(target->unit == unit);
      if (unit + 1 < units) find("theirs", "theirs");
    }
  }
  void contradict(UnitIndex unit) {
    answer(1, unit, "mine");
    CHECK_FALSE(plan.doubts_itself());  // nobody says otherwise
    answer(2, unit, "theirs");
    CHECK_FALSE(plan.doubts_itself());  // dissent is free
    for (const unsigned who : {3U, 4U, 5U}) answer(who, unit, "theirs");
    REQUIRE(verdict.accepted(unit));
    for (const UnitIndex changed : verdict.poll_changed()) plan.on_unit_changed(changed);
  }
  void find(std::string_view compiled, std::string_view interpreted) {
    const auto target = plan.next();
    REQUIRE(target);
    plan.on_started(*target);
    CHECK(plan.doubts_itself());
    plan.on_own_replayed(*target, {outcome(compiled), {}}, {outcome(interpreted), {}});
  }
};

}  // namespace

TEST_CASE("an own answer that is contradicted is executed again before all else: what was right goes on, also to replay the others") {
  Doubted court(1);
  court.find("mine", "mine");
  CHECK_FALSE(court.plan.doubts_itself());
  CHECK_FALSE(court.plan.errs());
  CHECK_FALSE(court.plan.tiers_differ());
  const auto target = court.plan.next();
  REQUIRE(target);
  CHECK(target->accused != court.member.id());
  CHECK(court.plan.own_replays() == 0);  // it was told to nobody
  ReplayPlan attacker(court.member.id(), court.evidence, court.verdict, court.member.notary, false);
  attacker.on_unit_changed(0);
  CHECK_FALSE(attacker.doubts_itself());
}

TEST_CASE("the second error found by itself makes a machine execute twice, and tiers that differ end its work; no more than three are looked at") {
  Doubted twice(2);
  CHECK_FALSE(twice.plan.errs());
  twice.find("theirs", "theirs");
  CHECK(twice.plan.errs());
  CHECK_FALSE(twice.plan.tiers_differ());
  Doubted miscompiled(1);
  miscompiled.find("mine", "theirs");
  CHECK(miscompiled.plan.tiers_differ());
  CHECK_FALSE(miscompiled.plan.next());  // such a machine judges nobody
  CHECK(miscompiled.plan.pending() == 0);
  Doubted often(3);
  often.find("mine", "mine");
  often.contradict(3);
  CHECK_FALSE(often.plan.doubts_itself());
}

TEST_CASE("a machine whose tiers differ takes back what it said, once, whatever others say of it before") {
  Doubted miscompiled(1);
  miscompiled.answer(1, 1, "mine");
  for (const unsigned liar : {7U, 8U, 9U})
    for (const UnitIndex unit : {0U, 1U}) miscompiled.accuse(liar, unit, "theirs");
  CHECK_FALSE(miscompiled.plan.takes_back());  // false accusers silence nobody
  miscompiled.find("mine", "theirs");
  CHECK(miscompiled.plan.takes_back());
  miscompiled.take_back();
  CHECK_FALSE(miscompiled.plan.takes_back());
  CHECK_FALSE(miscompiled.plan.next());
}

TEST_CASE("a machine that found three errors of its own takes back what it said, unless as many lie far apart") {
  for (const std::uint32_t apart : {0U, fault_span_work}) {
    CAPTURE(apart);
    Court court(5);
    for (UnitIndex unit = 0; unit < 3; ++unit) {
      court.answer(1, unit, "mine");
      for (const unsigned who : {3U, 4U, 5U, 6U}) court.answer(who, unit, "theirs");
      for (const UnitIndex changed : court.verdict.poll_changed()) court.plan.on_unit_changed(changed);
      if (apart > 0) court.states_elsewhere(1, apart / 2);
      const auto target = court.plan.next();
      REQUIRE(target);
      court.plan.on_started(*target);
      CHECK_FALSE(court.plan.takes_back());
      court.plan.on_own_replayed(*target, {Court::outcome("theirs"), {}}, {Court::outcome("theirs"), {}});
    }
    CHECK(court.plan.takes_back() == (apart == 0));
  }
}

TEST_CASE("a judge's proof against an own answer is looked at too, though nothing else is accepted") {
  Court court(2);
  court.answer(1, 0, "mine");
  const ResultFact mine = court.evidence.results(0).front();
  const Replay replay{JobId{}, mine.statement, court.member.id(), 0, Court::outcome("right"), Court::outcome("right")};
  for (const unsigned judge : {9U, 1U}) {
    REQUIRE(court.evidence.add_replay(testing::identity(judge).id(), replay));
    court.verdict.on_replay(fact_of(testing::identity(judge).id(), replay));
    court.verdict.settle();
    court.plan.on_unit_changed(0);
    CHECK(court.plan.doubts_itself() == (judge == 1));
  }
}

TEST_CASE("while there is open work replays stay within their share") {
  CHECK_FALSE(replay_allowed(true, 99, 0));
  CHECK(replay_allowed(true, 100, 0));
  CHECK_FALSE(replay_allowed(true, 100, 1));
  CHECK(replay_allowed(false, 0, 1000));
}
