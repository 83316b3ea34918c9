// A node whose user waits until a job is final, and whose job it takes next.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::epoch_s;
using testing::id_of;
using Peer = testing::LoneNode;

Outcome right(UnitIndex unit) { return {OutcomeKind::ok, 0, testing::digest_of("unit " + std::to_string(unit)), 10, 100}; }

Statement job_of(unsigned owner, std::uint32_t units, std::uint8_t priority = 100) {
  Manifest manifest = testing::manifest(units, epoch_s);
  manifest.priority = priority;
  return runtime::seal(testing::network(), testing::Member(owner).keys, manifest);
}

// Two others have done the whole job while this peer paused, and it holds what came out of it.
struct Finished {
  explicit Finished(std::uint32_t units, NodeConfig config = {}) : job(job_of(100, units)), peer(1, 1, std::move(config)), others{testing::Author(2, job), testing::Author(3, job)} {
    peer.start();
    peer.feed(Pause{true});
    for (const auto& other : others) peer.feed(LinkUp{other.id(), false});
    peer.feed(Submit{job});
    for (UnitIndex unit = 0; unit < units; ++unit) {
      for (auto& other : others) peer.from(other, other.states(unit, right(unit)));
      peer.feed(BlobHeld{right(unit).digest});
    }
    REQUIRE(status().state == JobState::finished);
    peer.feed(Pause{false});
    peer.pass(5000);
    peer.effects.clear();
  }
  JobStatus status() const { return *peer.node->job(id_of(job)); }
  JobFinality finality() const { return *peer.node->finality(id_of(job)); }
  // Executes all that is asked for, so long as it is asked; gives how much that was.
  std::uint32_t work(std::int64_t ms) {
    std::uint32_t done = 0;
    for (const std::int64_t end = peer.now_ms + ms; peer.now_ms < end; peer.pass(100)) {
      for (const auto& start : std::exchange(peer.effects, {})) {
        const auto* unit = std::get_if<StartUnit>(&start);
        if (unit == nullptr) continue;
        ++done;
        peer.feed(UnitFinished{unit->job, unit->unit, right(unit->unit)});
      }
    }
    return done;
  }

  Statement job;
  Peer peer;
  std::array<testing::Author, 2> others;
};

// As soon as a unit is asked for it ends; gives the jobs in that order.
std::vector<JobId> serve(Peer& peer, std::size_t units, std::uint64_t fuel = 1'000'000'000) {
  std::vector<JobId> served;
  while (served.size() < units) {
    const auto starts = peer.taken<StartUnit>();
    peer.effects.clear();
    REQUIRE(!starts.empty());
    for (const auto& start : starts) {
      served.push_back(start.job);
      Outcome outcome = right(start.unit);
      outcome.fuel = fuel;
      peer.feed(UnitFinished{start.job, start.unit, outcome});
    }
  }
  return served;
}

}  // namespace

TEST_CASE("whoever waits is served, whatever projects this machine works for") {
  NodeConfig config;
  config.projects = {{testing::digest_of("some project"), 1}};
  config.only_projects = true;
  Finished world(4, config);
  world.peer.feed(Confirm{id_of(world.job)});
  CHECK(world.work(5000) > 0);
  CHECK(world.finality().final_units == 4);
}

TEST_CASE("a small finished job becomes final where somebody waits for it, and only there") {
  Finished swarm(12);
  CHECK(swarm.work(60'000) == 0);
  CHECK(swarm.finality().final_units == 0);
  CHECK(swarm.finality().waiting == 12);
  CHECK(swarm.finality().obstacle == FinalityObstacle::none);
  swarm.peer.feed(Confirm{id_of(swarm.job)});
  CHECK(swarm.finality().confirming);
  const std::uint32_t executed = swarm.work(12'000);
  CHECK(swarm.finality().final_units == 12);
  CHECK(executed <= 12);
  for (const auto& persist : swarm.peer.taken<Persist>())
    if (const auto* results = std::get_if<Results>(&persist.statement.body)) CHECK(std::ranges::all_of(results->entries, &ResultEntry::audit));
}

TEST_CASE("a user who goes away ends the extra work") {
  Finished swarm(12);
  swarm.peer.feed(Confirm{id_of(swarm.job)});
  CHECK(swarm.finality().confirming);
  swarm.peer.pass(limits::confirm_lifetime.ms + 5000);  // what was started goes on, nobody says again that he waits
  CHECK_FALSE(swarm.finality().confirming);
  CHECK(swarm.work(60'000) <= 1);
}

TEST_CASE("a wrong result that an execution for finality finds is contested and replayed, and does not become final") {
  Finished swarm(3);
  swarm.peer.feed(Confirm{id_of(swarm.job)});
  const auto starts = swarm.peer.taken<StartUnit>();
  REQUIRE(!starts.empty());
  Outcome truth = right(starts.front().unit);
  truth.digest = testing::digest_of("the truth");
  swarm.peer.feed(UnitFinished{starts.front().job, starts.front().unit, truth});
  std::set<PeerId> replayed;
  for (int round = 0; round < 40; ++round) {
    for (const auto& effect : std::exchange(swarm.peer.effects, {})) {
      if (const auto* replay = std::get_if<StartReplay>(&effect)) replayed.insert(replay->accused);
      if (const auto* replay = std::get_if<StartReplay>(&effect)) swarm.peer.feed(ReplayFinished{replay->job, replay->unit, replay->accused_statement, truth, truth});
      const auto* unit = std::get_if<StartUnit>(&effect);
      if (unit != nullptr) swarm.peer.feed(UnitFinished{unit->job, unit->unit, unit->unit == starts.front().unit ? truth : right(unit->unit)});
    }
    swarm.peer.pass(100);
  }
  CHECK(replayed == std::set<PeerId>{swarm.others[0].id(), swarm.others[1].id()});
  CHECK(swarm.status().state == JobState::running);
  CHECK_FALSE(why_final(*swarm.peer.node->evidence(id_of(swarm.job)), *swarm.peer.node->verdict(id_of(swarm.job)), starts.front().unit));
}

TEST_CASE("what this machine cannot execute is tried once, and then said") {
  Finished swarm(2);
  for (std::int64_t waited = 0; waited < 20'000; waited += 1000) {
    if (waited % 5000 == 0) swarm.peer.feed(Confirm{id_of(swarm.job)});
    for (const auto& start : std::exchange(swarm.peer.effects, {}))
      if (const auto* unit = std::get_if<StartUnit>(&start)) swarm.peer.feed(UnitReleased{unit->job, unit->unit, "time"});
    swarm.peer.pass(1000);
  }
  CHECK(swarm.status().released_here == 2);
  CHECK(swarm.finality().released_here == 2);
  CHECK(swarm.finality().obstacle == FinalityObstacle::released);
}

TEST_CASE("a peer that is paused, or whose job goes on or was canceled, says what finality waits for") {
  Finished swarm(4);
  swarm.peer.feed(Pause{true});
  CHECK(swarm.finality().obstacle == FinalityObstacle::paused);
  const Statement other = job_of(101, 4);
  swarm.peer.feed(Submit{other});
  CHECK(swarm.peer.node->finality(id_of(other))->obstacle == FinalityObstacle::not_finished);
  swarm.peer.feed(CancelJob{runtime::seal(testing::network(), testing::Member(101).keys, Cancel{id_of(other)})});
  CHECK(swarm.peer.node->finality(id_of(other))->obstacle == FinalityObstacle::stopped);
  CHECK_FALSE(swarm.peer.node->finality(JobId{}));
}

TEST_CASE("no stranger's priority comes before another's job: two owners are served in turn") {
  Peer peer(1, 1);
  peer.start();
  const Statement urgent = job_of(100, 40, 255), modest = job_of(101, 40, 0);
  peer.feed(Submit{urgent});
  peer.feed(Submit{modest});
  const auto served = serve(peer, 20);
  CHECK(std::ranges::count(served, id_of(urgent)) == doctest::Approx(10).epsilon(0.15));
}

TEST_CASE("a donor's projects come first, in the ratio of their weights, or alone") {
  const Statement first = job_of(100, 60), second = job_of(101, 60), third = job_of(102, 60);
  for (const bool alone : {false, true}) {
    Peer peer(1, 1);
    NodeConfig config;
    config.self = peer.member.id();
    config.slots = 1;
    config.projects = {{base::retag<Digest>(first.author), 3}, {base::retag<Digest>(id_of(second)), 1}};
    config.only_projects = alone;
    peer.node = std::make_unique<Node>(config, peer.member.notary, base::Rng(1));
    peer.start();
    for (const Statement* job : {&third, &second, &first}) peer.feed(Submit{*job});
    const auto served = serve(peer, 32);
    const auto begun_before = std::ranges::count(served, id_of(third));  // what ran before the others were known
    CHECK(begun_before == (alone ? 0 : 1));
    CHECK(std::ranges::count(served, id_of(first)) == doctest::Approx(24).epsilon(0.1));
  }
}

TEST_CASE("who works for this peer's owner is served more, who farms elsewhere is not") {
  const PeerId me = testing::Member(50).id();
  Peer peer(1, 1);
  NodeConfig config;
  config.self = peer.member.id();
  config.slots = 1;
  config.credit_to = me;
  peer.node = std::make_unique<Node>(config, peer.member.notary, base::Rng(1));
  peer.start();
  // Peers 2 and 3 work for owner 100, peers 4 and 5 for owner 101. The former did my job, the latter their own owner's.
  const Statement mine = job_of(50, 8), theirs = job_of(101, 8);
  std::array helpers{testing::Author(2, mine), testing::Author(3, mine)};
  std::array farmers{testing::Author(4, theirs), testing::Author(5, theirs)};
  const auto introduce = [&](testing::Author& author, unsigned owner) {
    peer.feed(LinkUp{author.id(), false});
    PeerRecord record;
    record.sequence = static_cast<std::uint64_t>(epoch_s) * 1000 + 1;
    record.credit_to = testing::Member(owner).id();
    peer.from(author, author.notary.seal(record));
  };
  for (auto& author : helpers) introduce(author, 100);
  for (auto& author : farmers) introduce(author, 101);
  peer.feed(Pause{true});
  peer.from(helpers.front(), mine);
  peer.from(farmers.front(), theirs);
  for (UnitIndex unit = 0; unit < 8; ++unit) {
    for (auto& author : helpers) peer.from(author, author.states(unit, right(unit)));
    for (auto& author : farmers) peer.from(author, author.states(unit, right(unit)));
    peer.feed(BlobHeld{right(unit).digest});
  }
  peer.pass(7000);  // favours are counted with every comparison
  peer.feed(Submit{job_of(100, 200)});
  peer.feed(Submit{job_of(101, 200)});
  peer.effects.clear();
  peer.feed(Pause{false});
  const auto served = serve(peer, 40);
  CHECK(std::ranges::count(served, id_of(job_of(100, 200))) == doctest::Approx(30).epsilon(0.1));
}
