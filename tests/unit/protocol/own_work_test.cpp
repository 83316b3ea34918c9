#include "coordinator-less/protocol/own_work.hpp"

#include <doctest/doctest.h>

#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

// One job seen by one peer, with the parts that its work depends on.
struct Desk {
  explicit Desk(std::uint32_t units, std::uint32_t peer_estimate = 2, VerificationClass verification = VerificationClass::standard)
      : member(1),
        evidence(units),
        order(JobId{}, member.id(), units, peer_estimate, member.notary),
        verdict(evidence, {member.id()}, {verification, 60'000}, &order),
        claims(units, base::seconds(100)),
        work(order, verdict, claims, units) {}

  void answer(unsigned who, UnitIndex unit, std::string_view what) {
    const PeerId author = testing::identity(who).id();
    UnitOrder theirs(JobId{}, author, order.unit_count(), 2, member.notary);
    const Results results = logs[who].prepare(JobId{}, {{unit, theirs.position_of(unit), {OutcomeKind::ok, 0, testing::digest_of(what)}}});
    const MessageId statement = base::retag<MessageId>(testing::digest_of(std::to_string(++statements)));
    logs[who].on_stated(statement, results, false);
    evidence.add_results(author, statement, results);
    verdict.on_results(author, statement, results);
    verdict.settle();
    if (author == member.id()) {
      work.on_answered(unit, testing::digest_of(what));
      work.on_stated(unit, testing::digest_of(what));
    }
    const ResultFact* own = evidence.answer_of(member.id(), unit);
    if (own != nullptr && verdict.unit(unit).accepted) work.on_accepted(unit, own->outcome.digest);
  }
  UnitIndex start() {
    const auto unit = work.pick({now_ms});
    REQUIRE(unit);
    work.on_started(*unit, {now_ms});
    work.check_invariants();
    return *unit;
  }

  testing::Member member;
  JobEvidence evidence;
  UnitOrder order;
  Verdict verdict;
  std::map<unsigned, OwnLog> logs;
  int statements = 0;
  ClaimTable claims;
  OwnWork work;
  std::int64_t now_ms = 0;
};

}  // namespace

TEST_CASE("every unit is started once, block by block in the own order") {
  Desk desk(100);
  std::vector<UnitIndex> started;
  for (int n = 0; n < 100; ++n) {
    started.push_back(desk.start());
    desk.answer(1, started.back(), "same");
    desk.answer(2, started.back(), "same");
  }
  CHECK(std::set(started.begin(), started.end()).size() == 100);
  for (std::size_t n = 1; n < started.size(); ++n) CHECK(desk.order.position_of(started[n - 1]) < desk.order.position_of(started[n]));
  CHECK_FALSE(desk.work.pick({desk.now_ms}));
  CHECK(desk.work.executions() == 100);
}

TEST_CASE("accepted units are passed over, and taken again when they reopen") {
  Desk desk(1);
  desk.answer(2, 0, "right");
  desk.answer(3, 0, "right");
  CHECK_FALSE(desk.work.pick({0}));
  desk.answer(4, 0, "wrong");
  CHECK_FALSE(desk.verdict.unit(0).accepted);
  desk.work.on_reopened(0, std::nullopt);
  CHECK(desk.start() == 0);
}

TEST_CASE("nothing is started where it would not count: two blocks, and with a full window the oldest open one") {
  Desk eager(100), desk(100);
  std::set<std::uint32_t> blocks;
  while (const auto unit = eager.work.pick({0})) {
    eager.work.on_started(*unit, {0});
    blocks.insert(eager.order.block_of(*unit));
  }
  CHECK(eager.work.running_count() == 32);
  CHECK(blocks == std::set<std::uint32_t>{0, 1});
  while (const auto unit = desk.work.pick({0})) {
    desk.work.on_started(*unit, {0});
    desk.answer(1, *unit, "same");
  }
  CHECK(desk.work.executions() == 16);  // a window, and the oldest open block is as large
  for (const UnitIndex unit : desk.order.own_order(0)) desk.answer(2, unit, "same");
  CHECK(desk.order.block_of(desk.start()) == 1);
}

TEST_CASE("answers that a fork of the own log made void are given once more, in blocks that were done too") {
  Desk desk(100);
  desk.logs[1].begin_chain(9);
  while (const auto unit = desk.work.pick({0})) {
    desk.work.on_started(*unit, {0});
    desk.answer(1, *unit, "same");
  }
  REQUIRE(desk.work.executions() == 16);
  OwnLog lost_life;  // began where this log began
  lost_life.begin_chain(3);
  const UnitIndex elsewhere = desk.order.own_order(6).front();
  const Results results = lost_life.prepare(JobId{}, {{elsewhere, desk.order.position_of(elsewhere), {OutcomeKind::ok, 0, testing::digest_of("same")}}});
  const auto statement = base::retag<MessageId>(testing::digest_of("lost"));
  desk.evidence.add_results(desk.member.id(), statement, results);
  desk.verdict.on_results(desk.member.id(), statement, results);
  desk.verdict.settle();
  desk.work.on_log_forked();
  for (int n = 0; n < 16; ++n) {
    const UnitIndex unit = desk.start();
    CHECK(desk.order.block_of(unit) == 0);
    desk.work.on_answered(unit, testing::digest_of("same"));
    desk.work.on_stated(unit, testing::digest_of("same"));
  }
  CHECK(desk.order.block_of(desk.start()) == 1);  // not a third time
}

TEST_CASE("in class trusted all blocks count") {
  Desk desk(100, 2, VerificationClass::trusted);
  for (int n = 0; n < 100; ++n) desk.work.on_started(desk.work.pick({0}).value(), {0});
  CHECK_FALSE(desk.work.pick({0}));
}

TEST_CASE("a unit is covered while enough others say that they work on it") {
  Desk desk(1);
  desk.claims.on_claims(testing::identity(2).id(), {JobId{}, {0}, {}, 1000, 1}, {0});
  CHECK(desk.work.pick({0}));  // one claim, two answers missing
  desk.claims.on_claims(testing::identity(3).id(), {JobId{}, {0}, {}, 1000, 1}, {0});
  CHECK_FALSE(desk.work.pick({0}));
  desk.claims.expire({1000});
  CHECK(desk.work.pick({1000}));
}

TEST_CASE("what was given back waits, and longer each time") {
  Desk desk(1);
  for (std::int64_t wait_ms = limits::release_backoff.ms, n = 0; n < 4; ++n, wait_ms *= 2) {
    desk.work.on_released(desk.start(), {desk.now_ms});
    CHECK_FALSE(desk.work.pick({desk.now_ms + wait_ms - 1}));
    desk.now_ms += wait_ms;
  }
  CHECK(desk.work.pick({desk.now_ms}));
}

TEST_CASE("a lost archive is made again although the unit was answered") {
  Desk desk(16);
  desk.answer(1, 3, "right");
  desk.answer(2, 3, "right");
  desk.work.execute_again(3);
  CHECK(desk.start() == 3);
  desk.work.on_answered(3, testing::digest_of("right"), {}, false);
  CHECK(desk.work.executions() == 1);
  CHECK(desk.work.pick({0}) != std::optional<UnitIndex>(3));
}

TEST_CASE("claims are renewed at half time while a unit runs") {
  Desk desk(2);
  const UnitIndex unit = desk.start();
  CHECK(desk.work.poll_claims_to_renew({limits::claim_lifetime.ms / 2 - 1}).empty());
  CHECK(desk.work.poll_claims_to_renew({limits::claim_lifetime.ms / 2}) == std::vector{unit});
  CHECK(desk.work.poll_claims_to_renew({limits::claim_lifetime.ms / 2 + 1}).empty());
}

TEST_CASE("archives of own open answers are awaited") {
  Desk desk(2);
  desk.answer(1, 0, "mine");
  CHECK(desk.work.awaits(testing::digest_of("mine")));
  desk.answer(2, 0, "mine");
  CHECK_FALSE(desk.work.awaits(testing::digest_of("mine")));
}

TEST_CASE("a unit that became safe meanwhile is not executed again") {
  Desk desk(16);
  desk.answer(1, 3, "right");
  desk.answer(2, 3, "right");
  desk.work.execute_again(3);
  desk.work.forget_again_unless([](UnitIndex) { return true; });
  CHECK(desk.work.pick({0}) == std::optional<UnitIndex>(3));
  desk.work.forget_again_unless([](UnitIndex) { return false; });
  CHECK(desk.work.pick({0}) != std::optional<UnitIndex>(3));
  CHECK_FALSE(desk.work.has_again());
}

TEST_CASE("where one answer is enough, peers begin with different units and then help each other") {
  Desk desk(64, 2, VerificationClass::trusted);
  desk.work.set_share(1, 2);
  for (int n = 0; n < 32; ++n) {
    const UnitIndex unit = desk.start();
    CHECK(unit % 2 == 1);
    desk.answer(1, unit, "right");
  }
  const UnitIndex help = desk.start();
  CHECK(help % 2 == 0);

  Desk two_copies(64);
  two_copies.work.set_share(1, 2);
  std::set<UnitIndex> parities;
  for (int n = 0; n < 16; ++n) parities.insert(two_copies.start() % 2);
  CHECK(parities.size() == 2);  // where answers must agree, peers have to meet
}

TEST_CASE("a unit given back is free at once, for this peer too") {
  Desk desk(1);
  const UnitIndex unit = desk.start();
  CHECK(desk.work.give_back(unit));
  CHECK_FALSE(desk.work.give_back(unit));  // asked once
  CHECK(desk.work.poll_claims_to_renew({limits::claim_lifetime.ms}).empty());
  desk.work.on_given_back(unit);
  desk.work.check_invariants();
  CHECK(desk.work.pick({0}) == std::optional(unit));
}

TEST_CASE("an own answer is awaited again when its unit reopens") {
  Desk desk(1);
  desk.answer(1, 0, "mine");
  desk.answer(2, 0, "mine");
  CHECK_FALSE(desk.work.awaits(testing::digest_of("mine")));
  desk.answer(3, 0, "another");
  desk.work.on_reopened(0, testing::digest_of("mine"));
  CHECK(desk.work.awaits(testing::digest_of("mine")));
}

TEST_CASE("own work: the answers still missing are counted of what this peer may start") {
  Desk desk(6);
  std::map<UnitIndex, std::uint32_t> said;
  const auto open = [&](std::uint64_t enough) { return desk.work.copies_open({desk.now_ms}, enough, [&](UnitIndex unit) { return said[unit]; }); };
  REQUIRE(desk.verdict.fresh_target() == 2);
  CHECK(open(100) == 12);
  const UnitIndex unit = desk.start();
  CHECK(open(100) == 10);  // it runs here
  desk.answer(1, unit, "x");
  CHECK(open(100) == 10);  // ... and is answered here: the second answer is others' to give
  said[unit == 0 ? 1 : 0] = 1;
  CHECK(open(100) == 9);
  said[unit == 0 ? 1 : 0] = 7;
  CHECK(open(100) == 9);  // whoever is here was not enough, so one is missing at least
  CHECK(open(1) >= 1);
}
