#include "coordinator-less/protocol/judgement/verdict.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/protocol/own_log.hpp"
#include "tests/support/ids.hpp"

namespace {

using namespace starling::protocol;

constexpr VerdictParameters private_swarm{VerificationClass::standard, 60'000};
constexpr VerdictParameters public_swarm{VerificationClass::standard, 1'000};

using starling::testing::peer;

Outcome answer(unsigned number) {
  Outcome outcome;
  outcome.digest.bytes[0] = static_cast<std::byte>(number);
  return outcome;
}

constexpr unsigned good = 5, bad = 3, worse = 8;

// Peers answer and replay; the verdict hears of everything as it comes.
struct Court {
  explicit Court(VerdictParameters parameters = private_swarm, std::set<PeerId> judges = {peer(1)})
      : verdict(evidence, std::move(judges), parameters) {}

  void answers(unsigned author, UnitIndex unit, unsigned digest) { states(author, unit, answer(digest)); }
  void states(unsigned author, UnitIndex unit, const Outcome& outcome, const Digest& fingerprint = {}) {
    OwnLog& log = logs[author];
    const Results results = log.prepare({}, {{unit, 0, outcome, fingerprint}});
    MessageId statement;
    statement.bytes[0] = static_cast<std::byte>(++statements);
    log.on_stated(statement, results, false);
    evidence.add_results(peer(author), statement, results);
    verdict.on_results(peer(author), statement, results);
    verdict.settle();
    check();
  }
  void takes_back(unsigned author) {
    MessageId statement;
    statement.bytes[0] = static_cast<std::byte>(++statements);
    evidence.add_results(peer(author), statement, {});
    verdict.on_results(peer(author), statement, {});
    verdict.settle();
    check();
  }
  void replays(unsigned judge, unsigned accused, UnitIndex unit, unsigned compiled, unsigned interpreted) {
    replays(judge, Replay{{}, {}, peer(accused), unit, answer(compiled), answer(interpreted), {}, {}});
  }
  void replays(unsigned judge, const Replay& replay) {
    if (evidence.add_replay(peer(judge), replay)) verdict.on_replay(fact_of(peer(judge), replay));
    verdict.settle();
    check();
  }
  // Judge 1 finds the outcome `good` with this fingerprint for the accused.
  void finds(unsigned accused, UnitIndex unit, const Digest& fingerprint) { finds(accused, unit, fingerprint, fingerprint); }
  void finds(unsigned accused, UnitIndex unit, const Digest& compiled, const Digest& interpreted) {
    replays(1, Replay{{}, {}, peer(accused), unit, answer(good), answer(good), compiled, interpreted});
  }
  void proves_wrong(unsigned accused, UnitIndex unit) { replays(1, accused, unit, good, good); }
  void check() const {
    evidence.check_invariants();
    verdict.check_invariants();
  }
  bool accepted(UnitIndex unit) const { return verdict.unit(unit).accepted; }

  JobEvidence evidence{8};
  unsigned statements = 0;
  std::map<unsigned, OwnLog> logs;
  Verdict verdict;
};

void agree(Court& court, unsigned first, unsigned count, unsigned digest = good) {
  for (unsigned author = first; author < first + count; ++author) court.answers(author, 0, digest);
}

TEST_CASE("verdict: thresholds as published") {
  CHECK(members_needed(private_swarm, {}) == 2);
  CHECK(members_needed(private_swarm, {1}) == 4);
  CHECK(members_needed(public_swarm, {}) == 5);
  CHECK(members_needed(public_swarm, {1}) == 7);
  CHECK(members_needed({VerificationClass::trusted, 1}, {9}) == 1);
  CHECK(members_needed({VerificationClass::fast, 250'000}, {}) == 1);
  CHECK(members_needed({VerificationClass::fast, 60'000}, {}) == 2);
  CHECK(members_needed({VerificationClass::strict, 60'000}, {}) == 3);
}

TEST_CASE("verdict: no number of members outweighs a group at the cap") {
  CHECK(members_needed(public_swarm, {14}) == 19);
  CHECK(members_needed(public_swarm, {15}) == 20);
  CHECK_FALSE(members_needed(public_swarm, {16}).has_value());
  CHECK_FALSE(members_needed(public_swarm, std::vector<std::uint32_t>(100'000, 1000)).has_value());
  CHECK_FALSE(members_needed({VerificationClass::standard, 0}, {}).has_value());
}

TEST_CASE("verdict: a unit without answers misses the whole target") {
  const Court court(public_swarm);
  CHECK_FALSE(court.accepted(0));
  CHECK_FALSE(court.verdict.unit(0).outcome.has_value());
  CHECK(court.verdict.unit(0).missing == 5);
}

TEST_CASE("verdict: two agree, and a dissenter raises that to four") {
  Court court;
  court.answers(1, 0, good);
  CHECK(court.verdict.unit(0).missing == 1);
  court.answers(2, 0, good);
  CHECK(court.accepted(0));
  court.answers(3, 0, bad);
  CHECK_FALSE(court.accepted(0));
  CHECK(court.verdict.unit(0).contested);
  CHECK(court.verdict.unit(0).dissenters == 1);
  CHECK(court.verdict.unit(0).missing == 2);
  agree(court, 4, 2);
  CHECK(court.accepted(0));
  CHECK(court.verdict.unit(0).outcome == answer(good));
  CHECK(court.verdict.unit(0).supporters == 4);
}

TEST_CASE("verdict: five agree in public, seven beside a dissenter") {
  Court court(public_swarm);
  agree(court, 1, 4);
  CHECK_FALSE(court.accepted(0));
  agree(court, 5, 1);
  CHECK(court.accepted(0));
  court.answers(20, 0, bad);
  CHECK(court.verdict.unit(0).missing == 2);
  agree(court, 6, 1);
  CHECK_FALSE(court.accepted(0));
  agree(court, 7, 1);
  CHECK(court.accepted(0));
}

TEST_CASE("verdict: classes ask for one, two and three results") {
  Court trusted({VerificationClass::trusted, 1'000});
  Court strict({VerificationClass::strict, 60'000});
  agree(trusted, 1, 1);
  CHECK(trusted.accepted(0));
  agree(strict, 1, 2);
  CHECK_FALSE(strict.accepted(0));
  agree(strict, 3, 1);
  CHECK(strict.accepted(0));
}

TEST_CASE("verdict: an accepted failure is counted") {
  Court court;
  const Outcome trap{OutcomeKind::trap, 4, {}};
  court.states(1, 2, trap);
  court.states(2, 2, trap);
  CHECK(court.verdict.accepted_count() == 1);
  CHECK(court.verdict.accepted_failures_count() == 1);
}

TEST_CASE("verdict: different answers of one author void each other") {
  Court court;
  agree(court, 1, 2);
  court.answers(2, 0, bad);
  CHECK_FALSE(court.accepted(0));
  CHECK(court.verdict.unit(0).supporters == 1);
  CHECK(court.verdict.unit(0).dissenters == 0);
  CHECK(court.verdict.unit(0).contested);
  agree(court, 3, 1);
  CHECK(court.accepted(0));
}

TEST_CASE("verdict: a proven wrong answer neither supports nor dissents") {
  Court court;
  agree(court, 1, 2);
  court.answers(3, 0, bad);
  CHECK_FALSE(court.accepted(0));
  court.proves_wrong(3, 0);
  CHECK(court.accepted(0));
  CHECK(court.verdict.unit(0).dissenters == 0);
  CHECK(court.verdict.unit(0).contested);
  CHECK(court.verdict.proven_wrong(0, court.evidence.results(0).back()));
  CHECK_FALSE(court.verdict.proven_wrong(0, court.evidence.results(0).front()));
  CHECK(court.verdict.faults().at(peer(3)) == std::set<UnitIndex>{0});
}

TEST_CASE("verdict: two liars who agree lose the unit they had") {
  Court court;
  agree(court, 2, 2, bad);
  CHECK(court.accepted(0));
  court.proves_wrong(2, 0);
  CHECK_FALSE(court.accepted(0));
  court.proves_wrong(3, 0);
  CHECK_FALSE(court.verdict.unit(0).outcome.has_value());
  CHECK(court.verdict.unit(0).missing == 2);
}

TEST_CASE("verdict: the third distinct faulty unit bans, and all answers of the key drop") {
  Court court;
  for (const UnitIndex unit : {0U, 1U, 2U, 3U}) court.answers(3, unit, unit == 3 ? good : bad);
  court.answers(2, 3, good);
  CHECK(court.accepted(3));
  court.proves_wrong(3, 0);
  court.proves_wrong(3, 0);
  court.replays(1, 3, 1, worse, worse);
  CHECK_FALSE(court.verdict.banned(peer(3)));
  CHECK_FALSE(court.accepted(3));  // after a fault the next 64 entries do not count
  court.proves_wrong(3, 2);
  CHECK(court.verdict.banned(peer(3)));
  CHECK_FALSE(court.verdict.unit(0).contested);
  court.answers(3, 4, good);
  CHECK(court.verdict.unit(4).supporters == 0);
}

TEST_CASE("verdict: many proofs of one faulty unit are one fault") {
  Court court(private_swarm, {peer(1), peer(2), peer(4)});
  court.answers(3, 0, bad);
  for (const unsigned judge : {1U, 2U, 4U}) court.replays(judge, 3, 0, good, good);
  CHECK(court.verdict.faults().at(peer(3)).size() == 1);
  CHECK_FALSE(court.verdict.banned(peer(3)));
}

TEST_CASE("verdict: replays of those who are no judges count nothing") {
  Court court;
  agree(court, 2, 2);
  court.replays(7, 2, 0, bad, bad);
  court.replays(7, 2, 0, bad, worse);
  CHECK(court.accepted(0));
  CHECK(court.verdict.faults().empty());
  CHECK_FALSE(court.verdict.quarantined());
}

TEST_CASE("verdict: a replay whose tiers differ quarantines and blames nobody") {
  Court court;
  agree(court, 2, 2);
  court.replays(1, 2, 0, good, bad);
  CHECK(court.verdict.quarantined());
  CHECK(court.verdict.faults().empty());
  CHECK(court.accepted(0));
}

TEST_CASE("verdict: a replay that confirms the answer changes nothing") {
  Court court;
  agree(court, 2, 2);
  court.proves_wrong(2, 0);
  CHECK(court.accepted(0));
  CHECK(court.verdict.faults().empty());
}

TEST_CASE("verdict: a replay waits for the answer that it proves wrong") {
  Court court;
  for (const UnitIndex unit : {0U, 1U, 2U}) court.proves_wrong(3, unit);
  CHECK(court.verdict.faults().empty());
  court.answers(3, 0, bad);
  court.answers(3, 1, bad);
  CHECK(court.verdict.faults().at(peer(3)).size() == 2);
  court.answers(3, 2, good);
  CHECK_FALSE(court.verdict.banned(peer(3)));
  court.answers(3, 2, bad);
  CHECK(court.verdict.banned(peer(3)));
}

TEST_CASE("verdict: changes are told once, and only lasting ones") {
  Court court;
  CHECK(court.verdict.poll_changed().empty());
  court.answers(1, 5, good);
  CHECK(court.verdict.poll_changed().empty());
  court.answers(2, 5, good);
  court.answers(1, 2, good);
  court.answers(2, 2, good);
  CHECK(court.verdict.poll_changed() == std::vector<UnitIndex>{2, 5});
  CHECK(court.verdict.poll_changed().empty());
  court.answers(3, 5, bad);
  court.proves_wrong(3, 5);
  CHECK(court.verdict.poll_changed().empty());
  court.answers(4, 5, bad);
  CHECK(court.verdict.poll_changed().empty());  // the others have a verified unit each: one fresh key does not outweigh that
  court.answers(6, 5, bad);
  CHECK(court.verdict.poll_changed() == std::vector<UnitIndex>{5});
}

}  // namespace

TEST_CASE("verdict: a right digest with a wrong size or a wrong fuel is a wrong answer") {
  Court court;
  Outcome wrong = answer(good);
  SUBCASE("size") { wrong.archive_bytes = 1; }
  SUBCASE("fuel") { wrong.fuel = 1; }
  court.answers(1, 0, good);
  court.states(2, 0, wrong);
  CHECK_FALSE(court.verdict.unit(0).accepted);
  CHECK(court.verdict.unit(0).contested);
  court.replays(1, 2, 0, good, good);
  CHECK(court.verdict.faults().at(peer(2)).contains(0));
}

namespace {

Digest mark(unsigned number) { return answer(number).digest; }

}  // namespace

TEST_CASE("verdict: peers with different fingerprints agree") {
  Court court;
  court.states(2, 0, answer(good), mark(2));
  court.states(3, 0, answer(good), mark(3));
  CHECK(court.accepted(0));
  CHECK_FALSE(court.verdict.unit(0).contested);
  court.finds(2, 0, mark(2));
  court.finds(3, 0, mark(3));
  CHECK(court.accepted(0));
  CHECK(court.verdict.faults().empty());
}

TEST_CASE("verdict: a right outcome with a fingerprint that the execution does not give bans at once") {
  for (const auto& [stated, found] : {std::pair{mark(7), mark(8)}, std::pair{mark(7), Digest{}}, std::pair{Digest{}, mark(8)}}) {
    Court court;
    court.states(2, 0, answer(good), mark(2));
    court.states(3, 0, answer(good), stated);
    court.states(3, 1, answer(good), mark(3));
    court.states(2, 1, answer(good), mark(2));
    REQUIRE(court.accepted(1));
    court.finds(3, 0, found);
    CHECK(court.verdict.banned(peer(3)));
    CHECK(court.verdict.faults().at(peer(3)) == std::set<UnitIndex>{0});
    CHECK_FALSE(court.accepted(0));
    CHECK_FALSE(court.accepted(1));
    CHECK_FALSE(court.verdict.banned(peer(2)));
    CHECK(banned_by(court.evidence, {peer(1)}, peer(3)));
    CHECK_FALSE(banned_by(court.evidence, {peer(2)}, peer(3)));
  }
}

TEST_CASE("verdict: a wrong outcome with another fingerprint may be an error: one fault") {
  Court court;
  court.states(3, 0, answer(bad), mark(7));
  court.finds(3, 0, mark(8));
  CHECK(court.verdict.faults().at(peer(3)).size() == 1);
  CHECK_FALSE(court.verdict.banned(peer(3)));
  CHECK_FALSE(banned_by(court.evidence, {peer(1)}, peer(3)));
}

TEST_CASE("verdict: who takes back what he said is banned by no number of errors, whenever it is heard, and nothing of his counts any more") {
  for (int heard_before = 0; heard_before < 5; ++heard_before) {  // so many of: a proof, a proof, a third, another answer
    CAPTURE(heard_before);
    Court court;
    const auto hear = [&](int what) { return what < 3 ? court.proves_wrong(3, static_cast<UnitIndex>(what)) : court.answers(3, 5, good); };
    for (UnitIndex unit = 0; unit < 3; ++unit) court.answers(3, unit, bad);
    court.answers(3, 4, good);
    court.answers(2, 4, good);
    REQUIRE(court.accepted(4));
    for (int what = 0; what < heard_before; ++what) hear(what);
    CHECK(court.verdict.banned(peer(3)) == (heard_before >= 3));
    court.takes_back(3);
    for (int what = heard_before; what < 4; ++what) hear(what);
    CHECK_FALSE(court.verdict.banned(peer(3)));
    CHECK(court.verdict.withdrawn(peer(3)));
    CHECK(court.verdict.faults().at(peer(3)).size() == 3);  // they stay what they were
    CHECK_FALSE(court.accepted(4));
    court.answers(2, 5, good);
    CHECK_FALSE(court.accepted(5));  // what he says now counts no more than what he said
    court.answers(2, 0, good);
    CHECK_FALSE(court.verdict.unit(0).contested);
    CHECK(court.verdict.verified_units(peer(3)) == 0);
  }
}

TEST_CASE("verdict: to take back an answer that no execution gives does not help") {
  for (const bool first : {false, true}) {
    Court court;
    if (first) court.takes_back(3);
    court.states(3, 0, answer(good), mark(7));
    court.finds(3, 0, mark(8));
    if (!first) court.takes_back(3);
    CHECK(court.verdict.banned(peer(3)));
  }
}

TEST_CASE("verdict: as many audits are heard as the manifest asks for") {
  for (const std::uint32_t percent : {5U, 20U, 40U}) {
    CAPTURE(percent);
    Manifest manifest;
    manifest.unit_count = 200;
    manifest.verification = VerificationClass::standard;
    manifest.epsilon_ppm = 60'000;
    manifest.audit_percent = percent;
    JobEvidence evidence(200);
    Verdict verdict(evidence, {peer(1)}, parameters_of(manifest));
    OwnLog log;
    std::uint32_t statements = 0;
    const auto states = [&](UnitIndex unit, bool audit) {
      const Results results = log.prepare({}, {{unit, 0, answer(good), {}, audit}});
      MessageId statement;
      statement.bytes[0] = static_cast<std::byte>(++statements);
      log.on_stated(statement, results, false);
      evidence.add_results(peer(3), statement, results);
      verdict.on_results(peer(3), statement, results);
    };
    constexpr UnitIndex work = 40;
    for (UnitIndex unit = 0; unit < work; ++unit) states(unit, false);
    for (UnitIndex unit = 100; unit < 160; ++unit) states(unit, true);
    verdict.settle();
    std::uint32_t heard = 0;
    for (UnitIndex unit = 100; unit < 160; ++unit) heard += verdict.void_answer_of(peer(3), unit) ? 0U : 1U;
    CHECK(heard == audits_free + work * percent / 40);  // four are free; at 5 % eight results stand behind each further one, at 40 % one
  }
}

TEST_CASE("verdict: what waits to be looked at is not void yet, however long that is put off") {
  JobEvidence evidence(10);
  Verdict verdict(evidence, {peer(1)}, {VerificationClass::standard, 60'000});
  std::uint32_t statements = 0;
  const auto states = [&](std::uint32_t first_index, UnitIndex unit) {
    const Results results{{}, first_index, {{unit, 0, answer(good)}}, 1, {}};
    MessageId statement;
    statement.bytes[0] = static_cast<std::byte>(++statements);
    evidence.add_results(peer(3), statement, results);
    verdict.on_results(peer(3), statement, results);
  };
  states(0, 1);
  verdict.settle();
  REQUIRE_FALSE(verdict.looks_anew_at(peer(3)));
  states(0, 2);  // follows what the first one follows, at the same place: a fork
  states(1, 3);
  CHECK(verdict.looks_anew_at(peer(3)));
  for (UnitIndex unit = 1; unit < 4; ++unit) CHECK_FALSE(verdict.void_answer_of(peer(3), unit));
  verdict.settle();
  CHECK_FALSE(verdict.looks_anew_at(peer(3)));
  for (UnitIndex unit = 1; unit < 4; ++unit) CHECK(verdict.void_answer_of(peer(3), unit));
}

TEST_CASE("verdict: a copier does not push his copy out of the evidence by lower lies") {
  Court court;
  court.states(3, 0, answer(good), mark(7));
  court.finds(3, 0, mark(8));
  REQUIRE(court.verdict.banned(peer(3)));
  court.states(3, 0, answer(1), mark(1));
  court.states(3, 0, answer(2), mark(1));
  CHECK(court.verdict.banned(peer(3)));
  Court late;  // who hears the lies first comes to the same
  late.states(3, 0, answer(1), mark(1));
  late.states(3, 0, answer(2), mark(1));
  late.states(3, 0, answer(good), mark(7));
  late.finds(3, 0, mark(8));
  CHECK(late.verdict.banned(peer(3)));
}

TEST_CASE("verdict: one key's equal outcomes with two fingerprints count once, and a replay bans for the wrong one") {
  Court court;
  court.states(2, 0, answer(good), mark(2));
  court.states(3, 0, answer(good), mark(3));
  REQUIRE(court.accepted(0));
  court.states(3, 0, answer(good), mark(4));
  CHECK(court.accepted(0));
  CHECK(court.verdict.unit(0).supporters == 2);
  CHECK_FALSE(court.verdict.banned(peer(3)));
  court.finds(3, 0, mark(4));
  CHECK(court.verdict.banned(peer(3)));
  CHECK_FALSE(court.accepted(0));
}

TEST_CASE("verdict: tiers that differ in the fingerprint alone quarantine, and nobody is blamed") {
  Court court;
  court.states(3, 0, answer(good), mark(7));
  court.finds(3, 0, mark(8), mark(9));
  CHECK(court.verdict.quarantined());
  CHECK(court.verdict.faults().empty());
  CHECK_FALSE(court.verdict.banned(peer(3)));
}
