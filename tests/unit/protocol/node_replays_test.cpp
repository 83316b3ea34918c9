// A whole peer that executes others' answers again: when, for whom, and what it says of it.
#include "coordinator-less/protocol/node.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::id_of;
using testing::job_statement;
using testing::outcome;
using Peer = testing::LoneNode;

}  // namespace

TEST_CASE("results carry this peer's fingerprint, and a replay asks for that of the accused") {
  Peer peer(1);
  testing::Member other(2);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(1);
  peer.feed(Submit{job});
  const Digest own = testing::digest_of("own fingerprint"), others = testing::digest_of("the other's");
  peer.feed(UnitFinished{id_of(job), 0, outcome("b"), own});
  peer.pass(100);
  CHECK(peer.node->evidence(id_of(job))->results(0)[0].fingerprint == own);
  peer.from(other, testing::Author(2, job).states(0, outcome("a"), others));
  peer.pass(100);
  const auto replays = peer.taken<StartReplay>();
  REQUIRE(replays.size() == 1);
  CHECK(replays[0].accused == other.id());
}

TEST_CASE("replays wait while others are about to do what is left; then they begin") {
  Peer peer(1, 1);
  testing::Member other(2), third(3), fourth(4);
  peer.start();
  for (const auto* neighbour : {&other, &third, &fourth}) peer.feed(LinkUp{neighbour->id(), false});
  for (std::uint8_t more = 5; more < 10; ++more) peer.feed(LinkUp{testing::Member(more).id(), false});  // nine workers: eight and fewer never wait
  peer.feed(Pause{true});
  const Statement job = job_statement(2);
  peer.feed(Submit{job});
  peer.from(third, third.notary.seal(Claims{id_of(job), {1}, {}, 60'000, 1}));
  peer.from(fourth, fourth.notary.seal(Claims{id_of(job), {1}, {}, 60'000, 1}));
  peer.feed(Pause{false});
  peer.pass(2000);  // it may wait at the tail
  REQUIRE(peer.taken<StartUnit>().size() == 1);
  REQUIRE(peer.taken<StartUnit>()[0].unit == 0);
  peer.feed(UnitFinished{id_of(job), 0, outcome("b")});
  peer.from(other, testing::Author(2, job).states(0, outcome("a")));
  peer.pass(5000);
  REQUIRE(peer.node->job(id_of(job))->contested == 1);
  CHECK(peer.taken<StartReplay>().empty());
  CHECK(peer.taken<StartUnit>().size() == 1);
  peer.from(third, testing::Author(3, job).states(1, outcome("a")));
  peer.from(fourth, testing::Author(4, job).states(1, outcome("a")));
  peer.pass(2000);
  CHECK(peer.taken<StartReplay>().size() == 1);
}

TEST_CASE("a replay that another machine with this key has published keeps its slot until its run ends, and is not published again") {
  Peer peer(1, 1);
  testing::Member other(2);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(1);
  peer.feed(Submit{job});
  peer.feed(UnitFinished{id_of(job), 0, outcome("b")});
  peer.pass(100);
  peer.from(other, testing::Author(2, job).states(0, outcome("a")));
  peer.pass(100);
  const auto replays = peer.taken<StartReplay>();
  REQUIRE(replays.size() == 1);
  const auto replay = peer.member.notary.seal(Replay{id_of(job), replays[0].accused_statement, other.id(), 0, outcome("b"), outcome("b"), {}, {}, LogPlace{1, 1}});
  peer.from(testing::Member(2), replay);
  const Statement second = runtime::seal(testing::network(), testing::Member(101).keys, std::get<Manifest>(job.body));
  peer.feed(Submit{second});
  peer.pass(200);
  CHECK(peer.taken<StartUnit>().size() == 1);  // of the first job: the only slot is taken
  const auto said = [&] {
    return std::ranges::count_if(peer.taken<Persist>(), [&](const Persist& persist) { return persist.statement.type() == StatementType::replay; });
  };
  CHECK(said() == 1);
  peer.feed(ReplayFinished{id_of(job), 0, replays[0].accused_statement, outcome("b"), outcome("b")});
  peer.pass(200);
  CHECK(said() == 1);
  CHECK(peer.taken<StartUnit>().size() == 2);
}

TEST_CASE("a copied answer is banned by one replay, and its link closed; a right one is not") {
  for (const bool copies : {false, true}) {
    Peer peer(1);
    testing::Member other(2);
    peer.start();
    peer.feed(LinkUp{other.id(), false});
    const Statement job = job_statement(1);
    peer.feed(Submit{job});
    peer.feed(UnitFinished{id_of(job), 0, outcome("b")});  // this machine errs, so that it looks at the other's answer
    peer.pass(100);
    const Digest real = testing::digest_of("real"), stated = copies ? testing::digest_of("invented") : real;
    peer.from(other, testing::Author(2, job).states(0, outcome("a"), stated));
    peer.pass(100);
    const auto replays = peer.taken<StartReplay>();
    REQUIRE(replays.size() == 1);
    peer.feed(ReplayFinished{id_of(job), 0, replays[0].accused_statement, outcome("a"), outcome("a"), real, real});
    CHECK(peer.node->job(id_of(job))->banned == (copies ? std::vector{other.id()} : std::vector<PeerId>{}));
    CHECK(peer.taken<Disconnect>().size() == (copies ? 1 : 0));
  }
}
