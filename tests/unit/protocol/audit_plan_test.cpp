#include "coordinator-less/protocol/audit_plan.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

constexpr unsigned self = 1;

struct Desk {
  explicit Desk(std::uint32_t units, std::uint32_t share_percent = 5)
      : evidence(units), verdict(evidence, {id(self)}, {VerificationClass::standard, 60'000}), audits(id(self), evidence, verdict, share_percent) {}

  static PeerId id(unsigned who) { return testing::identity(who).id(); }
  void answer(unsigned who, UnitIndex unit, std::string_view what, bool audit = false) {
    const Results results = logs[who].prepare(JobId{}, {{unit, 0, {OutcomeKind::ok, 0, testing::digest_of(what)}, {}, audit}});
    const auto statement = base::retag<MessageId>(testing::digest_of(std::to_string(++statements)));
    logs[who].on_stated(statement, results, false);
    evidence.add_results(id(who), statement, results);
    verdict.on_results(id(who), statement, results);
    verdict.settle();
    audits.on_results(id(who), results);
  }
  std::map<UnitIndex, int> draws(int count) {
    std::map<UnitIndex, int> found;
    for (int n = 0; n < count; ++n)
      if (const auto unit = audits.draw(rng)) ++found[*unit];
    return found;
  }

  std::map<unsigned, OwnLog> logs;
  int statements = 0;
  JobEvidence evidence;
  Verdict verdict;
  AuditPlan audits;
  base::Rng rng{5};
};

}  // namespace

TEST_CASE("audits: five in a hundred executions, two more with nothing else to do, none in class trusted") {
  Desk desk(1), trusted(1, 0), thorough(1, 50);
  CHECK_FALSE(desk.audits.due(19, false));
  CHECK(desk.audits.due(20, false));
  CHECK(desk.audits.due(15, true));
  desk.audits.on_started();
  CHECK_FALSE(desk.audits.due(39, false));
  CHECK(desk.audits.due(40, false));
  desk.audits.on_ended();
  CHECK(desk.audits.due(20, false));  // it was given back: nothing was stated
  CHECK_FALSE(trusted.audits.due(1'000'000, true));
  CHECK_FALSE(thorough.audits.due(1, false));
  CHECK(thorough.audits.due(2, false));  // as its manifest asks
}

TEST_CASE("audits: own audits that were stated count, after a restart too") {
  Desk desk(4);
  for (const unsigned who : {2U, 3U}) desk.answer(who, 0, "a");
  desk.answer(self, 0, "a", true);
  CHECK_FALSE(desk.audits.due(39, false));
  CHECK(desk.audits.due(40, false));
}

TEST_CASE("audits: only accepted units that the auditor has not answered") {
  Desk desk(4);
  for (const unsigned who : {2U, 3U}) {
    desk.answer(who, 0, "a");
    desk.answer(who, 1, "b");
  }
  desk.answer(2, 2, "alone");
  desk.answer(self, 0, "a");
  const auto found = desk.draws(100);
  CHECK(found.size() == 1);
  CHECK(found.contains(1));
}

TEST_CASE("audits: every key is hit, however little it has stated") {
  Desk desk(101);
  for (UnitIndex unit = 0; unit < 100; ++unit)
    for (const unsigned who : {2U, 3U}) desk.answer(who, unit, "a");
  for (const unsigned who : {4U, 5U}) desk.answer(who, 100, "a");
  const auto found = desk.draws(400);
  REQUIRE(found.contains(100));
  CHECK(found.at(100) > 40);  // drawn by unit it would be four
}

TEST_CASE("audits: units that nobody has audited come first") {
  Desk desk(2);
  for (const unsigned who : {2U, 3U})
    for (UnitIndex unit = 0; unit < 2; ++unit) desk.answer(who, unit, "a");
  desk.answer(4, 0, "a", true);
  const auto found = desk.draws(100);
  CHECK(found.contains(1));
  CHECK((found.contains(0) ? found.at(0) : 0) < 5);
}
