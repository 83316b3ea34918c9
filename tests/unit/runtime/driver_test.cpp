#include "tests/unit/runtime/desk.hpp"

#include "coordinator-less/base/limits.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

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
  CHECK(started_after_first(50) == 32);         // all in which its results count: two blocks
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

TEST_CASE("a full disk fills the waiting line, then the inbox, and nothing that was let in is lost") {
  Desk desk;
  desk.evidence.full = true;
  desk.submit(2);
  desk.step();
  REQUIRE(desk.driver->trouble());
  const auto stranger = crypto::Identity::generate().id();
  std::vector<std::string> accepted;
  for (std::size_t i = 0; i < 3 * limits::inputs_deferred_max; ++i) {
    const auto address = "n" + std::to_string(i);
    if (desk.inbox->offer(net::DialFailed{stranger, address, "test"})) accepted.push_back(address);
    if (i % 256 != 0) continue;
    desk.step();
    REQUIRE(desk.driver->deferred_count() <= limits::inputs_deferred_max);
  }
  desk.step();
  CHECK(desk.driver->deferred_count() == limits::inputs_deferred_max);
  CHECK(accepted.size() == limits::inputs_deferred_max + limits::inbound_events_max);

  // Calls overtake what waits. Without one the loop sleeps, although the inbox is full: until the retry is due.
  bool answered = false;
  desk.inbox->push(Call{[&](Driver& loop) { answered = loop.stalled().has_value(); }});
  desk.driver->step();
  CHECK(answered);
  desk.now_ms += limits::append_retry_interval.ms - 30;
  const auto asleep_at = read_clock().steady;
  desk.driver->step();
  CHECK((read_clock().steady - asleep_at).ms >= 29);

  desk.evidence.full = false;
  desk.pass(limits::append_retry_interval.ms);
  for (std::size_t i = 0; i < accepted.size(); i += limits::inputs_per_batch_max) desk.step();
  desk.step();
  CHECK(desk.driver->deferred_count() == 0);
  CHECK_FALSE(desk.driver->trouble());
  std::vector<std::string> handled;
  const std::string before = "cannot reach " + stranger.brief() + " at ";
  for (const auto& line : desk.log.lines())
    if (line.starts_with(before)) handled.push_back(line.substr(before.size(), line.find(':') - before.size()));
  CHECK(handled == accepted);
}

TEST_CASE("long frames fill the waiting line by their bytes") {
  Desk desk;
  desk.evidence.full = true;
  desk.submit(2);
  desk.step();
  std::size_t accepted = 0;
  for (int i = 0; i < 200; ++i) {
    accepted += desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), Bytes(1 << 20)}) ? 1U : 0U;
    if (i % 20 == 0) desk.step();  // the bound is passed in the midst of a batch
  }
  const auto waiting = desk.driver->deferred_count();
  CHECK(waiting >= limits::inputs_deferred_bytes_max >> 20);
  CHECK(waiting < (limits::inputs_deferred_bytes_max >> 20) + 20);
  CHECK(accepted == waiting + (limits::inbound_bytes_max >> 20));

  desk.evidence.full = false;
  desk.pass(limits::append_retry_interval.ms);
  for (int i = 0; i < 3; ++i) desk.step();
  CHECK(desk.driver->deferred_count() == 0);
  CHECK(desk.links.kicked.size() == accepted);  // each was looked at, and none decodes
}

TEST_CASE("a peer that closes while its disk is full comes to an end") {
  Desk desk;
  desk.evidence.full = true;
  desk.submit(2);
  desk.step();
  for (std::size_t i = 0; i < 2 * limits::inputs_deferred_max; ++i) {
    desk.inbox->offer(net::LinkDown{desk.neighbour.id(), "test"});
    if (i % 512 == 0) desk.step();
  }
  desk.inbox->close();
  desk.driver->run();
  CHECK(desk.driver->deferred_count() <= limits::inputs_deferred_max);
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

TEST_CASE("a wrong statement among many costs its sender the link: what came before it counts, the rest of its frame does not") {
  Desk desk;
  const auto owner = crypto::Identity::generate(), other = crypto::Identity::generate();
  const auto network = network_id_of(swarm_named("driver"));
  std::vector<base::JobId> jobs;
  const auto frame_of_jobs = [&](std::size_t count, std::optional<std::size_t> wrong) {
    protocol::StatementBundle bundle;
    for (std::size_t i = 0; i < count; ++i) {
      auto manifest = JobBlobs(2).manifest;
      manifest.nonce = jobs.size();
      const auto sealed = seal(network, owner, manifest);
      jobs.push_back(base::retag<base::JobId>(sealed.id));
      auto envelope = *wire::decode_envelope(*sealed.raw);
      if (i == wrong) envelope.signature[5] ^= std::byte{1};
      bundle.statements.push_back(std::make_shared<const Bytes>(wire::encode_envelope(envelope)));
    }
    return wire::encode_link(bundle);
  };
  desk.inbox->offer(net::LinkUp{other.id(), net::Role::worker, true});
  desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), frame_of_jobs(10, 6)});
  desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), frame_of_jobs(5, {})});
  desk.inbox->offer(net::FrameReceived{other.id(), frame_of_jobs(7, {})});
  desk.step();
  std::string known;
  for (const auto& job : jobs) known += desk.driver->node().job(job) ? 'k' : '-';
  CHECK(known == "kkkkkk" "----" "kkkkk" "kkkkkkk");  // its next frame was here before the link ended
  REQUIRE(desk.links.kicked.size() == 1);
  CHECK(desk.links.kicked[0] == std::pair(desk.neighbour.id(), std::string("sent a statement that does not verify")));
  CHECK(desk.notary.refused_count() == 1);
  CHECK(desk.notary.verified_count() == jobs.size() - 1);  // one window for all; one by one it would be three less, those behind the wrong one
}

TEST_CASE("statements that waited while the disk was full are opened like others") {
  Desk desk;
  desk.evidence.full = true;
  desk.submit(2);
  desk.step();
  const auto owner = crypto::Identity::generate();
  protocol::StatementBundle bundle;
  for (std::uint64_t i = 0; i < 8; ++i) {
    auto manifest = JobBlobs(2).manifest;
    manifest.nonce = 100 + i;
    bundle.statements.push_back(seal(network_id_of(swarm_named("driver")), owner, manifest).raw);
  }
  desk.inbox->offer(net::FrameReceived{desk.neighbour.id(), wire::encode_link(bundle)});
  desk.step();
  CHECK(desk.driver->node().jobs().size() == 1);
  CHECK(desk.notary.verified_count() == 0);  // not read yet
  desk.evidence.full = false;
  desk.pass(limits::append_retry_interval.ms);
  desk.step();
  CHECK(desk.driver->node().jobs().size() == 9);
  CHECK(desk.notary.verified_count() == 8);
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

namespace {

// What a second driver over these rows opened with a signature check, and the log it wrote.
struct Restart {
  explicit Restart(Desk& desk, std::vector<storage::StoredStatement> rows) {
    store.stored = std::move(rows);
    protocol::NodeConfig config;
    config.self = desk.key.id();
    config.light = true;
    Driver again(World{store, desk.blobs, links, nullptr, std::make_shared<Inbox>(), notary, log, desk.pins, desk.changes, read_clock},
                 std::move(config), base::Rng(2));
    REQUIRE(again.restore());
    jobs = again.node().jobs().size();
  }
  FakeEvidenceStore store;
  FakeTransport links;
  RecordingLog log;
  crypto::Identity key = crypto::Identity::generate();
  SigningNotary notary{network_id_of(swarm_named("driver")), key};
  std::size_t jobs = 0;
};

}  // namespace

TEST_CASE("a restart checks no signature twice, unless a row is damaged or was never checked") {
  Desk desk;
  desk.submit(3);
  desk.step();
  const auto rows = desk.evidence.stored;
  REQUIRE_FALSE(rows.empty());
  for (const auto& row : rows) CHECK(row.verified == desk.notary.digest(row.raw));
  const Restart sound(desk, rows);
  CHECK(sound.jobs == 1);
  CHECK(sound.notary.verified_count() == 0);

  auto older = rows;
  for (auto& row : older) row.verified.reset();
  const Restart checked(desk, older);
  CHECK(checked.jobs == 1);
  CHECK(checked.notary.verified_count() == rows.size());

  auto envelope = *wire::decode_envelope(rows[0].raw);  // in the signature: no other check would see it
  envelope.signature[5] ^= std::byte{1};
  auto rotten = rows;
  rotten[0].raw = wire::encode_envelope(envelope);
  const Restart damaged(desk, rotten);
  CHECK(damaged.notary.refused_count() == 1);
  CHECK(damaged.log.says("1 stored statements"));
}

TEST_CASE("a restart on the rows of an older version of the protocol leaves them out and says so") {
  Desk desk;
  desk.submit(3);
  desk.step();
  auto rows = desk.evidence.stored;
  const std::size_t count = rows.size();
  for (auto& row : rows) {
    auto envelope = *wire::decode_envelope(row.raw);
    envelope.version = 1;
    row.raw = wire::encode_envelope(envelope);
    row.verified = desk.notary.digest(row.raw);  // it was sound when it was stored
  }
  const Restart newer(desk, rows);
  CHECK(newer.jobs == 0);
  CHECK(newer.log.says(std::to_string(count) + " stored statements"));
  CHECK(newer.log.says("older version"));
}

TEST_CASE("calls are taken past everything else, and nothing else ends the wait for them") {
  Inbox inbox;
  const auto call = [] { return Event(Call{[](Driver&) {}}); };
  REQUIRE(inbox.offer(net::LinkDown{{}, "first"}));
  inbox.push(call());
  REQUIRE(inbox.offer(net::LinkDown{{}, "second"}));
  inbox.push(call());
  CHECK(inbox.take_calls(1, std::nullopt).size() == 1);
  CHECK(inbox.take_calls(9, std::nullopt).size() == 1);
  const auto asked_at = read_clock().steady;
  CHECK(inbox.take_calls(9, base::milliseconds(20)).empty());
  CHECK((read_clock().steady - asked_at).ms >= 19);
  const auto left = inbox.take(9, std::nullopt);
  REQUIRE(left.size() == 2);
  CHECK(std::get<net::LinkDown>(std::get<net::Event>(left[0])).reason == "first");
  inbox.push(call());
  CHECK(inbox.take(9, std::nullopt).size() == 1);
  CHECK(inbox.take_calls(9, base::milliseconds(0)).empty());
  inbox.close();
  CHECK(inbox.take_calls(9, std::nullopt).empty());  // does not wait
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
