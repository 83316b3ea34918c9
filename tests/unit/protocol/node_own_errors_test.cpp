// A whole peer whose own answers are contradicted, by others or by itself.
#include "coordinator-less/protocol/node.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <ranges>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::id_of;
using testing::job_statement;
using testing::outcome;
using testing::own_entries;
using Peer = testing::LoneNode;

// A peer that stated an audit of unit 0 in an earlier life; the unit is open now.
struct Audited {
  explicit Audited(std::string_view said) : self(1, job) {
    peer.node->restore(job);
    peer.node->restore(self.states_all({{0, 0, outcome(said), {}, true}}));
    peer.start();
    peer.pass(200'000);
    REQUIRE(started() == 1);
  }
  std::size_t started() {
    return static_cast<std::size_t>(std::ranges::count(peer.taken<StartUnit>(), UnitIndex{0}, &StartUnit::unit));
  }
  void finishes(std::string_view found) {
    peer.feed(UnitFinished{id_of(job), 0, outcome(found)});
    peer.pass(500);
  }
  std::size_t stated() {
    std::size_t count = 0;
    for (const auto& [place, entry] : own_entries(peer, job)) count += entry.unit == 0 && !entry.audit ? 1 : 0;
    return count;
  }
  Peer peer{1};
  Statement job = job_statement(2);
  testing::Author self;
};

}  // namespace

TEST_CASE("a unit that this peer audited and that is open again is stated once more if it finds the same") {
  Audited story("right");
  story.finishes("right");
  CHECK(story.stated() == 1);
}

TEST_CASE("a peer that twice finds something else than its audit said keeps to what it said, and is done with the unit") {
  Audited story("flipped");
  story.finishes("right");
  REQUIRE(story.started() == 2);
  story.finishes("right");
  CHECK(story.stated() == 0);
  story.peer.pass(600'000);
  CHECK(story.started() == 2);
  CHECK(story.stated() == 0);
}

TEST_CASE("a peer that finds something else than its audit said, and then the same, states the same") {
  Audited story("right");
  story.finishes("flipped");
  CHECK(story.stated() == 0);
  story.finishes("right");
  CHECK(story.stated() == 1);
  CHECK(story.started() == 2);
}

TEST_CASE("a peer that finds something else than its audit said each time tries again later") {
  Audited story("right");
  story.finishes("flipped");
  story.finishes("flipped otherwise");
  CHECK(story.stated() == 0);
  story.peer.pass(60'000);
  REQUIRE(story.started() == 3);
  story.finishes("right");
  CHECK(story.stated() == 1);
}

namespace {

// A peer whose answers others contradict until theirs are accepted. Two liars have answered all, which excuses the others' turns.
struct Contradicted {
  explicit Contradicted(std::uint32_t slots) : peer(1, slots), job(job_statement(16)) {
    peer.start();
    for (unsigned n = 2; n < 9; ++n) others.emplace_back(n, job);  // so few that no coin delays a start (decision 0026)
    for (auto& other : others) peer.feed(LinkUp{other.id(), false});
    peer.feed(Submit{job});
    for (UnitIndex unit = 0; unit < 16; ++unit)
      for (std::size_t i = 0; i < 2; ++i) peer.from(others[i], others[i].states(unit, outcome("lie " + std::to_string(i))));
  }
  StartUnit next_unit() {
    peer.pass(100);
    const auto starts = peer.taken<StartUnit>();
    REQUIRE(starts.size() > seen);
    return starts[seen++];
  }
  bool starts_more() {
    peer.pass(1000);
    return peer.taken<StartUnit>().size() > seen;
  }
  void finishes(UnitIndex unit, std::string_view what) { peer.feed(UnitFinished{id_of(job), unit, outcome(what)}); }
  void others_say(UnitIndex unit, std::string_view what) {
    peer.pass(100);
    for (auto& other : others | std::views::drop(2)) peer.from(other, other.states(unit, outcome(what)));
    peer.pass(100);
  }
  StartReplay own_replay() {
    const auto replays = peer.taken<StartReplay>();
    REQUIRE(!replays.empty());
    CHECK(replays.back().accused == peer.member.id());
    return replays.back();
  }
  void found(std::string_view compiled, std::string_view interpreted) {
    const StartReplay replay = own_replay();
    peer.feed(ReplayFinished{id_of(job), replay.unit, replay.accused_statement, outcome(compiled), outcome(interpreted), {}, {}});
  }
  // Everybody's replay says that the peer's answer should have been another.
  void accuse(UnitIndex unit, std::string_view right) {
    const ResultFact& mine = *peer.node->evidence(id_of(job))->answer_of(peer.member.id(), unit);
    for (auto& other : others) {
      const Replay replay{id_of(job), mine.statement, peer.member.id(), unit, outcome(right), outcome(right), {}, {}, mine.at};
      peer.from(other, other.notary.seal(replay));
    }
  }
  template <class Kind>
  std::size_t told() {  // persisted, or sent
    const auto rows = peer.taken<Persist>();
    std::size_t count = static_cast<std::size_t>(std::ranges::count_if(rows, [&](const Persist& row) { return said<Kind>(row.statement); }));
    for (const Send& send : peer.taken<Send>())
      if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
        for (const auto& raw : bundle->statements) count += said<Kind>(*peer.member.notary.open(raw)) ? 1U : 0U;
    return count;
  }
  template <class Kind>
  bool said(const Statement& statement) const {
    return statement.author == peer.member.id() && std::holds_alternative<Kind>(statement.body);
  }
  std::size_t taken_back() {
    const auto rows = peer.taken<Persist>();
    return static_cast<std::size_t>(std::ranges::count_if(rows, [&](const Persist& row) { return said<Results>(row.statement) && std::get<Results>(row.statement.body).takes_back(); }));
  }
  std::set<UnitIndex> released() {
    std::set<UnitIndex> units;
    for (const Send& send : peer.taken<Send>())
      if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
        for (const auto& raw : bundle->statements)
          if (const auto statement = peer.member.notary.open(raw); said<Claims>(*statement)) {
            const auto& some = std::get<Claims>(statement->body).released;
            units.insert(some.begin(), some.end());
          }
    return units;
  }
  // One answer that is wrong, and known to be an error of this machine in the end.
  void errs() {
    const UnitIndex unit = next_unit().unit;
    finishes(unit, "wrong");
    others_say(unit, "right");
    finishes(next_unit().unit, "right");  // had been started before
    CHECK_FALSE(starts_more());
    found("right", "right");
  }
  std::size_t stated(UnitIndex unit) const {
    return peer.node->evidence(id_of(job))->answered(peer.member.id(), unit) ? 1 : 0;
  }

  Peer peer;
  Statement job;
  std::deque<testing::Author> others;
  std::size_t seen = 0;
};

}  // namespace

TEST_CASE("a peer whose tiers differ on what others contradicted starts no more of that job, and says why; nobody else hears what it found") {
  Contradicted story(2);
  const UnitIndex unit = story.next_unit().unit;
  story.finishes(unit, "wrong");
  story.others_say(unit, "right");
  for (int running = 0; running < 2; ++running) story.finishes(story.next_unit().unit, "right");
  CHECK_FALSE(story.starts_more());  // first it must know, though a slot is free
  story.found("wrong", "right");
  CHECK_FALSE(story.starts_more());
  const auto status = *story.peer.node->job(id_of(story.job));
  CHECK(status.last_release.contains("differ on this machine"));
  CHECK_FALSE(status.quarantined);
  CHECK(status.own_replays == 0);
  CHECK(story.told<Replay>() == 0);
}

TEST_CASE("what a peer whose tiers differ has not stated yet it never states, and others need not wait for it") {
  Contradicted story(4);
  const UnitIndex unit = story.next_unit().unit;
  const UnitIndex stated = story.next_unit().unit, ended = story.next_unit().unit, running = story.next_unit().unit;
  story.finishes(unit, "wrong");
  story.others_say(unit, "right");
  story.finishes(story.next_unit().unit, "right");  // its slot is for the second look
  story.peer.pass(1000);
  story.finishes(stated, "right");
  story.finishes(ended, "right");  // goes into the next batch
  story.found("wrong", "right");
  story.finishes(running, "right");
  story.peer.pass(1000);
  CHECK(story.stated(stated) == 1);
  CHECK(story.stated(ended) + story.stated(running) == 0);
  const auto released = story.released();
  CHECK(released.contains(ended));
  CHECK(released.contains(running));
}

TEST_CASE("a peer whose tiers differ takes back its answers, in one statement, and stays silent after a restart") {
  Contradicted story(2);
  const UnitIndex unit = story.next_unit().unit, other = story.next_unit().unit;
  story.finishes(unit, "wrong");
  story.finishes(other, "right");
  story.others_say(unit, "right");
  story.finishes(story.next_unit().unit, "right");
  CHECK(story.taken_back() == 0);
  const auto started = story.peer.taken<StartUnit>().size();
  story.found("wrong", "right");
  story.peer.pass(1000);
  CHECK(story.taken_back() == 1);
  CHECK(story.peer.node->verdict(id_of(story.job))->withdrawn(story.peer.member.id()));
  CHECK(story.peer.node->job(id_of(story.job))->last_release.contains("taken back"));
  CHECK(story.peer.taken<StartUnit>().size() == started);

  Peer later(1, 2);
  for (const Persist& row : story.peer.taken<Persist>()) later.node->restore(row.statement);
  later.start();
  later.feed(LinkUp{story.others.front().id(), false});
  later.pass(2000);
  CHECK(later.taken<StartUnit>().empty());
  CHECK(later.node->job(id_of(story.job))->last_release.contains("taken back"));
}

TEST_CASE("false replays do not make a sound peer take back anything") {
  Contradicted story(2);
  const UnitIndex unit = story.next_unit().unit, other = story.next_unit().unit;
  story.finishes(unit, "right");
  story.finishes(other, "right");
  story.peer.pass(200);
  for (const UnitIndex accused : {unit, other}) story.accuse(accused, "a lie");
  story.others_say(unit, "other");
  story.finishes(story.next_unit().unit, "right");
  story.found("right", "right");
  story.peer.pass(1000);
  CHECK(story.taken_back() == 0);
  CHECK(story.starts_more());
}

TEST_CASE("a peer that erred twice states only what two of its executions agree on") {
  Contradicted story(1);
  story.errs();
  const UnitIndex once = story.next_unit().unit;
  story.finishes(once, "right");
  story.peer.pass(200);
  CHECK(story.stated(once) == 1);  // one error happens
  story.errs();
  const UnitIndex twice = story.next_unit().unit;
  story.finishes(twice, "right");
  story.peer.pass(200);
  CHECK(story.stated(twice) == 0);
  CHECK(story.next_unit().unit == twice);
  story.finishes(twice, "right");
  story.peer.pass(200);
  CHECK(story.stated(twice) == 1);
  const UnitIndex differs = story.next_unit().unit;
  story.finishes(differs, "right");
  CHECK(story.next_unit().unit == differs);
  story.finishes(differs, "wrong");
  story.peer.pass(200);
  CHECK(story.stated(differs) == 0);
  CHECK(story.peer.node->job(id_of(story.job))->last_release.contains("two executions"));
  CHECK(story.next_unit().unit != differs);  // later again
}
