#include "coordinator-less/runtime/evidence_file.hpp"

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "tests/support/keys.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

constexpr std::uint32_t unit_count = 4;

// A job whose first unit two peers answered alike; a third says otherwise everywhere and a judge proves it wrong.
struct Story {
  Story() {
    file.swarm = swarm_named("evidence");
    job = base::retag<base::JobId>(say(owner, JobBlobs(unit_count).manifest));
    say(honest, results_of(honest, "right"));
    say(helper, results_of(helper, "right"));
    const auto accused = say(liar, results_of(liar, "wrong"));
    for (base::UnitIndex unit = 0; unit < 3; ++unit)
      say(honest, protocol::Replay{job, accused, liar.id(), unit, outcome("right"), outcome("right")});
  }

  static protocol::Outcome outcome(std::string_view text) { return {protocol::OutcomeKind::ok, 0, name_of(base::view(text)), text.size()}; }
  protocol::Results results_of(const crypto::Identity& author, std::string_view text) const {
    protocol::UnitOrder order(job, author.id(), unit_count, JobBlobs(unit_count).manifest.peer_estimate, sha256_digester());
    protocol::Results results{job, 0, {}};
    for (base::UnitIndex unit = 0; unit < unit_count; ++unit) results.entries.push_back({unit, order.position_of(unit), outcome(text)});
    return results;
  }
  base::MessageId say(const crypto::Identity& who, protocol::Body body) {
    auto statement = seal(network_id_of(file.swarm), who, std::move(body));
    file.envelopes.push_back(statement.raw);
    return statement.id;
  }

  EvidenceFile file;
  base::JobId job;
  crypto::Identity owner = crypto::Identity::generate(), honest = crypto::Identity::generate();
  crypto::Identity helper = crypto::Identity::generate(), liar = crypto::Identity::generate();
};

}  // namespace

TEST_CASE("an evidence file comes back from bytes and from disk as it was") {
  const Story story;
  ScratchFolder folder;
  REQUIRE(write_evidence_file(folder / "job.evidence", story.file));
  const auto read = read_evidence_file(folder / "job.evidence");
  REQUIRE(read);
  CHECK(read->swarm == story.file.swarm);
  CHECK(encode_evidence(*read) == encode_evidence(story.file));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("the judges decide what a file implies") {
  const Story story;
  const auto believer = judge(story.file, {story.honest.id()});
  REQUIRE(believer);
  CHECK(believer->job == story.job);
  CHECK(believer->owner == story.owner.id());
  CHECK(believer->refused_count == 0);
  CHECK(believer->verdict->banned(story.liar.id()));
  CHECK(believer->verdict->accepted_count() == unit_count);
  CHECK(believer->verdict->unit(0).outcome == Story::outcome("right"));
  const auto stranger = judge(story.file, {story.liar.id()});
  REQUIRE(stranger);
  CHECK(stranger->verdict->banned().empty());
  CHECK(stranger->verdict->accepted_count() == 0);  // one dissenter asks for four that agree
}

TEST_CASE("statements that do not belong are counted and change nothing") {
  Story story;
  const auto other_owner = crypto::Identity::generate();
  story.say(other_owner, protocol::Cancel{story.job});            // not the owner's
  story.say(story.honest, protocol::Cancel{base::JobId{}});       // another job's
  story.say(story.honest, protocol::PeerRecord{{}, 1, 0, false});  // no evidence
  auto forged = *story.file.envelopes[1];
  forged.back() ^= std::byte{1};
  story.file.envelopes.push_back(std::make_shared<const Bytes>(std::move(forged)));
  const auto judged = judge(story.file, {story.honest.id()});
  REQUIRE(judged);
  CHECK(judged->refused_count == 4);
  CHECK_FALSE(judged->canceled);
  CHECK(judged->verdict->accepted_count() == unit_count);
}

TEST_CASE("what is refused is named with its reason, what is repeated counts once") {
  Story story;
  const auto stranger = crypto::Identity::generate();
  story.file.envelopes.insert(story.file.envelopes.begin(), std::make_shared<const Bytes>(Bytes(40)));
  story.say(stranger, protocol::Cancel{story.job});
  auto from_nowhere = story.results_of(story.helper, "right");
  from_nowhere.entries.back().outcome.input.bytes[0] = std::byte{1};
  story.say(story.helper, from_nowhere);
  story.file.envelopes.push_back(story.file.envelopes[2]);
  const auto judged = judge(story.file, {story.honest.id()});
  REQUIRE(judged);
  CHECK(judged->refused_count == 3);
  CHECK(judged->repeated_count == 1);
  CHECK(judged->results_count == 3);
  CHECK(judged->replays_count == 3);
  REQUIRE(judged->refused.size() == 3);
  CHECK(judged->refused[0].number == 0);
  CHECK(judged->refused[1].number == 8);
  CHECK(judged->refused[1].reason.contains("owner did not sign"));
  CHECK(judged->refused[2].number == 9);
  CHECK(judged->refused[2].reason.contains("go on from something"));
  for (std::size_t i = 0; i < 100; ++i) story.file.envelopes.push_back(story.file.envelopes[0]);
  const auto many = judge(story.file, {});
  REQUIRE(many);
  CHECK(many->refused_count == 103);
  CHECK(many->refused.size() == limits::refusals_told_max);
}

TEST_CASE("the owner judges in his own job, whoever else does") {
  Story story;
  for (base::UnitIndex unit = 0; unit < 3; ++unit)
    story.say(story.owner, protocol::Replay{story.job, {}, story.liar.id(), unit, Story::outcome("right"), Story::outcome("right")});
  const auto judged = judge(story.file, {});
  REQUIRE(judged);
  CHECK(judged->verdict->banned(story.liar.id()));
  CHECK(explain(*judged).judges == std::vector{story.owner.id()});
}

TEST_CASE("statements of more keys than a job has are refused as a whole") {
  Story story;
  protocol::Replay replay{story.job, {}, story.liar.id(), 0, Story::outcome("right"), Story::outcome("right")};
  for (std::size_t i = 0; i + 4 < limits::authors_per_job_max + 1; ++i) story.say(crypto::Identity::generate(), replay);  // four have spoken already
  CHECK(judge(story.file, {}));
  story.say(crypto::Identity::generate(), replay);
  const auto refused = judge(story.file, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == base::ErrorCode::bad_input);
  CHECK(refused.error().message.contains("4097 keys"));
}

TEST_CASE("the digest is the same for equal verdicts, in whatever order the statements stand") {
  const Story story;
  const auto digest_of = [&](const EvidenceFile& file, const std::set<base::PeerId>& judges) { return explain(*judge(file, judges)).digest; };
  auto reversed = story.file;
  std::ranges::reverse(reversed.envelopes);
  CHECK(digest_of(story.file, {story.honest.id()}) == digest_of(reversed, {story.honest.id()}));
  CHECK(digest_of(story.file, {story.honest.id()}) != digest_of(story.file, {}));
  auto shorter = story.file;
  shorter.envelopes.erase(shorter.envelopes.begin() + 2);
  CHECK(digest_of(shorter, {story.honest.id()}) != digest_of(story.file, {story.honest.id()}));
}

namespace {

// Five blocks, worked on by six in their own orders: one lies now and then and is proven wrong once, two go back to older logs.
struct LongStory {
  static constexpr std::uint32_t units = 80;

  explicit LongStory(std::vector<protocol::KnownPeer> known = {}) {
    file.swarm = swarm_named("long");
    auto manifest = JobBlobs(units).manifest;
    manifest.epsilon_ppm = 1000;
    manifest.known = std::move(known);
    job = base::retag<base::JobId>(say(owner, manifest));
    for (const auto& worker : workers) orders.emplace_back(job, worker.id(), units, manifest.peer_estimate, sha256_digester());
    logs.resize(workers.size());
    for (std::uint32_t block = 0; block < orders[0].block_count(); ++block)
      for (std::uint32_t part = 0; part < 4; ++part)
        for (std::size_t who = 0; who < workers.size(); ++who) work(who, block, part);
  }

  void work(std::size_t who, std::uint32_t block, std::uint32_t part) {
    const protocol::OwnLog before = logs[who];
    std::vector<protocol::ResultEntry> entries;
    for (std::uint32_t i = part * 4; i < part * 4 + 4; ++i) {
      const base::UnitIndex unit = orders[who].own_order(block)[i];
      const bool wrong = who == 0 && block == 1 && i == 5;
      entries.push_back({unit, orders[who].position_of(unit), Story::outcome(wrong ? "wrong" : "right")});
    }
    const auto accused = state(who, entries);
    if (who == 0 && block == 1 && part == 1)
      say(workers[5], protocol::Replay{job, accused, workers[0].id(), orders[0].own_order(1)[5], Story::outcome("right"), Story::outcome("right"), {}, {}, {0, 23}});
    if ((who != 1 && who != 3) || block != 2 || part != 3) return;
    logs[who] = before;
    if (who == 1) logs[who].begin_chain(0);  // only follows the same statement; the other one takes the same places, too
    state(who, {{orders[who].own_order(3)[0], orders[who].position_of(orders[who].own_order(3)[0]), Story::outcome("right")}});
    logs[who].begin_chain(0);
  }
  base::MessageId state(std::size_t who, std::vector<protocol::ResultEntry> entries) {
    const auto results = logs[who].prepare(job, std::move(entries));
    const auto id = say(workers[who], results);
    logs[who].on_stated(id, results, false);
    return id;
  }
  base::MessageId say(const crypto::Identity& who, protocol::Body body) {
    auto statement = seal(network_id_of(file.swarm), who, std::move(body));
    file.envelopes.push_back(statement.raw);
    return statement.id;
  }

  EvidenceFile file;
  base::JobId job;
  crypto::Identity owner = starling::testing::identity(1);
  std::vector<crypto::Identity> workers = [] {
    std::vector<crypto::Identity> made;
    for (unsigned n = 2; n < 8; ++n) made.push_back(starling::testing::identity(n));
    return made;
  }();
  std::vector<protocol::UnitOrder> orders;
  std::vector<protocol::OwnLog> logs;
};

// What a running peer makes of them, which judges after each statement.
base::Digest digest_step_by_step(const EvidenceFile& file, const OfflineJudgement& like) {
  protocol::JobEvidence evidence(like.evidence->unit_count());
  protocol::Verdict verdict(evidence, like.verdict->judges(), protocol::parameters_of(like.manifest), like.order.get());
  for (const auto& envelope : file.envelopes) {
    const auto statement = open(network_id_of(file.swarm), envelope);
    REQUIRE(statement);
    if (const auto* results = std::get_if<protocol::Results>(&statement->body)) {
      evidence.add_results(statement->author, statement->id, *results);
      verdict.on_results(statement->author, statement->id, *results);
    } else if (const auto* replay = std::get_if<protocol::Replay>(&statement->body); replay != nullptr && evidence.add_replay(statement->author, *replay)) {
      verdict.on_replay(protocol::fact_of(statement->author, *replay));
    }
    verdict.settle();
  }
  return crypto::sha256(protocol::verdict_bytes({like.manifest, evidence, verdict}, like.job));
}

}  // namespace

TEST_CASE("readers of the same statements in any order agree, in a job of several blocks whose peers become known") {
  const LongStory story;
  const std::set judges{story.workers[5].id()};
  const auto judged = judge(story.file, judges);
  REQUIRE(judged);
  CHECK(judged->refused_count == 0);
  CHECK(judged->verdict->accepted_count() == LongStory::units);
  const auto told = explain(*judged);
  std::map<base::PeerId, std::uint32_t> k;
  for (const auto& peer : told.peers) k[peer.peer] = peer.verified_units;
  CHECK(k[story.workers[2].id()] == LongStory::units);
  CHECK(k[story.workers[0].id()] < 40);                 // anew behind its fault
  for (const std::size_t who : {1U, 3U}) {              // and behind their forks
    CHECK(k[story.workers[who].id()] < LongStory::units);
    CHECK(k[story.workers[who].id()] > 0);
  }
  base::Rng rng(11);
  for (int round = 0; round < 12; ++round) {
    auto shuffled = story.file;
    for (std::size_t i = shuffled.envelopes.size(); i > 1; --i) std::swap(shuffled.envelopes[i - 1], shuffled.envelopes[rng.below(i)]);
    const auto again = explain(*judge(shuffled, judges));
    CHECK(again.digest == told.digest);
    CHECK(again.peers == told.peers);
    CHECK(digest_step_by_step(shuffled, *judged) == told.digest);
  }
  CHECK(explain(*judge(story.file, {})).digest != told.digest);
}

namespace {

// What a running peer without a worker says of them, which hears them one by one and believes these roots.
protocol::JobExplanation told_by_a_node(const EvidenceFile& file, const base::JobId& job, const std::set<base::PeerId>& roots) {
  const auto self = starling::testing::identity(90), neighbour = starling::testing::identity(91);
  SigningNotary notary(network_id_of(file.swarm), self, 1);
  protocol::NodeConfig config;
  config.self = self.id();
  config.light = true;
  config.roots.assign(roots.begin(), roots.end());
  config.own_addresses = {"127.0.0.1:1"};
  protocol::Node node(config, notary, base::Rng(1));
  const base::Now now = read_clock();
  const auto drain = [&] {
    while (node.poll_effect()) {}
  };
  node.start(now);
  drain();
  node.on_input(protocol::LinkUp{neighbour.id(), false}, now);
  for (const auto& envelope : file.envelopes) {
    node.on_input(protocol::Received{neighbour.id(), protocol::StatementBundle{{envelope}}}, now);
    drain();
  }
  node.check_invariants();
  const auto told = node.explain(job);
  REQUIRE(told);
  return *told;
}

}  // namespace

TEST_CASE("a running peer's digest is the offline reader's, with keys that erred, forked, took all back, or are known from earlier jobs") {
  const auto known_key = starling::testing::identity(4).id();  // the third worker
  LongStory story({{known_key, 30}});
  story.say(story.workers[4], protocol::Results{story.job, 0, {}});
  const std::set roots{story.workers[5].id()};
  const auto judged = judge(story.file, roots);
  REQUIRE(judged);
  CHECK(judged->refused_count == 0);
  const auto told = explain(*judged);
  std::map<base::PeerId, protocol::PeerStanding> standings;
  for (const auto& peer : told.peers) standings[peer.peer] = peer;
  CHECK(standings[known_key].verified_units == LongStory::units + 30);
  CHECK(standings[story.workers[0].id()].faulty_units == 1);
  CHECK(standings[story.workers[4].id()].withdrawn);
  auto own_view = roots;
  own_view.insert(starling::testing::identity(90).id());
  CHECK(explain(*judge(story.file, own_view)).digest == told.digest);
  base::Rng rng(12);
  for (int round = 0; round < 4; ++round) {
    const auto live = told_by_a_node(story.file, story.job, roots);
    CHECK(live.digest == told.digest);
    CHECK(live.peers == told.peers);
    for (std::size_t i = story.file.envelopes.size(); i > 2; --i) std::swap(story.file.envelopes[i - 1], story.file.envelopes[1 + rng.below(i - 1)]);  // the manifest stays first
  }
}

TEST_CASE("one flipped bit never changes a verdict unseen") {
  const Story story;
  const auto bytes = encode_evidence(story.file);
  const auto digest = explain(*judge(story.file, {story.honest.id()})).digest;
  base::Rng rng(9);
  std::size_t caught = 0;
  constexpr std::size_t rounds = 400;
  for (std::size_t round = 0; round < rounds; ++round) {
    auto changed = bytes;
    changed[rng.below(changed.size())] ^= static_cast<std::byte>(1U << rng.below(8));
    const auto read = decode_evidence(changed);
    const auto judged = read ? judge(*read, {story.honest.id()}) : std::unexpected(read.error());
    if (!judged || judged->refused_count > 0)
      ++caught;
    else
      CHECK(explain(*judged).digest == digest);
  }
  CHECK(caught > rounds * 95 / 100);
}

TEST_CASE("each bound of a file has its own words") {
  const auto bytes = encode_evidence(Story().file);
  const auto words = [](Bytes changed) { return decode_evidence(changed).error().message; };
  const auto with_u32 = [&](std::size_t at, std::uint32_t value) {
    Bytes number, changed = bytes;
    base::append_u32(number, value);
    std::ranges::copy(number, changed.begin() + static_cast<std::ptrdiff_t>(at));
    return changed;
  };
  constexpr std::size_t network_at = 20;
  const std::size_t count_at = network_at + 4 + base::read_u32(base::ByteView(bytes).subspan(network_at));
  CHECK(words({}).contains("does not begin as one"));
  CHECK(words(with_u32(network_at, 0xffffffff)).contains("swarm's parameters"));
  CHECK(words(with_u32(count_at, limits::statements_per_job_max + 1)).contains("impossible number of statements"));
  CHECK(words(with_u32(count_at, 8)).contains("inside statement 7"));
  CHECK(words(with_u32(count_at, 6)).contains("follow the last statement"));
  CHECK(words(with_u32(count_at + 4, limits::evidence_envelope_bytes_max + 1)).contains("inside statement 0"));
  auto kind = bytes;
  kind[network_at + 4 + 20] = std::byte{9};
  CHECK(words(kind).contains("unknown kind of swarm"));
  ScratchFolder folder;
  write_file(folder / "huge", "");
  std::filesystem::resize_file(folder / "huge", limits::evidence_file_bytes_max + 1);  // sparse
  CHECK(read_evidence_file(folder / "huge").error().message.contains("too many"));
  CHECK(read_evidence_file("/dev/zero").error().code == base::ErrorCode::not_found);
}

TEST_CASE("a file without one manifest is refused") {
  Story story;
  auto none = story.file;
  none.envelopes.erase(none.envelopes.begin());
  CHECK(judge(none, {}).error().code == base::ErrorCode::bad_input);
  story.say(story.owner, JobBlobs(9).manifest);
  CHECK(judge(story.file, {}).error().code == base::ErrorCode::bad_input);
}

TEST_CASE("no prefix of a file is a file, and nothing may follow it") {
  const auto bytes = encode_evidence(Story().file);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode_evidence(base::ByteView(bytes).first(size));
    REQUIRE_FALSE(cut.has_value());
    CHECK(cut.error().code == base::ErrorCode::bad_input);
  }
  auto longer = bytes;
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_evidence(longer));
}

TEST_CASE("hostile bytes give an error or a file, never more") {
  const auto bytes = encode_evidence(Story().file);
  base::Rng rng(5);
  std::size_t refused = 0;
  constexpr int rounds = 100;
  for (int round = 0; round < rounds; ++round) {
    auto changed = bytes;
    for (int i = 0; i < 3; ++i) changed[rng.below(changed.size())] = static_cast<std::byte>(rng.below(256));
    const auto read = decode_evidence(changed);
    if (!read) {
      ++refused;
      continue;
    }
    const auto judged = judge(*read, {});
    if (!judged || judged->refused_count > 0) ++refused;
  }
  CHECK(refused > rounds * 8 / 10);
  Bytes absurd = base::copy(base::ByteView(bytes).first(20));
  base::append_u32(absurd, 0xffffffff);
  CHECK_FALSE(decode_evidence(absurd));
}

TEST_CASE("a missing file and a folder are not found") {
  ScratchFolder folder;
  CHECK(read_evidence_file(folder / "none").error().code == base::ErrorCode::not_found);
  CHECK(read_evidence_file(folder.path()).error().code == base::ErrorCode::not_found);
}
