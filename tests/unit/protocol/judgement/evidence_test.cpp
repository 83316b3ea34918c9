#include "coordinator-less/protocol/judgement/evidence.hpp"

#include <doctest/doctest.h>

namespace {

using namespace starling::protocol;

template <class Id>
Id numbered(unsigned number) {
  Id id;
  id.bytes[0] = static_cast<std::byte>(number);
  return id;
}

Outcome outcome(unsigned number) { return {OutcomeKind::ok, 0, numbered<Digest>(number), 10}; }

Results batch(std::initializer_list<std::pair<UnitIndex, unsigned>> answers, std::uint32_t first_log_index = 0) {
  Results results;
  results.first_log_index = first_log_index;
  for (const auto& [unit, digest] : answers) results.entries.push_back({unit, 0, outcome(digest)});
  return results;
}

struct Fixture {
  JobEvidence evidence{4};
  std::vector<UnitIndex> add(unsigned author, unsigned statement, const Results& results) {
    auto news = evidence.add_results(numbered<PeerId>(author), numbered<MessageId>(statement), results);
    evidence.check_invariants();
    return news;
  }
};

TEST_CASE_FIXTURE(Fixture, "evidence: facts carry where they stand") {
  CHECK(add(1, 9, batch({{2, 7}, {0, 7}}, 40)) == std::vector<UnitIndex>{0, 2});
  const ResultFact& fact = evidence.results(0).at(0);
  CHECK(fact.author == numbered<PeerId>(1));
  CHECK(fact.statement == numbered<MessageId>(9));
  CHECK(fact.entry == 1);
  CHECK(fact.at == LogPlace{0, 41});
  CHECK(fact.outcome.archive_bytes == 10);
  CHECK(evidence.answered(numbered<PeerId>(1), 2));
  CHECK_FALSE(evidence.answered(numbered<PeerId>(1), 1));
  CHECK_FALSE(evidence.answered(numbered<PeerId>(2), 2));
}

TEST_CASE_FIXTURE(Fixture, "evidence: an equal fact counts once and names the first place in its author's log, in any order") {
  CHECK(add(1, 5, batch({{0, 7}}, 40)).size() == 1);
  CHECK(add(1, 3, batch({{0, 7}}, 50)).empty());
  CHECK(evidence.results(0).at(0).statement == numbered<MessageId>(5));
  CHECK(add(1, 8, batch({{1, 7}, {0, 7}, {0, 7}}, 10)) == std::vector<UnitIndex>{1});
  CHECK(evidence.results(0).at(0).statement == numbered<MessageId>(8));
  CHECK(evidence.results(0).at(0).entry == 1);
  CHECK(evidence.result_count() == 2);
  Results audit = batch({{0, 7}}, 1);
  audit.entries[0].audit = true;
  CHECK(add(1, 2, audit).empty());
  CHECK_FALSE(evidence.results(0).at(0).audit);  // a result says the same
}

TEST_CASE_FIXTURE(Fixture, "evidence: of many different answers the two lowest stay, in any order") {
  for (const unsigned digest : {9U, 4U, 7U, 2U, 8U}) add(1, digest, batch({{0, digest}}));
  add(2, 1, batch({{0, 9}}));
  REQUIRE(evidence.results(0).size() == 3);
  CHECK(evidence.results(0)[0].outcome == outcome(2));
  CHECK(evidence.results(0)[1].outcome == outcome(4));
  CHECK(evidence.results(0)[2].author == numbered<PeerId>(2));
  CHECK(evidence.result_count() == 3);
  CHECK(add(1, 20, batch({{0, 9}})).empty());
  CHECK(add(1, 20, batch({{0, 1}})).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "evidence: units outside the job are ignored") {
  CHECK(add(1, 1, batch({{4, 7}, {UINT32_MAX, 7}})).empty());
  CHECK_FALSE(evidence.add_replay(numbered<PeerId>(1), {{}, {}, {}, 4, outcome(1), outcome(1)}));
  CHECK(evidence.result_count() == 0);
}

TEST_CASE_FIXTURE(Fixture, "evidence: replays are kept once and found by the accused") {
  const Replay replay{{}, numbered<MessageId>(1), numbered<PeerId>(2), 3, outcome(1), outcome(1)};
  CHECK(evidence.add_replay(numbered<PeerId>(1), replay));
  CHECK_FALSE(evidence.add_replay(numbered<PeerId>(1), replay));
  CHECK(evidence.add_replay(numbered<PeerId>(3), replay));
  CHECK(evidence.replays_of(numbered<PeerId>(2)).size() == 2);
  CHECK(evidence.replays_of(numbered<PeerId>(1)).empty());
  CHECK(evidence.replays_about(3).size() == 2);
  CHECK(evidence.replays_about(2).empty());
}

TEST_CASE_FIXTURE(Fixture, "evidence: results are counted by author") {
  add(1, 1, batch({{0, 7}, {1, 7}, {1, 8}}));
  add(2, 2, batch({{0, 7}}));
  const auto counts = evidence.results_by_author();
  CHECK(counts.size() == 2);
  CHECK(counts.at(numbered<PeerId>(1)) == 3);
  CHECK(counts.at(numbered<PeerId>(2)) == 1);
}

}  // namespace
