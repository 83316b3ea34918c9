// The whole peer, without a network: what it does with statements, time and restarts. Stories of several peers stand in
// tests/transcripts, swarms in tests/simulation.
#include "coordinator-less/protocol/node.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/recent_set.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "tests/support/author.hpp"
#include "tests/support/lone_node.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::epoch_s;
using testing::id_of;
using testing::job_statement;
using testing::outcome;
using testing::own_entries;
using Peer = testing::LoneNode;

// How many of ten neighbours hear from this peer what one more claims.
std::size_t claims_relayed(bool can_be_dialled) {
  Peer hub(1);
  testing::Member author(2);
  hub.start();
  hub.feed(LinkUp{author.id(), false});
  for (unsigned n = 3; n < 13; ++n) {
    const auto id = testing::Member(n).id();
    if (can_be_dialled) hub.feed(AddPeer{id, {"10.0.0." + std::to_string(n) + ":5000"}});
    hub.feed(LinkUp{id, false});
  }
  const Statement job = job_statement(4);
  hub.from(author, job);
  const Statement claims = author.notary.seal(Claims{id_of(job), {2}, {}, 60'000, 1});
  hub.from(author, claims);
  hub.pass(500);
  std::set<PeerId> heard;
  for (const Send& send : hub.taken<Send>()) {
    const auto* bundle = std::get_if<StatementBundle>(send.message.get());
    if (bundle != nullptr && std::ranges::any_of(bundle->statements, [&](const auto& raw) { return *raw == *claims.raw; })) heard.insert(send.to);
  }
  CHECK_FALSE(heard.contains(author.id()));
  return heard.size();
}

}  // namespace

TEST_CASE("claims are relayed to a few, but to all of those whom nobody can dial: they may have no other neighbour") {
  CHECK(claims_relayed(true) == limits::relay_neighbours_max);
  CHECK(claims_relayed(false) == 10);
}

TEST_CASE("own results are durable before they are sent") {
  Peer peer(1);
  const testing::Member neighbour(2);
  peer.start();
  peer.feed(LinkUp{neighbour.id(), false});
  const Statement job = job_statement(2);
  peer.feed(Submit{job});
  for (const auto& start : peer.taken<StartUnit>()) peer.feed(UnitFinished{start.job, start.unit, outcome("a")});
  peer.pass(200);
  std::set<MessageId> durable;
  int sent = 0;
  for (const Effect& effect : peer.effects) {
    if (const auto* persist = std::get_if<Persist>(&effect)) durable.insert(persist->statement.id);
    const auto* send = std::get_if<Send>(&effect);
    const auto* bundle = send == nullptr ? nullptr : std::get_if<StatementBundle>(send->message.get());
    if (bundle == nullptr) continue;
    for (const auto& raw : bundle->statements) {
      const auto statement = peer.member.notary.open(raw);
      REQUIRE(statement);
      if (statement->type() != StatementType::results) continue;
      ++sent;
      CHECK(durable.contains(statement->id));
    }
  }
  CHECK(sent > 0);
}

TEST_CASE("a restart goes on where it was: what was answered is not executed again") {
  std::vector<Statement> kept;
  const Statement job = job_statement(4);
  {
    Peer peer(1);
    peer.start();
    peer.feed(Submit{job});
    const auto starts = peer.taken<StartUnit>();
    REQUIRE(starts.size() == 4);
    for (int n = 0; n < 3; ++n) peer.feed(UnitFinished{starts[static_cast<std::size_t>(n)].job, starts[static_cast<std::size_t>(n)].unit, outcome("a")});
    peer.pass(100);
    for (const auto& persist : peer.taken<Persist>()) kept.push_back(persist.statement);
  }
  Peer peer(1);
  for (const Statement& statement : kept) peer.node->restore(statement);
  peer.start();
  peer.pass(200);
  CHECK(peer.taken<StartUnit>().size() == 1);
  const auto status = peer.node->job(id_of(job));
  REQUIRE(status);
  CHECK(status->executions == 3);
  CHECK(status->own_results == 3);
  CHECK(status->accepted == 0);
}

TEST_CASE("another machine with this key: what it answered is not stated again, and what runs here keeps its slot") {
  Peer peer(1);
  const testing::Member neighbour(2);
  peer.start();
  peer.feed(LinkUp{neighbour.id(), false});
  const Statement job = job_statement(8);
  testing::Author twin(1, job);
  peer.feed(Submit{job});
  const auto starts = peer.taken<StartUnit>();
  REQUIRE(!starts.empty());
  const auto running = peer.node->job(id_of(job))->running_here;
  const Statement stated = twin.states(starts[0].unit, outcome("a"));
  peer.feed(Received{neighbour.id(), StatementBundle{{stated.raw}}});
  CHECK(peer.node->job(id_of(job))->running_here == running);
  CHECK(peer.taken<StartUnit>().size() == starts.size());
  peer.feed(UnitFinished{starts[0].job, starts[0].unit, outcome("a")});
  peer.pass(200);
  CHECK(peer.node->job(id_of(job))->executions == 1);
  CHECK(peer.node->job(id_of(job))->own_results == 1);
}

TEST_CASE("a start begins a chain of results, and so does a statement of this key from elsewhere") {
  Peer peer(1);
  const testing::Member neighbour(2);
  const Statement job = job_statement(8);
  testing::Author twin(1, job);
  peer.start();
  peer.feed(LinkUp{neighbour.id(), false});
  peer.feed(Submit{job});
  const auto starts = peer.taken<StartUnit>();
  REQUIRE(starts.size() == 4);
  peer.feed(UnitFinished{id_of(job), starts[0].unit, outcome("a")});
  peer.pass(100);
  CHECK(own_entries(peer, job).begin()->first == LogPlace{static_cast<std::uint32_t>(epoch_s), 0});
  twin.log.begin_chain(static_cast<std::uint32_t>(epoch_s) + 50);
  peer.feed(Received{neighbour.id(), StatementBundle{{twin.states(starts[1].unit, outcome("a")).raw}}});
  peer.feed(UnitFinished{id_of(job), starts[2].unit, outcome("a")});
  peer.pass(100);
  CHECK(own_entries(peer, job).rbegin()->first == LogPlace{static_cast<std::uint32_t>(epoch_s) + 51, 0});
}

TEST_CASE("a restored image answers again what its lost life makes void, in a chain that counts") {
  Peer peer(1);
  const testing::Member neighbour(2);
  const Statement job = job_statement(8);
  testing::Author lost_life(1, job), other(2, job);
  lost_life.log.begin_chain(static_cast<std::uint32_t>(epoch_s) - 100);
  peer.start();
  peer.feed(LinkUp{neighbour.id(), false});
  peer.feed(Submit{job});
  const auto starts = peer.taken<StartUnit>();
  REQUIRE(starts.size() == 4);
  const UnitIndex unit = starts[0].unit;
  peer.feed(UnitFinished{id_of(job), unit, outcome("a")});
  peer.pass(100);
  // Both lives began their log here: readers void the later one.
  peer.feed(Received{neighbour.id(), StatementBundle{{lost_life.states(starts[1].unit, outcome("a")).raw}}});
  for (UnitIndex any = 0; any < 8; ++any) peer.from(other, other.states(any, outcome("a")));
  CHECK_FALSE(peer.node->verdict(id_of(job))->accepted(unit));
  for (const auto& start : starts)
    if (start.unit != unit) peer.feed(UnitFinished{id_of(job), start.unit, outcome("a")});
  peer.pass(100);
  const auto again = peer.taken<StartUnit>();
  REQUIRE(std::ranges::count(again, unit, &StartUnit::unit) == 2);
  peer.feed(UnitFinished{id_of(job), unit, outcome("a")});
  peer.pass(100);
  CHECK(peer.node->verdict(id_of(job))->accepted(unit));
}

TEST_CASE("a peer audits what others had accepted, and says so; nobody hears of it before") {
  Peer peer(1, 1);
  const Statement job = job_statement(64);
  testing::Author a(2, job), b(3, job);
  peer.start();
  peer.feed(LinkUp{a.id(), false});
  peer.from(a, job);
  UnitOrder order(id_of(job), peer.member.id(), 64, 2, peer.member.notary);
  const auto others_answer = [&](UnitIndex unit) {
    for (testing::Author* author : {&a, &b})
      if (!peer.node->evidence(id_of(job))->answered(author->id(), unit)) peer.from(a, author->states(unit, outcome("a")));
  };
  std::set<UnitIndex> started, audited;
  for (int n = 0; n < 60 && audited.empty(); ++n) {
    const auto starts = peer.taken<StartUnit>();
    for (std::size_t i = started.size(); i < starts.size(); ++i) {
      const UnitIndex unit = starts[i].unit;
      started.insert(unit);
      if (peer.node->verdict(id_of(job))->accepted(unit)) audited.insert(unit);
      peer.feed(UnitFinished{id_of(job), unit, outcome("a")});
      others_answer(unit);
    }
    // The others answer every second unit before this peer comes to it; these it may audit.
    for (std::uint32_t place = 1; place < 64; place += 2)
      if (!started.contains(order.unit_at(place)) && started.size() > place / 4) others_answer(order.unit_at(place));
    peer.pass(100);
  }
  REQUIRE_FALSE(audited.empty());
  for (const auto& [place, entry] : own_entries(peer, job)) CHECK(entry.audit == audited.contains(entry.unit));
  for (const auto& send : peer.taken<Send>()) {
    const auto* bundle = std::get_if<StatementBundle>(send.message.get());
    for (std::size_t i = 0; bundle != nullptr && i < bundle->statements.size(); ++i) {
      const auto statement = peer.member.notary.open(bundle->statements[i]);
      const auto* claims = statement ? std::get_if<Claims>(&statement->body) : nullptr;
      for (const UnitIndex unit : audited) CHECK((claims == nullptr || !std::ranges::contains(claims->units, unit)));
    }
  }
}

namespace {

// How many results a peer of one slot states before its first audit, where everything else is accepted already; nothing: it never audits.
std::optional<std::size_t> results_before_audit(std::uint32_t audit_percent) {
  Peer peer(1, 1);
  Manifest manifest = testing::manifest(64, epoch_s);
  manifest.audit_percent = audit_percent;
  const Statement job = runtime::seal(testing::network(), testing::Member(100).keys, manifest);
  testing::Author a(2, job), b(3, job);
  peer.start();
  peer.feed(LinkUp{a.id(), false});
  peer.from(a, job);
  UnitOrder order(id_of(job), peer.member.id(), 64, 2, peer.member.notary);
  for (std::uint32_t place = 1; place < 64; place += 2)  // every second unit of its block
    for (testing::Author* author : {&a, &b}) peer.from(a, author->states(order.unit_at(place), outcome("a")));
  for (std::size_t executed = 0; executed < 12; ++executed) {
    peer.pass(100);
    const auto starts = peer.taken<StartUnit>();
    if (starts.size() == executed) return std::nullopt;
    if (peer.node->verdict(id_of(job))->accepted(starts.back().unit)) return executed;
    peer.feed(UnitFinished{id_of(job), starts.back().unit, outcome("a")});
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("a peer audits as often as the manifest asks: at 40 % after three executions, at 5 % not in twelve") {
  CHECK(results_before_audit(40) == 3);
  CHECK(results_before_audit(5) == std::nullopt);
}

TEST_CASE("results that come before their job are taken when the job is known") {
  Peer peer(1);
  const Statement job = job_statement(1);
  testing::Author a(2, job), b(3, job);
  peer.start();
  peer.feed(LinkUp{a.id(), false});
  const Statement early = a.states(0, outcome("a"));
  peer.from(a, early);
  CHECK(peer.node->jobs().empty());
  peer.from(a, job);
  peer.from(a, early);
  peer.from(a, b.states(0, outcome("a")));
  const auto status = peer.node->job(id_of(job));
  REQUIRE(status);
  CHECK(status->accepted == 1);
  CHECK(status->bytes_safe == 1);  // a is linked and answered so: it holds the archive
}

TEST_CASE("a statement that does not verify ends the link, a repeated one does not") {
  Peer peer(1);
  testing::Member other(2);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(1);
  peer.from(other, job);
  peer.from(other, job);
  CHECK(peer.taken<Disconnect>().empty());
  base::Bytes bent = *job_statement(2).raw;
  bent[bent.size() / 2] ^= std::byte{1};
  peer.feed(Received{other.id(), StatementBundle{{std::make_shared<const base::Bytes>(bent)}}});
  CHECK(peer.taken<Disconnect>().size() == 1);
}

TEST_CASE("only the owner cancels, and a job that ended stays what it was") {
  Peer peer(1);
  testing::Member other(2);
  const testing::Member owner(100);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(1);
  peer.feed(Submit{job});
  peer.from(other, other.notary.seal(Cancel{id_of(job)}));
  CHECK(peer.node->job(id_of(job))->state != JobState::canceled);
  peer.feed(CancelJob{runtime::seal(testing::network(), owner.keys, Cancel{id_of(job)})});
  CHECK(peer.node->job(id_of(job))->state == JobState::canceled);
  CHECK(peer.taken<StopUnit>().size() == 1);

  const Statement ended = job_statement(1, 3000);
  peer.feed(Submit{ended});
  for (const auto& start : peer.taken<StartUnit>())
    if (start.job == id_of(ended)) peer.feed(UnitFinished{start.job, start.unit, outcome("a")});
  peer.from(other, testing::Author(2, ended).states(0, outcome("a")));
  peer.pass(100);
  REQUIRE(peer.node->job(id_of(ended))->state == JobState::finished);
  peer.feed(CancelJob{runtime::seal(testing::network(), owner.keys, Cancel{id_of(ended)})});
  CHECK(peer.node->job(id_of(ended))->state == JobState::finished);
}

TEST_CASE("jobs expire, are forgotten, and do not come back") {
  Peer peer(1);
  testing::Member other(2);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(3, 60);
  peer.from(other, job);
  CHECK(peer.node->jobs().size() == 1);
  peer.pass(70'000);
  CHECK(peer.node->jobs().empty());
  CHECK(peer.taken<ForgetJob>().size() == 1);
  peer.from(other, job);
  CHECK(peer.node->jobs().empty());
  CHECK(peer.node->needs(testing::digest_of("program")) == false);
}

TEST_CASE("a job made more than a day after this peer's time is refused, and told once an hour") {
  Peer peer(1);
  const testing::Member neighbour(2), owner(100);
  peer.start();
  peer.feed(LinkUp{neighbour.id(), false});
  const auto made_at = [&](std::int64_t unix_s) { return runtime::seal(testing::network(), owner.keys, testing::manifest(2, unix_s)); };
  const auto told = [&] {
    return std::ranges::count_if(peer.taken<Notice>(), [](const Notice& notice) { return notice.kind == Notice::Kind::job_ahead; });
  };
  peer.from(neighbour, made_at(epoch_s + 24 * 3600));
  CHECK(told() == 0);
  CHECK(peer.node->jobs().size() == 1);
  const Statement ahead = made_at(epoch_s + 24 * 3600 + 60);
  peer.from(neighbour, ahead);
  peer.from(neighbour, ahead);
  CHECK(told() == 1);
  CHECK(peer.node->jobs().size() == 1);
  peer.now_ms += limits::clock_complaint_spacing.ms;
  peer.from(neighbour, made_at(epoch_s + 26 * 3600));
  CHECK(told() == 2);
}

TEST_CASE("one owner cannot fill the table of jobs") {
  Peer peer(1);
  testing::Member other(2);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const testing::Member owner(100);
  for (std::uint64_t nonce = 0; nonce < limits::jobs_per_owner_max + 10; ++nonce) {
    Manifest manifest = testing::manifest(1, epoch_s);
    manifest.nonce = nonce;
    peer.node->on_input(Received{other.id(), StatementBundle{{runtime::seal(testing::network(), owner.keys, manifest).raw}}}, peer.now());
  }
  peer.drain();
  CHECK(peer.node->jobs().size() == limits::jobs_per_owner_max);
}

TEST_CASE("an unlinked sender is not heard") {
  Peer peer(1);
  testing::Member other(2);
  peer.start();
  peer.from(other, job_statement(1));
  CHECK(peer.node->jobs().empty());
}

TEST_CASE("a lost blob is not counted as held any more") {
  Peer peer(1);
  testing::Member other(2);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(1);
  peer.feed(Submit{job});
  peer.feed(UnitFinished{id_of(job), 0, outcome("a")});
  peer.from(other, testing::Author(2, job).states(0, outcome("a")));
  peer.pass(100);
  REQUIRE(peer.node->job(id_of(job))->bytes_safe == 1);
  CHECK(peer.node->needs(testing::digest_of("a")));
  peer.feed(BlobLost{testing::digest_of("a")});
  CHECK(peer.node->job(id_of(job))->bytes_safe == 1);  // the other author holds it
  peer.pass(200);
  const auto requests = peer.taken<RequestRange>();
  REQUIRE_FALSE(requests.empty());
  CHECK(requests.back().from == other.id());
}

TEST_CASE("a flooding author costs itself, not others") {
  Peer peer(1);
  const Statement job = job_statement(2);
  testing::Author flooder(2, job), honest(3, job);
  peer.start();
  peer.feed(LinkUp{flooder.id(), false});
  peer.feed(Submit{job});
  for (int n = 0; n < 50; ++n)
    peer.from(flooder, flooder.states(0, outcome("flood")));
  std::size_t kept = 0;
  for (const KeptStatement& statement : peer.node->statements_of(id_of(job))) kept += statement.author == flooder.id() ? 1U : 0U;
  CHECK(kept == 4);  // two for each unit
  peer.from(flooder, honest.states(1, outcome("a")));
  CHECK(peer.node->evidence(id_of(job))->answered(honest.id(), 1));
  CHECK(peer.taken<Disconnect>().empty());
}

TEST_CASE("a flood in few statements is bounded by what they hold, and none goes on from nothing") {
  Peer peer(1);
  const Statement job = job_statement(4);
  testing::Author flooder(2, job);
  peer.start();
  peer.feed(LinkUp{flooder.id(), false});
  peer.feed(Submit{job});
  const auto entry = [](unsigned n, const Digest& input) {
    Outcome said = outcome("flood " + std::to_string(n));
    said.input = input;
    return ResultEntry{0, 0, said, {}};
  };
  const auto kept = [&] { return peer.node->evidence(id_of(job))->results(0).size(); };
  peer.from(flooder, flooder.states_all({entry(0, testing::digest_of("an archive"))}));
  CHECK(kept() == 0);  // nothing goes on from an archive in this job
  std::vector<ResultEntry> many;
  for (unsigned n = 0; n < 9; ++n) many.push_back(entry(n, {}));
  peer.from(flooder, flooder.states_all(many));
  CHECK(kept() == 0);  // nine answers, of four units
  many.resize(8);
  peer.from(flooder, flooder.states_all(many));
  CHECK(kept() == 2);  // two for each unit, of which evidence keeps the lowest
  const auto entries = peer.node->job(id_of(job))->executions;
  many.resize(1);
  peer.from(flooder, flooder.states_all({{1, 0, outcome("more")}}));
  CHECK(peer.node->job(id_of(job))->executions == entries);
}

TEST_CASE("what one key says about one unit is bounded, within a statement too") {
  Peer peer(1);
  const Statement job = job_statement(64);
  testing::Author flooder(2, job);
  peer.start();
  peer.feed(LinkUp{flooder.id(), false});
  peer.feed(Submit{job});
  const auto about_unit_0 = [](std::uint32_t count) {
    std::vector<ResultEntry> entries;
    for (std::uint32_t n = 0; n < count; ++n) entries.push_back({0, 0, outcome("flood " + std::to_string(n)), {}});
    return entries;
  };
  const auto entries = [&] { return peer.node->verdict(id_of(job))->entries_of(flooder.id(), 0); };
  peer.from(flooder, flooder.states_all(about_unit_0(limits::entries_per_answerer_max + 1)));
  CHECK(entries() == 0);
  peer.from(flooder, flooder.states_all(about_unit_0(limits::entries_per_answerer_max)));
  CHECK(entries() == limits::entries_per_answerer_max);
  peer.from(flooder, flooder.states(0, outcome("one more")));
  CHECK(entries() == limits::entries_per_answerer_max);
}

TEST_CASE("an author that denies an archive does not count as its holder") {
  Peer peer(1, 1);
  const Statement job = job_statement(4);
  testing::Author a(2, job), b(3, job);
  peer.start();
  peer.feed(LinkUp{a.id(), false});
  peer.from(a, job);
  const auto archive = [](UnitIndex unit) { return outcome("archive of " + std::to_string(unit)); };
  for (testing::Author* author : {&a, &b}) peer.from(a, author->states({{0, archive(0)}, {1, archive(1)}, {2, archive(2)}, {3, archive(3)}}));
  const UnitIndex started = peer.taken<StartUnit>().at(0).unit;
  peer.feed(UnitFinished{id_of(job), started, outcome("archive of " + std::to_string(started))});
  const UnitIndex lost = (started + 1) % 4;
  REQUIRE(peer.node->job(id_of(job))->bytes_safe == 4);
  Holdings without{id_of(job), true, true, {}};
  for (UnitIndex unit = 0; unit < 4; ++unit)
    if (unit != lost) without.units.emplace_back(unit, unit + 1);
  peer.feed(Received{a.id(), without});
  CHECK(peer.node->job(id_of(job))->bytes_safe == 4);  // listing and acceptance may have crossed
  CHECK(peer.node->job(id_of(job))->state == JobState::finished);
  peer.pass(limits::news_patience.ms);
  peer.feed(Received{a.id(), without});
  CHECK(peer.node->job(id_of(job))->bytes_safe == 3);
  CHECK(peer.node->job(id_of(job))->state == JobState::running);
  CHECK(peer.node->holders(id_of(job), testing::digest_of("archive of " + std::to_string(lost))).empty());
  peer.feed(Received{a.id(), Holdings{id_of(job), true, false, {{lost, lost + 1}}}});
  CHECK(peer.node->job(id_of(job))->bytes_safe == 4);  // told
  peer.feed(Received{a.id(), without});
  CHECK(peer.node->job(id_of(job))->bytes_safe == 3);
  const auto again = [&] {
    return std::ranges::count_if(peer.taken<StartUnit>(), [&](const StartUnit& start) { return start.job == id_of(job) && start.unit == lost; });
  };
  const auto before = again();
  peer.pass(limits::lost_archive_patience.ms - 1000);
  CHECK(again() == before);
  peer.pass(2000);
  CHECK(again() == before + 1);
}

TEST_CASE("a unit whose archive turned up is not executed again") {
  Peer peer(1, 1);
  testing::Member a(2), b(3);
  peer.start();
  peer.feed(LinkUp{a.id(), false});
  const Statement busy = job_statement(1, 3000), job = job_statement(1);
  peer.from(a, busy);  // takes the only slot
  peer.from(a, job);
  for (const unsigned author : {2U, 3U}) peer.from(a, testing::Author(author, job).states(0, outcome("archive")));
  peer.feed(LinkDown{a.id()});
  peer.pass(limits::lost_archive_patience.ms + 1000);  // due, but there is no slot
  peer.feed(LinkUp{a.id(), false});
  REQUIRE(peer.node->job(id_of(job))->bytes_safe == 1);
  peer.feed(UnitFinished{id_of(busy), 0, outcome("other")});
  peer.pass(200);
  CHECK(std::ranges::none_of(peer.taken<StartUnit>(), [&](const StartUnit& start) { return start.job == id_of(job); }));
}

TEST_CASE("who loses an archive says so by a complete listing") {
  Peer peer(1);
  testing::Member other(2);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(1);
  peer.feed(Submit{job});
  peer.feed(UnitFinished{id_of(job), 0, outcome("a")});
  peer.from(other, testing::Author(2, job).states(0, outcome("a")));
  peer.pass(1000);
  peer.effects.clear();
  peer.feed(BlobLost{testing::digest_of("a")});
  peer.pass(limits::holdings_delay.ms + 100);
  bool said = false;
  for (const auto& send : peer.taken<Send>())
    if (const auto* holdings = std::get_if<Holdings>(send.message.get())) said = said || (holdings->complete && holdings->units.empty());
  CHECK(said);
}

TEST_CASE("an owner with many ended jobs is served, one with many open ones is not") {
  Peer peer(1);
  testing::Member other(2);
  const testing::Member owner(100);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const auto submit = [&](std::uint64_t nonce) {
    Manifest manifest = testing::manifest(1, epoch_s);
    manifest.nonce = nonce;
    const Statement job = runtime::seal(testing::network(), owner.keys, manifest);
    peer.node->on_input(Received{other.id(), StatementBundle{{job.raw}}}, peer.now());
    return id_of(job);
  };
  for (std::uint64_t nonce = 0; nonce < limits::jobs_per_owner_max; ++nonce) {
    const JobId job = submit(nonce);
    peer.node->on_input(Received{other.id(), StatementBundle{{runtime::seal(testing::network(), owner.keys, Cancel{job}).raw}}}, peer.now());
  }
  for (std::uint64_t nonce = 1000; nonce < 1000 + limits::jobs_per_owner_max; ++nonce) CHECK(peer.node->job(submit(nonce)));
  CHECK_FALSE(peer.node->job(submit(5000)));
  peer.drain();
}

TEST_CASE("a false word about inputs does not hide who told us of the job") {
  Peer peer(1);
  testing::Member a(2), b(3);
  peer.start();
  peer.feed(LinkUp{a.id(), false});
  peer.feed(LinkUp{b.id(), false});
  const testing::Member owner(100);
  Manifest manifest = testing::manifest(1, epoch_s);
  manifest.program.name = testing::digest_of("another program");
  const Statement job = runtime::seal(testing::network(), owner.keys, manifest);
  peer.feed(Received{b.id(), Holdings{id_of(job), true, true, {}}});
  peer.from(a, job);
  peer.feed(Received{b.id(), Holdings{id_of(job), true, true, {}}});
  CHECK(peer.node->holders(id_of(job), manifest.program.name) == std::vector{b.id(), a.id()});
}

TEST_CASE("forgotten jobs are remembered by time: the one forgotten last does not come back") {
  RecentSet<JobId, 8> forgotten;
  for (int n = 0; n < 20; ++n) {
    JobId id;
    id.bytes[0] = static_cast<std::byte>(200 - n);  // each lower than those before
    forgotten.insert(id);
    CHECK(forgotten.contains(id));
    forgotten.check_invariants();
  }
  CHECK(forgotten.size() == 8);
}

TEST_CASE("a unit that waits for a slot is given back when it needs no more answers, a running one is not") {
  Peer peer(1, 1);
  testing::Member a(2), b(3);
  peer.start();
  peer.node->set_units_ahead(2);
  peer.feed(LinkUp{a.id(), false});
  const Statement job = job_statement(3);
  peer.from(a, job);
  const auto starts = peer.taken<StartUnit>();
  REQUIRE(starts.size() == 3);
  const auto all = {std::pair{0U, outcome("a")}, {1U, outcome("a")}, {2U, outcome("a")}};
  peer.from(a, testing::Author(2, job).states(all));
  CHECK(peer.taken<StopUnit>().empty());
  peer.from(a, testing::Author(3, job).states(all));
  const auto stops = peer.taken<StopUnit>();
  REQUIRE(stops.size() == 2);
  for (const StopUnit& stop : stops) {
    CHECK(stop.unit != starts[0].unit);
    peer.feed(UnitReleased{stop.job, stop.unit, "stopped"});
  }
  CHECK(peer.node->job(id_of(job))->released_here == 0);
  CHECK(peer.node->job(id_of(job))->running_here == 1);
  peer.pass(300);
  CHECK(peer.taken<StartUnit>().size() == 3);
}

TEST_CASE("of two that claim the same waiting unit the one with the higher id gives it back") {
  for (const unsigned other_number : {2U, 3U, 4U, 5U, 6U}) {
    Peer peer(1, 1);
    testing::Member other(other_number);
    peer.start();
    peer.node->set_units_ahead(1);
    peer.feed(LinkUp{other.id(), false});
    const testing::Member owner(100);
    Manifest manifest = testing::manifest(2, epoch_s);
    manifest.verification = VerificationClass::trusted;
    const Statement job = runtime::seal(testing::network(), owner.keys, manifest);
    peer.from(other, job);
    const auto starts = peer.taken<StartUnit>();
    REQUIRE(starts.size() == 2);
    peer.from(other, other.notary.seal(Claims{id_of(job), {0, 1}, {}, 10'000, 1}));
    CHECK(peer.taken<StopUnit>().size() == (other.id() < peer.member.id() ? 1 : 0));
  }
}

TEST_CASE("ended jobs rest: time and strangers' links ask nothing of them") {
  Peer peer(1);
  testing::Member a(2), b(3), stranger(4);
  peer.start();
  peer.feed(LinkUp{a.id(), false});
  const Statement job = job_statement(2);
  peer.from(a, job);
  for (const auto& start : peer.taken<StartUnit>()) peer.feed(UnitFinished{start.job, start.unit, outcome("a")});
  peer.from(a, testing::Author(2, job).states({{0, outcome("a")}, {1, outcome("a")}}));
  peer.pass(2000);
  REQUIRE(peer.node->job(id_of(job))->state == JobState::finished);
  peer.effects.clear();
  peer.feed(LinkUp{stranger.id(), false});
  peer.feed(LinkDown{stranger.id()});
  peer.feed(LinkDown{a.id()});
  for (const Notice& notice : peer.taken<Notice>()) CHECK(notice.job != id_of(job));
  CHECK(peer.node->job(id_of(job))->state == JobState::finished);
}

TEST_CASE("fuel is a part of the answer: another one contests the unit, the accepted one is counted") {
  Peer peer(1);
  testing::Member other(2), third(3);
  peer.start();
  peer.feed(LinkUp{other.id(), false});
  const Statement job = job_statement(1);
  peer.feed(Submit{job});
  const auto stated = [](std::uint64_t fuel) {
    Outcome said = outcome("a");
    said.fuel = fuel;
    return said;
  };
  peer.feed(UnitFinished{id_of(job), 0, stated(70)});
  peer.pass(100);
  peer.from(other, testing::Author(2, job).states(0, stated(71)));
  CHECK(peer.node->job(id_of(job))->contested == 1);
  CHECK(peer.node->job(id_of(job))->accepted == 0);
  CHECK(peer.node->job(id_of(job))->accepted_fuel == 0);
  Peer calm(1);
  calm.start();
  calm.feed(LinkUp{third.id(), false});
  calm.feed(Submit{job});
  calm.feed(UnitFinished{id_of(job), 0, stated(70)});
  calm.pass(100);
  calm.from(third, testing::Author(3, job).states(0, stated(70)));
  CHECK(calm.node->job(id_of(job))->accepted == 1);
  CHECK(calm.node->job(id_of(job))->accepted_fuel == 70);
}

TEST_CASE("an archive that is pulled from others is not any more once this peer's own execution made it") {
  Peer peer(1);
  testing::Member second(2), third(3);
  peer.start();
  const Statement job = job_statement(1);
  testing::Author a(2, job), b(3, job);
  for (const auto* author : {&a, &b}) peer.feed(LinkUp{author->id(), false});
  peer.feed(Submit{job});
  REQUIRE(peer.taken<StartUnit>().size() == 1);
  const Outcome right{.digest = testing::digest_of("archive"), .archive_bytes = 100};
  peer.from(second, a.states(0, right));
  peer.from(third, b.states(0, right));
  peer.pass(1000);
  REQUIRE(peer.taken<RequestRange>().size() == 1);  // it is a keeper
  peer.feed(UnitFinished{id_of(job), 0, right});
  peer.pass(30'000);
  CHECK(peer.taken<RequestRange>().size() == 1);
}

TEST_CASE("a paused peer starts nothing, gives back what waits and lets its claims lapse; then it goes on") {
  Peer peer(1, 1);
  const testing::Member neighbour(2);
  peer.start();
  peer.node->set_units_ahead(2);
  peer.feed(LinkUp{neighbour.id(), false});
  peer.feed(Submit{job_statement(8)});
  peer.pass(200);
  const auto starts = peer.taken<StartUnit>();
  REQUIRE(starts.size() == 3);
  const auto claimed = [&] {  // units in claims that were sent
    std::size_t count = 0;
    for (const auto& send : peer.taken<Send>())
      if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
        for (const auto& raw : bundle->statements)
          if (const auto statement = peer.member.notary.open(raw))
            if (const auto* claims = std::get_if<Claims>(&statement->body)) count += claims->units.size();
    return count;
  };
  CHECK(claimed() == 3);

  peer.feed(Pause{true});
  const auto stopped = peer.taken<StopUnit>();
  REQUIRE(stopped.size() == 2);
  for (const auto& stop : stopped) {
    CHECK(stop.unit != starts[0].unit);
    peer.feed(UnitReleased{stop.job, stop.unit, "canceled"});
  }
  peer.pass(3 * limits::claim_lifetime.ms);
  CHECK(peer.taken<StartUnit>().size() == 3);
  CHECK(claimed() == 3);
  CHECK(peer.node->job(starts[0].job)->running_here == 1);
  CHECK(peer.node->job(starts[0].job)->released_here == 0);  // an owner's wish is no failure

  peer.feed(Pause{false});
  peer.pass(200);
  CHECK(peer.taken<StartUnit>().size() == 5);
  CHECK(claimed() == 6);  // the one that stood still, and two more
  peer.feed(UnitFinished{starts[0].job, starts[0].unit, outcome("a")});
  peer.pass(200);
  CHECK(peer.node->job(starts[0].job)->own_results == 1);
}

TEST_CASE("a job whose program is quarantined has no archive looked after, and rests") {
  for (const bool quarantined : {false, true}) {
    Peer peer(1);
    const Statement job = job_statement(2);
    testing::Author a(2, job), b(3, job);
    peer.start();
    for (const auto* author : {&a, &b}) peer.feed(LinkUp{author->id(), false});
    peer.feed(Submit{job});
    const Outcome right{.digest = testing::digest_of("archive"), .archive_bytes = 100};
    const Statement said = a.states(0, right);
    peer.from(a, said);
    if (quarantined) peer.from(a, peer.member.notary.seal(Replay{id_of(job), said.id, a.id(), 0, right, outcome("b"), {}, {}, LogPlace{0, 0}}));
    peer.from(b, b.states(0, right));
    peer.pass(1000);
    CHECK(peer.node->job(id_of(job))->state == (quarantined ? JobState::aborted : JobState::running));
    CHECK(peer.taken<RequestRange>().size() == (quarantined ? 0 : 1));  // it is a keeper
  }
}
