// The whole peer, without a network: what it does with statements, time and restarts. Stories of several peers stand in
// tests/transcripts, swarms in tests/simulation.
#include "coordinator-less/protocol/node.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <ranges>
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
using Peer = testing::LoneNode;

Statement job_statement(std::uint32_t units, std::int64_t lifetime_s = 3600) {
  const testing::Member owner(100);
  Manifest manifest = testing::manifest(units, epoch_s);
  manifest.expires_unix_s = epoch_s + lifetime_s;
  return runtime::seal(testing::network(), owner.keys, manifest);
}

Outcome outcome(std::string_view what) { return {OutcomeKind::ok, 0, testing::digest_of(what)}; }

}  // namespace

namespace {

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

namespace {

// What this peer has stated, by place in its log.
std::map<LogPlace, ResultEntry> own_entries(const Peer& peer, const Statement& job) {
  std::map<LogPlace, ResultEntry> entries;
  for (const KeptStatement& kept : peer.node->statements_of(id_of(job))) {
    if (kept.type != StatementType::results || kept.author != peer.member.id()) continue;
    const Statement statement = *runtime::open(testing::network(), kept.raw);
    const auto& results = std::get<Results>(statement.body);
    for (std::size_t i = 0; i < results.entries.size(); ++i) entries.emplace(results.place(i), results.entries[i]);
  }
  return entries;
}

}  // namespace

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

namespace {

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

TEST_CASE("who lists what he holds all the time is not listened to after a while, nor are his questions; others are") {
  Peer peer(1);
  const testing::Member greedy(2), other(3);
  peer.start();
  for (const auto* neighbour : {&greedy, &other}) peer.feed(LinkUp{neighbour->id(), false});
  constexpr std::uint32_t units = 65'536;
  const Statement job = job_statement(units);
  peer.feed(Submit{job});
  const auto answers_to = [&](const PeerId& asker) {
    peer.feed(Received{asker, Summary{.buckets = std::vector<std::uint64_t>(256), .headlines = true}});
    std::size_t count = 0;
    for (const Send& send : peer.taken<Send>())
      if (send.to == asker && std::holds_alternative<BucketIds>(*send.message)) ++count;
    return count;
  };
  REQUIRE(answers_to(greedy.id()) == 1);
  for (std::size_t n = 0; n <= limits::answers_burst_bytes / (units * limits::unit_looked_at_bytes); ++n) {
    Holdings list{.job = id_of(job), .complete = true};
    if (n % 2 == 0) list.units = {{0, units}};
    peer.feed(Received{greedy.id(), list});
  }
  CHECK(answers_to(greedy.id()) == 1);
  CHECK(answers_to(other.id()) == 1);
  peer.pass(10'000);
  CHECK(answers_to(greedy.id()) == 2);
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

namespace {

// A job of `units`, all of them answered by two authors in statements as long as may be.
struct Answered {
  explicit Answered(std::uint32_t units) : job(job_statement(units)), first(2, job), second(3, job) {
    for (testing::Author* author : {&first, &second}) {
      for (UnitIndex unit = 0; unit < units;) {
        std::vector<ResultEntry> entries;
        for (; unit < units && entries.size() < limits::results_per_batch_max; ++unit) entries.push_back({unit, author->position_of(unit), outcome("right")});
        statements.push_back(author->states_all(std::move(entries)));
      }
    }
  }
  Statement job;
  testing::Author first, second;
  std::vector<Statement> statements;
};

// Without a look at all invariants after each step.
void feed_plainly(Peer& peer, Input input) {
  peer.node->on_input(std::move(input), peer.now());
  while (auto effect = peer.node->poll_effect()) peer.effects.push_back(std::move(*effect));
}

std::size_t statement_bytes_to(const Peer& peer, const PeerId& to) {
  std::size_t bytes = 0;
  for (const Effect& effect : peer.effects) {
    const auto* send = std::get_if<Send>(&effect);
    const auto* bundle = send == nullptr || send->to != to ? nullptr : std::get_if<StatementBundle>(send->message.get());
    for (std::size_t i = 0; bundle != nullptr && i < bundle->statements.size(); ++i) bytes += bundle->statements[i]->size();
  }
  return bytes;
}

}  // namespace

TEST_CASE("node: who forks with each statement has the job judged anew at a bounded rate, and other jobs go on") {
  Peer peer(1);
  Answered answered(800);
  const JobId id = id_of(answered.job);
  const testing::Member owner(101), relay(9);
  const Statement other = runtime::seal(testing::network(), owner.keys, testing::manifest(2, epoch_s));
  testing::Author forker(4, answered.job);
  peer.start();
  for (const PeerId& neighbour : {answered.first.id(), relay.id()}) feed_plainly(peer, LinkUp{neighbour, false});
  const auto hears = [&](const Statement& statement) { feed_plainly(peer, Received{relay.id(), StatementBundle{{statement.raw}}}); };
  hears(answered.job);
  hears(other);
  for (const Statement& one : answered.statements) hears(one);
  REQUIRE(peer.node->job(id)->segments_done == 800);
  const auto judged = [&] { return !peer.node->verdict(id)->looks_anew(); };
  std::uint32_t forks = 0;
  for (; forks < 799 && judged(); ++forks) {
    hears(forker.states(forks, outcome("right")));
    forker.log.begin_chain(0);
    hears(forker.states(forks, outcome("another")));
  }
  // At each the 1600 right answers are looked at, and the forker's own.
  CHECK(forks > limits::results_judged_anew_burst / 3400);
  CHECK(forks < limits::results_judged_anew_burst / 1600 + 2);
  CHECK_FALSE(judged());
  testing::Author one(5, other), two(6, other);
  hears(one.states(0, outcome("right")));
  hears(two.states(0, outcome("right")));
  CHECK(peer.node->job(id_of(other))->segments_done == 1);
  hears(answered.first.notary.seal(Claims{id, {2}, {}, 60'000, 1}));  // claims are weighed by what is known, and force nothing
  CHECK_FALSE(judged());
  peer.now_ms += 1000;
  feed_plainly(peer, TimerFired{});
  CHECK(judged());
  peer.drain();
  CHECK(peer.node->job(id)->segments_done == 800);
}

TEST_CASE("node: a neighbour that asks without end is answered within an allowance, which holds no other up and comes back") {
  Peer peer(1);
  Answered answered(1900);
  const testing::Member greedy(9), modest(10);
  peer.start();
  for (const testing::Member* one : {&greedy, &modest}) feed_plainly(peer, LinkUp{one->id(), false});
  feed_plainly(peer, Received{modest.id(), StatementBundle{{answered.job.raw}}});
  for (const Statement& one : answered.statements) feed_plainly(peer, Received{modest.id(), StatementBundle{{one.raw}}});
  peer.now_ms += 1000;
  feed_plainly(peer, TimerFired{});  // what was to be relayed is
  const auto asks = [&](const testing::Member& who) {
    peer.effects.clear();
    BucketIds everything;
    for (unsigned bucket = 0; bucket < 256; ++bucket) everything.buckets.push_back(static_cast<std::uint8_t>(bucket));
    feed_plainly(peer, Received{who.id(), std::move(everything)});
    return statement_bytes_to(peer, who.id());
  };
  const std::size_t whole = asks(modest);
  REQUIRE(whole > 300'000);
  std::size_t sent = 0, times = 0;
  for (; times < 300; ++times) {
    const std::size_t bytes = asks(greedy);
    CHECK((bytes == 0 || bytes == whole));
    if (bytes == 0) break;
    sent += bytes;
  }
  CHECK(sent >= std::size_t{26} << 20);  // a full shard at one go
  CHECK(sent <= static_cast<std::size_t>(limits::answers_burst_bytes) + whole);
  peer.effects.clear();
  feed_plainly(peer, Received{greedy.id(), Summary{std::vector<std::uint64_t>(256)}});
  feed_plainly(peer, Received{greedy.id(), Want{{answered.statements[0].id}}});
  CHECK(std::ranges::none_of(peer.taken<Send>(), [&](const Send& send) { return send.to == greedy.id(); }));
  feed_plainly(peer, LinkDown{greedy.id()});
  feed_plainly(peer, LinkUp{greedy.id(), false});
  CHECK(asks(greedy) == 0);
  CHECK(asks(modest) == whole);
  peer.now_ms += 1000;
  CHECK(asks(greedy) == whole);
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
