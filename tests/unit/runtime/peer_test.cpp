#include "coordinator-less/runtime/peer.hpp"

#include "coordinator-less/runtime/clock.hpp"
#include "coordinator-less/runtime/descriptor.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

using std::chrono::milliseconds;
constexpr milliseconds patience{60'000};

// What an honest program would do: reads one leaf of the input and says what it saw.
UnitEnd honest_run(const UnitWork& work, UnitInputs& inputs, const FakeExecutor::Stopped&) {
  std::string archive = "unit " + std::to_string(work.unit) + " " + work.arguments.at(0) + " " + work.seed.brief();
  for (const auto& item : work.items) archive += std::string(" <") + std::string(base::text(item)) + ">";
  const auto& blob = work.inputs.at(0).blob;
  const auto leaf = work.unit % base::leaf_count(blob.size_bytes);
  if (const auto there = inputs.ensure(work.job, blob, leaf, 1); !there) return UnitDropped{there.error().message};
  const auto file = inputs.open(work.job, blob);
  if (!file) return UnitDropped{file.error().message};
  const Descriptor descriptor(*file);
  std::byte first{};
  if (::pread(descriptor.get(), &first, 1, static_cast<off_t>(leaf * base::leaf_bytes)) != 1) return UnitDropped{"cannot read"};
  return UnitDone{protocol::OutcomeKind::ok, 0, bytes_of(archive + " " + std::to_string(std::to_integer<int>(first))), {}};
}

// Answers at once and wrongly, with bytes of its own.
UnitEnd lying_run(const UnitWork& work, UnitInputs&, const FakeExecutor::Stopped&) {
  return UnitDone{protocol::OutcomeKind::ok, 0, bytes_of("a lie about " + std::to_string(work.unit)), {}};
}

FakeExecutor::Function slowly(FakeExecutor::Function run, milliseconds time) {
  return [=](const UnitWork& work, UnitInputs& inputs, const FakeExecutor::Stopped& stopped) {
    std::this_thread::sleep_for(time);
    return run(work, inputs, stopped);
  };
}

// One peer with its own executor and folder; starting it again goes on from the folder.
struct Host {
  explicit Host(const ScratchFolder& scratch, std::string name, FakeExecutor::Function run = honest_run)
      : folder(scratch / name), function(std::move(run)) {}

  base::Expected<void> start(const std::optional<protocol::Ticket>& join) {
    PeerOptions options;
    options.state_folder = folder;
    options.join = join;
    if (!join && !std::filesystem::exists(folder)) options.create = swarm_named("peers");
    options.log = log;
    executor = std::make_unique<FakeExecutor>(function);
    auto started = Peer::start(std::move(options), executor.get());
    if (!started) return std::unexpected(started.error());
    peer = *std::move(started);
    return {};
  }
  void stop() { peer.reset(); }

  std::filesystem::path folder;
  FakeExecutor::Function function;
  std::shared_ptr<RecordingLog> log = std::make_shared<RecordingLog>();
  std::unique_ptr<FakeExecutor> executor;
  std::unique_ptr<Peer> peer;
};

std::unique_ptr<Peer> light_peer(const std::filesystem::path& folder, const protocol::Ticket& ticket) {
  PeerOptions options;
  options.state_folder = folder;
  options.join = ticket;
  options.light = true;
  auto started = Peer::start(std::move(options), nullptr);
  REQUIRE(started);
  return *std::move(started);
}

bool wait_until(Peer& peer, const std::function<bool()>& holds) {
  const auto deadline = read_clock().steady + base::milliseconds(patience.count());
  for (std::uint64_t seen = 0; !holds(); seen = peer.wait_change(seen, milliseconds(200)))
    if (read_clock().steady > deadline) return false;
  return true;
}

bool wait_linked(Peer& peer, std::size_t count) {
  return wait_until(peer, [&] { return static_cast<std::size_t>(std::ranges::count_if(peer.peers(), &protocol::PeerStatus::linked)) >= count; });
}

bool wait_state(Peer& peer, const base::JobId& job, protocol::JobState state) {
  return wait_until(peer, [&] {
    const auto status = peer.job(job);
    return status && status->state == state;
  });
}

base::JobId submit(Peer& peer, const JobBlobs& blobs, const crypto::Identity& owner) {
  REQUIRE(peer.put_blob(blobs.program) == blobs.manifest.program.name);
  REQUIRE(peer.put_blob(blobs.units));
  REQUIRE(peer.put_blob(blobs.input));
  const auto job = peer.submit(*seal(peer.network(), owner, blobs.manifest).raw);
  REQUIRE_MESSAGE(job.has_value(), (job ? "" : job.error().message));
  return *job;
}

// Every unit is accepted with the bytes that an honest run gives, fetched through `peer`.
void check_results(Peer& peer, const base::JobId& job, std::uint32_t unit_count) {
  const auto units = peer.accepted(job);
  REQUIRE(units);
  REQUIRE(units->size() == unit_count);
  for (const auto& unit : *units) {
    const auto archive = peer.fetch(job, {unit.outcome.digest, unit.archive_bytes}, patience);
    REQUIRE_MESSAGE(archive.has_value(), (archive ? "" : archive.error().message));
    CHECK(base::text(*archive).starts_with("unit " + std::to_string(unit.unit) + " search "));
    CHECK(base::text(*archive).contains("<item " + std::to_string(unit.unit) + ">"));
  }
}

}  // namespace

TEST_CASE("two peers verify a job that a light peer submitted, and another light peer fetches the results") {
  ScratchFolder scratch;
  const auto owner = crypto::Identity::generate();
  Host a(scratch, "a"), b(scratch, "b");
  REQUIRE(a.start(std::nullopt));
  REQUIRE(b.start(a.peer->invite()));
  base::JobId job;
  {
    const auto submitter = light_peer(scratch / "submitter", a.peer->invite());
    REQUIRE(wait_linked(*submitter, 2));
    job = submit(*submitter, JobBlobs(40), owner);
    REQUIRE(wait_state(*submitter, job, protocol::JobState::finished));
  }
  const auto reader = light_peer(scratch / "reader", a.peer->invite());
  REQUIRE(wait_state(*reader, job, protocol::JobState::finished));
  check_results(*reader, job, 40);
  // The evidence says the same offline.
  const auto judged = judge({reader->swarm(), *reader->evidence(job)}, {reader->id()});
  REQUIRE(judged);
  CHECK(judged->owner == owner.id());
  CHECK(judged->refused_count == 0);
  CHECK(judged->verdict->accepted_count() == 40);
  const auto explained = reader->explain(job);
  REQUIRE(explained);
  CHECK(explained->digest == explain(*judged).digest);
  CHECK(explained->ended == 40);
  const auto unit = a.peer->explain(job, 39, std::nullopt);
  REQUIRE(unit);
  CHECK(unit->state == protocol::UnitState::accepted);
  CHECK(unit->here->archive_holders > 0);
  REQUIRE(unit->answers.size() >= 2);
  for (const auto& answer : unit->answers) CHECK(answer.position.has_value());
  CHECK(a.peer->explain(job, 40, std::nullopt).error().code == base::ErrorCode::not_found);
  CHECK(a.peer->explain(job, 0, 1).error().code == base::ErrorCode::not_found);
  CHECK(a.peer->explain(base::JobId{}).error().code == base::ErrorCode::not_found);
  CHECK(a.peer->id_proven(b.peer->id()));
  CHECK(a.executor->run_count() + b.executor->run_count() >= 80);
  CHECK(a.peer->counters().frames_refused == 0);
  CHECK_FALSE(a.peer->trouble());
}

TEST_CASE("a peer restarted from its folder is the same peer with the same job, and goes on without a ticket") {
  ScratchFolder scratch;
  Host a(scratch, "a"), b(scratch, "b");
  REQUIRE(a.start(std::nullopt));
  REQUIRE(b.start(a.peer->invite()));
  REQUIRE(wait_linked(*a.peer, 1));
  const auto owner = crypto::Identity::generate();
  const auto job = submit(*a.peer, JobBlobs(20), owner);
  REQUIRE(wait_state(*b.peer, job, protocol::JobState::finished));
  const auto id = b.peer->id();
  const auto port = b.peer->port();
  b.stop();
  a.stop();
  REQUIRE(b.start(std::nullopt));
  CHECK(b.peer->id() == id);
  CHECK(b.peer->port() == port);
  REQUIRE(b.peer->job(job));
  CHECK(b.peer->job(job)->accepted == 20);
  REQUIRE(a.start(std::nullopt));
  CHECK(wait_linked(*b.peer, 1));
  check_results(*b.peer, job, 20);
}

TEST_CASE("peers that end in the middle of a job lose nothing of it") {
  ScratchFolder scratch;
  const auto slow = slowly(honest_run, milliseconds(5));
  Host a(scratch, "a", slow), b(scratch, "b", slow), c(scratch, "c", slow);
  REQUIRE(a.start(std::nullopt));
  REQUIRE(b.start(a.peer->invite()));
  REQUIRE(c.start(a.peer->invite()));
  REQUIRE(wait_linked(*a.peer, 2));
  const auto job = submit(*a.peer, JobBlobs(60), crypto::Identity::generate());
  const auto some_done = [&](Host& host) {
    return wait_until(*host.peer, [&] {
      const auto status = host.peer->job(job);
      return status && status->input_holders >= 2 && status->own_results >= 5;
    });
  };
  REQUIRE(some_done(b));
  b.stop();
  REQUIRE(some_done(c));
  a.stop();  // the submitter
  REQUIRE(b.start(std::nullopt));
  REQUIRE(wait_state(*c.peer, job, protocol::JobState::finished));
  REQUIRE(wait_state(*b.peer, job, protocol::JobState::finished));
  check_results(*b.peer, job, 60);
}

TEST_CASE("what a kill leaves on disk is enough to go on, without executing again") {
  ScratchFolder scratch;
  Host a(scratch, "a"), after(scratch, "after"), b(scratch, "b");
  REQUIRE(a.start(std::nullopt));
  const auto job = submit(*a.peer, JobBlobs(12), crypto::Identity::generate());
  REQUIRE(wait_until(*a.peer, [&] { return a.peer->job(job)->own_results == 12; }));
  REQUIRE(a.peer->job(job));  // an answer of a later batch: what the first one showed is durable by now
  std::filesystem::copy(a.folder, after.folder, std::filesystem::copy_options::recursive);  // the store is still open
  const auto id = a.peer->id();
  a.stop();
  REQUIRE(after.start(std::nullopt));
  CHECK(after.peer->id() == id);
  REQUIRE(after.peer->job(job));
  CHECK(after.peer->job(job)->own_results == 12);
  REQUIRE(b.start(after.peer->invite()));
  REQUIRE(wait_state(*b.peer, job, protocol::JobState::finished));
  CHECK(after.executor->run_count() == 0);
  check_results(*b.peer, job, 12);
}

TEST_CASE("a lying peer is banned on evidence and its answers are not accepted") {
  ScratchFolder scratch;
  Host a(scratch, "a"), b(scratch, "b"), c(scratch, "c"), liar(scratch, "liar", lying_run);
  REQUIRE(a.start(std::nullopt));
  for (Host* host : {&b, &c, &liar}) REQUIRE(host->start(a.peer->invite()));
  REQUIRE(wait_linked(*a.peer, 3));
  auto blobs = JobBlobs(30);
  blobs.manifest.peer_estimate = 4;
  const auto job = submit(*a.peer, blobs, crypto::Identity::generate());
  const auto liar_id = liar.peer->id();
  for (Host* host : {&a, &b, &c}) {
    CHECK(wait_state(*host->peer, job, protocol::JobState::finished));
    CHECK(wait_until(*host->peer, [&] { return std::ranges::contains(host->peer->job(job)->banned, liar_id); }));
    CHECK(host->peer->job(job)->banned.size() == 1);
  }
  check_results(*c.peer, job, 30);
}

TEST_CASE("a ticket of another swarm is refused by a folder that has one") {
  ScratchFolder scratch;
  Host a(scratch, "a"), b(scratch, "b");
  REQUIRE(a.start(std::nullopt));
  REQUIRE(b.start(std::nullopt));
  const auto ticket = a.peer->invite();
  b.stop();
  const auto refused = b.start(ticket);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == base::ErrorCode::refused);
  CHECK(refused.error().hint != "");
  PeerOptions other_kind;  // as a user who believes that this makes a new one
  other_kind.state_folder = b.folder;
  other_kind.light = true;
  other_kind.create.emplace().kind = protocol::SwarmKind::public_swarm;
  CHECK(Peer::start(other_kind, nullptr).error().code == base::ErrorCode::refused);
  auto bare = ticket;
  bare.secret.reset();
  Host c(scratch, "c");
  CHECK(c.start(bare).error().code == base::ErrorCode::bad_input);
  PeerOptions second;
  second.state_folder = a.folder;
  second.light = true;
  CHECK(Peer::start(second, nullptr).error().code == base::ErrorCode::temporary);  // in use
}

TEST_CASE("a peer with a wrong secret never links") {
  ScratchFolder scratch;
  Host a(scratch, "a"), b(scratch, "b");
  REQUIRE(a.start(std::nullopt));
  auto ticket = a.peer->invite();
  ticket.secret->front() ^= std::byte{1};
  REQUIRE(b.start(ticket));
  CHECK(b.log->wait_for("cannot reach " + a.peer->id().brief()));
  CHECK_FALSE(std::ranges::any_of(a.peer->peers(), &protocol::PeerStatus::linked));
  CHECK_FALSE(std::ranges::any_of(b.peer->peers(), &protocol::PeerStatus::linked));
}

TEST_CASE("a port that the user named must be free, a remembered one need not be") {
  ScratchFolder scratch;
  Host a(scratch, "a"), b(scratch, "b");
  REQUIRE(a.start(std::nullopt));
  REQUIRE(b.start(a.peer->invite()));
  const auto port = b.peer->port();
  b.stop();
  FakeExecutor executor(honest_run);
  PeerOptions options;
  options.state_folder = scratch / "c";
  options.create = swarm_named("third");
  options.bind_port = port;
  const auto holder = Peer::start(options, &executor);
  REQUIRE(holder);
  CHECK((*holder)->port() == port);
  REQUIRE(b.start(std::nullopt));
  CHECK(b.peer->port() != port);
  options.state_folder = scratch / "d";
  const auto taken = Peer::start(options, &executor);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == base::ErrorCode::temporary);
  CHECK(taken.error().message.contains(std::to_string(port)));
}

TEST_CASE("a folder without a swarm and a damaged database are clear errors") {
  ScratchFolder scratch;
  PeerOptions options;
  options.state_folder = scratch / "none";
  options.light = true;
  CHECK(Peer::start(options, nullptr).error().code == base::ErrorCode::bad_input);
  std::filesystem::create_directories(scratch / "damaged");
  write_file(scratch / "damaged/peer.db", std::string(8192, 'x'));
  options.state_folder = scratch / "damaged";
  options.create = swarm_named("damaged");
  const auto damaged = Peer::start(options, nullptr);
  REQUIRE_FALSE(damaged);
  CHECK(damaged.error().code == base::ErrorCode::bad_input);
  CHECK(damaged.error().message.contains("peer.db"));
}

TEST_CASE("bad submissions and cancellations are refused with a reason") {
  ScratchFolder scratch;
  Host a(scratch, "a");
  REQUIRE(a.start(std::nullopt));
  const auto owner = crypto::Identity::generate();
  JobBlobs blobs(4);
  const auto envelope = [&](protocol::Body body) { return *seal(a.peer->network(), owner, std::move(body)).raw; };
  CHECK(a.peer->submit(envelope(blobs.manifest)).error().code == base::ErrorCode::bad_input);  // no blobs yet
  CHECK(a.peer->submit(bytes_of("noise")).error().code == base::ErrorCode::malformed);
  CHECK(a.peer->submit(envelope(protocol::Cancel{})).error().code == base::ErrorCode::bad_input);
  auto wrong = blobs;
  wrong.manifest.item_count = wrong.manifest.unit_count = 5;
  REQUIRE(a.peer->put_blob(blobs.program));
  REQUIRE(a.peer->put_blob(blobs.units));
  REQUIRE(a.peer->put_blob(blobs.input));
  CHECK(a.peer->submit(envelope(wrong.manifest)).error().message.contains("4 lines"));
  auto late = blobs;
  late.manifest.created_unix_s -= 7200;
  late.manifest.expires_unix_s -= 7200;
  CHECK(a.peer->submit(envelope(late.manifest)).error().message.contains("expired"));
  const auto job = a.peer->submit(envelope(blobs.manifest));
  REQUIRE(job);
  CHECK(a.peer->submit(envelope(blobs.manifest)) == *job);  // again: the same job
  const auto stranger = crypto::Identity::generate();
  CHECK(a.peer->cancel(*seal(a.peer->network(), stranger, protocol::Cancel{*job}).raw).error().code == base::ErrorCode::refused);
  CHECK(a.peer->cancel(envelope(protocol::Cancel{base::JobId{}})).error().code == base::ErrorCode::not_found);
  REQUIRE(a.peer->cancel(envelope(protocol::Cancel{*job})));
  CHECK(a.peer->job(*job)->state == protocol::JobState::canceled);
  CHECK(a.peer->accepted(base::JobId{}).error().code == base::ErrorCode::not_found);
}

TEST_CASE("a blob that nobody holds is an error after its time, not a hang") {
  ScratchFolder scratch;
  Host a(scratch, "a");
  REQUIRE(a.start(std::nullopt));
  const auto missing = a.peer->fetch(base::JobId{}, {name_of(base::view("nowhere")), 7}, milliseconds(50));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == base::ErrorCode::temporary);
}
