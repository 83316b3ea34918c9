#include "sdk/client/explanation_json.hpp"

#include <doctest/doctest.h>

#include <set>

#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "tests/support/ids.hpp"

using namespace starling;
using namespace starling::client;
using testing::peer;

namespace {

template <class Id>
Id id_of(int number) {
  return base::retag<Id>(peer(number));
}

protocol::Outcome outcome_of(int number) {
  return {protocol::OutcomeKind::exit_code, -number, id_of<base::Digest>(number), 1ULL << 40, UINT64_MAX, id_of<base::Digest>(number + 1)};
}

protocol::UnitExplanation unit() {
  protocol::UnitExplanation unit;
  unit.unit = 7;
  unit.segment = 2;
  unit.segments_max = 9;
  unit.state = protocol::UnitState::open;
  unit.contested = true;
  unit.supporters = 3;
  unit.dissenters = 4;
  unit.missing = 5;
  unit.fresh_target = 2;
  unit.outcome = outcome_of(3);
  unit.answers.push_back({peer(1), id_of<base::MessageId>(2), 3, {6, 4}, 5, outcome_of(6), true, protocol::AnswerStanding::contradicts_itself});
  unit.answers.push_back({peer(2), id_of<base::MessageId>(3), 0, {}, {}, {}, false, protocol::AnswerStanding::banned});
  unit.answers_more = 8;
  unit.final = protocol::FinalBecause::checked;
  unit.passed = {{peer(1), 4, 199}, {peer(2), 5, 0}};
  protocol::ReplayExplanation replay;
  replay.fact.judge = peer(9);
  replay.fact.accused = peer(1);
  replay.fact.unit = 7;
  replay.fact.compiled = outcome_of(6);
  replay.fact.interpreted = outcome_of(7);
  replay.counts = true;
  replay.finding = protocol::ReplayFinding::copied_answer;
  replay.answered_in = id_of<base::MessageId>(2);
  unit.replays.push_back(replay);
  unit.here = {1, 2, true};
  return unit;
}

protocol::JobExplanation job() {
  protocol::JobExplanation job;
  job.units = 10;
  job.segments = 30;
  job.ended = 1;
  job.ended_failed = 2;
  job.final = 21;
  job.accepted = 3;
  job.open = 4;
  job.unanswered = 5;
  job.waits = 6;
  job.skipped = 7;
  job.contested = 8;
  job.open_units.push_back({9, 1, true, 3});
  job.fresh_target = 2;
  job.quarantined = true;
  job.answers = 1ULL << 33;
  job.replays = 11;
  job.judges = {peer(1), peer(2)};
  job.peers.push_back({peer(3), 1, 2, 3, 4, 8, 5, UINT64_MAX, 6, true, {peer(1)}, 7, 9, true});
  job.digest = id_of<base::Digest>(4);
  return job;
}

// Every key taken away, and every value replaced by one of another kind: an answer of another version must not crash the client.
template <class Read>
void check_strict(const Json& whole, Read read) {
  for (const auto& [key, value] : whole.items()) {
    Json less = whole, other = whole;
    less.erase(key);
    other[key] = value.is_string() ? Json(7) : Json("x");
    CHECK_MESSAGE(!read(less).has_value(), "without " << key);
    CHECK_MESSAGE(!read(other).has_value(), "foreign " << key);
  }
  CHECK_FALSE(read(Json()).has_value());
  CHECK_FALSE(read(Json::array()).has_value());
}

}  // namespace

TEST_CASE("an explained unit comes back from JSON as it was") {
  const auto json = to_json(unit());
  const auto read = unit_explanation_from(parse_json(dump(json)));
  REQUIRE(read.has_value());
  CHECK(to_json(*read) == json);
  CHECK(read->answers[0].position == 5U);
  CHECK(read->answers[0].at == protocol::LogPlace{6, 4});
  CHECK(read->answers[0].outcome == outcome_of(6));
  CHECK_FALSE(read->answers[1].position.has_value());
  CHECK_FALSE(read->needed.has_value());
  CHECK(read->replays[0].fact.interpreted == outcome_of(7));
  CHECK_FALSE(read->replays[0].statement.has_value());
  CHECK(read->here->claims == 2);
  check_strict(json, [](const Json& from) { return unit_explanation_from(from); });
}

TEST_CASE("every way to stand has its own name, and comes back by it") {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(protocol::AnswerStanding::banned); ++i) {
    auto one = unit();
    one.answers[0].standing = static_cast<protocol::AnswerStanding>(i);
    const auto read = unit_explanation_from(to_json(one));
    REQUIRE(read.has_value());
    CHECK(read->answers[0].standing == one.answers[0].standing);
    names.insert(name_of(one.answers[0].standing));
  }
  CHECK(names.size() == static_cast<std::size_t>(protocol::AnswerStanding::banned) + 1);
}

TEST_CASE("an explained job comes back from JSON as it was") {
  const auto json = to_json(job());
  const auto read = job_explanation_from(parse_json(dump(json)));
  REQUIRE(read.has_value());
  CHECK(to_json(*read) == json);
  CHECK(read->peers == job().peers);
  CHECK(read->open_units == job().open_units);
  CHECK(read->judges == job().judges);
  check_strict(json, [](const Json& from) { return job_explanation_from(from); });
}

TEST_CASE("a peer's standing says which error its answers are weighed with, if they are") {
  protocol::PeerStanding standing;
  CHECK(to_json(standing).at("assumed_error").get<double>() == doctest::Approx(0.2));
  standing.verified_units = 100;  // 0.2 / (0.8 e k)
  CHECK(to_json(standing).at("assumed_error").get<double>() == doctest::Approx(0.2 / (0.8 * 2.718281828 * 100)));
  standing.verified_units = 100'000;
  CHECK(assumed_error(standing.verified_units) == assumed_error(protocol::credited_units_max));
  standing.banned = true;
  CHECK(to_json(standing).at("assumed_error").is_null());
  standing.banned = false;
  standing.withdrawn = true;
  CHECK(to_json(standing).at("assumed_error").is_null());
}

TEST_CASE("a replay comes back from JSON, and a foreign one does not") {
  const auto json = to_json(unit().replays[0]);
  REQUIRE(replay_explanation_from(json).has_value());
  CHECK(to_json(*replay_explanation_from(json)) == json);
  check_strict(json, [](const Json& from) { return replay_explanation_from(from); });
}
