#include "worker/local_server.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "sdk/cli/command_line.hpp"
#include "sdk/client/client.hpp"
#include "sdk/client/connection.hpp"
#include "tests/support/scratch.hpp"

using namespace starling;
using client::Descriptor;
using client::Frame;
using client::Json;

namespace {

// A peer that knows one swarm, keeps blobs in memory and takes every job it can open.
class FakePeer final : public runtime::Peer {
 public:
  explicit FakePeer(std::filesystem::path folder) : folder_(std::move(folder)) {
    swarm_.kind = protocol::SwarmKind::development;
    swarm_.name = "test \xc3\xa9";
    self_.bytes[0] = std::byte{1};
  }

  base::PeerId id() const override { return self_; }
  std::uint16_t port() const override { return 4711; }
  const protocol::SwarmParameters& swarm() const override { return swarm_; }
  base::NetworkId network() const override { return runtime::network_id_of(swarm_); }
  protocol::Ticket invite() override { return {.swarm = swarm_, .secret = std::nullopt, .peers = {{.id = self_, .addresses = {"127.0.0.1:4711"}}}}; }

  base::Expected<base::Digest> put_blob(base::ByteView bytes) override {
    const auto name = crypto::sha256(bytes);
    blobs_[name] = base::copy(bytes);
    return name;
  }
  base::Expected<base::Digest> import_file(const std::filesystem::path& file) override {
    return put_blob(client::read_file(file, 1 << 30).value());
  }
  base::Expected<base::JobId> submit(base::Bytes envelope) override {
    const auto statement = runtime::open(network(), std::make_shared<const base::Bytes>(std::move(envelope)));
    if (!statement) return std::unexpected(statement.error());
    protocol::JobStatus status;
    status.id = base::retag<base::JobId>(statement->id);
    status.owner = statement->author;
    status.manifest = std::make_shared<const protocol::Manifest>(std::get<protocol::Manifest>(statement->body));
    status.units = status.manifest->unit_count;
    status.banned.push_back(self_);
    jobs_.push_back(status);
    raw_.push_back(statement->raw);
    return status.id;
  }
  base::Expected<void> cancel(base::Bytes envelope) override {
    const auto statement = runtime::open(network(), std::make_shared<const base::Bytes>(std::move(envelope)));
    if (!statement) return std::unexpected(statement.error());
    for (auto& job : jobs_)
      if (job.id == std::get<protocol::Cancel>(statement->body).job) job.state = protocol::JobState::canceled;
    return {};
  }

  std::vector<protocol::JobStatus> jobs() override { return jobs_; }
  std::optional<protocol::JobStatus> job(const base::JobId& wanted) override {
    for (const auto& job : jobs_)
      if (job.id == wanted) return job;
    return std::nullopt;
  }
  base::Expected<std::vector<runtime::AcceptedUnit>> accepted(const base::JobId&) override {
    runtime::AcceptedUnit unit;
    unit.unit = 3;
    unit.outcome = {.kind = protocol::OutcomeKind::exit_code, .code = -1, .digest = crypto::sha256(base::view("x")), .fuel = UINT64_MAX};
    unit.archive_bytes = 1ULL << 33;
    return std::vector{unit};
  }
  base::Expected<base::Bytes> fetch(const base::JobId&, const protocol::BlobRef& blob, std::chrono::milliseconds) override {
    return blobs_.at(blob.name);
  }
  base::Expected<std::filesystem::path> fetch_file(const base::JobId&, const protocol::BlobRef& blob, std::chrono::milliseconds) override {
    if (!blobs_.contains(blob.name)) return base::fail(base::ErrorCode::temporary, "nobody has it", "wait");
    const auto file = folder_ / "fetched";
    REQUIRE(client::write_file(file, blobs_.at(blob.name)).has_value());
    return file;
  }
  base::Expected<std::vector<std::shared_ptr<const base::Bytes>>> evidence(const base::JobId&) override { return raw_; }

  base::Expected<protocol::UnitExplanation> explain(const base::JobId&, base::UnitIndex unit, std::optional<std::uint32_t> segment) override {
    if (unit >= 10) return base::fail(base::ErrorCode::not_found, "no such unit", "its units are 0 to 9");
    unit_.unit = unit;
    unit_.segment = segment.value_or(7);
    return unit_;
  }
  base::Expected<protocol::JobExplanation> explain(const base::JobId&) override { return explanation_; }
  std::vector<protocol::ReplayExplanation> proofs_against(const base::JobId&, const base::PeerId& peer) override {
    auto proofs = unit_.replays;
    for (auto& proof : proofs) proof.fact.accused = peer;
    return proofs;
  }
  bool id_proven(const base::PeerId& peer) override { return peer == self_; }

  void confirm(const base::JobId&) override {}
  void set_paused(bool) override {}
  std::vector<protocol::PeerStatus> peers() override { return {{.id = self_, .linked = true, .light = false, .addresses = {"127.0.0.1:1"}}}; }
  runtime::PeerCounters counters() override { return {}; }
  std::optional<base::Error> trouble() override { return std::nullopt; }
  std::uint64_t wait_change(std::uint64_t seen, std::chrono::milliseconds) override { return seen + 1; }

  std::vector<std::shared_ptr<const base::Bytes>> raw_;
  protocol::UnitExplanation unit_;
  protocol::JobExplanation explanation_;

 private:
  std::filesystem::path folder_;
  protocol::SwarmParameters swarm_;
  base::PeerId self_;
  std::map<base::Digest, base::Bytes> blobs_;
  std::vector<protocol::JobStatus> jobs_;
};

struct Worker {
  explicit Worker(worker::Patience patience_of_server = {}) : patience(patience_of_server) {}
  worker::Patience patience;
  testing::ScratchFolder scratch;
  FakePeer peer{scratch.path()};
  client::PeerService service{peer};
  std::unique_ptr<worker::LocalServer> server = worker::LocalServer::start(client::socket_of(scratch.path()), service, patience).value();

  client::Client connect() const {
    client::ConnectOptions options;
    options.state_folder = scratch.path();
    options.owner_key_file = scratch.path() / "config" / "owner.key";
    options.embed = false;
    return client::Client::connect(std::move(options)).value();
  }
  client::LocalSocket raw_socket() const { return client::LocalSocket::connect(client::socket_of(scratch.path())).value(); }
};

bool is_closed(client::LocalSocket& socket) {
  const auto reply = socket.receive(client::reply_bounds, std::chrono::seconds(10));
  return !reply && reply.error().code == base::ErrorCode::temporary;
}

void send_raw(const client::LocalSocket& socket, base::ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // the worker has hung up: as it should
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

Json ask(client::LocalSocket& socket, const std::string& request) {
  REQUIRE(socket.send({.json = request, .payload = {}}).has_value());
  return client::parse_json(socket.receive(client::reply_bounds, std::chrono::seconds(10)).value().json);
}

}  // namespace

TEST_CASE("a client submits, looks, cancels and exports through the socket") {
  Worker worker;
  auto client = worker.connect();
  const auto program = worker.scratch.path() / "p.wasm";
  REQUIRE(client::write_file(program, base::view("program")).has_value());
  const auto job = client.submit(client::JobSpec(program).name("n \xc3\xa9").items({"a", "b"}).input("i", program).split("bands").arguments({"x"}).fuel(1ULL << 60));
  REQUIRE_MESSAGE(job.has_value(), job.error().message);

  const auto status = client.job(*job);
  REQUIRE(status.has_value());
  CHECK(*status->manifest == *worker.peer.job(*job)->manifest);
  CHECK(status->manifest->limits.fuel == 1ULL << 60);
  CHECK(status->banned == worker.peer.job(*job)->banned);
  CHECK(client.jobs()->size() == 1);
  CHECK(client.find({.id = "last", .name = {}}) == *job);
  CHECK(client.find({.id = job->brief(), .name = {}}) == *job);
  CHECK(client.live_workers() == 2U);

  const auto units = client.accepted(*job);
  REQUIRE(units.has_value());
  CHECK(units->front().unit == 3);
  CHECK(units->front().outcome.code == -1);
  CHECK(units->front().archive_bytes == 1ULL << 33);
  CHECK(units->front().outcome.fuel == UINT64_MAX);

  const auto evidence = client.evidence(*job);
  REQUIRE(evidence.has_value());
  CHECK(evidence->swarm == worker.peer.swarm());
  CHECK(runtime::judge(*evidence, {})->job == *job);

  REQUIRE(client.cancel(*job).has_value());
  CHECK(client.wait(*job, [](const auto&) { return true; })->state == protocol::JobState::canceled);
  CHECK(client.cancel(*job).error().code == base::ErrorCode::bad_input);  // what has ended stays as it ended
}

TEST_CASE("the share of audits that submit is told stands in the manifest that the worker gets") {
  struct AnyProgram final : client::ProgramRunner {
    base::Expected<void> prepare() override { return {}; }
    base::Expected<void> check(const std::filesystem::path&) override { return {}; }
    base::Expected<client::ProgramFacts> look_at(const std::filesystem::path&) override { return client::ProgramFacts{}; }
    base::Expected<client::LocalRunEnd> run(const client::LocalRun&) override { return client::LocalRunEnd{}; }
  } programs;
  struct NoWorkers final : cli::WorkerLauncher {
    base::Expected<void> launch(const cli::WorkerOptions&, const std::function<void(const cli::WorkerReady&)>&) override { return {}; }
  } workers;
  Worker worker;
  ::setenv("XDG_CONFIG_HOME", (worker.scratch.path() / "config").c_str(), 1);
  const auto program = worker.scratch.path() / "p.wasm";
  REQUIRE(client::write_file(program, base::view("program")).has_value());
  cli::Ports ports{.programs = programs, .workers = workers};
  const std::atomic<bool> interrupted = false;
  std::FILE* nowhere = std::fopen("/dev/null", "w");
  const int code = cli::run({"--state", worker.scratch.path().string(), "submit", program.string(), "--audits", "20", "--detach"}, ports, interrupted, nowhere, nowhere);
  std::fclose(nowhere);
  CHECK(code == 0);
  REQUIRE(worker.peer.jobs().size() == 1);
  CHECK(worker.peer.jobs().front().manifest->audit_percent == 20);
}

TEST_CASE("explanations, proofs and ids come through the socket") {
  Worker worker;
  auto client = worker.connect();
  worker.peer.unit_.replays.resize(2);
  worker.peer.explanation_.answers = 12;
  worker.peer.explanation_.peers.emplace_back().stated = 3;
  CHECK(client.explain(base::JobId{})->answers == 12);
  CHECK(client.explain(base::JobId{})->peers == worker.peer.explanation_.peers);
  CHECK(client.explain(base::JobId{}, 9)->unit == 9);
  CHECK(client.explain(base::JobId{}, 9)->segment == 7);  // nobody asked for one: the peer chooses
  CHECK(client.explain(base::JobId{}, 9, 0)->segment == 0);
  const auto missing = client.explain(base::JobId{}, 10);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == base::ErrorCode::not_found);
  base::PeerId other;
  other.bytes[0] = std::byte{9};
  const auto proofs = client.proofs_against(base::JobId{}, other);
  REQUIRE(proofs.has_value());
  REQUIRE(proofs->size() == 2);
  CHECK(proofs->front().fact.accused == other);
  CHECK(client.id_proven(worker.peer.id()) == true);
  CHECK(client.id_proven(other) == false);
}

TEST_CASE("a job that other peers would refuse is refused here, with its reason") {
  Worker worker;
  auto client = worker.connect();
  const auto program = worker.scratch.path() / "p.wasm";
  REQUIRE(client::write_file(program, base::view("program")).has_value());
  const auto refused = client.submit(client::JobSpec(program).name("steers \x1b[2J terminals"));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == base::ErrorCode::bad_input);
  const auto too_long = client.submit(client::JobSpec(program).arguments(std::vector<std::string>(64, std::string(256, 'x'))));
  REQUIRE_FALSE(too_long.has_value());
  CHECK_MESSAGE(too_long.error().code == base::ErrorCode::bad_input, too_long.error().message);
  CHECK(client.jobs()->empty());
}

TEST_CASE("evidence longer than a frame comes in pieces") {
  Worker worker;
  auto client = worker.connect();
  for (int i = 0; i < 700; ++i) worker.peer.raw_.push_back(std::make_shared<const base::Bytes>(16 * 1024, static_cast<std::byte>(i)));
  const auto evidence = client.evidence(base::JobId{});
  REQUIRE(evidence.has_value());
  REQUIRE(evidence->envelopes.size() == 700);
  CHECK(*evidence->envelopes[699] == *worker.peer.raw_[699]);
}

TEST_CASE("blobs longer than a frame come in pieces") {
  Worker worker;
  auto client = worker.connect();
  base::Bytes blob(limits::local_payload_bytes_max * 2 + 17);
  base::Rng rng(7);
  for (auto& byte : blob) byte = static_cast<std::byte>(rng.next());
  const auto name = worker.peer.put_blob(blob).value();
  CHECK(client.fetch(base::JobId{}, {.name = name, .size_bytes = blob.size()}, std::chrono::seconds(5)) == blob);
  const auto missing = client.fetch(base::JobId{}, {.name = {}, .size_bytes = 1}, std::chrono::seconds(5));
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == base::ErrorCode::temporary);
  CHECK(missing.error().hint == "wait");
}

TEST_CASE("only the owner cancels") {
  Worker worker;
  auto client = worker.connect();
  const auto program = worker.scratch.path() / "p.wasm";
  REQUIRE(client::write_file(program, base::view("program")).has_value());
  const auto job = client.submit(client::JobSpec(program)).value();
  std::filesystem::remove(worker.scratch.path() / "config" / "owner.key");
  auto stranger = worker.connect();
  const auto refused = stranger.cancel(job);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == base::ErrorCode::refused);
}

TEST_CASE("the socket is for its user alone") {
  Worker worker;
  struct stat about{};
  REQUIRE(::stat(client::socket_of(worker.scratch.path()).c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  CHECK(worker::LocalServer::start(client::socket_of(worker.scratch.path()), worker.service).error().code == base::ErrorCode::temporary);
}

TEST_CASE("hostile bytes close their own connection and no other") {
  Worker worker;
  auto neighbour = worker.raw_socket();
  base::Rng rng(3);
  for (int round = 0; round < 20; ++round) {
    auto hostile = worker.raw_socket();
    base::Bytes noise(4096);
    for (auto& byte : noise) byte = static_cast<std::byte>(rng.next() | 0x80);  // lengths far beyond the bounds
    send_raw(hostile, noise);
    CHECK(is_closed(hostile));
  }
  CHECK(ask(neighbour, R"({"op":"status"})")["port"] == 4711);
}

TEST_CASE("wrong requests get an error and keep the connection") {
  Worker worker;
  auto socket = worker.raw_socket();
  for (const std::string request :
       {"", "null", "[]", "{", R"({"op":1})", R"({"op":"no-such"})", R"({"op":"job"})", R"({"op":"job","job":7})", R"({"op":"job","job":"x"})",
        R"({"op":"wait","seen":-1,"timeout_ms":1})", R"({"op":"wait","seen":1e99,"timeout_ms":1})", R"({"op":"import","path":"/no/such/file"})",
        R"({"op":"fetch","job":"a","blob":"b","size_bytes":1,"offset":0,"timeout_ms":0})", R"({"op":"submit"})", R"({"op":"cancel"})",
        R"({"op":"explain"})", R"({"op":"explain","job":"x"})", R"({"op":"explain","job":"JOB","unit":-1})", R"({"op":"explain","job":"JOB","unit":4294967296})",
        R"({"op":"explain","job":"JOB","unit":1,"segment":"a"})", R"({"op":"proofs","job":"JOB"})", R"({"op":"id","peer":7})", "\xff\xff\xff\xff"}) {
    const auto job = request.find("JOB");
    const Json reply = ask(socket, job == std::string::npos ? request : std::string(request).replace(job, 3, base::JobId{}.base32()));
    CHECK_MESSAGE(reply.contains("error"), request);
    CHECK(reply["error"]["message"].is_string());
  }
  const std::string deep(60 * 1024, '[');
  CHECK(ask(socket, deep).contains("error"));
  CHECK(ask(socket, R"({"op":"status"})")["port"] == 4711);
}

TEST_CASE("beyond the most connections the worker hangs up, and serves again when one leaves") {
  Worker worker;
  std::vector<client::LocalSocket> held;
  for (std::size_t i = 0; i < limits::local_connections_max; ++i) {
    held.push_back(worker.raw_socket());
    CHECK(ask(held.back(), R"({"op":"status"})").contains("id"));
  }
  auto refused = worker.raw_socket();
  CHECK(is_closed(refused));
  held.clear();
  for (int attempt = 0; attempt < 1000; ++attempt) {
    auto socket = worker.raw_socket();
    if (socket.send({.json = R"({"op":"status"})", .payload = {}}) && socket.receive(client::reply_bounds, std::chrono::seconds(10))) return;
  }
  FAIL("no connection was served again");
}

TEST_CASE("requests begun and never finished hold their places for a short time only; idle connections stay") {
  Worker worker({.request = std::chrono::milliseconds(100)});
  auto idle = worker.raw_socket();
  CHECK(ask(idle, R"({"op":"status"})").contains("id"));
  std::vector<client::LocalSocket> begun;
  for (std::size_t i = 0; i + 1 < limits::local_connections_max; ++i) {
    begun.push_back(worker.raw_socket());
    send_raw(begun.back(), base::Bytes(3));
  }
  for (auto& socket : begun) CHECK(is_closed(socket));  // while all of them are still held open at this end
  auto socket = worker.raw_socket();
  CHECK(ask(socket, R"({"op":"jobs"})").contains("jobs"));
  CHECK(ask(idle, R"({"op":"status"})").contains("id"));
}

TEST_CASE("a request in drops gets no more time than one that stopped") {
  Worker worker({.request = std::chrono::milliseconds(300)});
  auto slow = worker.raw_socket();
  const base::Bytes request = client::encode_frame({.json = R"({"op":"status"})" + std::string(2000, ' '), .payload = {}});
  bool cut = false;
  for (std::size_t i = 0; i < request.size() && !cut; ++i) {
    const std::byte drop = request[i];
    cut = ::send(slow.descriptor(), &drop, 1, MSG_NOSIGNAL) <= 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // 10 s for the whole of it
  }
  CHECK(cut);
}

TEST_CASE("a stopping worker does not wait for idle clients") {
  Worker worker;
  auto idle = worker.raw_socket();
  CHECK(ask(idle, R"({"op":"status"})").contains("id"));
  worker.server.reset();
  CHECK(is_closed(idle));
  CHECK_FALSE(std::filesystem::exists(client::socket_of(worker.scratch.path())));
  CHECK(client::connect_to_worker(worker.scratch.path()).error().code == base::ErrorCode::not_found);
}

TEST_CASE("a socket left behind by a dead worker is replaced") {
  testing::ScratchFolder scratch;
  {
    const auto dead = client::listen_locally(client::socket_of(scratch.path()));
    REQUIRE(dead.has_value());
  }
  CHECK(std::filesystem::exists(client::socket_of(scratch.path())));
  CHECK(client::connect_to_worker(scratch.path()).error().code == base::ErrorCode::not_found);
  FakePeer peer(scratch.path());
  client::PeerService service(peer);
  CHECK(worker::LocalServer::start(client::socket_of(scratch.path()), service).has_value());
}

TEST_CASE("a state folder with a long name has a socket too") {
  testing::ScratchFolder scratch;
  const auto folder = scratch.path() / std::string(200, 'x');
  std::filesystem::create_directory(folder);
  FakePeer peer(folder);
  client::PeerService service(peer);
  const auto server = worker::LocalServer::start(client::socket_of(folder), service);
  REQUIRE(server.has_value());
  CHECK(client::connect_to_worker(folder).has_value());
}
