// Jobs that late peers are told by folds: who makes them, who believes them, what that saves and what ends it.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/fold.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"
#include "tests/support/stored_statements.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::epoch_s;
using testing::id_of;

constexpr std::uint32_t units = 8;
constexpr std::int64_t quiet_ms = 20'000;

Outcome outcome(UnitIndex unit, std::string_view how = "right") {
  return {.digest = testing::digest_of(std::string(how) + std::to_string(unit)), .archive_bytes = 100, .fuel = 10};
}
Statement job_statement(const std::function<void(Manifest&)>& change = {}, unsigned owner = 100) {
  Manifest manifest = testing::manifest(units, epoch_s);
  if (change) change(manifest);
  return runtime::seal(testing::network(), testing::Member(owner).keys, manifest);
}

struct Inhabitant : testing::LoneNode {
  Inhabitant(unsigned n, NodeConfig config) : LoneNode(n), disk(member) {
    config.self = member.id();
    config.own_addresses = {"127.0.0.1:1"};
    config.job_quiet = base::milliseconds(quiet_ms);
    if (config.fold_units_min == limits::fold_units_min) config.fold_units_min = units;
    if (config.fold_holders_min == limits::fold_holders_min) config.fold_holders_min = 1;
    node = std::make_unique<Node>(config, member.notary, base::Rng(n), &disk);
  }
  testing::StoredStatements disk;
  std::size_t looked = 0;
  std::uint64_t results_got = 0, folds_made = 0, folds_taken_back = 0;
  std::set<UnitIndex> started;
};

// Real nodes whose messages arrive at once. An executor gives what `answers` says.
struct Town {
  Inhabitant& join(unsigned n, NodeConfig config = {}, const std::vector<Statement>& kept = {}) {
    auto& peer = *peers.emplace(n, std::make_unique<Inhabitant>(n, std::move(config))).first->second;
    peer.now_ms = now_ms;
    for (const char* blob : {"program", "units"}) peer.node->blob_present(testing::digest_of(blob));
    for (const Statement& statement : kept) peer.node->restore(statement);
    peer.node->start(peer.now());
    peer.drain();
    deliver();
    return peer;
  }
  Inhabitant& at(unsigned n) { return *peers.at(n); }
  void link(unsigned a, unsigned b) {
    links.insert({a, b});
    links.insert({b, a});
    at(a).feed(LinkUp{at(b).member.id(), false});
    at(b).feed(LinkUp{at(a).member.id(), false});
    deliver();
  }
  void feed(unsigned n, Input input) {
    at(n).feed(std::move(input));
    deliver();
  }
  void wait(std::int64_t ms) {
    for (const std::int64_t end = now_ms + ms; now_ms < end;) {
      now_ms = std::min(end, now_ms + 500);
      for (auto& [n, peer] : peers) peer->now_ms = now_ms;
      for (auto& [n, peer] : peers) peer->feed(TimerFired{});
      deliver();
    }
  }
  void deliver() {
    for (bool more = true; more;) {
      more = false;
      for (auto& [n, peer] : peers)
        while (peer->looked < peer->effects.size()) more = carry_out(n, *peer, Effect(peer->effects[peer->looked++])) || more;
    }
  }
  bool carry_out(unsigned n, Inhabitant& peer, const Effect& effect) {
    if (const auto* persist = std::get_if<Persist>(&effect)) peer.disk.stored.push_back(persist->statement);
    if (const auto* start = std::get_if<StartUnit>(&effect)) {
      peer.started.insert(start->unit);
      if (answers) {
        peer.feed(UnitFinished{start->job, start->unit, answers(n, start->unit)});
        return true;
      }
    }
    if (const auto* stop = std::get_if<StopUnit>(&effect)) {
      peer.feed(UnitReleased{stop->job, stop->unit});
      return true;
    }
    if (const auto* range = std::get_if<RequestRange>(&effect)) {
      peer.feed(BlobHeld{range->blob.name});
      return true;
    }
    const auto* send = std::get_if<Send>(&effect);
    if (send == nullptr) return false;
    for (auto& [m, other] : peers) {
      if (other->member.id() != send->to || !links.contains({n, m})) continue;
      note(peer, *other, *send->message);
      other->feed(Received{peer.member.id(), *send->message});
      return true;
    }
    return false;
  }
  void note(Inhabitant& from, Inhabitant& to, const LinkMessage& message) {
    if (std::holds_alternative<BucketIds>(message)) ++lists;
    const auto* bundle = std::get_if<StatementBundle>(&message);
    for (std::size_t i = 0; bundle != nullptr && i < bundle->statements.size(); ++i) {
      const auto statement = to.member.notary.open(bundle->statements[i]);
      REQUIRE(statement);
      if (std::holds_alternative<Results>(statement->body)) ++to.results_got;
      if (const auto* fold = std::get_if<Fold>(&statement->body); fold != nullptr && statement->author == from.member.id() && seen.insert(statement->id).second)
        ++(fold->root == Digest{} ? from.folds_taken_back : from.folds_made);
    }
  }
  // A voice without a node, linked to this peer.
  void says(unsigned voice, unsigned to, const std::vector<Statement>& statements) {
    StatementBundle bundle;
    for (const Statement& one : statements) bundle.statements.push_back(one.raw);
    feed(to, Received{testing::Member(voice).id(), bundle});
  }

  std::int64_t now_ms = 0;
  std::map<unsigned, std::unique_ptr<Inhabitant>> peers;
  std::set<std::pair<unsigned, unsigned>> links;
  std::set<MessageId> seen;
  std::uint64_t lists = 0;  // answers of who found sums to differ
  std::function<Outcome(unsigned, UnitIndex)> answers;
};

// A job that two authors have done, at veterans 1, 2, ... that hold all its archives; it sleeps there, and is folded.
struct Veterans : Town {
  explicit Veterans(unsigned count = 3, UnitIndex answered = units, NodeConfig config = {}) : job(job_statement()), first(20, job), second(21, job) {
    for (unsigned n = 1; n <= count; ++n) {
      join(n, config);
      for (unsigned m = 1; m < n; ++m) link(n, m);
    }
    std::vector<Statement> statements{job};
    for (UnitIndex unit = 0; unit < answered; ++unit)
      for (auto* author : {&first, &second}) statements.push_back(author->states(unit, outcome(unit)));
    for (unsigned n = 1; n <= count; ++n) {
      at(n).feed(Pause{true});
      at(n).feed(LinkUp{first.id(), false});
      says(20, n, statements);
      for (UnitIndex unit = 0; unit < units; ++unit) feed(n, BlobHeld{outcome(unit).digest});
      at(n).feed(LinkDown{first.id()});
    }
    wait(quiet_ms + 10'000);
    for (auto& [n, peer] : peers) peer->disk.jobs_read = 0;
  }
  JobId id() const { return id_of(job); }
  bool asleep(unsigned n) { return at(n).node->asleep(id()); }
  bool told(unsigned n) { return at(n).node->folded(id()); }
  JobStatus status(unsigned n) { return *at(n).node->job(id()); }
  int jobs_read() {
    int sum = 0;
    for (auto& [n, peer] : peers) sum += peer->disk.jobs_read;
    return sum;
  }
  Statement false_fold(unsigned voice, std::string_view root = "made up", std::uint64_t later_ms = 0) {
    const auto sequence = static_cast<std::uint64_t>(epoch_s + now_ms / 1000) * 1000 + later_ms;
    return testing::Member(voice).notary.seal(Fold{.job = id(), .sequence = sequence, .root = testing::digest_of(root)});
  }
  // A joiner that only liars have told of the job so far.
  void join_among_liars(unsigned n, NodeConfig config = {}) {
    join(n, std::move(config));
    at(n).feed(LinkUp{testing::Member(40).id(), false});
    says(40, n, {job, false_fold(41), false_fold(42), false_fold(43)});
  }

  Statement job;
  testing::Author first, second;
};

}  // namespace

TEST_CASE("veterans fold a job when it falls asleep, five of them at most, and all folds are equal") {
  Veterans town(7);
  unsigned makers = 0;
  for (unsigned n = 1; n <= 7; ++n) {
    CHECK(town.asleep(n));
    CHECK(town.at(n).folds_made <= 1);
    makers += static_cast<unsigned>(town.at(n).folds_made);
  }
  CHECK(makers == limits::fold_makers);
  town.join(8);
  town.link(8, 1);
  REQUIRE(town.told(8));
  CHECK(town.status(8).told_by == limits::fold_makers);
}

TEST_CASE("a late peer is told the job, takes none of its evidence, wakes nobody and starts nothing") {
  Veterans town;
  town.join(9);
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  REQUIRE(town.told(9));
  const JobStatus status = town.status(9);
  CHECK(status.state == JobState::finished);
  CHECK(status.accepted == units);
  CHECK(status.told_by == 3);
  town.wait(60'000);
  CHECK(town.told(9));
  CHECK(town.at(9).results_got == 0);
  CHECK(town.at(9).started.empty());
  CHECK(town.jobs_read() == 0);
  CHECK(town.at(9).node->jobs() == std::vector{town.id()});
}

TEST_CASE("comparison with one that leaves a job out goes quiet, whoever begins it") {
  Veterans town;
  town.join(9);
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  town.wait(1000);
  town.lists = 0;
  town.wait(120'000);
  CHECK(town.lists == 0);
  REQUIRE(town.told(9));
}

TEST_CASE("two that leave out different jobs still find what each lacks") {
  Veterans town;
  town.join(9);
  town.link(9, 1);
  REQUIRE(town.told(9));
  const Statement other = job_statement([](Manifest& manifest) { manifest.nonce = 7; });
  town.at(9).feed(LinkUp{testing::Member(40).id(), false});
  testing::Author third(22, other), fourth(23, other);
  std::vector<Statement> statements{other};
  for (UnitIndex unit = 0; unit < units; ++unit)
    for (auto* author : {&third, &fourth}) statements.push_back(author->states(unit, outcome(unit)));
  town.feed(9, Pause{true});
  town.says(40, 9, statements);
  for (UnitIndex unit = 0; unit < units; ++unit) town.feed(9, BlobHeld{outcome(unit).digest});
  town.wait(20'000);
  CHECK(town.at(1).node->job(id_of(other))->accepted == units);  // by relay and comparison
  town.join(10);
  town.link(10, 1);
  town.link(10, 9);
  town.wait(20'000);
  CHECK(town.told(10));
  CHECK(town.at(10).node->job(id_of(other))->accepted == units);
  CHECK(town.told(9));
}

TEST_CASE("a peer that is told a job takes its evidence with the first new result of it, and judges for itself from then on") {
  Veterans town;
  town.join(9);
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  REQUIRE(town.told(9));
  testing::Author third(22, town.job);
  town.feed(1, LinkUp{third.id(), false});
  town.says(22, 1, {third.states(3, outcome(3))});
  town.wait(10'000);
  CHECK_FALSE(town.told(9));
  CHECK(town.status(9).told_by == 0);
  CHECK(town.status(9).accepted == units);
  CHECK(town.status(9).executions == 2 * units + 1);
  CHECK(town.at(9).started.empty());
  town.wait(quiet_ms + 30'000);
  CHECK_FALSE(town.told(9));
  CHECK(town.at(9).node->asleep(town.id()));
}

TEST_CASE("a peer that hears folds long after its start and its first units of the job stops what runs, starts nothing more, and is told") {
  Veterans town;
  NodeConfig config;
  config.slots = 2;
  town.join(9, config, {town.job});
  town.feed(9, LinkUp{testing::Member(40).id(), false});
  town.wait(300'000);
  REQUIRE(town.at(9).started.size() >= 2);
  const auto started = town.at(9).started;
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  town.wait(10'000);
  CHECK(town.told(9));
  CHECK(town.at(9).started == started);
}

TEST_CASE("a question about units asks for the evidence; the status does not") {
  Veterans town;
  town.join(9);
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  REQUIRE(town.status(9).state == JobState::finished);
  CHECK(town.at(9).node->finality(town.id()));
  CHECK(town.told(9));
  REQUIRE(town.at(9).node->verdict(town.id()) != nullptr);
  CHECK_FALSE(town.told(9));
  town.wait(6000);
  CHECK(town.at(9).node->verdict(town.id())->accepted_count() == units);
  CHECK(town.at(9).started.empty());  // it waited for the evidence
}

TEST_CASE("evidence that was asked for is awaited by who asks again, until it is here or had time to come") {
  Veterans town;
  town.join(9);
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  REQUIRE(town.told(9));
  CHECK_FALSE(town.at(9).node->evidence_awaited(town.id()));
  REQUIRE(town.at(9).node->evidence(town.id()) != nullptr);
  CHECK(town.at(9).node->evidence_awaited(town.id()));
  CHECK(town.at(9).node->evidence_awaited(town.id()));  // also for the second
  town.wait(6000);
  CHECK_FALSE(town.at(9).node->evidence_awaited(town.id()));
  CHECK(town.status(9).accepted == units);

  Veterans lonely(3, 0);
  lonely.join_among_liars(9);
  REQUIRE(lonely.at(9).node->evidence(lonely.id()) != nullptr);
  lonely.wait(limits::evidence_patience.ms / 2);
  CHECK(lonely.at(9).node->evidence_awaited(lonely.id()));
  lonely.wait(limits::evidence_patience.ms);
  CHECK_FALSE(lonely.at(9).node->evidence_awaited(lonely.id()));
}

TEST_CASE("a job in which somebody is banned is not folded") {
  Veterans town(3, 0);
  // Author 23 answers otherwise, and a root of this reader says so.
  NodeConfig config;
  config.roots = {testing::Member(77).id()};
  town.join(8, config);
  town.at(8).feed(Pause{true});
  town.link(8, 1);  // who would hear of its fold
  testing::Author liar(23, town.job);
  std::vector<Statement> statements{town.job};
  for (UnitIndex unit = 0; unit < units; ++unit) {
    for (auto* author : {&town.first, &town.second}) statements.push_back(author->states(unit, outcome(unit)));
    statements.push_back(liar.states(unit, outcome(unit, "wrong")));
    statements.push_back(testing::Member(77).notary.seal(Replay{.job = town.id(), .accused_statement = statements.back().id, .accused = liar.id(), .unit = unit, .compiled = outcome(unit), .interpreted = outcome(unit)}));
  }
  town.at(8).feed(LinkUp{town.first.id(), false});
  town.says(20, 8, statements);
  for (UnitIndex unit = 0; unit < units; ++unit) town.feed(8, BlobHeld{outcome(unit).digest});
  town.wait(3 * quiet_ms);
  REQUIRE(town.asleep(8));
  REQUIRE(town.status(8).accepted == units);
  REQUIRE(town.status(8).banned.size() == 1);
  CHECK(town.at(8).folds_made == 0);
}

TEST_CASE("a fold of an earlier life, of evidence that is not here, is taken back") {
  Veterans town(3, 0);
  town.join(9);
  town.at(9).feed(LinkUp{testing::Member(40).id(), false});
  const Fold before{.job = town.id(), .sequence = epoch_s * 1000, .root = testing::digest_of("before")};
  town.says(40, 9, {town.job, testing::Member(9).notary.seal(before), town.false_fold(41, "before"), town.false_fold(42, "before")});
  CHECK_FALSE(town.told(9));
  std::size_t taken_back = 0;
  for (const Send& send : town.at(9).taken<Send>())
    if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
      for (const auto& raw : bundle->statements)
        if (const auto statement = town.at(9).member.notary.open(raw); statement && statement->author == town.at(9).member.id())
          if (const auto* fold = std::get_if<Fold>(&statement->body)) taken_back += fold->root == Digest{} ? 1U : 0U;
  CHECK(taken_back == 1);
}

TEST_CASE("after a start nothing is done of a job without evidence before the first comparison and the time after it") {
  Veterans town;
  auto& peer = *town.peers.emplace(9U, std::make_unique<Inhabitant>(9, NodeConfig{})).first->second;
  peer.now_ms = town.now_ms;
  for (const char* blob : {"program", "units"}) peer.node->blob_present(testing::digest_of(blob));
  peer.node->restore(town.job);
  peer.node->start(peer.now());
  peer.drain();
  town.wait(3 * limits::evidence_patience.ms);  // nobody is met for long
  CHECK(peer.started.empty());
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  CHECK(town.told(9));
  town.wait(30'000);
  CHECK(peer.started.empty());
}

TEST_CASE("headlines are asked for again until none is lacking, and everything only then") {
  Veterans town(1, 0);
  Inhabitant& peer = town.join(9);
  const auto summaries = [&](bool headlines) {
    std::size_t count = 0;
    for (const Send& send : peer.taken<Send>())
      if (const auto* summary = std::get_if<Summary>(send.message.get())) count += summary->headlines == headlines ? 1U : 0U;
    return count;
  };
  const auto lists = [&](const std::vector<MessageId>& ids) {
    BucketIds listed{.buckets = {}, .ids = ids, .headlines = true};
    for (const MessageId& id : ids) listed.buckets.push_back(static_cast<std::uint8_t>(id.bytes[0]));
    town.feed(9, Received{testing::Member(40).id(), listed});
  };
  const auto everything_before = summaries(false);
  town.feed(9, LinkUp{testing::Member(40).id(), false});
  CHECK(summaries(true) == 1);
  lists({town.job.id});
  town.says(40, 9, {town.job});
  CHECK(summaries(true) == 2);
  CHECK(summaries(false) == everything_before);
  const Statement fold = town.false_fold(41);
  lists({fold.id});  // there was no room for it in the first list
  town.says(40, 9, {fold});
  CHECK(summaries(true) == 3);
  CHECK(summaries(false) == everything_before);
  lists({});
  CHECK(summaries(true) == 3);
  CHECK(summaries(false) == everything_before + 1);
}

TEST_CASE("an export holds no folds") {
  Veterans town;
  for (const KeptStatement& one : town.at(1).node->statements_of(town.id())) CHECK(one.type != StatementType::fold);
}

TEST_CASE("two folds are not enough, and one that differs makes three not enough") {
  Veterans town(3, 0);
  for (const bool differs : {false, true}) {
    const unsigned n = differs ? 9 : 8;
    town.join(n);
    town.at(n).feed(LinkUp{testing::Member(40).id(), false});
    town.says(40, n, {town.job, town.false_fold(41), town.false_fold(42)});
    CHECK_FALSE(town.told(n));
    if (differs) town.says(40, n, {town.false_fold(44, "something else")});
    town.says(40, n, {town.false_fold(43)});
    CHECK(town.told(n) == !differs);
  }
  town.says(40, 8, {town.false_fold(44, "something else")});  // also later
  CHECK_FALSE(town.told(8));
}

TEST_CASE("false folds hide nothing from who has one honest neighbour: of a job that is open") {
  Veterans town(3, units / 2);
  town.join_among_liars(9);
  REQUIRE(town.told(9));
  REQUIRE(town.status(9).state == JobState::finished);
  town.link(9, 2);
  CHECK_FALSE(town.told(9));
  CHECK(town.status(9).accepted == units / 2);
  CHECK(town.status(9).state == JobState::running);
}

TEST_CASE("false folds hide nothing from who has one honest neighbour: of a job that ended otherwise and sleeps") {
  Veterans town;
  town.join_among_liars(9);
  REQUIRE(town.told(9));
  town.link(9, 2);
  CHECK_FALSE(town.told(9));
  town.wait(6000);
  const Verdict* verdict = town.at(9).node->verdict(town.id());
  REQUIRE(verdict->accepted_count() == units);
  for (UnitIndex unit = 0; unit < units; ++unit) CHECK(*verdict->accepted_outcome(unit) == outcome(unit));
  CHECK(verdict->banned().empty());
}

TEST_CASE("false folds of a job that ended otherwise end the belief also where the honest neighbour makes no folds of its own") {
  NodeConfig light;
  light.light = true;
  Veterans town(1, units, light);
  REQUIRE(town.asleep(1));
  town.join_among_liars(9);
  town.link(9, 1);
  CHECK(town.at(1).folds_made == 0);
  CHECK_FALSE(town.told(9));
  town.wait(6000);
  CHECK(town.status(9).accepted == units);
}

TEST_CASE("a cancellation ends the belief, and is taken from its owner alone") {
  Veterans town(3, 0);
  town.join_among_liars(9);
  REQUIRE(town.told(9));
  town.says(40, 9, {testing::Member(41).notary.seal(Cancel{town.id()})});
  CHECK(town.told(9));
  const Statement cancel = testing::Member(100).notary.seal(Cancel{town.id()});
  town.says(40, 9, {cancel});
  CHECK_FALSE(town.told(9));
  CHECK(town.status(9).state == JobState::canceled);
  const auto& stored = town.at(9).disk.stored;
  CHECK(std::ranges::contains(stored, cancel.id, &Statement::id));
}

TEST_CASE("a canceled job is not folded, though every unit is accepted, and who comes late takes the cancellation with its evidence") {
  Veterans town(3, units / 2);
  const Statement cancel = testing::Member(100).notary.seal(Cancel{town.id()});
  std::vector<Statement> rest{cancel};
  for (UnitIndex unit = units / 2; unit < units; ++unit)
    for (auto* author : {&town.first, &town.second}) rest.push_back(author->states(unit, outcome(unit)));
  town.at(1).feed(LinkUp{town.first.id(), false});
  town.says(20, 1, rest);
  town.at(1).feed(LinkDown{town.first.id()});
  town.wait(3 * quiet_ms);
  REQUIRE(town.asleep(1));
  REQUIRE(town.at(1).node->knows(cancel.id));
  REQUIRE(town.status(1).accepted == units);
  for (unsigned n = 1; n <= 3; ++n) CHECK(town.at(n).folds_made == 0);
  town.join(9);
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  CHECK_FALSE(town.told(9));
  CHECK(town.at(9).node->knows(cancel.id));
  CHECK(town.status(9).accepted == units);
}

namespace {

// Jobs of one unit each, of so many owners.
std::vector<Statement> crowd(unsigned count, unsigned owners, unsigned first_owner) {
  std::vector<Statement> out;
  for (unsigned n = 0; n < count; ++n)
    out.push_back(job_statement([&](Manifest& manifest) {
      manifest.nonce = 1000 + n;
      manifest.unit_count = 1;
      manifest.item_count = 1;
    }, first_owner + n % owners));
  return out;
}

}  // namespace

TEST_CASE("false folds do not make an open job give way when the table is full") {
  NodeConfig config;
  config.paused = true;
  Veterans town(1, 0);
  town.join_among_liars(9, config);
  REQUIRE(town.told(9));
  const auto jobs = crowd(limits::jobs_max + 4, 40, 200);
  std::map<PeerId, std::unique_ptr<testing::Member>> owners;
  for (unsigned owner = 200; owner < 240; ++owner) {
    auto member = std::make_unique<testing::Member>(owner);
    owners.emplace(member->id(), std::move(member));
  }
  for (std::size_t at = 0; at < jobs.size(); at += 512) {
    const std::vector<Statement> some(jobs.begin() + static_cast<std::ptrdiff_t>(at), jobs.begin() + static_cast<std::ptrdiff_t>(std::min(jobs.size(), at + 512)));
    town.says(40, 9, some);
    std::vector<Statement> cancels;  // else no more of them would be open
    for (const Statement& one : some) cancels.push_back(owners.at(one.author)->notary.seal(Cancel{id_of(one)}));
    town.says(40, 9, cancels);
  }
  CHECK(town.at(9).node->jobs().size() == limits::jobs_max);
  CHECK(town.at(9).node->job(town.id()));
}

TEST_CASE("a job that was told finds room like one that comes, or goes and may come again") {
  NodeConfig config;
  config.paused = true;
  Veterans town(1, 0);
  town.join_among_liars(9, config);
  REQUIRE(town.told(9));
  town.says(40, 9, crowd(limits::jobs_per_owner_max, 1, 100));  // of its owner
  REQUIRE(town.at(9).node->jobs().size() == limits::jobs_per_owner_max + 1);
  town.says(40, 9, {town.false_fold(44, "something else")});
  CHECK_FALSE(town.told(9));
  CHECK_FALSE(town.at(9).node->job(town.id()));
  town.says(40, 9, {testing::Member(100).notary.seal(Cancel{id_of(crowd(1, 1, 100).front())})});
  town.says(40, 9, {town.job});
  CHECK(town.at(9).node->job(town.id()));
}

TEST_CASE("an own job is never told by folds, nor one that earns this peer's owner favours") {
  Veterans town(3, 0);
  town.join(9);
  const Statement own = job_statement([](Manifest& manifest) { manifest.nonce = 5; });
  town.feed(9, Pause{true});
  town.feed(9, Submit{own});
  town.at(9).feed(LinkUp{testing::Member(40).id(), false});
  const auto fold_of = [&](unsigned voice, const Statement& job) {
    return testing::Member(voice).notary.seal(Fold{.job = id_of(job), .sequence = epoch_s * 1000, .root = testing::digest_of("made up")});
  };
  town.says(40, 9, {fold_of(41, own), fold_of(42, own), fold_of(43, own)});
  CHECK_FALSE(town.at(9).node->folded(id_of(own)));
  NodeConfig config;
  config.credit_to = town.job.author;
  town.join_among_liars(10, config);
  CHECK_FALSE(town.told(10));
}

TEST_CASE("who names roots is told by those alone that name the same") {
  NodeConfig config;
  config.roots = {testing::Member(77).id()};
  Veterans town(3, 0);
  town.join_among_liars(9, config);
  CHECK_FALSE(town.told(9));
  const auto judges = judges_digest(config.roots, town.at(9).member.notary);
  for (const unsigned voice : {44U, 45U, 46U})
    town.says(40, 9, {testing::Member(voice).notary.seal(Fold{.job = town.id(), .sequence = epoch_s * 1000, .root = testing::digest_of("with roots"), .judges = judges})});
  CHECK(town.told(9));
}

TEST_CASE("a small job is told by no folds") {
  NodeConfig config;
  config.fold_units_min = units + 1;
  Veterans town(3, 0);
  town.join_among_liars(9, config);
  CHECK_FALSE(town.told(9));
}

TEST_CASE("folds of a later time than the clock allows are not taken, and come again") {
  Veterans town(3, 0);
  town.join(9);
  town.at(9).feed(LinkUp{testing::Member(40).id(), false});
  const auto ahead_ms = static_cast<std::uint64_t>(limits::peer_record_skew_max_s + 60) * 1000;
  std::vector<Statement> ahead{town.job};
  for (const unsigned voice : {41U, 42U, 43U}) ahead.push_back(town.false_fold(voice, "made up", ahead_ms));
  town.says(40, 9, ahead);
  CHECK_FALSE(town.told(9));
  CHECK_FALSE(town.at(9).node->knows(ahead.back().id));
  town.wait(61'000);
  town.says(40, 9, ahead);
  CHECK(town.told(9));
}

TEST_CASE("a maker takes its fold back when a unit reopens, and who was told takes the evidence") {
  Veterans town;
  REQUIRE(town.at(1).folds_made == 1);
  town.join(9);
  for (unsigned n = 1; n <= 3; ++n) town.link(9, n);
  REQUIRE(town.told(9));
  // Author 20 turns out to have forked: both tails are void, and so is what they had accepted.
  testing::Author fork(20, town.job);
  town.feed(1, LinkUp{testing::Member(40).id(), false});
  town.says(40, 1, {fork.states(0, outcome(0, "forked"))});
  town.wait(20'000);
  REQUIRE(town.status(1).accepted < units);
  for (unsigned n = 1; n <= 3; ++n) CHECK(town.at(n).folds_taken_back == 1);
  CHECK_FALSE(town.told(9));
  CHECK(town.status(9).accepted == town.status(1).accepted);
}

TEST_CASE("who is told wants enough others to have the evidence") {
  Veterans town;
  for (const std::size_t wanted : {3U, 4U}) {
    const unsigned n = 6 + static_cast<unsigned>(wanted);
    NodeConfig config;
    config.fold_holders_min = wanted == 4 ? 5 : 3;
    town.join(n, config);
    for (unsigned m = 1; m <= 3; ++m) town.link(n, m);
    REQUIRE(town.told(n));
    town.wait(limits::fold_holders_patience.ms + 3000);
    CHECK(town.told(n) == (wanted == 3));
  }
  town.at(9).feed(LinkDown{town.at(1).member.id()});
  town.wait(4000);
  CHECK_FALSE(town.told(9));
  CHECK(town.status(9).accepted == units);
}

TEST_CASE("who knows the job and holds nothing of it does not count as one that has its evidence") {
  for (const bool empty : {true, false}) {
    Veterans town(3, 0);
    town.join_among_liars(9);
    Holdings holdings{.job = town.id(), .complete = true};
    if (!empty) holdings.units = {{2, 3}};
    town.feed(9, Received{testing::Member(40).id(), holdings});
    REQUIRE(town.told(9));
    town.wait(limits::fold_holders_patience.ms + 3000);
    CHECK(town.told(9) == !empty);
  }
}

TEST_CASE("all that too few have the evidence of are taken at once, who was told first before others") {
  Veterans town(3, 0);
  town.join_among_liars(9);
  std::vector<Statement> more;
  for (unsigned n = 0; n < 5; ++n) {
    more.push_back(job_statement([&](Manifest& manifest) { manifest.nonce = 60 + n; }));
    for (const unsigned voice : {41U, 42U, 43U})
      more.push_back(testing::Member(voice).notary.seal(Fold{.job = id_of(more[4 * n]), .sequence = epoch_s * 1000, .root = testing::digest_of("made up")}));
  }
  town.says(40, 9, more);
  for (unsigned n = 0; n < 5; ++n) REQUIRE(town.at(9).node->folded(id_of(more[4 * n])));
  town.feed(9, Pause{true});
  town.wait(limits::fold_holders_patience.ms - 1000);
  CHECK(town.told(9));
  town.wait(3000);
  for (unsigned n = 0; n < 5; ++n) CHECK_FALSE(town.at(9).node->folded(id_of(more[4 * n])));
  CHECK_FALSE(town.told(9));
}

TEST_CASE("custody is shared out among those who have the evidence") {
  // Three workers have the evidence, so each keeps all archives, however many are told the job beside them.
  Veterans town(3);
  for (unsigned n = 10; n < 20; ++n) {
    town.join(n);
    for (unsigned m = 1; m <= 3; ++m) town.link(n, m);
    REQUIRE(town.told(n));
  }
  town.wait(10'000);
  town.at(2).effects.clear();
  town.at(2).looked = 0;
  for (UnitIndex unit = 0; unit < units; ++unit) town.feed(2, BlobLost{outcome(unit).digest});
  town.wait(180'000);  // until the others have listed what they hold
  std::set<Digest> wanted;
  for (const RequestRange& request : town.at(2).taken<RequestRange>()) wanted.insert(request.blob.name);
  CHECK(wanted.size() == units);
}

TEST_CASE("a neighbour that is told a job now and now not does not keep it awake") {
  Veterans town(1);
  town.feed(1, LinkUp{testing::Member(40).id(), false});
  REQUIRE(town.at(1).node->verdict(town.id()) != nullptr);  // it wakes, and sleeps soon again
  REQUIRE_FALSE(town.asleep(1));
  bool slept = false;
  for (int n = 0; n < 60 && !slept; ++n) {
    for (const bool folded : {true, false, true}) town.feed(1, Received{testing::Member(40).id(), Holdings{.job = town.id(), .complete = true, .folded = folded}});
    town.at(1).now_ms = town.now_ms += 500;
    town.feed(1, TimerFired{});
    slept = town.asleep(1);
  }
  CHECK(slept);
}

// ---------------------------------------------------------------- sample audits

namespace {

struct Auditor : Veterans {
  explicit Auditor(std::string_view finds = "right", NodeConfig config = {}) {
    join(9, std::move(config));
    for (unsigned n = 1; n <= 3; ++n) link(9, n);
    REQUIRE(told(9));
    CHECK(status(9).told_by == 3);
    answers = [finds](unsigned, UnitIndex unit) { return outcome(unit, finds); };
    wait(1000);
  }
  // Work of another job, which others do as well: so many executions until an audit is due.
  void works() {
    const Statement other = job_statement([](Manifest& manifest) {
      manifest.nonce = 9;
      manifest.unit_count = 24;
      manifest.item_count = 24;
      manifest.verification = VerificationClass::trusted;  // one answer each, and no audits of its own
    }, 101);
    at(9).feed(LinkUp{testing::Member(40).id(), false});
    says(40, 9, {other});
    wait(5000);
  }
};

}  // namespace

TEST_CASE("a sample audit asks one neighbour what was accepted, executes the unit, and tells nobody when it finds the same") {
  Auditor town;
  town.works();
  CHECK(town.told(9));
  CHECK(town.status(9).audits_of_told == 1);
  CHECK(town.jobs_read() == 1);
  for (unsigned n = 1; n <= 3; ++n) CHECK(town.status(n).executions == 2 * units);
  town.wait(60'000);
  CHECK(town.status(9).audits_of_told == 1);  // 24 executions: one audit
}

TEST_CASE("jobs that the donor does not serve are not audited either") {
  NodeConfig config;
  config.projects = {{base::retag<Digest>(testing::Member(100).id()), 0}};
  Auditor town("right", config);
  town.works();
  town.wait(60'000);
  CHECK(town.at(9).started.size() == 24);
  CHECK(town.told(9));
  CHECK(town.status(9).audits_of_told == 0);
  CHECK(town.jobs_read() == 0);
}

TEST_CASE("an audit that finds something else is stated among the evidence, and wakes those who have it") {
  Auditor town("different");
  town.works();
  CHECK_FALSE(town.told(9));
  town.wait(12'000);
  CHECK(town.status(9).executions == 2 * units + 1);
  for (unsigned n = 1; n <= 3; ++n) {
    CHECK(town.status(n).executions == 2 * units + 1);
    CHECK(town.status(n).contested == 1);
    CHECK(town.status(n).accepted == units);
    CHECK(town.status(n).banned.empty());
  }
}

namespace {

// Told by liars alone, of whom so many say that they have the evidence; with work of another job.
struct AmongLiars : Veterans {
  explicit AmongLiars(unsigned liars) : Veterans(3, 0) {
    join_among_liars(9);
    for (unsigned voice = 50; voice < 50 + liars; ++voice) {
      at(9).feed(LinkUp{testing::Member(voice).id(), false});
      feed(9, Received{testing::Member(voice).id(), Holdings{.job = id(), .complete = true, .units = {{0, 1}}}});
    }
    answers = [](unsigned, UnitIndex unit) { return outcome(unit); };
    REQUIRE(told(9));
    at(9).effects.clear();
    at(9).looked = 0;
  }
  void works() {
    const Statement other = job_statement([](Manifest& manifest) {
      manifest.nonce = 9;
      manifest.unit_count = 24;
      manifest.item_count = 24;
      manifest.verification = VerificationClass::trusted;
    });
    says(40, 9, {other});
  }
  // The questions that were asked and not shown anything yet.
  std::vector<std::pair<PeerId, FoldQuestion>> asked() {
    std::vector<std::pair<PeerId, FoldQuestion>> out;
    for (const Send& send : at(9).taken<Send>())
      if (const auto* question = std::get_if<FoldQuestion>(send.message.get())) out.emplace_back(send.to, *question);
    return out;
  }
};

constexpr auto question_ms = limits::fold_question_spacing.ms + limits::fold_answer_patience.ms;

}  // namespace

TEST_CASE("who is silent to questions counts once: one that is ends no belief, four do") {
  for (const unsigned liars : {1U, limits::fold_questions_in_vain_max}) {
    AmongLiars town(liars);
    town.works();
    town.wait(3 * question_ms);
    CHECK(town.told(9));  // three questions or fewer
    CHECK(town.asked().size() >= 2);
    town.wait(3 * question_ms);
    CHECK(town.told(9) == (liars == 1));
  }
}

TEST_CASE("four wrong paths end the belief, three do not") {
  AmongLiars town(1);
  town.works();
  for (std::size_t shown = 0; shown < limits::fold_questions_in_vain_max;) {
    CHECK(town.told(9));
    town.wait(500);
    REQUIRE(town.now_ms < 20 * question_ms);
    const auto asked = town.asked();
    if (asked.size() == shown) continue;
    ++shown;
    const auto& [holder, question] = asked.back();
    town.feed(9, Received{holder, FoldProof{question.job, question.root, question.unit, outcome(question.unit), {}}});
  }
  CHECK_FALSE(town.told(9));
}

TEST_CASE("nobody can show what false folds say: they are given up") {
  Veterans town(3, 0);
  town.join_among_liars(9);
  for (unsigned voice = 50; voice < 54; ++voice) {
    town.at(9).feed(LinkUp{testing::Member(voice).id(), false});
    town.feed(9, Received{testing::Member(voice).id(), Holdings{.job = town.id(), .complete = true, .units = {{0, units}}}});
  }
  town.answers = [](unsigned, UnitIndex unit) { return outcome(unit); };
  REQUIRE(town.told(9));
  const Statement other = job_statement([](Manifest& manifest) {
    manifest.nonce = 9;
    manifest.unit_count = 24;
    manifest.item_count = 24;
    manifest.verification = VerificationClass::trusted;
  });
  town.says(40, 9, {other});
  town.wait(limits::fold_questions_in_vain_max * (limits::fold_question_spacing.ms + limits::fold_answer_patience.ms) + 20'000);
  CHECK_FALSE(town.told(9));
}

TEST_CASE("questions of strangers wake a job seldom, and only of what came of it here") {
  Veterans town;
  const auto ask = [&](const Digest& root, UnitIndex unit) {
    town.at(1).effects.clear();
    town.at(1).looked = 0;
    town.feed(1, Received{testing::Member(40).id(), FoldQuestion{town.id(), root, unit}});
    std::size_t shown = 0;
    for (const Send& send : town.at(1).taken<Send>()) shown += std::holds_alternative<FoldProof>(*send.message) ? 1U : 0U;
    return shown;
  };
  town.feed(1, LinkUp{testing::Member(40).id(), false});
  town.join(9);
  town.link(9, 2);
  std::vector<Digest> leaves;
  for (UnitIndex unit = 0; unit < units; ++unit) leaves.push_back(fold_leaf(outcome(unit), town.at(1).member.notary));
  const Digest root = FoldTree(leaves, town.at(1).member.notary).root();
  CHECK(ask(testing::digest_of("another"), 0) == 0);
  CHECK(town.jobs_read() == 0);
  CHECK(ask(root, units) == 0);
  CHECK(ask(root, 3) == 1);
  CHECK(town.at(1).disk.jobs_read == 1);
  town.wait(quiet_ms / limits::job_quiet_restored_divisor + 8000);
  CHECK(town.asleep(1));  // soon again
  CHECK(ask(root, 3) == 0);
  town.wait(limits::fold_waking_interval.ms);
  CHECK(ask(root, 3) == 1);
  // Awake it answers more, but hashes so much for others and no more.
  std::size_t shown = 0;
  const auto asked = static_cast<std::size_t>(limits::fold_leaves_burst / limits::fold_leaves_min) + 50;
  for (std::size_t n = 0; n < asked; ++n) shown += ask(root, 3);
  CHECK(shown > asked / 2);
  CHECK(shown < asked - 45);
  town.wait(1000);
  CHECK(ask(root, 3) == 1);
}
