// What a peer believes of others: their records, the price of their ids, and who is not met again.
#include <doctest/doctest.h>

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/broadcast.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "tests/support/author.hpp"
#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

using testing::id_of;

constexpr std::int64_t epoch_s = 1'800'000'000;
constexpr std::uint64_t good_nonce = 7;  // of everybody: Argon2id has tests of its own

NodeConfig config_of(const testing::Member& member, std::uint8_t puzzle_bits) {
  NodeConfig config;
  config.self = member.id();
  config.slots = 1;
  config.own_addresses = {"127.0.0.1:1"};
  config.puzzle_difficulty_bits = puzzle_bits;
  if (puzzle_bits > 0) config.puzzle_nonce = good_nonce;
  return config;
}

struct Peer {
  explicit Peer(std::uint8_t puzzle_bits = 0) : Peer(config_of(testing::Member(1), puzzle_bits)) {}
  explicit Peer(NodeConfig config) : node(std::move(config), member.notary, base::Rng(1)) {}

  base::Now now() const { return {{now_ms}, epoch_s + now_ms / 1000}; }
  Peer& start() {
    node.start(now());
    drain();
    return *this;
  }
  void feed(Input input) {
    node.on_input(std::move(input), now());
    drain();
  }
  void drain() {
    node.check_invariants();
    while (auto effect = node.poll_effect()) {
      if (const auto* puzzle = std::get_if<CheckPuzzle>(&*effect)) checks.emplace_back(now_ms, *puzzle);
      effects.push_back(std::move(*effect));
    }
  }
  void pass(std::int64_t ms, std::int64_t step_ms = 50) {
    for (const std::int64_t end = now_ms + ms; now_ms < end;) {
      now_ms = std::min(end, now_ms + step_ms);
      feed(TimerFired{});
      answer_checks();
    }
  }
  // The world beside the node: checks what it is asked to, once.
  void answer_checks() {
    while (answers && answered < checks.size()) {
      const CheckPuzzle puzzle = checks[answered++].second;
      feed(PuzzleChecked{puzzle.peer, puzzle.nonce, puzzle.nonce == good_nonce});
    }
  }
  void from(const testing::Member& sender, const Statement& statement) { feed(Received{sender.id(), StatementBundle{{statement.raw}}}); }
  void link(const testing::Member& other, bool light = false) { feed(LinkUp{other.id(), light}); }
  bool linked(const testing::Member& other) const {
    const auto peers = node.peers();
    const auto it = std::ranges::find(peers, other.id(), &PeerStatus::id);
    return it != peers.end() && it->linked;
  }
  bool disconnected(const testing::Member& other) const {
    return std::ranges::any_of(effects, [&](const Effect& effect) {
      const auto* end = std::get_if<Disconnect>(&effect);
      return end && end->peer == other.id();
    });
  }
  bool knows_address(const testing::Member& other) const {
    const auto peers = node.peers();
    return std::ranges::any_of(peers, [&](const PeerStatus& status) { return status.id == other.id() && !status.addresses.empty(); });
  }
  template <class Kind>
  std::vector<Kind> taken() const {
    std::vector<Kind> out;
    for (const Effect& effect : effects)
      if (const auto* kind = std::get_if<Kind>(&effect)) out.push_back(*kind);
    return out;
  }

  testing::Member member{1};
  Node node;
  std::int64_t now_ms = 1'000'000;
  std::vector<Effect> effects;
  std::vector<std::pair<std::int64_t, CheckPuzzle>> checks;
  std::size_t answered = 0;
  bool answers = true;
};

Statement record_of(testing::Member& author, std::int64_t made_ms, std::uint64_t nonce = good_nonce, std::string address = "127.0.0.1:5") {
  PeerRecord record;
  record.addresses = {std::move(address)};
  record.sequence = static_cast<std::uint64_t>(epoch_s * 1000 + made_ms);
  record.puzzle_nonce = nonce;
  return author.notary.seal(record);
}

Statement job_of(const testing::Member& owner, std::uint32_t units) {
  Manifest manifest = testing::manifest(units, epoch_s);
  manifest.expires_unix_s = epoch_s + limits::job_lifetime_default_s;
  return runtime::seal(testing::network(), owner.keys, manifest);
}
Outcome outcome(std::string_view what) { return {OutcomeKind::ok, 0, testing::digest_of(what)}; }
// The author's first statement about the job.
Statement answer(testing::Member& author, const Statement& job, UnitIndex unit, std::string_view what = "a") {
  UnitOrder order(id_of(job), author.id(), std::get<Manifest>(job.body).unit_count, 2, author.notary);
  return author.notary.seal(Results{id_of(job), 0, {{unit, order.position_of(unit), outcome(what)}}});
}

}  // namespace

// ---------------------------------------------------------------- the price of an id

TEST_CASE("puzzle: who has not paid for its id is not heard until it has") {
  Peer peer(8);
  peer.start();
  testing::Member other(2);
  const testing::Member owner(100);
  const Statement job = job_of(owner, 1);
  peer.link(other);
  peer.from(other, job);  // owners need no proof
  REQUIRE(peer.node.job(id_of(job)));
  const Statement result = answer(other, job, 0);
  peer.from(other, result);
  CHECK_FALSE(peer.node.evidence(id_of(job))->answered(other.id(), 0));
  peer.from(other, record_of(other, peer.now_ms));
  REQUIRE(peer.checks.size() == 1);
  CHECK(peer.checks[0].second.difficulty_bits == 8);
  peer.answer_checks();
  peer.from(other, result);  // was not remembered as seen
  CHECK(peer.node.evidence(id_of(job))->answered(other.id(), 0));
  CHECK_FALSE(peer.disconnected(other));
}

TEST_CASE("puzzle: a wrong nonce ends the link of its author, and of whoever passed it on") {
  Peer peer(8);
  peer.start();
  testing::Member cheat(2), relay(3), stranger(4), honest(5);
  for (const auto* other : {&cheat, &relay, &honest}) peer.link(*other);
  peer.from(cheat, record_of(cheat, peer.now_ms, 1));
  peer.from(relay, record_of(stranger, peer.now_ms, 1));
  peer.from(honest, record_of(honest, peer.now_ms));
  peer.pass(5000);
  CHECK(peer.disconnected(cheat));
  CHECK(peer.disconnected(relay));
  CHECK_FALSE(peer.disconnected(honest));
  CHECK(peer.knows_address(honest));
  CHECK_FALSE(peer.knows_address(stranger));
  const auto count = peer.checks.size();
  peer.from(honest, record_of(stranger, peer.now_ms + 20'000, 2));  // refused by now: costs no check, blames nobody
  peer.pass(3000);
  CHECK(peer.checks.size() == count);
  CHECK_FALSE(peer.disconnected(honest));
}

TEST_CASE("puzzle: checks are rare, of linked authors first, and one nonce is checked once") {
  Peer peer(8);
  peer.start();
  testing::Member relay(2);
  peer.link(relay);
  peer.from(relay, record_of(relay, peer.now_ms));
  for (unsigned n = 10; n < 30; ++n) {
    testing::Member stranger(n);
    peer.from(relay, record_of(stranger, peer.now_ms));
  }
  testing::Member late(3);
  peer.pass(1500);
  peer.link(late);
  peer.from(late, record_of(late, peer.now_ms));
  peer.pass(60'000);
  REQUIRE(peer.checks.size() == 22);
  for (std::size_t n = 1; n < peer.checks.size(); ++n)
    CHECK(peer.checks[n].first - peer.checks[n - 1].first >= limits::puzzle_check_interval.ms);
  CHECK(peer.checks[0].second.peer == relay.id());
  CHECK(peer.checks[2].second.peer == late.id());
  peer.from(relay, record_of(relay, peer.now_ms));  // renewed: the nonce is known
  peer.pass(5000);
  CHECK(peer.checks.size() == 22);
}

TEST_CASE("puzzle: strangers' nonces wait in a bounded line") {
  Peer peer(8);
  peer.answers = false;
  peer.start();
  testing::Member relay(2);
  peer.link(relay);
  for (unsigned n = 10; n < 10 + limits::puzzles_waiting_max + 20; ++n) {
    testing::Member stranger(n);
    peer.feed(Received{relay.id(), StatementBundle{{record_of(stranger, peer.now_ms).raw}}});  // check_invariants knows the bound
  }
  testing::Member linked(3);
  peer.link(linked);
  peer.from(linked, record_of(linked, peer.now_ms));
  peer.answers = true;
  peer.answer_checks();
  peer.pass(1100);
  CHECK(peer.checks.at(1).second.peer == linked.id());
}

TEST_CASE("puzzle: a linked worker that shows no nonce is let go, a light peer is not") {
  Peer peer(8);
  peer.start();
  testing::Member silent(2), light(3), proven(4);
  peer.link(silent);
  peer.link(light, true);
  peer.link(proven);
  peer.from(proven, record_of(proven, peer.now_ms));
  peer.answer_checks();
  peer.pass(limits::puzzle_patience.ms - 5000);
  CHECK_FALSE(peer.disconnected(silent));
  peer.pass(10'000);
  CHECK(peer.disconnected(silent));
  CHECK_FALSE(peer.disconnected(light));
  CHECK_FALSE(peer.disconnected(proven));
}

TEST_CASE("puzzle: proofs survive a restart and outlive their authors, as the evidence does") {
  Peer first(8);
  first.start();
  testing::Member gone(2);
  const testing::Member owner(100);
  const Statement job = job_of(owner, 1);
  first.link(gone);
  first.from(gone, job);
  first.from(gone, record_of(gone, first.now_ms));
  first.answer_checks();
  first.from(gone, answer(gone, job, 0));
  std::vector<Statement> kept;
  for (const auto& persist : first.taken<Persist>()) kept.push_back(persist.statement);
  CHECK(std::ranges::count(kept, gone.id(), &Statement::author) == 2);

  Peer second(8);
  second.now_ms += 30 * 3600 * 1000;  // its record is too old to be dialled
  for (const Statement& statement : kept) second.node.restore(statement);
  second.start();
  second.pass(25 * 3600 * 1000, 60'000);  // its proof is kept as long as what it stated
  CHECK_FALSE(second.knows_address(gone));
  CHECK(second.checks.empty());
  testing::Member joiner(3);
  second.link(joiner);
  bool offered = false;  // so that one who joins now can believe the result too
  for (const auto& send : second.taken<Send>())
    if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
      for (const auto& raw : bundle->statements) offered = offered || second.member.notary.open(raw)->author == gone.id();
  CHECK(offered);

  Peer third(8);
  third.now_ms = second.now_ms;  // the record is two days old
  third.start();
  third.link(joiner);
  third.from(joiner, record_of(gone, first.now_ms));
  third.answer_checks();
  third.from(joiner, job);
  third.from(joiner, answer(gone, job, 0));
  REQUIRE(third.node.job(id_of(job)));
  CHECK(third.node.evidence(id_of(job))->answered(gone.id(), 0));
  CHECK_FALSE(third.knows_address(gone));
}

TEST_CASE("puzzle: a peer neither links nor shows itself before its own id is minted") {
  NodeConfig config = config_of(testing::Member(1), 8);
  config.puzzle_nonce.reset();
  Peer peer(config);
  peer.start();
  REQUIRE(peer.taken<MintId>().size() == 1);
  CHECK(peer.taken<MintId>()[0].self == peer.member.id());
  testing::Member early(2), friendly(3);
  peer.feed(AddPeer{friendly.id(), {"127.0.0.1:3"}});
  peer.link(early);
  peer.pass(5000);
  CHECK(peer.disconnected(early));
  CHECK(peer.taken<Dial>().empty());
  peer.feed(IdMinted{good_nonce});
  REQUIRE(peer.taken<Dial>().size() == 1);
  peer.link(friendly);
  bool shown = false;
  for (const auto& send : peer.taken<Send>())
    if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
      for (const auto& raw : bundle->statements) {
        const auto statement = peer.member.notary.open(raw);
        const auto* record = std::get_if<PeerRecord>(&statement->body);
        shown = shown || (record && record->puzzle_nonce == good_nonce);
      }
  CHECK(shown);
}

TEST_CASE("puzzle: swarms without one do no work for it") {
  Peer peer;
  peer.start();
  testing::Member other(2);
  peer.link(other);
  peer.from(other, record_of(other, peer.now_ms, 12345));
  peer.pass(2 * limits::puzzle_patience.ms, 1000);
  CHECK(peer.checks.empty());
  CHECK(peer.taken<MintId>().empty());
  CHECK(peer.taken<Persist>().empty());
  CHECK_FALSE(peer.disconnected(other));
}

// ---------------------------------------------------------------- records

TEST_CASE("records: one of a key at a time, whatever stock of them it signed ahead") {
  Peer peer;
  peer.start();
  testing::Member other(2), author(3);
  peer.link(other);
  const auto relays = [&] { return peer.taken<Send>().size(); };
  testing::Member listener(4);
  peer.link(listener);
  peer.from(other, record_of(author, peer.now_ms - 3'600'000));
  peer.pass(100);
  const auto before = relays();
  for (int n = 1; n <= 100; ++n) peer.from(other, record_of(author, peer.now_ms - 3'600'000 + n * 30'000, 0, "127.0.0.1:" + std::to_string(n)));
  peer.pass(100);
  CHECK(relays() == before);  // none is passed on
  peer.pass(limits::peer_record_spacing.ms);
  const Statement restarted = record_of(author, peer.now_ms, 0, "127.0.0.1:9");
  peer.from(other, restarted);
  const auto peers = peer.node.peers();
  const auto it = std::ranges::find(peers, author.id(), &PeerStatus::id);
  REQUIRE(it != peers.end());
  CHECK(it->addresses == std::vector<std::string>{"127.0.0.1:9"});
}

TEST_CASE("records: from far ahead or long ago they are not taken") {
  Peer peer;
  peer.start();
  testing::Member relay(2), ahead(3), skewed(4), old(5);
  peer.link(relay);
  peer.from(relay, record_of(ahead, peer.now_ms + (limits::peer_record_skew_max_s + 60) * 1000));
  peer.from(relay, record_of(skewed, peer.now_ms + (limits::peer_record_skew_max_s - 60) * 1000));
  peer.from(relay, record_of(old, peer.now_ms - (limits::peer_record_lifetime_s + 60) * 1000));
  CHECK_FALSE(peer.knows_address(ahead));
  CHECK(peer.knows_address(skewed));
  CHECK_FALSE(peer.knows_address(old));
}

TEST_CASE("records: as many free keys as there are places leave room for an honest one, and take none of a neighbour's") {
  Peer peer;
  peer.start();
  testing::Member friendly(2), relay(3);
  peer.link(friendly);
  peer.link(relay);
  const Statement known = record_of(friendly, peer.now_ms, 0, "127.0.0.1:2");
  peer.from(friendly, known);
  StatementBundle fakes;
  for (unsigned n = 0; n < limits::peer_records_max + 10; ++n) {
    testing::Member fake(1000 + n);
    fakes.statements.push_back(record_of(fake, peer.now_ms, 0, "127.0.0.1:" + std::to_string(n + 10)).raw);
  }
  peer.feed(Received{relay.id(), std::move(fakes)});
  testing::Member honest(4);
  const Statement fresh = record_of(honest, peer.now_ms, 0, "127.0.0.1:4");
  peer.from(relay, fresh);
  CHECK(peer.knows_address(honest));
  peer.effects.clear();
  testing::Member joiner(5);
  peer.link(joiner);
  std::set<PeerId> offered;
  for (const auto& send : peer.taken<Send>())
    if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
      for (const auto& raw : bundle->statements) offered.insert(peer.member.notary.open(raw)->author);
  CHECK(offered.contains(honest.id()));
  CHECK(offered.contains(friendly.id()));
  CHECK(offered.contains(peer.member.id()));
  CHECK(offered.size() == limits::peer_records_max);
}

TEST_CASE("records: one's own of an earlier life, made by a clock that was ahead, is outdone") {
  Peer peer;
  peer.start();
  testing::Member other(2);
  peer.link(other);
  peer.from(other, record_of(peer.member, peer.now_ms + 300'000, 0, "127.0.0.1:77"));
  peer.effects.clear();
  peer.pass(15'000);
  std::uint64_t sequence = 0;
  for (const auto& send : peer.taken<Send>())
    if (const auto* bundle = std::get_if<StatementBundle>(send.message.get()))
      for (const auto& raw : bundle->statements)
        if (const auto statement = peer.member.notary.open(raw); statement->type() == StatementType::peer_record)
          sequence = std::max(sequence, std::get<PeerRecord>(statement->body).sequence);
  CHECK(sequence > static_cast<std::uint64_t>(epoch_s * 1000 + 1'300'000));
}

// ---------------------------------------------------------------- bans

TEST_CASE("bans: a proven liar is refused at once after a restart, and as long as its job is known") {
  testing::Member self(1), liar(2);
  const testing::Member owner(100);
  const Statement job = job_of(owner, 3);
  std::vector<Statement> kept = {job};
  testing::Author author(2, job);
  for (UnitIndex unit = 0; unit < 3; ++unit) {
    kept.push_back(author.states(unit, outcome("a lie")));
    kept.push_back(self.notary.seal(Replay{id_of(job), kept.back().id, liar.id(), unit, outcome("true"), outcome("true")}));
  }
  Peer peer;
  for (const Statement& statement : kept) peer.node.restore(statement);
  peer.start();
  REQUIRE(peer.node.job(id_of(job))->banned == std::vector{liar.id()});
  peer.link(liar);
  CHECK(peer.disconnected(liar));
  CHECK_FALSE(peer.linked(liar));
  peer.pass(limits::refused_link.ms + 60'000, 1000);
  peer.effects.clear();
  peer.link(liar);
  CHECK(peer.disconnected(liar));
  CHECK_FALSE(peer.linked(liar));
}

// ---------------------------------------------------------------- claims and relays

TEST_CASE("claims: what is late or repeated keeps nobody from starting") {
  for (const bool late : {false, true}) {
    Peer peer;
    peer.start();
    testing::Member other(2);
    peer.link(other);
    const Statement job = job_of(testing::Member(100), 1);
    peer.from(other, job);
    const auto claims = [&](std::vector<UnitIndex> units, std::vector<UnitIndex> released, std::uint64_t sequence) {
      return other.notary.seal(Claims{id_of(job), std::move(units), std::move(released), 60'000, sequence});
    };
    testing::Member third(3);
    peer.from(other, answer(late ? other : third, job, 0));  // one more answer is missing: a live claim would cover it
    if (!late) peer.from(other, claims({}, {0}, 5));
    peer.from(other, claims({0}, {}, late ? 5 : 4));
    for (const char* blob : {"program", "units"}) peer.feed(BlobHeld{testing::digest_of(blob)});
    CHECK(peer.taken<StartUnit>().size() == 1);
  }
}

TEST_CASE("broadcast: what waits to be passed on has a bound in bytes") {
  Broadcast broadcast{PeerId{}};
  const auto raw = std::make_shared<const base::Bytes>(limits::statement_bytes_max);
  const PeerId from{}, author{};
  for (std::uint32_t n = 0; n < 2000; ++n) {
    MessageId id;
    id.bytes[0] = static_cast<std::byte>(n & 255);
    id.bytes[1] = static_cast<std::byte>(n >> 8);
    broadcast.on_fresh(id, raw, from, author, {0});
  }
  CHECK(broadcast.waiting_bytes() <= limits::relay_bytes_max);
  CHECK(broadcast.waiting_bytes() + limits::statement_bytes_max > limits::relay_bytes_max);
  Outbox out;
  broadcast.poll({limits::relay_delay.ms}, {}, out);
  CHECK(broadcast.waiting_bytes() == 0);
}
