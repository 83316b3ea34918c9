// Copied answers: an execution here makes the fingerprints of others too, and what it shows of them is published.
#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <vector>

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

Outcome outcome(std::string_view what) { return {OutcomeKind::ok, 0, testing::digest_of(what), 10, 100}; }
Digest fingerprint_of(unsigned n) { return testing::digest_of("fingerprint of " + std::to_string(n)); }

Statement job_of(std::uint32_t units, std::uint32_t rounds_max = 0) {
  Manifest manifest = testing::manifest(units, epoch_s);
  manifest.rounds_max = rounds_max;
  return runtime::seal(testing::network(), testing::Member(100).keys, manifest);
}

// Units that others have answered, all alike, each with the fingerprint given.
struct Answered {
  struct Said { Outcome outcome; Digest fingerprint; };

  explicit Answered(const std::vector<Said>& said, std::uint32_t units = 1, std::uint32_t rounds_max = 0) : job(job_of(units, rounds_max)), peer(1, 2) {
    peer.start();
    for (unsigned n = 0; n < said.size(); ++n) others.emplace_back(n + 2, job);
    for (const auto& other : others) peer.feed(LinkUp{other.id(), false});
    peer.feed(Pause{true});
    peer.feed(Submit{job});
    for (UnitIndex unit = 0; unit < units; ++unit)
      for (unsigned n = 0; n < said.size(); ++n) peer.from(others[n], others[n].states(unit, said[n].outcome, said[n].fingerprint));
    peer.feed(Pause{false});
    peer.pass(1000);
  }
  // What an honest execution gives for those that were asked for.
  std::vector<FingerprintOf> real(const std::vector<PeerId>& whose, bool both_tiers) const {
    std::vector<FingerprintOf> made;
    for (const auto& peer_id : whose) {
      const auto who = std::ranges::find(others, peer_id, &testing::Author::id) - others.begin();
      const Digest fingerprint = fingerprint_of(static_cast<unsigned>(who) + 2);
      made.push_back({peer_id, fingerprint, both_tiers ? fingerprint : Digest{}});
    }
    return made;
  }
  // Audits one unit for a user who waits, as an honest peer whose execution gives `made` for the others.
  void audits(const std::vector<FingerprintOf>& made = {}) {
    peer.feed(BlobHeld{outcome("right").digest});
    peer.feed(Confirm{id_of(job)});
    peer.pass(15'000);
    const auto starts = peer.taken<StartUnit>();
    REQUIRE(starts.size() > audited);
    const StartUnit start = starts[audited++];
    asked = start.others;
    peer.feed(UnitFinished{start.job, start.unit, outcome("right"), fingerprint_of(1), made.empty() ? real(asked, false) : made});
    peer.pass(1000);
  }
  void answers_if_asked() {
    const auto starts = peer.taken<StartUnit>();
    if (starts.empty()) return;
    peer.feed(UnitFinished{starts[0].job, 0, outcome("right"), fingerprint_of(1)});
    peer.pass(1000);
  }
  void ends(const StartReplay& replay, const Outcome& compiled, const Outcome& interpreted) {
    const Digest accused = real({replay.accused}, false).front().compiled;
    peer.feed(ReplayFinished{replay.job, replay.unit, replay.accused_statement, compiled, interpreted, accused, accused, real(replay.others, true)});
    peer.pass(5000);
  }
  std::vector<StartReplay> replays() { return peer.taken<StartReplay>(); }
  std::vector<PeerId> accused() {
    std::vector<PeerId> out;
    for (const auto& persist : peer.taken<Persist>())
      if (const auto* replay = std::get_if<Replay>(&persist.statement.body)) out.push_back(replay->accused);
    std::ranges::sort(out);
    return out;
  }
  PeerId id(std::size_t n) const { return others[n].id(); }
  std::vector<PeerId> ids(std::vector<std::size_t> ns) const {
    std::vector<PeerId> out;
    for (const std::size_t n : ns) out.push_back(id(n));
    std::ranges::sort(out);
    return out;
  }
  std::vector<PeerId> banned() const { return peer.node->job(id_of(job))->banned; }

  Statement job;
  std::deque<testing::Author> others;
  Peer peer;
  std::size_t audited = 0;
  std::vector<PeerId> asked;  // whose fingerprints the last audit was to make
};

Answered::Said executed(unsigned n, std::string_view what = "right") { return {outcome(what), fingerprint_of(n)}; }
Answered::Said copied() { return {outcome("right"), testing::digest_of("made up")}; }

}  // namespace

TEST_CASE("one replay speaks of all who gave another answer, and of nobody who was right") {
  Answered unit({executed(2), executed(3, "wrong"), executed(4, "wrong")});
  unit.answers_if_asked();
  REQUIRE(unit.replays().size() == 1);
  const StartReplay replay = unit.replays()[0];
  std::vector<PeerId> all = replay.others;
  all.push_back(replay.accused);
  std::ranges::sort(all);
  CHECK(all == unit.ids({0, 1, 2}));
  unit.ends(replay, outcome("right"), outcome("right"));
  CHECK(unit.accused() == unit.ids({1, 2}));
  CHECK(unit.replays().size() == 1);
  CHECK(unit.banned().empty());
}

TEST_CASE("tiers that differ speak of the accused alone") {
  Answered unit({executed(2), executed(3, "wrong"), executed(4, "wrong")});
  unit.answers_if_asked();
  REQUIRE(!unit.replays().empty());
  const PeerId accused = unit.replays()[0].accused;
  unit.ends(unit.replays()[0], outcome("right"), outcome("other"));
  CHECK(unit.accused().empty());  // a flipped bit would do that once
  REQUIRE(unit.replays().size() == 2);
  REQUIRE(unit.replays()[1].accused == accused);
  unit.ends(unit.replays()[1], outcome("right"), outcome("other"));
  CHECK(unit.accused() == std::vector{accused});
}

TEST_CASE("audits find copied answers that nothing contests, and a replay bans their author; nobody else") {
  Answered units({executed(2), copied(), executed(4)}, 2);
  units.audits();
  CHECK(units.asked == units.ids({0, 1, 2}));
  CHECK(units.replays().empty());  // one may be a flipped bit
  units.audits();
  CHECK(units.banned().empty());  // one tier proves nothing
  REQUIRE(units.replays().size() == 2);  // of both units
  for (const StartReplay& replay : units.replays()) CHECK(replay.accused == units.id(1));
  units.ends(units.replays()[0], outcome("right"), outcome("right"));
  CHECK(units.banned() == units.ids({1}));
  CHECK(units.replays().size() == 2);
}

TEST_CASE("a replay finds copies on its way too: one of them and one that an audit found are enough") {
  Answered units({executed(2), copied(), executed(4)}, 2);
  units.audits();
  const UnitIndex other = 1 - units.peer.taken<StartUnit>()[0].unit;
  testing::Author liar(9, units.job);
  units.peer.feed(LinkUp{liar.id(), false});
  units.peer.from(liar, liar.states(other, outcome("wrong")));
  units.peer.pass(2000);
  REQUIRE(units.replays().size() == 1);
  const StartReplay replay = units.replays()[0];
  REQUIRE(replay.accused == liar.id());
  units.peer.feed(ReplayFinished{replay.job, replay.unit, replay.accused_statement, outcome("right"), outcome("right"), {}, {}, units.real(replay.others, true)});
  units.peer.pass(2000);
  CHECK(units.accused() == std::vector{liar.id()});
  REQUIRE(units.replays().size() == 2);
  CHECK(units.replays()[1].accused == units.id(1));
}

TEST_CASE("an answer that somebody's replay calls copied is replayed here too; what is found decides") {
  for (const bool true_word : {true, false}) {
    Answered unit({executed(2), true_word ? copied() : executed(3)});
    testing::Author accuser(9, unit.job);
    unit.peer.feed(LinkUp{accuser.id(), false});
    const MessageId statement = unit.peer.node->evidence(id_of(unit.job))->answer_of(unit.id(1), 0)->statement;
    const Digest said = true_word ? fingerprint_of(3) : testing::digest_of("made up");
    unit.peer.from(accuser, accuser.notary.seal(Replay{id_of(unit.job), statement, unit.id(1), 0, outcome("right"), outcome("right"), said, said, LogPlace{1, 1}}));
    unit.peer.pass(2000);
    CHECK(unit.banned().empty());
    REQUIRE(unit.replays().size() == 1);
    CHECK(unit.replays()[0].accused == unit.id(1));
    unit.ends(unit.replays()[0], outcome("right"), outcome("right"));
    CHECK(unit.banned() == (true_word ? unit.ids({1}) : std::vector<PeerId>{}));
  }
}

TEST_CASE("an audit that erred itself makes nobody a copier") {
  Answered units({executed(2), executed(3)}, 2);
  for (int n = 0; n < 2; ++n) {
    auto made = units.real(units.ids({0, 1}), false);
    made[0].compiled = testing::digest_of("a bit fell over");
    units.audits(made);
  }
  REQUIRE(units.replays().size() == 2);
  for (const StartReplay& replay : units.replays()) units.ends(replay, outcome("right"), outcome("right"));
  CHECK(units.banned().empty());
}

TEST_CASE("a unit that keeps checkpoints is executed with this peer's fingerprint alone") {
  Answered unit({executed(2), executed(3)}, 1, 10);
  unit.audits();
  CHECK(unit.asked.empty());
}

TEST_CASE("of more others than one execution makes fingerprints of, some are asked for") {
  std::vector<Answered::Said> said;
  for (unsigned n = 2; n < 22; ++n) said.push_back(executed(n));
  Answered unit(said);
  unit.audits();
  CHECK(unit.asked.size() == limits::fingerprint_seeds_max - 1);
  CHECK(std::ranges::adjacent_find(unit.asked) == unit.asked.end());
}
