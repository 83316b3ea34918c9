// Units in segments: the numbers, the rule of chains in verdicts, and what one peer does about it. Swarms: the scenarios chains_*.
#include "coordinator-less/protocol/judgement/segments.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::epoch_s;

Manifest manifest_in_segments(std::uint32_t units, std::uint32_t rounds, std::uint32_t each) {
  Manifest manifest = testing::manifest(units, epoch_s);
  manifest.rounds_max = rounds;
  manifest.segment_rounds = each;
  return manifest;
}

Digest archive(std::string_view text) { return testing::digest_of(text); }
Outcome left(std::string_view text, const Digest& input = {}) { return {OutcomeKind::checkpoint, 85, archive(text), 10, 1, input}; }
Outcome done(std::string_view text, const Digest& input) { return {OutcomeKind::ok, 0, archive(text), 10, 1, input}; }

// Two units of three segments: 0, 2, 4 and 1, 3, 5.
struct Court {
  void states(unsigned author, UnitIndex unit, const Outcome& outcome) {
    const Results results = logs[author].prepare(JobId{}, {{unit, 0, outcome}});
    const MessageId statement = base::retag<MessageId>(testing::digest_of(std::to_string(++statements)));
    logs[author].on_stated(statement, results, false);
    evidence.add_results(testing::identity(author).id(), statement, results);
    verdict.on_results(testing::identity(author).id(), statement, results);
    verdict.settle();
    verdict.check_invariants();
    evidence.check_invariants();
  }
  void agree(unsigned first, unsigned count, UnitIndex unit, const Outcome& outcome) {
    for (unsigned author = first; author < first + count; ++author) states(author, unit, outcome);
  }
  void replays(unsigned accused, UnitIndex unit, const Outcome& right) {
    const ReplayFact fact{testing::identity(1).id(), {}, testing::identity(accused).id(), unit, right, right};
    if (evidence.add_replay(fact.judge, {JobId{}, {}, fact.accused, unit, right, right})) verdict.on_replay(fact);
    verdict.settle();
    verdict.check_invariants();
  }

  std::map<unsigned, OwnLog> logs;
  int statements = 0;
  JobEvidence evidence{6};
  Verdict verdict{evidence, {testing::identity(1).id()}, {VerificationClass::standard, 60'000, 2}};
};

struct Peer : testing::LoneNode {
  explicit Peer(unsigned n) : LoneNode(n) { start(); }
  void submit(const Manifest& manifest) {
    manifest_statement = runtime::seal(testing::network(), testing::identity(100), manifest);
    job = base::retag<JobId>(manifest_statement.id);
    feed(Submit{manifest_statement});
  }
  // A neighbour that was linked says so.
  void hears(unsigned author, UnitIndex unit, const Outcome& outcome) {
    auto [other, fresh] = authors.try_emplace(author, nullptr);
    if (fresh) other->second = std::make_unique<testing::Author>(author, manifest_statement);
    from(*other->second, other->second->states(unit, outcome));
  }
  std::vector<StartUnit> starts_of(UnitIndex unit) {
    auto all = taken<StartUnit>();
    std::erase_if(all, [&](const StartUnit& start) { return start.unit != unit; });
    return all;
  }

  // Two liars among eight neighbours get a forged first segment accepted.
  void build_on_forged() {
    for (unsigned other = 2; other < 9; ++other) feed(LinkUp{testing::identity(other).id(), false});
    submit(manifest_in_segments(1, 4, 1));
    feed(UnitReleased{job, 0});
    for (const char* blob : {"forged", "right"}) feed(BlobHeld{archive(blob)});
    for (const unsigned liar : {2U, 3U}) hears(liar, 0, left("forged"));
  }
  void learn_what_is_right() {
    for (unsigned other = 4; other < 9; ++other) hears(other, 0, left("right"));
  }

  JobId job;
  Statement manifest_statement;
  std::map<unsigned, std::unique_ptr<testing::Author>> authors;
};

}  // namespace

TEST_CASE("segments: numbers, and the rounds of each") {
  const Segments chain(manifest_in_segments(10, 25, 10));
  CHECK(chain.chained());
  CHECK(chain.of_a_unit() == 3);
  CHECK(chain.total() == 30);
  CHECK(chain.stride() == 10);
  CHECK(chain.unit_of(27) == 7);
  CHECK(chain.segment_of(27) == 2);
  CHECK(chain.last(27));
  CHECK_FALSE(chain.last(17));
  CHECK(chain.first_round(17) == 10);
  CHECK(chain.end_round(17) == 20);
  CHECK(chain.end_round(27) == 25);
  for (const auto& [rounds, each] : {std::pair{0U, 0U}, {25U, 0U}, {25U, 25U}, {25U, UINT32_MAX}}) {
    const Segments whole(manifest_in_segments(10, rounds, each));
    CHECK_FALSE(whole.chained());
    CHECK(whole.total() == 10);
    CHECK(whole.stride() == 0);
    CHECK(whole.end_round(9) == rounds);
  }
}

TEST_CASE("segments: a unit opens with what was accepted before it, and is skipped when nothing is left of it") {
  Court court;
  CHECK(court.verdict.unit(0).open);
  CHECK_FALSE(court.verdict.unit(2).open);
  CHECK_FALSE(court.verdict.unit(2).skipped);
  court.agree(2, 2, 2, left("b", archive("a")));  // before anybody knows what comes before
  CHECK_FALSE(court.verdict.unit(2).accepted);
  court.verdict.poll_changed();
  court.agree(2, 2, 0, left("a"));
  CHECK(court.verdict.unit(0).accepted);
  CHECK(court.verdict.unit(2).accepted);
  CHECK(court.verdict.unit(4).open);
  CHECK(court.verdict.input(4)->name == archive("b"));
  CHECK(court.verdict.poll_changed() == std::vector<UnitIndex>{0, 2, 4});
  CHECK(court.verdict.ended_count() == 0);

  court.agree(2, 2, 1, done("short", {}));
  CHECK(court.verdict.unit(3).skipped);
  CHECK(court.verdict.unit(5).skipped);
  CHECK(court.verdict.ended_count() == 1);
  CHECK(court.verdict.skipped_count() == 2);
  court.agree(2, 2, 4, left("never ends", archive("b")));  // there is no segment after the last
  CHECK(court.verdict.ended_count() == 2);
  CHECK(court.verdict.accepted_failures_count() == 1);
}

TEST_CASE("segments: who went on from what is accepted no more has neither voted nor erred, and answers again") {
  Court court;
  court.agree(2, 2, 0, left("forged"));
  court.agree(4, 2, 2, left("on sand", archive("forged")));
  CHECK(court.verdict.unit(2).accepted);
  court.agree(4, 5, 0, left("right"));  // five outweigh two
  CHECK(court.verdict.input(2)->name == archive("right"));
  CHECK_FALSE(court.verdict.unit(2).accepted);
  CHECK_FALSE(court.verdict.unit(2).contested);
  CHECK(court.verdict.unit(2).supporters == 0);
  CHECK_FALSE(court.verdict.unit(4).open);
  court.agree(4, 2, 2, left("on rock", archive("right")));  // the same two authors
  CHECK(court.verdict.unit(2).accepted);
  CHECK(court.verdict.unit(2).dissenters == 0);
  CHECK(court.evidence.results(2).size() == 4);
}

TEST_CASE("segments: a proof speaks of answers from its own input only") {
  Court court;
  court.agree(2, 2, 0, left("a"));
  court.states(4, 2, left("b", archive("other")));
  court.replays(4, 2, left("b", archive("a")));
  CHECK(court.verdict.faults().empty());
  court.states(4, 2, left("wrong", archive("a")));
  CHECK(court.verdict.faults().at(testing::identity(4).id()).contains(2));
}

TEST_CASE("segments: in a job without them the kind checkpoint, or an input, makes a chain of nothing") {
  const JobEvidence empty(2);
  JobEvidence evidence(2);
  Verdict verdict(evidence, {}, {VerificationClass::standard, 60'000});
  for (unsigned author = 2; author < 4; ++author) {
    const Results results{{}, 0, {{0, 0, left("a")}, {1, 0, left("b", archive("a"))}}};
    evidence.add_results(testing::identity(author).id(), {}, results);
    verdict.on_results(testing::identity(author).id(), {}, results);
    verdict.settle();
  }
  CHECK(verdict.unit(0).accepted);
  CHECK(verdict.ended_count() == 1);
  CHECK(verdict.accepted_failures_count() == 1);
  CHECK_FALSE(verdict.unit(1).accepted);
  CHECK(verdict.unit(1).open);
}

TEST_CASE("segments: a peer goes on from an accepted archive of its own, and the job ends with the chain") {
  Peer peer(1);
  peer.feed(LinkUp{testing::identity(2).id(), false});
  peer.submit(manifest_in_segments(1, 4, 1));
  REQUIRE(peer.taken<StartUnit>().size() == 1);
  CHECK(peer.taken<StartUnit>()[0].input.name == Digest{});
  peer.feed(UnitFinished{peer.job, 0, left("a")});
  peer.feed(BlobHeld{archive("a")});
  peer.pass(100);
  CHECK(peer.starts_of(1).empty());  // nobody has confirmed it
  peer.hears(2, 0, left("a"));
  REQUIRE(peer.starts_of(1).size() == 1);
  CHECK(peer.starts_of(1)[0].input == BlobRef{archive("a"), 10});
  CHECK(peer.node->job(peer.job)->accepted == 0);
  CHECK(peer.node->job(peer.job)->segments_done == 1);
  peer.feed(UnitFinished{peer.job, 1, done("end", archive("a"))});
  peer.feed(BlobHeld{archive("end")});
  peer.pass(100);
  peer.hears(2, 1, done("end", archive("a")));
  const auto status = peer.node->job(peer.job);
  CHECK(status->state == JobState::finished);
  CHECK(status->units == 1);
  CHECK(status->accepted == 1);
  CHECK(status->segments == 4);
  CHECK(status->segments_done == 4);
  CHECK(peer.taken<StartUnit>().size() == 2);
  CHECK_FALSE(peer.node->needs(archive("a")));  // taken over
  CHECK(peer.node->needs(archive("end")));
}

TEST_CASE("segments: what a peer goes on from it fetches first, wherever the segment before was computed") {
  Peer peer(1);
  for (const unsigned other : {2U, 3U}) peer.feed(LinkUp{testing::identity(other).id(), false});
  peer.submit(manifest_in_segments(1, 4, 1));
  peer.hears(2, 0, left("a"));
  peer.hears(3, 0, left("a"));
  peer.feed(UnitReleased{peer.job, 0});
  peer.pass(200);
  CHECK(peer.starts_of(1).empty());
  const auto asked = peer.taken<RequestRange>();
  REQUIRE(!asked.empty());
  CHECK(asked.back().blob == BlobRef{archive("a"), 10});
  peer.feed(RangeArrived{asked.back().from, archive("a"), 0, 1, true});
  peer.feed(BlobHeld{archive("a")});
  peer.pass(100);
  CHECK(peer.starts_of(1).size() == 1);
}

TEST_CASE("segments: when what it goes on from is replaced, a run in vain is stopped, is stated by nobody, and the segment is run again") {
  Peer peer(1);
  peer.build_on_forged();
  REQUIRE(peer.starts_of(1).size() == 1);
  CHECK(peer.starts_of(1)[0].input.name == archive("forged"));
  peer.learn_what_is_right();
  REQUIRE(peer.taken<StopUnit>().size() == 1);
  CHECK(peer.taken<StopUnit>()[0].unit == 1);
  SUBCASE("it was stopped in time") { peer.feed(UnitReleased{peer.job, 1}); }
  SUBCASE("it had just ended") { peer.feed(UnitFinished{peer.job, 1, left("on sand", archive("forged"))}); }
  peer.pass(200);
  REQUIRE(peer.starts_of(1).size() == 2);
  CHECK(peer.starts_of(1)[1].input.name == archive("right"));
  CHECK(peer.node->job(peer.job)->own_results == 0);
}

TEST_CASE("segments: an answer from a replaced archive stands, and the peer answers once more") {
  Peer peer(1);
  peer.build_on_forged();
  peer.feed(UnitFinished{peer.job, 1, left("on sand", archive("forged"))});
  peer.pass(100);
  CHECK(peer.node->job(peer.job)->own_results == 1);
  peer.learn_what_is_right();
  peer.pass(100);
  REQUIRE(peer.starts_of(1).size() == 2);
  peer.feed(UnitFinished{peer.job, 1, left("on rock", archive("right"))});
  peer.pass(100);
  CHECK(peer.node->job(peer.job)->own_results == 2);
  peer.hears(4, 1, left("on rock", archive("right")));
  CHECK(peer.node->verdict(peer.job)->unit(1).accepted);
}

TEST_CASE("segments: a replay is made from what the accused went on from, and not where nobody has that any more") {
  Peer peer(1);
  for (unsigned other = 2; other < 5; ++other) peer.feed(LinkUp{testing::identity(other).id(), false});
  peer.submit(manifest_in_segments(1, 4, 1));
  peer.feed(UnitFinished{peer.job, 0, left("a")});
  peer.feed(BlobHeld{archive("a")});
  peer.pass(100);
  for (const unsigned other : {2U, 3U}) peer.hears(other, 0, left("a"));
  peer.feed(UnitFinished{peer.job, 1, done("b", archive("a"))});
  peer.feed(BlobHeld{archive("b")});
  peer.pass(100);
  bool evicted = false;
  SUBCASE("it is here") {}
  SUBCASE("it is gone everywhere") {
    evicted = true;
    peer.feed(BlobLost{archive("a")});
    for (const unsigned other : {2U, 3U}) peer.feed(LinkDown{testing::identity(other).id()});
  }
  peer.hears(4, 1, done("lie", archive("a")));
  peer.pass(200);
  if (evicted) {
    CHECK(peer.taken<StartReplay>().empty());
    CHECK(peer.node->job(peer.job)->replays_pending == 0);
  } else {
    REQUIRE(!peer.taken<StartReplay>().empty());
    CHECK(peer.taken<StartReplay>()[0].input == BlobRef{archive("a"), 10});
  }
}
