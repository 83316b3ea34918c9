#include "coordinator-less/runtime/driver.hpp"

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

// A store on a disk that the test fills and empties.
class FakeEvidenceStore final : public storage::EvidenceStore {
 public:
  base::Expected<void> append(const std::vector<storage::StoredStatement>& statements) override {
    ++appends;
    if (on_append) on_append(statements);
    if (full) return base::fail(base::ErrorCode::temporary, "no space left for peer.db", "make room");
    stored.insert(stored.end(), statements.begin(), statements.end());
    return {};
  }
  base::Expected<void> for_each(const std::function<bool(const storage::StoredStatement&)>& use) override {
    for (const auto& statement : stored)
      if (!use(statement)) break;
    return {};
  }
  base::Expected<void> remove_job(const base::JobId& job) override {
    std::erase_if(stored, [&](const auto& statement) { return statement.job == job; });
    return {};
  }
  base::Expected<std::uint64_t> count() override { return stored.size(); }
  base::Expected<std::optional<Bytes>> setting(const std::string&) override { return std::nullopt; }
  base::Expected<void> set_setting(const std::string&, base::ByteView) override { return {}; }
  base::Expected<void> remember_peer(const storage::StoredPeer&) override { return {}; }
  base::Expected<std::vector<storage::StoredPeer>> peers() override { return std::vector<storage::StoredPeer>{}; }

  std::vector<storage::StoredStatement> stored;
  std::function<void(const std::vector<storage::StoredStatement>&)> on_append;
  bool full = false;
  int appends = 0;
};

UnitEnd echo(const UnitWork& work, UnitInputs&, const FakeExecutor::Stopped&) {
  return UnitDone{protocol::OutcomeKind::ok, 0, bytes_of("unit " + std::to_string(work.unit)), {}};
}

class NoInputs final : public UnitInputs {
 public:
  base::Expected<int> open(const base::JobId&, const protocol::BlobRef&) override { return base::fail(base::ErrorCode::not_found, "none"); }
  bool whole(const Digest&) override { return false; }
  base::Expected<void> ensure(const base::JobId&, const protocol::BlobRef&, std::uint64_t, std::uint64_t) override { return {}; }
};

// One driver on a virtual clock, with one linked neighbour.
struct Desk {
  Desk() : blobs(*storage::BlobStore::open(folder / "blobs", 64ULL << 20, crypto::sha256)) {
    executor.attach(inputs);
    protocol::NodeConfig config;
    config.self = key.id();
    config.own_addresses = {"127.0.0.1:4000"};
    driver = std::make_unique<Driver>(
        World{evidence, blobs, links, &executor, inbox, notary, log, pins, changes, [this] { return base::Now{{now_ms}, read_clock().unix_s}; }},
        std::move(config), base::Rng(1));
    REQUIRE(driver->restore());
    inbox->offer(net::LinkUp{neighbour.id(), net::Role::worker, true});
    step();
  }
  ~Desk() {
    driver->begin_closing();
    driver->wait_idle();
  }

  // A call makes the step return at once, whatever the deadline.
  void step() {
    inbox->push(Call{[](Driver&) {}});
    driver->step();
  }
  void pass(std::int64_t ms) {
    now_ms += ms;
    step();
  }
  base::JobId submit(std::uint32_t units) {
    JobBlobs job(units);
    for (const auto* blob : {&job.program, &job.units, &job.input}) {
      const auto name = blobs->put(*blob);
      inbox->push(protocol::Input(protocol::BlobHeld{*name}));
    }
    auto manifest = notary.seal(job.manifest);
    const auto id = base::retag<base::JobId>(manifest.id);
    inbox->push(Call{[this, statement = std::move(manifest)](Driver& loop) {
      loop.feed(protocol::Submit{statement});
      loop.after_settled([this](base::Expected<void> settled) { settled_with = settled; });
    }});
    return id;
  }
  // Statements of this type in what was sent so far.
  std::size_t sent(protocol::StatementType type) const {
    std::size_t count = 0;
    for (const auto& [peer, frame] : links.sent) {
      const auto message = wire::decode_link(*frame);
      const auto* bundle = std::get_if<protocol::StatementBundle>(&*message);
      if (!bundle) continue;
      for (const auto& raw : bundle->statements) count += wire::decode_envelope(*raw)->type == type ? 1U : 0U;
    }
    return count;
  }
  std::size_t stored(protocol::StatementType type) const {
    return static_cast<std::size_t>(
        std::ranges::count(evidence.stored, static_cast<std::uint16_t>(type), &storage::StoredStatement::type));
  }

  TempFolder folder;
  std::int64_t now_ms = 1'000'000;
  FakeEvidenceStore evidence;
  std::shared_ptr<storage::BlobStore> blobs;
  FakeTransport links;
  NoInputs inputs;
  std::atomic<std::int64_t> wall_us = 0;  // what units say they took
  FakeExecutor executor{[this](const UnitWork& work, UnitInputs& unit_inputs, const FakeExecutor::Stopped& stopped) {
    auto end = echo(work, unit_inputs, stopped);
    std::get<UnitDone>(end).wall_us = wall_us;
    return end;
  }};
  std::shared_ptr<Inbox> inbox = std::make_shared<Inbox>();
  crypto::Identity key = crypto::Identity::generate(), neighbour = crypto::Identity::generate();
  SigningNotary notary{network_id_of(swarm_named("driver")), key};
  RecordingLog log;
  BlobPins pins;
  ChangeSignal changes;
  std::optional<base::Expected<void>> settled_with;
  std::unique_ptr<Driver> driver;
};

}  // namespace

TEST_CASE("a submitted job is durable before it is sent and before its caller hears of it") {
  Desk desk;
  const auto job = desk.submit(4);
  desk.step();
  CHECK(desk.stored(protocol::StatementType::manifest) == 1);
  CHECK(desk.sent(protocol::StatementType::manifest) == 1);
  REQUIRE(desk.settled_with);
  CHECK(desk.settled_with->has_value());
  CHECK(desk.evidence.stored.back().job == job);
  CHECK(desk.evidence.stored.back().own);
}

TEST_CASE("a full disk sends nothing of ours, starts nothing, answers questions, and loses nothing") {
  Desk desk;
  desk.evidence.full = true;
  const auto job = desk.submit(4);
  desk.step();
  REQUIRE(desk.settled_with);
  CHECK(desk.settled_with->error().code == base::ErrorCode::temporary);
  CHECK(desk.sent(protocol::StatementType::manifest) == 0);
  CHECK(desk.executor.run_count() == 0);
  REQUIRE(desk.driver->trouble());
  CHECK(desk.log.says("no space left"));

  // Not yet: the retry waits its second.
  const auto appends = desk.evidence.appends;
  desk.pass(10);
  CHECK(desk.evidence.appends == appends);
  bool known = false;
  desk.inbox->push(Call{[&](Driver& loop) { known = loop.node().job(job).has_value(); }});
  desk.driver->step();
  CHECK(known);

  // Blobs are still served meanwhile.
  const auto name = *desk.blobs->put(bytes_of("a result that others want"));
  const auto get = wire::encode_link(protocol::BlobGet{name, 25, 0, 1});
  const auto before = desk.links.sent.size();
  desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), get});
  desk.driver->step();
  CHECK(desk.links.sent.size() == before + 1);

  desk.evidence.full = false;
  desk.pass(limits::append_retry_interval.ms);
  CHECK(desk.stored(protocol::StatementType::manifest) == 1);
  CHECK(desk.sent(protocol::StatementType::manifest) == 1);
  CHECK(desk.executor.run_count() == 1);
  CHECK_FALSE(desk.driver->trouble());
}

TEST_CASE("an archive survives a power cut before the result that names it is stated") {
  Desk desk;
  int checked = 0;
  desk.evidence.on_append = [&](const std::vector<storage::StoredStatement>& statements) {
    for (const auto& statement : statements) {
      if (statement.type != static_cast<std::uint16_t>(protocol::StatementType::results)) continue;
      const auto opened = desk.notary.open(std::make_shared<const Bytes>(statement.raw));
      REQUIRE(opened);
      for (const auto& entry : std::get<protocol::Results>(opened->body).entries) {
        // The store stamps what it synced; without a stamp, or with an older one, the archive may still be in memory only.
        const auto archive = desk.folder / "blobs" / (entry.outcome.digest.base32() + ".blob");
        REQUIRE(std::filesystem::exists(archive));
        REQUIRE(std::filesystem::exists(desk.folder / "blobs" / "synced"));
        CHECK(std::filesystem::last_write_time(desk.folder / "blobs" / "synced") >= std::filesystem::last_write_time(archive));
        ++checked;
      }
    }
  };
  desk.submit(3);
  while (checked < 3) desk.pass(20);
  CHECK(desk.sent(protocol::StatementType::results) > 0);
}

TEST_CASE("behind short units others wait, behind long ones none") {
  const auto started_after_first = [](std::int64_t wall_us) {
    Desk desk;
    desk.wall_us = wall_us;
    desk.submit(40);
    while (desk.executor.run_count() < 2) desk.step();
    return desk.executor.run_count();
  };
  CHECK(started_after_first(50) == 40);         // all there are
  CHECK(started_after_first(10'000) == 4);     // the first, one that runs, 20 ms of work behind it
  CHECK(started_after_first(100'000) == 3);    // one waits while the protocol thread batches
  CHECK(started_after_first(1'000'000) == 2);  // the next one, no more
}

TEST_CASE("events that come while the disk is full are handled in order afterwards") {
  Desk desk;
  desk.evidence.full = true;
  desk.submit(2);
  desk.step();
  const auto other = crypto::Identity::generate();
  desk.inbox->offer(net::LinkUp{other.id(), net::Role::worker, true});
  desk.inbox->offer(net::LinkDown{other.id(), "test"});
  desk.inbox->offer(net::LinkUp{other.id(), net::Role::light, true});
  desk.step();
  const auto linked = [&](Driver& loop) {
    const auto peers = loop.node().peers();
    const auto found = std::ranges::find(peers, other.id(), &protocol::PeerStatus::id);
    return found != peers.end() && found->linked && found->light;
  };
  CHECK_FALSE(linked(*desk.driver));
  desk.evidence.full = false;
  desk.pass(limits::append_retry_interval.ms);
  desk.step();
  CHECK(linked(*desk.driver));
}

TEST_CASE("a reader that waits while the disk is full is told why") {
  Desk desk;
  desk.evidence.full = true;
  const auto job = desk.submit(2);
  desk.step();
  auto wait = std::make_shared<RangeWait>();
  desk.inbox->push(Call{[&](Driver& loop) { loop.want_range(job, {name_of(base::view("far")), 3}, 0, 1, wait); }});
  desk.driver->step();
  const auto answer = wait->wait(std::chrono::milliseconds(0));
  REQUIRE(answer);
  CHECK(answer->error().message.contains("no space left"));
}

TEST_CASE("room is made from what nobody needs, never from a job's inputs or pinned blobs") {
  Desk desk;
  desk.submit(2);
  desk.step();
  const auto spare = *desk.blobs->put(bytes_of("nobody needs this"));
  const auto pinned = *desk.blobs->put(bytes_of("somebody is reading this"));
  desk.pins.pin(pinned);
  bool made = false;
  desk.inbox->push(Call{[&](Driver& loop) { made = loop.make_room(); }});
  desk.step();
  CHECK(made);
  CHECK_FALSE(desk.blobs->has(spare));
  CHECK(desk.blobs->has(pinned));
  CHECK(desk.blobs->has(JobBlobs(2).manifest.program.name));
  CHECK(desk.blobs->has(JobBlobs(2).manifest.inputs[0].blob.name));
}

TEST_CASE("a frame that does not decode costs its sender the link") {
  Desk desk;
  desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), bytes_of("no such frame")});
  desk.step();
  REQUIRE(desk.links.kicked.size() == 1);
  CHECK(desk.links.kicked[0].first == desk.neighbour.id());
  CHECK(desk.driver->frames_refused() == 1);
}

TEST_CASE("stored statements come back, and a damaged one is left out and said so") {
  Desk desk;
  const auto job = desk.submit(3);
  desk.step();
  FakeEvidenceStore copy;
  copy.stored = desk.evidence.stored;
  copy.stored.push_back({{}, {}, 1, bytes_of("rotten"), false});
  FakeTransport links;
  RecordingLog log;
  protocol::NodeConfig config;
  config.self = desk.key.id();
  config.light = true;
  Driver again(World{copy, desk.blobs, links, nullptr, std::make_shared<Inbox>(), desk.notary, log, desk.pins, desk.changes, read_clock},
               std::move(config), base::Rng(2));
  REQUIRE(again.restore());
  CHECK(again.node().job(job));
  CHECK(log.says("1 stored statements"));
}

TEST_CASE("the inbox refuses link events beyond its bounds and nothing else") {
  Inbox inbox;
  const auto peer = base::PeerId{};
  for (std::size_t i = 0; i < limits::inbound_events_max; ++i) REQUIRE(inbox.offer(net::LinkDown{peer, ""}));
  net::Event refused = net::FrameReceived{peer, bytes_of("kept")};
  CHECK_FALSE(inbox.offer(std::move(refused)));
  CHECK(std::get<net::FrameReceived>(refused).bytes == bytes_of("kept"));
  inbox.push(protocol::Input(protocol::TimerFired{}));
  CHECK(inbox.take(1, std::nullopt).size() == 1);
  CHECK(inbox.offer(std::move(refused)));
  Inbox bytes;
  std::size_t taken = 0;
  while (bytes.offer(net::FrameReceived{peer, Bytes(1 << 20)})) ++taken;
  CHECK(taken == limits::inbound_bytes_max >> 20);
  bytes.close();
  CHECK(bytes.take(taken + 1, std::nullopt).size() == taken);
  CHECK(bytes.finished());
}
