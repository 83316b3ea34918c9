// Jobs that sleep: what stays, what wakes them, and that nobody can tell afterwards that they slept.
#include "coordinator-less/protocol/sleeping_job.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"
#include "tests/support/stored_statements.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::epoch_s;
using testing::id_of;
using testing::job_statement;

constexpr std::int64_t quiet_ms = 20'000;
constexpr std::int64_t doze_ms = quiet_ms + 8'000;  // a look at who may sleep comes every six seconds

// A light peer, so that it has no work of its own; its jobs' archives are with those who made them.
struct Sleeper : testing::LoneNode {
  explicit Sleeper(unsigned n, bool may_sleep = true, NodeConfig config = {}) : LoneNode(n), disk(member) {
    config.self = member.id();
    config.light = true;
    config.own_addresses = {"127.0.0.1:1"};
    config.job_quiet = base::milliseconds(quiet_ms);
    configured = config;
    sleeps = may_sleep;
    begin();
  }
  void begin() {
    node = std::make_unique<Node>(configured, member.notary, base::Rng(1), sleeps ? &disk : nullptr);
    for (const Statement& statement : disk.stored) node->restore(statement);
    start();
    step();
  }
  void begin_as_worker(std::uint32_t slots) {
    configured.light = false;
    configured.slots = slots;
    begin();
  }
  void step() {
    for (; persisted < effects.size(); ++persisted)
      if (const auto* persist = std::get_if<Persist>(&effects[persisted])) disk.stored.push_back(persist->statement);
  }
  void hears(const PeerId& from, const std::vector<Statement>& statements) {
    StatementBundle bundle;
    for (const Statement& one : statements) bundle.statements.push_back(one.raw);
    feed(Received{from, bundle});
    step();
  }
  void wait(std::int64_t ms) {
    for (const std::int64_t end = now_ms + ms; now_ms < end;) {
      now_ms = std::min(end, now_ms + 500);
      feed(TimerFired{});
      step();
    }
  }
  // Ids of the statements sent since the last call.
  std::set<MessageId> sent() {
    std::set<MessageId> out;
    for (; looked < effects.size(); ++looked) {
      const auto* send = std::get_if<Send>(&effects[looked]);
      const auto* bundle = send == nullptr ? nullptr : std::get_if<StatementBundle>(send->message.get());
      for (std::size_t i = 0; bundle != nullptr && i < bundle->statements.size(); ++i) out.insert(*member.notary.peek(*bundle->statements[i]));
    }
    return out;
  }
  testing::StoredStatements disk;
  NodeConfig configured;
  bool sleeps = true;
  std::size_t persisted = 0, looked = 0;
};

Outcome outcome(UnitIndex unit, std::string_view how = "right") {
  return {.digest = testing::digest_of(std::string(how) + std::to_string(unit)), .archive_bytes = 100, .fuel = 10};
}

// Two authors have answered all units of a job; the peer is linked to both.
struct Night {
  explicit Night(bool sleeps = true, std::uint32_t units = 8, std::int64_t lifetime_s = 3600) : job(job_statement(units, lifetime_s)), peer(1, sleeps), first(2, job), second(3, job) {
    for (const auto* author : {&first, &second}) peer.feed(LinkUp{author->id(), false});
    statements.push_back(job);
    for (UnitIndex unit = 0; unit < units; ++unit) statements.push_back(first.states(unit, outcome(unit)));
    for (UnitIndex unit = 0; unit < units; ++unit) statements.push_back(second.states(unit, outcome(unit)));
    peer.hears(first.id(), statements);
  }
  bool asleep() const { return peer.node->asleep(id_of(job)); }
  JobState state() const { return peer.node->job(id_of(job))->state; }

  Statement job;
  Sleeper peer;
  testing::Author first, second;
  std::vector<Statement> statements;
};

}  // namespace

TEST_CASE("a job falls asleep when it has ended and nothing was heard of it for its quiet time, and only with a disk to wake from") {
  Night night, sleepless(false);
  REQUIRE(night.state() == JobState::finished);
  night.peer.wait(quiet_ms - 1000);
  CHECK_FALSE(night.asleep());
  night.peer.wait(doze_ms);
  CHECK(night.asleep());
  sleepless.peer.wait(2 * doze_ms);
  CHECK_FALSE(sleepless.asleep());
  Night open;
  const Statement other = job_statement(9);
  open.peer.hears(open.first.id(), {other});
  open.peer.wait(2 * doze_ms);
  CHECK_FALSE(open.peer.node->asleep(id_of(other)));
}

TEST_CASE("what is told of a job that sleeps is what was told when it was awake, and asking for that does not wake it") {
  Night night;
  const JobId id = id_of(night.job);
  const auto before = *night.peer.node->job(id);
  const auto final_before = *night.peer.node->finality(id);
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  const auto after = *night.peer.node->job(id);
  CHECK(after.manifest != nullptr);
  CHECK(after.state == before.state);
  CHECK(after.accepted == 8);
  CHECK(after.accepted_fuel == before.accepted_fuel);
  CHECK(after.executions == before.executions);
  CHECK(*night.peer.node->finality(id) == final_before);
  CHECK(night.peer.node->jobs() == std::vector{id});
  CHECK(night.asleep());
  CHECK(night.peer.disk.jobs_read == 0);
  CHECK(night.peer.node->verdict(id)->accepted_count() == 8);  // this question needs the units
  CHECK_FALSE(night.asleep());
  CHECK(night.peer.disk.jobs_read == 1);
}

TEST_CASE("neighbours compare and fetch what a sleeping job has without waking it") {
  Night night;
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  night.peer.sent();
  std::set<MessageId> all;
  Want want;
  for (const Statement& one : night.statements) all.insert(one.id), want.ids.push_back(one.id);
  night.peer.feed(Received{night.first.id(), want});
  CHECK(night.peer.sent() == all);
  BucketIds nothing;
  for (unsigned bucket = 0; bucket < 256; ++bucket) nothing.buckets.push_back(static_cast<std::uint8_t>(bucket));
  night.peer.feed(Received{night.first.id(), nothing});
  CHECK(std::ranges::includes(night.peer.sent(), all));
  night.peer.hears(night.second.id(), night.statements);  // all of them are known
  CHECK(night.asleep());
  CHECK(night.peer.disk.jobs_read == 0);
}

TEST_CASE("a neighbour that asks about sleeping jobs all the time waits after its share, and others do not") {
  Night night;
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  const auto answered = [&](const PeerId& neighbour, int times) {
    night.peer.effects.clear(), night.peer.persisted = night.peer.looked = 0;
    for (int n = 0; n < times; ++n) night.peer.feed(Received{neighbour, Summary{std::vector<std::uint64_t>(256, 12345)}});
    return std::ranges::count_if(night.peer.taken<Send>(), [](const Send& send) { return std::holds_alternative<BucketIds>(*send.message); });
  };
  const auto greedy = answered(night.first.id(), 2000);
  CHECK(greedy > 100);
  CHECK(greedy < 1000);
  CHECK(answered(night.first.id(), 1) == 0);
  CHECK(answered(night.second.id(), 1) == 1);
  night.peer.wait(1000);
  CHECK(answered(night.first.id(), 1) == 1);
}

TEST_CASE("a statement that is found damaged is told of no more, so that a neighbour brings it again") {
  Night night;
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  const Statement damaged = night.statements[3];
  const auto bucket = static_cast<std::uint8_t>(damaged.id.bytes[0]);
  const auto lists_it = [&] {
    night.peer.effects.clear(), night.peer.persisted = night.peer.looked = 0;
    night.peer.feed(Received{night.first.id(), Summary{std::vector<std::uint64_t>(256, 12345)}});
    const auto sends = night.peer.taken<Send>();
    const auto* ids = std::get_if<BucketIds>(sends.at(0).message.get());
    return std::ranges::contains(ids->ids, damaged.id);
  };
  const auto sum = [&] {
    night.peer.effects.clear(), night.peer.persisted = night.peer.looked = 0;
    night.peer.feed(LinkDown{night.first.id()});
    night.peer.feed(LinkUp{night.first.id(), false});
    night.peer.wait(limits::headlines_patience.ms + 2000);  // nobody answers with headlines
    for (const auto& send : night.peer.taken<Send>())
      if (const auto* summary = std::get_if<Summary>(send.message.get()); summary != nullptr && !summary->headlines) return summary->buckets[bucket];
    return std::uint64_t{0};
  };
  CHECK(lists_it());
  const auto before = sum();
  night.peer.disk.damaged = damaged.id;
  night.peer.sent();
  night.peer.feed(Received{night.first.id(), Want{{damaged.id}}});
  CHECK(night.peer.sent().empty());
  CHECK_FALSE(lists_it());
  CHECK(sum() == before - base::read_u64(damaged.id.view().subspan(8, 8)));
  CHECK(night.asleep());
  night.peer.disk.damaged.reset();
  night.peer.hears(night.first.id(), {damaged});
  CHECK(night.peer.disk.stored.size() == night.statements.size());
  CHECK(sum() == before);
}

TEST_CASE("a statement that is new wakes the job and is judged with what was there") {
  Night night, sleepless(false);
  testing::Author third(4, night.job);
  const Statement late = third.states(3, outcome(3, "wrong"));
  for (Night* one : {&night, &sleepless}) {
    one->peer.wait(doze_ms);
    one->peer.hears(one->first.id(), {late});
    CHECK_FALSE(one->asleep());
    CHECK(one->peer.node->verdict(id_of(one->job))->contested(3));
  }
  const auto a = *night.peer.node->explain(id_of(night.job)), b = *sleepless.peer.node->explain(id_of(night.job));
  CHECK(a.digest == b.digest);
  CHECK(night.peer.disk.stored.back().id == late.id);
  CHECK(night.peer.disk.stored.size() == night.statements.size() + 1);  // nothing is stored twice
}

TEST_CASE("while the disk cannot be read a job sleeps on, and what came for it is not lost for good") {
  Night night;
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  testing::Author third(4, night.job);
  const Statement late = third.states(3, outcome(3, "wrong"));
  night.peer.disk.broken = true;
  night.peer.hears(night.first.id(), {late});
  CHECK(night.asleep());
  CHECK(night.peer.node->verdict(id_of(night.job)) == nullptr);
  CHECK(night.peer.node->job(id_of(night.job))->state == JobState::finished);
  night.peer.disk.broken = false;
  night.peer.hears(night.first.id(), {late});  // as comparison brings it again
  CHECK_FALSE(night.asleep());
  CHECK(night.peer.node->verdict(id_of(night.job))->contested(3));
}

TEST_CASE("each waking by others doubles the quiet time, up to a bound; after a question it is short and what it was before") {
  Night night;
  testing::Author third(4, night.job);
  std::int64_t quiet = quiet_ms;
  for (int n = 0; n < 6; ++n) {
    night.peer.wait(quiet - 1000);
    CHECK_FALSE(night.asleep());
    night.peer.wait(doze_ms - quiet_ms + 1000);
    REQUIRE(night.asleep());
    CHECK(night.peer.node->verdict(id_of(night.job)) != nullptr);
    night.peer.wait(quiet_ms / limits::job_quiet_restored_divisor - 1000);
    CHECK_FALSE(night.asleep());
    night.peer.wait(doze_ms - quiet_ms + 1000);
    REQUIRE(night.asleep());
    night.peer.hears(night.first.id(), {third.states(static_cast<UnitIndex>(n), outcome(static_cast<UnitIndex>(n)))});
    quiet = std::min(quiet * 2, quiet_ms << limits::job_quiet_doublings);
  }
  CHECK(quiet == quiet_ms << limits::job_quiet_doublings);
}

TEST_CASE("a job that expires in its sleep is forgotten, and one that was canceled sleeps too") {
  Night night(true, 8, 600);
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  night.peer.wait(600'000);
  CHECK(night.peer.node->jobs().empty());
  CHECK(night.peer.taken<ForgetJob>().size() == 1);

  Sleeper peer(1);
  const testing::Member neighbour(2);
  peer.feed(LinkUp{neighbour.id(), false});
  const Statement job = job_statement(4);
  testing::Author author(2, job);
  peer.hears(neighbour.id(), {job, author.states(1, outcome(1)), runtime::seal(testing::network(), testing::Member(100).keys, Cancel{id_of(job)})});
  REQUIRE(peer.node->job(id_of(job))->state == JobState::canceled);
  peer.wait(doze_ms);
  REQUIRE(peer.node->asleep(id_of(job)));
  CHECK(peer.node->verdict(id_of(job)) != nullptr);
  CHECK(peer.node->job(id_of(job))->state == JobState::canceled);
  CHECK(peer.node->statements_of(id_of(job)).size() == 3);  // the cancellation too
}

TEST_CASE("others' statements wake one job at a time; what came too soon is taken when it comes again") {
  Sleeper peer(1);
  const testing::Member neighbour(2);
  peer.feed(LinkUp{neighbour.id(), false});
  const Statement jobs[] = {job_statement(4), job_statement(5)};
  testing::Author authors[] = {testing::Author(2, jobs[0]), testing::Author(2, jobs[1])};
  for (const Statement& job : jobs) peer.hears(neighbour.id(), {job, runtime::seal(testing::network(), testing::Member(100).keys, Cancel{id_of(job)})});
  peer.wait(doze_ms);
  const auto asleep = [&] { return std::ranges::count_if(jobs, [&](const Statement& job) { return peer.node->asleep(id_of(job)); }); };
  REQUIRE(asleep() == 2);
  const std::vector<Statement> late{authors[0].states(1, outcome(1)), authors[1].states(1, outcome(1))};
  peer.hears(neighbour.id(), late);
  CHECK(asleep() == 1);
  peer.wait(limits::statement_waking_interval.ms + 1000);
  peer.hears(neighbour.id(), late);
  CHECK(asleep() == 0);
}

TEST_CASE("a restart finds a job that slept as it was, and lets it sleep soon again") {
  Night night;
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  const auto stored = night.peer.disk.stored;
  night.peer.begin();
  for (const auto* author : {&night.first, &night.second}) night.peer.feed(LinkUp{author->id(), false});
  CHECK(night.state() == JobState::finished);
  CHECK_FALSE(night.asleep());
  night.peer.wait(quiet_ms / limits::job_quiet_restored_divisor + 8000);
  CHECK(night.asleep());
  CHECK(night.peer.disk.stored.size() == stored.size());
}

TEST_CASE("the archives of a sleeping job are looked after: who holds them, who takes their place, and waking when nobody does") {
  Night night;
  const JobId id = id_of(night.job);
  // Each unit has one witness, which is an author; a third neighbour holds all as well but was not asked.
  const testing::Member keeper(5);
  night.peer.feed(LinkUp{keeper.id(), false});
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  night.peer.feed(LinkDown{night.first.id()});
  night.peer.feed(LinkDown{night.second.id()});
  night.peer.wait(quiet_ms);
  CHECK(night.asleep());
  SUBCASE("another neighbour lists them in time") {
    night.peer.feed(Received{keeper.id(), Holdings{id, true, true, {{0, 8}}}});
    night.peer.wait(quiet_ms * limits::lost_asleep_quiets);
    CHECK(night.asleep());
    CHECK(night.peer.node->job(id)->input_holders == 2);  // this peer and that one
    CHECK(night.peer.node->verdict(id) != nullptr);
    CHECK(night.state() == JobState::finished);  // it knows them still when it wakes
  }
  SUBCASE("one that lists some of them is not enough") {
    night.peer.feed(Received{keeper.id(), Holdings{id, false, true, {{0, 4}, {5, 8}}}});
    night.peer.wait(quiet_ms * limits::lost_asleep_quiets);
    // A light peer makes nothing again: it sleeps on, and who asks is told.
    CHECK(night.asleep());
    CHECK(night.peer.node->verdict(id) != nullptr);
    CHECK(night.peer.node->job(id)->bytes_safe == 7);
    CHECK(night.state() == JobState::running);
  }
}

TEST_CASE("a worker wakes a job whose archive nobody holds any more, and makes it again") {
  Sleeper peer(1);
  peer.begin_as_worker(4);
  const Statement job = job_statement(3);
  testing::Author author(2, job), other(3, job);
  peer.feed(LinkUp{author.id(), true});  // light ones: no keepers
  peer.feed(LinkUp{other.id(), true});
  std::vector<Statement> statements{job};
  for (UnitIndex unit = 0; unit < 3; ++unit) {
    statements.push_back(author.states(unit, outcome(unit)));
    statements.push_back(other.states(unit, outcome(unit)));
  }
  for (UnitIndex unit = 0; unit < 3; ++unit) peer.feed(BlobHeld{outcome(unit).digest});
  peer.hears(author.id(), statements);
  peer.wait(2 * doze_ms);
  for (const auto& start : peer.taken<StartUnit>()) peer.feed(UnitFinished{start.job, start.unit, outcome(start.unit)});
  peer.wait(4 * doze_ms);
  REQUIRE(peer.node->asleep(id_of(job)));
  for (UnitIndex unit = 0; unit < 3; ++unit) CHECK(peer.node->needs(outcome(unit).digest));
  CHECK_FALSE(peer.node->needs(testing::digest_of("nobody's")));
  const auto news = [&] {
    return std::ranges::count_if(peer.taken<Send>(), [](const Send& send) {
      const auto* holdings = std::get_if<Holdings>(send.message.get());
      return holdings != nullptr && !holdings->complete;
    });
  };
  const auto told = news();
  REQUIRE(peer.node->verdict(id_of(job)) != nullptr);
  peer.wait(8 * doze_ms);
  REQUIRE(peer.node->asleep(id_of(job)));
  CHECK(news() == told);  // neighbours know what is here
  peer.feed(LinkDown{author.id()});
  peer.feed(LinkDown{other.id()});
  const auto before = peer.taken<StartUnit>().size();
  peer.feed(BlobLost{outcome(1).digest});  // found damaged
  peer.wait(doze_ms);
  CHECK_FALSE(peer.node->asleep(id_of(job)));
  peer.wait(quiet_ms * limits::lost_asleep_quiets + 3 * limits::lost_archive_patience.ms);
  const auto starts = peer.taken<StartUnit>();
  REQUIRE(starts.size() == before + 1);
  CHECK(starts.back().unit == 1);
}

TEST_CASE("an ended job that the donor does not serve sleeps, whatever anybody's replay says of it") {
  NodeConfig config;
  config.only_projects = true;
  config.projects = {{testing::digest_of("some project"), 1}};
  Sleeper peer(1, true, config);
  peer.begin_as_worker(1);
  const Statement job = job_statement(1);
  testing::Author author(2, job), other(3, job);
  peer.feed(LinkUp{author.id(), true});
  peer.feed(LinkUp{other.id(), true});
  peer.feed(BlobHeld{outcome(0).digest});
  peer.hears(author.id(), {job, author.states(0, outcome(0)), other.states(0, outcome(0))});
  const MessageId statement = peer.node->evidence(id_of(job))->answer_of(other.id(), 0)->statement;
  const Digest said = testing::digest_of("made up");
  peer.hears(author.id(), {author.notary.seal(Replay{id_of(job), statement, other.id(), 0, outcome(0), outcome(0), said, said, LogPlace{1, 1}})});
  peer.wait(4 * doze_ms);
  CHECK(peer.taken<StartReplay>().empty());
  CHECK(peer.node->asleep(id_of(job)));
}

TEST_CASE("a worker wakes a job whose archive was at two neighbours that left, once, and executes the unit again") {
  for (std::int64_t lifetime_s = 3600; lifetime_s < 3640; ++lifetime_s) {
    Sleeper peer(1);
    peer.begin_as_worker(1);
    const Statement job = job_statement(1, lifetime_s);
    testing::Author first(2, job), second(3, job);
    for (unsigned n = 2; n < 12; ++n) peer.feed(LinkUp{testing::identity(n).id(), false});
    peer.hears(first.id(), {job, first.states(0, outcome(0)), second.states(0, outcome(0))});
    peer.wait(doze_ms);
    if (!peer.node->asleep(id_of(job))) continue;  // of another job: here it is one of the three keepers, and waits for the archive
    REQUIRE(peer.disk.jobs_read == 0);
    for (const auto* author : {&first, &second}) peer.feed(LinkDown{author->id()});
    peer.wait(quiet_ms);
    CHECK(peer.disk.jobs_read == 0);
    peer.wait(quiet_ms + limits::custody_waking_interval.ms);
    CHECK(peer.disk.jobs_read == 1);
    peer.wait(quiet_ms * limits::lost_asleep_quiets + 3 * limits::lost_archive_patience.ms);
    CHECK(peer.taken<StartUnit>().size() == 1);
    return;
  }
  FAIL("this peer is a keeper of all of them");
}

TEST_CASE("neither claims about a job that sleeps nor its cancellation wake it") {
  Night night;
  night.peer.wait(doze_ms);
  REQUIRE(night.asleep());
  night.peer.hears(night.first.id(), {night.first.notary.seal(Claims{id_of(night.job), {1}, {}, 60'000, 1}),
                                      runtime::seal(testing::network(), testing::Member(100).keys, Cancel{id_of(night.job)})});
  night.peer.wait(1000);
  CHECK(night.asleep());
  CHECK(night.peer.disk.jobs_read == 0);
  CHECK(night.state() == JobState::finished);
}

TEST_CASE("jobs that failed, were aborted or are cut into segments sleep, say then what they said before, and are the same when they wake") {
  testing::Member root(20);
  NodeConfig config;
  config.roots = {root.id()};
  for (const std::string_view kind : {"failed", "aborted", "segments"}) {
    CAPTURE(kind);
    Manifest manifest = testing::manifest(4, epoch_s);
    if (kind == "segments") manifest.rounds_max = 2, manifest.segment_rounds = 1;
    const Statement job = runtime::seal(testing::network(), testing::Member(100).keys, manifest);
    Sleeper sleeper(1, true, config), sleepless(1, false, config);
    testing::Author first(2, job), second(3, job), third(4, job);
    std::vector<Statement> statements{job};
    for (UnitIndex unit = 0; unit < (kind == "aborted" ? 3 : 4); ++unit) {  // what has ended stays what it was
      Outcome ends = outcome(unit);
      if (kind == "failed") ends.kind = OutcomeKind::exit_code, ends.code = 3;
      if (kind == "segments") ends.kind = OutcomeKind::checkpoint, ends.code = 85;
      for (testing::Author* author : {&first, &second}) statements.push_back(author->states(unit, ends));
      Outcome goes_on = outcome(unit, "the end");
      goes_on.input = ends.digest;
      for (testing::Author* author : {&first, &second})
        if (kind == "segments") statements.push_back(author->states(4 + unit, goes_on));
    }
    if (kind == "aborted") statements.push_back(root.notary.seal(Replay{id_of(job), statements[1].id, first.id(), 0, outcome(0), outcome(1)}));
    const Statement late = third.states(1, outcome(1, "wrong"));
    for (Sleeper* peer : {&sleeper, &sleepless}) {
      for (const PeerId& neighbour : {first.id(), second.id(), root.id()}) peer->feed(LinkUp{neighbour, false});
      peer->hears(root.id(), statements);
      peer->wait(doze_ms);
    }
    const auto same = [&] {
      const auto a = *sleeper.node->job(id_of(job)), b = *sleepless.node->job(id_of(job));
      CHECK(a.state == b.state);
      CHECK(a.accepted == b.accepted);
      CHECK(a.accepted_failures == b.accepted_failures);
      CHECK(a.segments_done == b.segments_done);
      CHECK(a.quarantined == b.quarantined);
      CHECK(*sleeper.node->finality(id_of(job)) == *sleepless.node->finality(id_of(job)));
      if (kind == "segments") CHECK(sleeper.node->finality(id_of(job))->waiting == 4);  // units, of two segments each
      return a.state;
    };
    REQUIRE(sleeper.node->asleep(id_of(job)));
    REQUIRE_FALSE(sleepless.node->asleep(id_of(job)));
    CHECK(same() == (kind == "failed" ? JobState::failed : kind == "aborted" ? JobState::aborted : JobState::finished));
    CHECK(sleeper.node->asleep(id_of(job)));
    for (Sleeper* peer : {&sleeper, &sleepless}) peer->hears(root.id(), {late});
    CHECK_FALSE(sleeper.node->asleep(id_of(job)));
    same();
    CHECK(sleeper.node->explain(id_of(job))->digest == sleepless.node->explain(id_of(job))->digest);
  }
}

TEST_CASE("who is proven a liar in a job that sleeps is refused for as long as the job is known") {
  testing::Member root(20);
  NodeConfig config;
  config.roots = {root.id()};
  Sleeper peer(1, true, config);
  const Statement job = job_statement(8, 7200);
  testing::Author first(2, job), second(3, job), liar(4, job);
  for (const PeerId& neighbour : {first.id(), second.id(), liar.id()}) peer.feed(LinkUp{neighbour, false});
  std::vector<Statement> statements{job};
  for (UnitIndex unit = 0; unit < 8; ++unit)
    for (testing::Author* author : {&first, &second}) statements.push_back(author->states(unit, outcome(unit)));
  for (UnitIndex unit = 0; unit < 3; ++unit) {
    const Statement lie = liar.states(unit, outcome(unit, "lie"));
    statements.push_back(lie);
    statements.push_back(root.notary.seal(Replay{id_of(job), lie.id, liar.id(), unit, outcome(unit), outcome(unit), {}, {}, {0, 9}}));
  }
  peer.hears(first.id(), statements);
  const auto refused = [&] { return std::ranges::count_if(peer.taken<Disconnect>(), [&](const Disconnect& one) { return one.peer == liar.id(); }); };
  REQUIRE(refused() == 1);
  peer.feed(LinkDown{liar.id()});
  peer.wait(doze_ms);
  REQUIRE(peer.node->asleep(id_of(job)));
  for (int times = 2; times < 5; ++times) {
    peer.wait(1'000'000);  // a refusal alone lasts ten minutes
    peer.feed(LinkUp{liar.id(), false});
    CHECK(refused() == times);
    peer.feed(LinkDown{liar.id()});
  }
  CHECK(peer.node->asleep(id_of(job)));
  CHECK(peer.disk.jobs_read == 0);
}

TEST_CASE("in a swarm with a puzzle the record of who stated something in a job that sleeps is kept, so that who joins can believe it") {
  constexpr std::uint64_t nonce = 7;
  NodeConfig config;
  config.puzzle_difficulty_bits = 8;
  config.puzzle_nonce = nonce;
  Sleeper peer(1, true, config);
  const Statement job = job_statement(1, limits::job_lifetime_default_s);
  testing::Author first(2, job), second(3, job), idle(4, job);
  for (testing::Author* author : {&first, &second, &idle}) {
    PeerRecord record{.addresses = {"127.0.0.1:5"}, .sequence = static_cast<std::uint64_t>(epoch_s * 1000 + peer.now_ms), .puzzle_nonce = nonce};
    peer.feed(LinkUp{author->id(), false});
    peer.hears(author->id(), {author->notary.seal(record)});
    for (std::size_t asked = 0; asked == 0 || !peer.node->id_proven(author->id()); ++asked) {
      peer.wait(limits::puzzle_check_interval.ms);
      REQUIRE(asked < 10);
      if (const auto checks = peer.taken<CheckPuzzle>(); !checks.empty() && checks.back().peer == author->id()) peer.feed(PuzzleChecked{author->id(), nonce, true});
    }
  }
  peer.hears(first.id(), {job, first.states(0, outcome(0)), second.states(0, outcome(0))});
  peer.wait(doze_ms);
  REQUIRE(peer.node->asleep(id_of(job)));
  for (const auto* author : {&first, &second, &idle}) peer.feed(LinkDown{author->id()});
  for (std::int64_t passed_s = 0; passed_s < 3 * limits::peer_record_lifetime_s; passed_s += 600) {
    peer.now_ms += 600'000;
    peer.feed(TimerFired{});
  }
  peer.feed(LinkUp{testing::Member(9).id(), true});
  peer.wait(20'000);
  std::set<PeerId> offered;
  for (const Send& send : peer.taken<Send>())
    if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()); bundle != nullptr && send.to == testing::Member(9).id())
      for (const auto& raw : bundle->statements)
        if (const auto statement = peer.member.notary.open(raw); std::holds_alternative<PeerRecord>(statement->body)) offered.insert(statement->author);
  CHECK(offered.contains(first.id()));
  CHECK(offered.contains(second.id()));
  CHECK_FALSE(offered.contains(idle.id()));
  CHECK(peer.disk.jobs_read == 0);
}

TEST_CASE("what others' peers did for this peer's owner in a job that sleeps still earns their owner favours") {
  const testing::Member owner(100), helper(101), stranger(102);
  NodeConfig config;
  config.credit_to = owner.id();
  Sleeper peer(1, true, config);
  peer.begin_as_worker(1);
  const Statement done = job_statement(2);  // of that owner
  testing::Author first(2, done), second(3, done);
  for (testing::Author* author : {&first, &second}) {
    peer.feed(LinkUp{author->id(), true});
    PeerRecord record{.addresses = {}, .sequence = static_cast<std::uint64_t>(epoch_s * 1000 + peer.now_ms), .credit_to = helper.id()};
    peer.hears(author->id(), {author->notary.seal(record)});
  }
  for (UnitIndex unit = 0; unit < 2; ++unit) peer.feed(BlobHeld{outcome(unit).digest});
  std::vector<Statement> statements{done};
  for (UnitIndex unit = 0; unit < 2; ++unit)
    for (testing::Author* author : {&first, &second}) statements.push_back(author->states(unit, outcome(unit)));
  peer.hears(first.id(), statements);
  peer.wait(limits::favours_interval.ms + doze_ms);
  REQUIRE(peer.node->asleep(id_of(done)));
  std::map<JobId, int> starts;
  std::vector<Statement> open;
  for (const auto* of : {&helper, &stranger}) open.push_back(runtime::seal(testing::network(), of->keys, testing::manifest(16, epoch_s)));
  peer.hears(first.id(), open);
  peer.wait(limits::favours_interval.ms);
  for (std::size_t n = 0; n < 16; ++n) {
    const auto all = peer.taken<StartUnit>();
    REQUIRE(all.size() > n);
    ++starts[all[n].job];
    peer.feed(UnitFinished{all[n].job, all[n].unit, outcome(all[n].unit, all[n].job.brief())});
    peer.wait(500);
  }
  CHECK(starts[id_of(open[0])] >= 11);  // three quarters; half without favours
  CHECK(peer.node->asleep(id_of(done)));
}

TEST_CASE("a worker whose own answer was contradicted looks at it once, however often the job sleeps and wakes") {
  Sleeper peer(1);
  peer.begin_as_worker(1);
  const Statement job = job_statement(1);
  std::vector<std::unique_ptr<testing::Author>> authors;
  for (unsigned n = 0; n < 7; ++n) {
    authors.push_back(std::make_unique<testing::Author>(2 + n, job));
    peer.feed(LinkUp{authors.back()->id(), true});
  }
  peer.hears(authors[0]->id(), {job});
  REQUIRE(peer.taken<StartUnit>().size() == 1);
  peer.feed(UnitFinished{id_of(job), 0, outcome(0, "an error")});
  peer.wait(1000);
  peer.feed(BlobHeld{outcome(0).digest});
  for (unsigned n = 0; n < 5; ++n) peer.hears(authors[n]->id(), {authors[n]->states(0, outcome(0))});
  std::size_t finished = 0, own = 0;
  const auto finish_replays = [&] {
    for (int round = 0; round < 40; ++round) {
      const auto starts = peer.taken<StartReplay>();
      for (; finished < starts.size(); ++finished) {
        own += starts[finished].accused == peer.member.id() ? 1U : 0U;
        peer.feed(ReplayFinished{id_of(job), 0, starts[finished].accused_statement, outcome(0), outcome(0)});
      }
      peer.wait(500);
    }
  };
  finish_replays();
  REQUIRE(own == 1);
  for (unsigned n = 5; n < 7; ++n) {
    peer.wait(4 * doze_ms);
    REQUIRE(peer.node->asleep(id_of(job)));
    peer.hears(authors[n]->id(), {authors[n]->states(0, outcome(0))});
    CHECK_FALSE(peer.node->asleep(id_of(job)));
    finish_replays();
  }
  CHECK(own == 1);
}

TEST_CASE("an owner's next manifest asks what peers earned in his jobs: for this machine's own that is kept") {
  Sleeper peer(1);
  const Statement job = job_statement(4);
  testing::Author first(2, job), second(3, job);
  for (const auto* author : {&first, &second}) peer.feed(LinkUp{author->id(), false});
  peer.feed(Submit{job});
  std::vector<Statement> statements;
  for (UnitIndex unit = 0; unit < 4; ++unit) {
    statements.push_back(first.states(unit, outcome(unit)));
    statements.push_back(second.states(unit, outcome(unit)));
  }
  peer.hears(first.id(), statements);
  const auto awake = *peer.node->explain(id_of(job));
  peer.wait(doze_ms);
  REQUIRE(peer.node->asleep(id_of(job)));
  const auto kept = *peer.node->explain(id_of(job));
  CHECK(kept.peers == awake.peers);
  CHECK(kept.digest == awake.digest);
  CHECK(peer.node->asleep(id_of(job)));
}

TEST_CASE("random statements in random order: a node whose jobs sleep and wake all the time says what one says that never sleeps") {
  int wakings = 0, bans = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    base::Rng rng(seed);
    const Statement job = job_statement(10);
    const JobId id = id_of(job);
    std::vector<std::unique_ptr<testing::Author>> authors;
    for (unsigned n = 0; n < 6; ++n) authors.push_back(std::make_unique<testing::Author>(2 + n, job));
    testing::Member root(20);
    NodeConfig config;
    config.roots = {root.id()};
    Sleeper sleeper(1, true, config), sleepless(1, false, config);
    std::vector<Statement> early, late;
    for (unsigned n = 0; n < authors.size(); ++n) {
      const bool liar = n >= 4;
      const std::string lie = "lie of " + std::to_string(seed % 2 == 0 ? 0 : n);
      for (UnitIndex unit = 0; unit < 10; ++unit) {
        if (n >= 2 && rng.below(3) == 0) continue;
        const bool lies = liar && rng.below(3) != 0;
        const Statement stated = authors[n]->states(unit, outcome(unit, lies ? lie : "right"));
        (n < 2 ? early : late).push_back(stated);
        if (lies && rng.below(2) == 0) late.push_back(root.notary.seal(Replay{id, stated.id, stated.author, unit, outcome(unit), outcome(unit)}));
      }
    }
    const auto shuffle = [&](auto& list) {
      for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[rng.below(i)]);
    };
    shuffle(early);
    shuffle(late);
    // Some of what comes late is there from the beginning, so that what is accepted first differs too.
    early.insert(early.end(), late.begin(), late.begin() + static_cast<std::ptrdiff_t>(late.size() / 4));
    late.erase(late.begin(), late.begin() + static_cast<std::ptrdiff_t>(late.size() / 4));
    shuffle(early);
    const auto both = [&](auto&& act) { act(sleeper), act(sleepless); };
    both([&](Sleeper& peer) {
      for (const auto& author : authors) peer.feed(LinkUp{author->id(), false});
      peer.hears(root.id(), {job});
      peer.feed(LinkUp{root.id(), false});
      peer.hears(root.id(), {job});
      peer.hears(root.id(), early);
    });
    for (std::size_t at = 0; at < late.size();) {
      const std::size_t count = std::min<std::size_t>(late.size() - at, 1 + rng.below(4));
      const std::vector<Statement> some(late.begin() + static_cast<std::ptrdiff_t>(at), late.begin() + static_cast<std::ptrdiff_t>(at + count));
      at += count;
      const auto pause_ms = static_cast<std::int64_t>(rng.below(3) == 0 ? 1000 : (quiet_ms << limits::job_quiet_doublings) + 8000);
      both([&](Sleeper& peer) {
        peer.hears(root.id(), some);
        peer.wait(pause_ms);
      });
      const auto a = *sleeper.node->job(id), b = *sleepless.node->job(id);
      CHECK(a.state == b.state);
      CHECK(a.accepted == b.accepted);
      CHECK(a.accepted_fuel == b.accepted_fuel);
      CHECK(a.contested == b.contested);
      CHECK(a.executions == b.executions);
      CHECK(a.banned == b.banned);
      CHECK(sleeper.node->finality(id)->final_units == sleepless.node->finality(id)->final_units);
    }
    wakings += sleeper.disk.jobs_read;
    const auto a = *sleeper.node->explain(id), b = *sleepless.node->explain(id);
    CHECK(a.digest == b.digest);
    CHECK(a.peers == b.peers);
    CHECK(verdict_bytes({std::get<Manifest>(job.body), *sleeper.node->evidence(id), *sleeper.node->verdict(id)}, id) ==
          verdict_bytes({std::get<Manifest>(job.body), *sleepless.node->evidence(id), *sleepless.node->verdict(id)}, id));
    std::vector<MessageId> ids_a, ids_b;
    for (const auto& one : sleeper.node->statements_of(id)) ids_a.push_back(one.id);
    for (const auto& one : sleepless.node->statements_of(id)) ids_b.push_back(one.id);
    CHECK(ids_a == ids_b);
    bans += static_cast<int>(sleeper.node->job(id)->banned.size());
    const auto told = [](Sleeper& peer) {
      std::vector<PeerId> out;
      for (const auto& notice : peer.taken<Notice>())
        if (notice.kind == Notice::Kind::key_banned) out.push_back(notice.peer);
      return out;
    };
    CHECK(told(sleeper) == told(sleepless));  // once each
  }
  CHECK(wakings > 20);
  CHECK(bans > 5);
}
