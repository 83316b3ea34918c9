#include "coordinator-less/protocol/explanation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "tests/support/author.hpp"
#include "tests/support/ids.hpp"

namespace {

using namespace starling::protocol;
using starling::testing::peer;

constexpr unsigned good = 5, bad = 3;

Digest digest_of(unsigned number) {
  Digest digest;
  digest.bytes[0] = static_cast<std::byte>(number);
  return digest;
}

Outcome answer(unsigned number, OutcomeKind kind = OutcomeKind::ok) {
  Outcome outcome;
  outcome.kind = kind;
  outcome.digest = digest_of(number);
  outcome.archive_bytes = 10;
  outcome.fuel = 100;
  return outcome;
}

Outcome going_on_from(unsigned input, unsigned number, OutcomeKind kind = OutcomeKind::ok) {
  Outcome outcome = answer(number, kind);
  outcome.input = digest_of(input);
  return outcome;
}

Manifest manifest_of(std::uint32_t units, std::uint32_t segments = 1) {
  Manifest manifest;
  manifest.unit_count = units;
  manifest.epsilon_ppm = 60'000;
  if (segments > 1) {
    manifest.rounds_max = segments;
    manifest.segment_rounds = 1;
  }
  return manifest;
}

// Peers answer and replay; peer 1 judges.
struct Case {
  explicit Case(Manifest of = manifest_of(4), std::uint32_t numbers = 4) : manifest(std::move(of)), evidence(numbers), verdict(evidence, {peer(1)}, parameters_of(manifest)) {}

  MessageId states(unsigned author, UnitIndex unit, const Outcome& outcome, const Digest& fingerprint = {}) {
    return states(author, ResultEntry{unit, 40 + unit, outcome, fingerprint});
  }
  MessageId audits(unsigned author, UnitIndex unit, unsigned number) { return states(author, ResultEntry{unit, 0, answer(number), {}, true}); }
  MessageId states(unsigned author, const ResultEntry& entry) { return states(author, logs[author].prepare({}, {entry})); }
  MessageId states(unsigned author, const Results& results) {
    const MessageId id = next_id();
    logs[author].on_stated(id, results, false);
    evidence.add_results(peer(author), id, results);
    verdict.on_results(peer(author), id, results);
    verdict.settle();
    statements.push_back({id, peer(author), results, nullptr});
    return id;
  }
  MessageId answers(unsigned author, UnitIndex unit, unsigned number) { return states(author, unit, answer(number)); }
  MessageId replays(unsigned judge, unsigned accused, UnitIndex unit, const Outcome& compiled, const Outcome& interpreted, const Digest& fingerprint = {}) {
    const Replay replay{{}, {}, peer(accused), unit, compiled, interpreted, fingerprint, fingerprint, evidence.head_of(peer(accused))};
    if (evidence.add_replay(peer(judge), replay)) verdict.on_replay(fact_of(peer(judge), replay));
    verdict.settle();
    const MessageId id = next_id();
    statements.push_back({id, peer(judge), replay, nullptr});
    return id;
  }
  MessageId finds(unsigned judge, unsigned accused, UnitIndex unit, unsigned number) { return replays(judge, accused, unit, answer(number), answer(number)); }
  MessageId next_id() {
    MessageId id;
    id.bytes[1] = static_cast<std::byte>(statements.size() + 1);
    return id;
  }
  JobView view() const { return {manifest, evidence, verdict}; }
  UnitExplanation unit(UnitIndex number) const { return explain_unit(view(), number); }
  JobExplanation job() const { return explain_job(view()); }
  std::optional<AnswerStanding> standing(unsigned author, UnitIndex number) const {
    for (const auto& told : unit(number).answers)
      if (told.author == peer(author)) return told.standing;
    return std::nullopt;
  }
  PeerStanding of(unsigned who) const {
    for (const auto& told : job().peers)
      if (told.peer == peer(who)) return told;
    FAIL("nobody tells of this peer");
    return {};
  }

  Manifest manifest;
  JobEvidence evidence;
  Verdict verdict;
  std::vector<Statement> statements;
  std::map<unsigned, OwnLog> logs;
};

// Peers who work in their own orders on a job in blocks; nobody judges.
struct OrderedCase {
  using Author = starling::testing::Author;

  explicit OrderedCase(std::uint32_t units) : manifest(manifest_of(units)), evidence(units) {}

  Author& author(unsigned n) { return authors.try_emplace(n, n, JobId{}, manifest).first->second; }
  const std::vector<UnitIndex>& own_order(unsigned n, std::uint32_t block) {
    return orders.try_emplace(n, JobId{}, author(n).id(), manifest.unit_count, manifest.peer_estimate, author(n).notary, 0).first->second.own_order(block);
  }
  void states(unsigned n, UnitIndex unit, unsigned number) {
    const Statement statement = author(n).states(unit, answer(number));
    const auto& results = std::get<Results>(statement.body);
    evidence.add_results(statement.author, statement.id, results);
    verdict.on_results(statement.author, statement.id, results);
    verdict.settle();
  }
  UnitExplanation unit(UnitIndex number) const { return explain_unit({manifest, evidence, verdict}, number); }
  AnswerStanding standing(unsigned n, UnitIndex number) {
    for (const auto& told : unit(number).answers)
      if (told.author == author(n).id()) return told.standing;
    FAIL("no such answer");
    return {};
  }
  std::uint32_t k(unsigned n) {
    for (const auto& told : explain_job({manifest, evidence, verdict}).peers)
      if (told.peer == author(n).id()) return told.verified_units;
    return 0;
  }

  Manifest manifest;
  std::map<unsigned, Author> authors;
  std::map<unsigned, UnitOrder> orders;
  JobEvidence evidence;
  starling::testing::Member reader{99};
  UnitOrder order{JobId{}, reader.id(), manifest.unit_count, manifest.peer_estimate, reader.notary};
  Verdict verdict{evidence, {}, parameters_of(manifest), &order};
};

}  // namespace

TEST_CASE("explanation: a unit from nobody's answer to acceptance and back") {
  Case job;
  CHECK(job.unit(2).state == UnitState::unanswered);
  CHECK(job.unit(2).missing == 2);
  job.answers(2, 2, good);
  CHECK(job.unit(2).state == UnitState::open);
  CHECK(job.unit(2).missing == 1);
  job.answers(3, 2, good);
  const auto accepted = job.unit(2);
  CHECK(accepted.state == UnitState::accepted);
  CHECK(accepted.ends);
  CHECK(accepted.supporters == 2);
  CHECK(accepted.needed == 2U);
  CHECK(accepted.outcome == answer(good));
  CHECK(accepted.fresh_target == 2);
  job.answers(4, 2, bad);
  const auto reopened = job.unit(2);
  CHECK(reopened.state == UnitState::open);
  CHECK(reopened.contested);
  CHECK(reopened.dissenters == 1);
  CHECK(reopened.needed == 4U);
  CHECK(reopened.missing == 2);
  REQUIRE(reopened.answers.size() == 3);
  CHECK(reopened.answers.back().author == peer(4));  // those that agree come first
}

TEST_CASE("explanation: how each answer stands") {
  Case job;
  job.answers(2, 0, good);
  job.answers(3, 0, good);
  job.answers(4, 0, bad);
  job.answers(5, 0, good);
  job.answers(5, 0, bad);
  job.answers(6, 0, 9);
  job.finds(1, 6, 0, good);
  CHECK(job.standing(2, 0) == AnswerStanding::agrees);
  CHECK(job.standing(4, 0) == AnswerStanding::differs);
  CHECK(job.standing(5, 0) == AnswerStanding::contradicts_itself);
  CHECK(job.standing(6, 0) == AnswerStanding::proven_wrong);
  for (const UnitIndex unit : {1U, 2U}) {
    job.answers(6, unit, 9);
    job.finds(1, 6, unit, good);
  }
  CHECK(job.standing(6, 0) == AnswerStanding::banned);
  CHECK(job.of(6).banned);
  CHECK(job.of(6).faulty_units == 3);
}

TEST_CASE("explanation: the place of an answer is told, and what contradicts the log there") {
  Case job;
  job.answers(2, 0, good);
  job.answers(2, 1, good);
  Results other{{}, 1, {{2, 42, answer(good)}}};  // at the place of the second one
  job.states(2, other);
  job.answers(2, 3, good);
  CHECK(job.unit(1).answers[0].at == LogPlace{0, 1});
  CHECK(job.standing(2, 0) == AnswerStanding::agrees);
  for (const UnitIndex unit : {1U, 2U, 3U}) CHECK(job.standing(2, unit) == AnswerStanding::contradicts_log);
  job.logs[2].begin_chain(0);
  job.answers(2, 3, good);  // again, where nothing contradicts it
  CHECK(job.verdict.unit(3).supporters == 1);
  CHECK(job.standing(2, 3) == AnswerStanding::contradicts_log);  // its first place is told
}

TEST_CASE("explanation: an answer with another fingerprint repeats the first, and voids nothing") {
  Case job;
  job.states(2, 0, answer(good), digest_of(9));
  job.states(2, 0, answer(good), digest_of(8));
  std::map<LogPlace, AnswerStanding> told;
  for (const auto& one : job.unit(0).answers) told[one.at] = one.standing;
  CHECK(told == std::map<LogPlace, AnswerStanding>{{{0, 0}, AnswerStanding::agrees}, {{0, 1}, AnswerStanding::repeats}});
  CHECK(job.unit(0).supporters == 1);
  Results same{{}, 0, {{1, 0, answer(good), digest_of(9)}}}, other = same;  // one place, after different statements
  other.entries[0].fingerprint = digest_of(8);
  other.previous = job.next_id();
  job.states(3, same);
  job.states(3, other);
  CHECK(job.unit(1).answers.size() == 2);
  CHECK(job.unit(1).answers[0].standing == AnswerStanding::agrees);
  CHECK(job.unit(1).answers[1].standing == AnswerStanding::repeats);
}

TEST_CASE("explanation: audits support nothing, dissent, and need work behind them") {
  Case job(manifest_of(8), 8);
  for (const unsigned author : {2U, 3U, 4U})
    for (UnitIndex unit = 0; unit < 6; ++unit) job.answers(author, unit, good);
  job.audits(5, 0, good);
  job.audits(5, 1, bad);
  CHECK(job.standing(5, 0) == AnswerStanding::audit_agrees);
  CHECK(job.standing(5, 1) == AnswerStanding::audit_differs);
  CHECK(job.unit(0).supporters == 3);
  CHECK(job.unit(1).dissenters == 1);
  CHECK(job.of(5).audits == 1);
  CHECK(job.of(5).contradicted + job.of(5).undecided == 1);
  CHECK(job.of(5).verified == 0);
  CHECK(job.of(5).verified_fuel == 0);
  for (UnitIndex unit = 2; unit < 5; ++unit) job.audits(5, unit, bad);
  CHECK(job.standing(5, 3) == AnswerStanding::audit_differs);
  CHECK(job.standing(5, 4) == AnswerStanding::audit_void);  // the fifth, behind no result
  job.audits(6, 7, good);
  CHECK(job.unit(7).state == UnitState::open);
  CHECK(job.unit(7).supporters == 0);
  AnswerExplanation told = job.unit(7).answers[0];
  cite(told, job.statements.back());
  CHECK_FALSE(told.position.has_value());
}

TEST_CASE("explanation: a proven fault puts its author on probation") {
  Case job;
  for (UnitIndex unit = 0; unit < 4; ++unit) job.answers(2, unit, unit == 3 ? bad : good);
  job.finds(1, 2, 3, good);
  CHECK(job.standing(2, 3) == AnswerStanding::proven_wrong);
  CHECK(job.standing(2, 0) == AnswerStanding::probation);
  CHECK(job.unit(0).state == UnitState::unanswered);
  CHECK(job.of(2).verified_units == 0);
}

TEST_CASE("explanation: positions, blocks and windows tell why an answer waits, until they are there") {
  OrderedCase job(64);
  const auto& block = job.own_order(2, 0);
  REQUIRE(block.size() == 16);
  job.states(2, block[15], good);
  CHECK(job.standing(2, block[15]) == AnswerStanding::before_turn);
  CHECK(job.unit(block[15]).state == UnitState::unanswered);
  for (std::size_t i = 0; i < 15; ++i) job.states(2, block[i], good);
  CHECK(job.standing(2, block[15]) == AnswerStanding::agrees);
  const UnitIndex later = job.own_order(2, 3)[0], next = job.own_order(2, 1)[0];
  job.states(2, later, good);
  job.states(2, next, good);
  CHECK(job.standing(2, later) == AnswerStanding::waits_for_blocks);
  CHECK(job.standing(2, next) == AnswerStanding::out_of_window);  // 16 and one of his are unverified before it
  CHECK(job.k(2) == 0);
  for (const unsigned n : {3U, 4U})
    for (const UnitIndex unit : std::vector(job.own_order(n, 0))) job.states(n, unit, good);
  CHECK(job.unit(block[15]).state == UnitState::accepted);
  CHECK(job.standing(2, next) == AnswerStanding::agrees);
  CHECK(job.k(2) == 16);
  for (const unsigned n : {3U, 4U})
    for (std::uint32_t b = 1; b < 3; ++b)
      for (const UnitIndex unit : std::vector(job.own_order(n, b))) job.states(n, unit, good);
  CHECK(job.standing(2, later) == AnswerStanding::agrees);
}

TEST_CASE("explanation: what comes to an accepted unit agrees or differs, though it would not have counted") {
  OrderedCase job(64);
  for (const unsigned n : {2U, 3U})
    for (const UnitIndex unit : std::vector(job.own_order(n, 0))) job.states(n, unit, good);
  const UnitIndex last = job.own_order(8, 0)[15], other_last = job.own_order(9, 0)[15];
  REQUIRE(job.unit(last).state == UnitState::accepted);
  job.states(8, last, bad);
  job.states(9, other_last, good);
  const auto told = job.unit(last);
  CHECK(told.state == UnitState::accepted);
  CHECK(job.standing(8, last) == AnswerStanding::differs);
  CHECK(told.dissenters == 1);
  CHECK(job.standing(9, other_last) == AnswerStanding::agrees);
}

TEST_CASE("explanation: what is asked of fresh peers is the most, those with verified work need fewer") {
  OrderedCase job(64);
  job.manifest.epsilon_ppm = 1000;
  Verdict strict_verdict(job.evidence, {}, parameters_of(job.manifest), &job.order);
  const auto states = [&](unsigned n, UnitIndex unit) {
    const Statement statement = job.author(n).states(unit, answer(good));
    const auto& results = std::get<Results>(statement.body);
    job.evidence.add_results(statement.author, statement.id, results);
    strict_verdict.on_results(statement.author, statement.id, results);
    strict_verdict.settle();
  };
  const auto unit = [&](UnitIndex number) { return explain_unit({job.manifest, job.evidence, strict_verdict}, number); };
  for (const unsigned n : {2U, 3U, 4U, 5U, 6U})
    for (const UnitIndex number : std::vector(job.own_order(n, 0))) states(n, number);
  const UnitIndex next = job.own_order(2, 1)[0];
  CHECK(unit(next).missing == 5);
  states(2, next);
  const auto open = unit(next);
  CHECK(open.state == UnitState::open);
  CHECK(open.missing < 4);
  CHECK(open.needed == open.supporters + open.missing);
  for (std::size_t i = 0; job.own_order(3, 1)[i] != next; ++i) states(3, job.own_order(3, 1)[i]);
  states(3, next);
  const auto accepted = unit(next);
  CHECK(accepted.state == UnitState::accepted);
  CHECK(accepted.supporters == 2);
  CHECK(accepted.needed == 2U);
  CHECK(accepted.fresh_target == 5);
}

TEST_CASE("explanation: what a unit needs says when no number is enough") {
  Case job;
  for (unsigned author = 10; author < 51; ++author) job.answers(author, 0, good);
  for (unsigned author = 60; author < 100; ++author) job.answers(author, 0, bad);  // both have 2^80, beyond which nothing is gained
  const auto unit = job.unit(0);
  CHECK(unit.state == UnitState::open);
  CHECK_FALSE(unit.needed.has_value());
  CHECK(unit.missing == fresh_members_max);
}

TEST_CASE("explanation: what a replay shows, and for whom") {
  Case job;
  const Digest own = digest_of(70), other = digest_of(71);
  job.states(2, 0, answer(good), own);
  job.states(3, 0, answer(bad), own);
  job.replays(1, 2, 0, answer(good), answer(good), own);
  job.replays(1, 3, 0, answer(good), answer(good), own);
  job.replays(7, 3, 0, answer(good), answer(good), own);
  job.replays(7, 2, 0, answer(good), answer(bad), own);
  job.replays(7, 2, 0, answer(good), answer(good), other);
  job.replays(7, 9, 0, answer(good), answer(good), own);
  job.replays(7, 2, 0, going_on_from(8, good), going_on_from(8, good), own);
  std::map<ReplayFinding, int> seen, counting;
  for (const auto& replay : job.unit(0).replays) {
    ++seen[replay.finding];
    if (replay.counts) ++counting[replay.finding];
    CHECK(replay.counts == (replay.fact.judge == peer(1)));
    CHECK(replay.answered_in.has_value() == (replay.finding != ReplayFinding::no_such_answer));
  }
  CHECK(seen == std::map<ReplayFinding, int>{{ReplayFinding::wrong_answer, 2}, {ReplayFinding::copied_answer, 1}, {ReplayFinding::right_answer, 1},
                                             {ReplayFinding::other_beginning, 1}, {ReplayFinding::tiers_differ, 1}, {ReplayFinding::no_such_answer, 1}});
  CHECK(counting == std::map<ReplayFinding, int>{{ReplayFinding::wrong_answer, 1}, {ReplayFinding::right_answer, 1}});
  CHECK(job.of(3).proven_by == std::set<PeerId>{peer(1)});
  CHECK(job.of(7).replays == 5);
  CHECK(job.of(7).stated == 0);
}

TEST_CASE("explanation: a replay agrees with the verdict about who is proven wrong") {
  Case job;
  job.answers(3, 0, bad);
  job.answers(3, 0, good);  // both are there: the wrong one is what the replay speaks of
  job.finds(1, 3, 0, good);
  REQUIRE(job.unit(0).replays.size() == 1);
  CHECK(job.unit(0).replays[0].finding == ReplayFinding::wrong_answer);
  CHECK(job.verdict.faults().contains(peer(3)));
  CHECK(proofs_against(job.view(), peer(3)).size() == 1);
  CHECK(proofs_against(job.view(), peer(2)).empty());
}

TEST_CASE("explanation: segments wait, go on from what was accepted, and are skipped") {
  Case job(manifest_of(2, 3), 6);
  CHECK(telling_segment(job.view(), 1) == 1);
  CHECK(job.unit(3).state == UnitState::waits);
  job.states(2, 3, going_on_from(50, good));
  CHECK(job.standing(2, 3) == AnswerStanding::unasked);
  for (const unsigned author : {2U, 3U}) job.states(author, 1, answer(51, OutcomeKind::checkpoint));
  CHECK(job.unit(1).state == UnitState::accepted);
  CHECK_FALSE(job.unit(1).ends);
  CHECK(telling_segment(job.view(), 1) == 3);
  CHECK(job.standing(2, 3) == AnswerStanding::other_beginning);
  CHECK(job.unit(3).state == UnitState::unanswered);
  for (const unsigned author : {4U, 5U}) job.states(author, 3, going_on_from(51, good));
  CHECK(job.unit(3).ends);
  CHECK(telling_segment(job.view(), 1) == 3);
  CHECK(job.unit(5).state == UnitState::skipped);
  const auto told = job.unit(3);
  CHECK(told.unit == 1);
  CHECK(told.segment == 1);
  CHECK(told.segments_max == 3);
  const auto all = job.job();
  CHECK(all.units == 2);
  CHECK(all.segments == 6);
  CHECK(all.ended == 1);
  CHECK(all.accepted == 2);
  CHECK(all.unanswered == 1);
  CHECK(all.waits == 2);
  CHECK(all.skipped == 1);
  CHECK(job.of(2).verified == 1);
  CHECK(job.of(2).without_weight == 1);
  CHECK(job.of(4).verified_fuel == 100);
}

TEST_CASE("explanation: each answer of a peer is counted once, and credit is the fuel of those that agreed") {
  Case job;
  for (const unsigned author : {2U, 3U, 4U, 5U}) {
    job.answers(author, 0, good);
    job.answers(author, 1, good);
  }
  job.answers(6, 0, bad);
  job.answers(6, 2, bad);
  job.answers(7, 1, good);
  job.answers(7, 1, bad);
  for (const auto& standing : job.job().peers)
    CHECK(standing.stated == standing.verified + standing.contradicted + standing.undecided + standing.without_weight);
  CHECK(job.of(2).verified == 2);
  CHECK(job.of(2).verified_fuel == 200);
  CHECK(job.of(6).contradicted == 1);
  CHECK(job.of(6).undecided == 1);
  CHECK(job.of(6).verified_fuel == 0);
  CHECK(job.of(7).without_weight == 1);
  CHECK(job.of(7).contradicted == 1);
  CHECK(job.job().answers == 12);
  CHECK(job.job().contested == 2);
  CHECK(job.of(2).verified_units == 2);
  job.finds(1, 2, 0, bad);  // proven wrong once: no credit for that unit, though its answer is the accepted one, nor for what else it drops
  CHECK(job.unit(1).state == UnitState::accepted);
  CHECK(job.standing(2, 1) == AnswerStanding::probation);
  CHECK(job.of(2).verified == 0);
  CHECK(job.of(2).without_weight == 2);
  CHECK(job.of(2).verified_fuel == 0);
  CHECK(job.of(2).verified_units == 0);
}

TEST_CASE("explanation: credit saturates") {
  Case job;
  Outcome huge = answer(good);
  huge.fuel = UINT64_MAX - 5;
  for (const unsigned author : {2U, 3U})
    for (const UnitIndex unit : {0U, 1U}) job.states(author, unit, huge);
  CHECK(job.of(2).verified_fuel == UINT64_MAX);
}

TEST_CASE("explanation: lists are bounded, contested units come first, and the rest is counted") {
  const auto units = static_cast<std::uint32_t>(starling::limits::open_units_told_max) + 40;
  Case job(manifest_of(units), units);
  job.answers(2, units - 1, good);
  job.answers(3, units - 1, bad);
  const auto told = job.job();
  CHECK(told.open_units.size() == starling::limits::open_units_told_max);
  CHECK(told.open_units.front() == JobExplanation::OpenUnit{units - 1, 0, true, 3});
  CHECK(told.open + told.unanswered == units);
  constexpr auto answers_max = starling::limits::answers_told_max;
  for (std::uint32_t author = 0; author < answers_max + 3; ++author) {
    PeerId id;
    id.bytes[2] = static_cast<std::byte>(author);
    id.bytes[3] = static_cast<std::byte>(author >> 8);
    const Results results{{}, 0, {{0, 0, answer(good), {}}}};
    job.evidence.add_results(id, {}, results);
    job.verdict.on_results(id, {}, results);
  }
  job.verdict.settle();
  CHECK(job.unit(0).answers.size() == answers_max);
  CHECK(job.unit(0).answers_more == 3);
}

TEST_CASE("explanation: statements add positions and the ids of replays") {
  Case job;
  job.answers(2, 3, good);
  const MessageId later = job.finds(1, 2, 3, bad);
  auto told = job.unit(3);
  CHECK_FALSE(told.answers[0].position.has_value());
  for (const auto& statement : job.statements) {
    cite(told.answers[0], statement);
    cite(told.replays, statement);
  }
  CHECK(told.answers[0].position == 43U);
  CHECK(told.replays[0].statement == later);
  Statement lower = job.statements.back();
  lower.id = {};
  cite(told.replays, lower);  // the same fact in two statements: every reader names the lowest
  CHECK(told.replays[0].statement == lower.id);
}

TEST_CASE("explanation: equal verdicts have equal bytes in whatever order the facts came, and every difference shows") {
  const JobId id;
  const auto bytes = [&](const Case& job) { return verdict_bytes(job.view(), id); };
  Case first, second;
  first.answers(2, 0, good), first.answers(3, 0, good), first.answers(4, 1, bad), first.finds(1, 4, 1, good);
  second.finds(1, 4, 1, good), second.answers(4, 1, bad), second.answers(3, 0, good), second.answers(2, 0, good);
  CHECK(bytes(first) == bytes(second));
  JobId other;
  other.bytes[0] = std::byte{1};
  CHECK(verdict_bytes(first.view(), other) != bytes(first));

  auto before = bytes(first);
  const auto changed = [&] {
    auto now = bytes(first);
    const bool differs = now != before;
    before = std::move(now);
    return differs;
  };
  first.answers(5, 0, good);
  CHECK(changed());  // one more agrees
  first.answers(6, 0, bad);
  CHECK(changed());  // one differs
  first.answers(16, 0, bad);
  CHECK(changed());  // and another: nothing but their number is new
  first.answers(7, 2, good);
  CHECK(changed());  // a leading answer
  first.finds(1, 6, 0, bad);
  CHECK_FALSE(changed());  // a replay that proves nothing
  first.replays(1, 4, 3, answer(good), answer(good));
  CHECK_FALSE(changed());
  first.answers(8, 3, good), first.answers(9, 3, good);
  CHECK(changed());
  first.answers(4, 3, good), first.answers(4, 3, bad);
  CHECK(changed());  // two answers, one of them proven wrong: banned
  CHECK(first.verdict.banned(peer(4)));
  first.replays(1, 8, 3, answer(good), answer(bad));
  CHECK(changed());  // quarantined

  const auto banning = [](unsigned liar) {
    Case job;
    for (const UnitIndex unit : {0U, 1U, 2U}) job.answers(liar, unit, bad), job.finds(1, liar, unit, good);
    return verdict_bytes(job.view(), {});
  };
  CHECK(banning(2) == banning(2));
  CHECK(banning(2) != banning(3));  // the units are the same, the banned key is not
}

TEST_CASE("explanation: the bytes tell of each key what it is believed for, what is proven of it, whether it took all back, and what it earned") {
  const auto bytes = [](const Case& job) { return verdict_bytes(job.view(), {}); };
  const auto alike = [](const Case& a, const Case& b) {  // in what became of every unit
    for (UnitIndex number = 0; number < 4; ++number) REQUIRE(a.verdict.unit(number) == b.verdict.unit(number));
    REQUIRE(a.verdict.banned() == b.verdict.banned());
  };
  const auto agreed = [](Case& job, std::initializer_list<unsigned> authors) {
    for (const unsigned author : authors) job.answers(author, 0, good);
  };
  const auto takes_back = [](Case& job, unsigned author) { job.states(author, Results{{}, 0, {}}); };

  Case one, other;  // who agreed
  agreed(one, {2, 3});
  agreed(other, {2, 4});
  alike(one, other);
  CHECK(bytes(one) != bytes(other));

  Case known(manifest_of(4)), better([] {
    Manifest manifest = manifest_of(4);
    manifest.known = {{peer(3), 40}};
    return manifest;
  }());
  agreed(known, {2, 3});
  agreed(better, {2, 3});
  alike(known, better);
  CHECK(bytes(known) == bytes(one));
  CHECK(bytes(known) != bytes(better));  // nothing but k

  Case stays, back;
  for (Case* job : {&stays, &back}) {
    agreed(*job, {2, 3});
    job->answers(5, 1, bad);
    job->finds(1, 5, 1, good);
  }
  takes_back(back, 5);
  alike(stays, back);
  CHECK(bytes(stays) != bytes(back));

  Case once, twice;  // the same answers, and one more of them proven wrong
  for (Case* job : {&once, &twice}) {
    agreed(*job, {2, 3});
    for (const UnitIndex unit : {1U, 2U}) job->answers(6, unit, bad);
    job->finds(1, 6, 1, good);
    takes_back(*job, 6);
  }
  twice.finds(1, 6, 2, good);
  alike(once, twice);
  CHECK(bytes(once) != bytes(twice));

  Case cheap([] {
    Manifest manifest = manifest_of(4);
    manifest.limits.fuel = 60;  // answers state 100
    return manifest;
  }());
  agreed(cheap, {2, 3});
  alike(one, cheap);
  CHECK(bytes(one) != bytes(cheap));  // a favour is bounded by the manifest

  const auto free_of_charge = [&](unsigned worker, unsigned auditor) {  // k is 1 of all three
    Manifest manifest = manifest_of(4);
    manifest.known = {{peer(auditor), 1}};
    Case job(manifest);
    Outcome outcome = answer(good);
    outcome.fuel = 0;
    for (const unsigned author : {2U, worker}) job.states(author, 0, outcome);
    job.states(auditor, ResultEntry{0, 0, outcome, {}, true});
    REQUIRE(job.verdict.accepted(0));
    return bytes(job);
  };
  CHECK(free_of_charge(3, 4) != free_of_charge(4, 3));  // nothing but who verified how many units

  one.finds(8, 2, 0, good);
  one.audits(9, 0, good);
  CHECK(bytes(one) == bytes(known));  // who says nothing that counts adds nothing
}
