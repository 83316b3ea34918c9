// Which accepted units are final, and why; the walking definition beside V's own.
#include "coordinator-less/protocol/finality.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "coordinator-less/protocol/judgement/verification_class.hpp"
#include "tests/support/ids.hpp"
#include "tests/support/keys.hpp"

namespace {

using namespace starling;
using namespace starling::protocol;
using testing::peer;

constexpr unsigned judge = 1;

Outcome answer(std::string_view what, OutcomeKind kind = OutcomeKind::ok) {
  return {kind, kind == OutcomeKind::checkpoint ? 85 : 0, testing::digest_of(what), 10, 100};
}
Outcome right(UnitIndex unit) { return answer("unit " + std::to_string(unit)); }

Manifest manifest_of(std::uint32_t units, VerificationClass verification = VerificationClass::standard, std::uint32_t segments = 1) {
  Manifest manifest;
  manifest.unit_count = units;
  manifest.epsilon_ppm = 60'000;
  manifest.verification = verification;
  if (segments > 1) manifest.rounds_max = segments, manifest.segment_rounds = 1;
  return manifest;
}

struct Case {
  explicit Case(Manifest of, std::uint32_t segments = 1, std::set<PeerId> judges = {peer(judge)})
      : manifest(std::move(of)), evidence(manifest.unit_count * segments), verdict(evidence, std::move(judges), parameters_of(manifest)) {}

  void states(unsigned author, UnitIndex unit, const Outcome& outcome, bool audit = false) {
    Results results = logs[author].prepare({}, {{unit, 0, outcome, {}, audit}});
    const auto id = base::retag<MessageId>(testing::digest_of("statement " + std::to_string(++statements)));
    logs[author].on_stated(id, results, false);
    evidence.add_results(peer(author), id, results);
    verdict.on_results(peer(author), id, results);
    verdict.settle();
  }
  void all_state(std::initializer_list<unsigned> authors, UnitIndex unit) {
    for (const unsigned author : authors) states(author, unit, right(unit));
  }
  void replays(unsigned by, unsigned accused, UnitIndex unit, const Outcome& compiled, const Outcome& interpreted) {
    const Replay replay{{}, {}, peer(accused), unit, compiled, interpreted};
    if (evidence.add_replay(peer(by), replay)) verdict.on_replay(fact_of(peer(by), replay));
    verdict.settle();
  }
  std::optional<FinalBecause> why(UnitIndex unit) const { return why_final(evidence, verdict, unit); }
  FinalUnits all() const { return final_units(evidence, verdict, manifest.unit_count); }

  Manifest manifest;
  JobEvidence evidence;
  Verdict verdict;
  std::map<unsigned, OwnLog> logs;
  int statements = 0;
};

}  // namespace

TEST_CASE("finality: the last units of a log become final by a judge's own look alone") {
  Case job(manifest_of(4));
  for (UnitIndex unit = 0; unit < 4; ++unit) job.all_state({3, 4}, unit);
  CHECK(job.all().count == 0);
  CHECK(job.all().waiting == std::vector<UnitIndex>{0, 1, 2, 3});
  job.states(judge, 2, right(2), true);
  CHECK(job.why(2) == FinalBecause::checked);
  job.replays(judge, 3, 1, right(1), right(1));
  CHECK(job.why(1) == FinalBecause::checked);
  CHECK(job.all().count == 2);
  CHECK(job.all().waiting == std::vector<UnitIndex>{0, 3});
}

TEST_CASE("finality: who is no judge checks nothing, nor does a replay whose tiers differ, nor a judge who says two things") {
  Case job(manifest_of(4));
  for (UnitIndex unit = 0; unit < 4; ++unit) job.all_state({3, 4}, unit);
  job.states(7, 0, right(0), true);
  job.replays(8, 3, 1, right(1), right(1));
  CHECK(job.all().count == 0);
  job.states(judge, 3, right(3), true);
  CHECK(job.why(3));
  job.states(judge, 3, answer("another"), true);
  CHECK_FALSE(job.why(3));
  job.replays(judge, 3, 2, right(2), answer("interpreted"));  // quarantines, and says nothing of the answer
  CHECK_FALSE(job.why(2));
}

TEST_CASE("finality: a unit is not final before it is accepted, and the class trusted asks for nothing more") {
  Case job(manifest_of(2));
  job.states(judge, 0, right(0));
  CHECK_FALSE(job.why(0));
  CHECK(job.all().waiting.empty());
  Case trusted(manifest_of(2, VerificationClass::trusted));
  trusted.states(3, 0, right(0));
  CHECK(trusted.why(0) == FinalBecause::believed);
  CHECK(trusted.all().count == 1);
}

TEST_CASE("finality: five later audits of its supporters") {
  Case job(manifest_of(20));
  for (UnitIndex unit = 0; unit < 20; ++unit) job.all_state({3, 4}, unit);
  for (unsigned auditor = 10; auditor < 15; ++auditor) {
    for (UnitIndex unit = 0; unit < 8; ++unit) job.states(auditor, unit, right(unit));
    CHECK_FALSE(job.why(9));
    job.states(auditor, 19 - (auditor - 10), right(19 - (auditor - 10)), true);
  }
  CHECK(job.why(0) == FinalBecause::passed);
  CHECK(job.why(14) == FinalBecause::passed);
  CHECK_FALSE(job.why(15));
  CHECK(supporters_passed(job.evidence, job.verdict, 16) == std::vector<SupporterPassed>{{peer(3), 3, 3}, {peer(4), 3, 3}});
  CHECK(supporters_passed(job.evidence, job.verdict, 9) == std::vector<SupporterPassed>{{peer(3), 5, 10}, {peer(4), 5, 10}});
}

TEST_CASE("finality: audits of keys without work are none, and eight verified results of a key stand behind each; a judge's need nothing") {
  Case job(manifest_of(40));
  for (UnitIndex unit = 0; unit < 40; ++unit) job.all_state({3, 4}, unit);
  for (unsigned key = 10; key < 30; ++key)
    for (UnitIndex unit = 36; unit < 40; ++unit) job.states(key, unit, right(unit), true);
  CHECK(job.all().count == 0);
  CHECK(supporters_passed(job.evidence, job.verdict, 0) == std::vector<SupporterPassed>{{peer(3), 0, 39}, {peer(4), 0, 39}});
  for (UnitIndex unit = 0; unit < 15; ++unit) job.states(10, unit, right(unit));
  CHECK(supporters_passed(job.evidence, job.verdict, 0)[0].audits == 1);
  job.states(10, 15, right(15));
  CHECK(supporters_passed(job.evidence, job.verdict, 0)[0].audits == 2);
  for (const UnitIndex unit : {33U, 34U, 35U}) {
    CHECK_FALSE(job.why(0));
    job.states(judge, unit, right(unit), true);
  }
  CHECK(job.why(0) == FinalBecause::passed);
}

TEST_CASE("finality: a judge whom other judges ban is not believed") {
  constexpr unsigned second = 2;
  Case job(manifest_of(8), 1, {peer(judge), peer(second)});
  for (UnitIndex unit = 0; unit < 8; ++unit) job.all_state({3, 4, 5, 6}, unit);
  job.states(second, 0, right(0), true);
  job.replays(second, 3, 1, right(1), right(1));
  CHECK(job.why(0) == FinalBecause::checked);
  CHECK(job.why(1) == FinalBecause::checked);
  for (const UnitIndex unit : {5U, 6U, 7U}) {
    job.states(second, unit, answer("wrong"), true);
    job.replays(judge, second, unit, right(unit), right(unit));
  }
  REQUIRE(job.verdict.banned(peer(second)));
  CHECK_FALSE(job.why(0));
  CHECK_FALSE(job.why(1));
  CHECK(job.all().waiting == std::vector<UnitIndex>{0, 1, 2, 3, 4});  // the first judge looked at the rest
}

TEST_CASE("finality: a unit in segments is final when every one up to its end is") {
  Case job(manifest_of(1, VerificationClass::standard, 3), 3);
  const Outcome first = answer("first", OutcomeKind::checkpoint);
  Outcome second = answer("second");
  second.input = first.digest;
  for (const unsigned author : {3U, 4U}) job.states(author, 0, first), job.states(author, 1, second);
  REQUIRE(job.verdict.ended_count() == 1);
  job.states(judge, 1, second, true);
  CHECK(job.why(1) == FinalBecause::checked);
  CHECK(job.all().count == 0);
  CHECK(job.all().waiting == std::vector<UnitIndex>{0});
  job.states(judge, 0, first, true);
  CHECK(job.all().count == 1);
}

TEST_CASE("finality: of units in segments each waits once, however many segments of it do") {
  Case job(manifest_of(3, VerificationClass::standard, 2), 2);
  const auto first = [](UnitIndex unit) { return answer("first " + std::to_string(unit), OutcomeKind::checkpoint); };
  const auto second = [&](UnitIndex unit) {
    Outcome outcome = answer("second " + std::to_string(unit));
    outcome.input = first(unit).digest;
    return outcome;
  };
  for (const UnitIndex unit : {1U, 2U})
    for (const unsigned author : {3U, 4U}) job.states(author, unit, first(unit)), job.states(author, 3 + unit, second(unit));
  REQUIRE(job.verdict.ended_count() == 2);
  CHECK(job.all().waiting == std::vector<UnitIndex>{1, 2, 4, 5});
  CHECK(job.all().waiting_units == 2);
  job.states(judge, 4, second(1), true);
  CHECK(job.all().waiting_units == 2);
  job.states(judge, 1, first(1), true);
  CHECK(job.all().waiting_units == 1);
  CHECK(job.all().count == 1);
}

TEST_CASE("finality: what is told of supporters agrees with V's own definition, whatever was said and in whatever order") {
  std::size_t passed = 0, waiting = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    base::Rng rng(seed);
    Case job(manifest_of(40));
    std::vector<std::pair<unsigned, UnitIndex>> turns;  // each once: evidence keeps one place of an answer that is repeated
    for (unsigned author = 2; author < 8; ++author)
      for (UnitIndex unit = 0; unit < 40; ++unit) turns.emplace_back(author, unit);
    for (std::size_t i = turns.size(); i > 1; --i) std::swap(turns[i - 1], turns[rng.below(i)]);
    for (const auto& [author, unit] : turns) {
      const bool lies = rng.below(100) == 0;
      job.states(author, unit, lies ? answer("wrong") : right(unit), rng.below(4) == 0);
      if (lies) job.replays(judge, author, unit, right(unit), right(unit));
    }
    CAPTURE(seed);
    for (UnitIndex unit = 0; unit < 40; ++unit) {
      CAPTURE(unit);
      const auto supporters = supporters_passed(job.evidence, job.verdict, unit);
      const bool enough = std::ranges::count_if(supporters, &SupporterPassed::enough) >= answers_required(VerificationClass::standard);
      CHECK(job.verdict.is_final(unit) == (job.verdict.accepted(unit) && enough));
      ++(enough ? passed : waiting);
    }
  }
  CHECK(passed > 100);  // else nothing was compared
  CHECK(waiting > 100);
}

TEST_CASE("finality: verified work is of results that agree, and of nobody else") {
  Case job(manifest_of(4));
  job.all_state({3, 4, 7, 8}, 0);
  job.all_state({3}, 1);
  job.states(5, 0, answer("wrong"));
  job.states(6, 0, right(0), true);
  CHECK(verified_work(job.evidence, job.verdict, UINT64_MAX) == std::map<PeerId, VerifiedWork>{{peer(3), {1, 100}}, {peer(4), {1, 100}}, {peer(7), {1, 100}}, {peer(8), {1, 100}}});
}

TEST_CASE("finality: a manifest's fuel bounds a unit by its items, and none or too much bounds nothing") {
  Manifest manifest = manifest_of(4);
  manifest.items_per_unit = 3;
  CHECK(unit_fuel_max_of(manifest) == UINT64_MAX);
  manifest.limits.fuel = 50;
  CHECK(unit_fuel_max_of(manifest) == 150);
  manifest.limits.fuel = UINT64_MAX / 2;
  CHECK(unit_fuel_max_of(manifest) == UINT64_MAX);
}

TEST_CASE("finality: no unit is a greater favour than the manifest allows, or sixteen times the median of its job") {
  Case job(manifest_of(5));
  for (UnitIndex unit = 0; unit < 4; ++unit) job.all_state({3, 4}, unit);
  Outcome lie = right(4);
  lie.fuel = UINT64_MAX / 2;
  for (const unsigned author : {5U, 6U}) job.states(author, 4, lie);
  REQUIRE(job.verdict.accepted(4));
  CHECK(verified_work(job.evidence, job.verdict, UINT64_MAX) ==
        std::map<PeerId, VerifiedWork>{{peer(3), {4, 400}}, {peer(4), {4, 400}}, {peer(5), {1, 1600}}, {peer(6), {1, 1600}}});
  CHECK(verified_work(job.evidence, job.verdict, 250) ==
        std::map<PeerId, VerifiedWork>{{peer(3), {4, 400}}, {peer(4), {4, 400}}, {peer(5), {1, 250}}, {peer(6), {1, 250}}});
}
