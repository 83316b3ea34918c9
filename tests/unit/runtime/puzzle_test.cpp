// The price of an id, with real links and the real Argon2id at a difficulty of a few tries.
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/puzzle.hpp"
#include "coordinator-less/runtime/authenticator.hpp"
#include "coordinator-less/runtime/peer.hpp"
#include "coordinator-less/runtime/puzzle_checker.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

constexpr std::uint8_t bits = 3;

protocol::SwarmParameters swarm_of(protocol::SwarmKind kind, std::uint8_t puzzle_bits) {
  auto swarm = swarm_named("puzzle");
  swarm.kind = kind;
  swarm.puzzle_difficulty_bits = puzzle_bits;
  return swarm;
}

struct Worker {
  explicit Worker(std::filesystem::path where) : folder(std::move(where)) {}
  void start(const std::optional<protocol::Ticket>& join) {
    PeerOptions options;
    options.state_folder = folder;
    options.join = join;
    if (!join && !std::filesystem::exists(folder)) options.create = swarm_of(protocol::SwarmKind::public_swarm, bits);
    log = std::make_shared<RecordingLog>();
    options.log = log;
    executor = std::make_unique<FakeExecutor>([](const UnitWork& work, UnitInputs&, const FakeExecutor::Stopped&) -> UnitEnd {
      return UnitDone{protocol::OutcomeKind::ok, 0, bytes_of("unit " + std::to_string(work.unit)), {}};
    });
    auto started = Peer::start(std::move(options), executor.get());
    REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().message));
    peer = *std::move(started);
  }

  std::filesystem::path folder;
  std::shared_ptr<RecordingLog> log;
  std::unique_ptr<FakeExecutor> executor;
  std::unique_ptr<Peer> peer;
};

bool wait_until(Peer& peer, const std::function<bool()>& holds) {
  const auto deadline = read_clock().steady + base::seconds(60);
  for (std::uint64_t seen = 0; !holds(); seen = peer.wait_change(seen, std::chrono::milliseconds(200)))
    if (read_clock().steady > deadline) return false;
  return true;
}

bool linked(Peer& peer, const base::PeerId& other) {
  const auto peers = peer.peers();
  return std::ranges::any_of(peers, [&](const auto& status) { return status.id == other && status.linked; });
}

std::uint64_t wrong_nonce(const base::PeerId& id) {
  std::uint64_t nonce = 0;
  while (crypto::check(id, nonce, bits)) ++nonce;
  return nonce;
}

// A peer made of parts, that says of its nonce what it likes.
struct Forger {
  explicit Forger(Peer& victim) : notary(victim.network(), keys) {
    net::TransportConfig config;
    config.self = keys.id();
    config.curve_public = keys.curve_public();
    config.curve_secret = keys.curve_secret();
    config.network = victim.network();
    config.role = net::Role::worker;
    auto started = net::Transport::start(config, make_authenticator(keys, std::nullopt), [this](net::Event&& event) {
      const std::lock_guard lock(mutex);
      up = up || std::holds_alternative<net::LinkUp>(event);
      down = down || std::holds_alternative<net::LinkDown>(event);
      changed.notify_all();
      return true;
    });
    REQUIRE(started);
    links = *std::move(started);
    links->dial(victim.id(), "127.0.0.1:" + std::to_string(victim.port()));
    REQUIRE(wait(up));
    protocol::PeerRecord record;
    record.sequence = static_cast<std::uint64_t>(read_clock().unix_s) * 1000;
    record.puzzle_nonce = wrong_nonce(keys.id());
    const protocol::LinkMessage message = protocol::StatementBundle{{notary.seal(record).raw}};
    links->send(victim.id(), std::make_shared<const Bytes>(wire::encode_link(message)));
  }
  bool wait(const bool& what, std::chrono::seconds patience = std::chrono::seconds(30)) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, patience, [&] { return what; });
  }

  crypto::Identity keys = crypto::Identity::generate();
  SigningNotary notary;
  std::mutex mutex;
  std::condition_variable changed;
  bool up = false, down = false;
  std::unique_ptr<net::Transport> links;
};

}  // namespace

TEST_CASE("puzzle: two peers that paid for their ids link and verify, mint once, and refuse a forged nonce") {
  ScratchFolder scratch;
  Worker a(scratch / "a"), b(scratch / "b");
  a.start(std::nullopt);
  REQUIRE(a.log->wait_for("id is minted"));
  b.start(a.peer->invite());
  CHECK(b.log->wait_for("minting this peer's id"));
  REQUIRE(wait_until(*a.peer, [&] { return linked(*a.peer, b.peer->id()); }));

  const JobBlobs blobs(2);
  REQUIRE(a.peer->put_blob(blobs.program));
  REQUIRE(a.peer->put_blob(blobs.units));
  REQUIRE(a.peer->put_blob(blobs.input));
  const auto owner = crypto::Identity::generate();
  const auto job = a.peer->submit(*seal(a.peer->network(), owner, blobs.manifest).raw);
  REQUIRE(job);
  CHECK(wait_until(*a.peer, [&] { return a.peer->job(*job)->state == protocol::JobState::finished; }));

  b.peer.reset();
  b.start(std::nullopt);
  CHECK_FALSE(b.log->says("minting"));  // the nonce is kept
  CHECK(wait_until(*b.peer, [&] { return linked(*b.peer, a.peer->id()); }));

  Forger forger(*a.peer);
  CHECK(forger.wait(forger.down));
  CHECK(wait_until(*a.peer, [&] { return !linked(*a.peer, forger.keys.id()); }));
  CHECK(a.log->says("has not paid for its id"));
  CHECK(linked(*a.peer, b.peer->id()));
}

TEST_CASE("puzzle: minting ends with its owner, and a swarm that cannot be has no folder's identity") {
  ScratchFolder scratch;
  {
    PuzzleChecker checker(std::make_shared<Inbox>());
    checker.mint(crypto::Identity::generate().id(), limits::puzzle_difficulty_bits_max);  // two days, but it goes at once
  }
  for (const auto& swarm : {swarm_of(protocol::SwarmKind::private_swarm, bits), swarm_of(protocol::SwarmKind::development, bits),
                            swarm_of(protocol::SwarmKind::public_swarm, limits::puzzle_difficulty_bits_max + 1)}) {
    PeerOptions options;
    options.state_folder = scratch / "refused";
    options.light = true;
    options.create = swarm;
    const auto started = Peer::start(options, nullptr);
    REQUIRE_FALSE(started);
    CHECK(started.error().code == base::ErrorCode::bad_input);
  }
}

TEST_CASE("puzzle: a peer that mints says so, and a light peer need not") {
  ScratchFolder scratch;
  PeerOptions options;
  options.state_folder = scratch / "worker";
  options.create = swarm_of(protocol::SwarmKind::public_swarm, limits::puzzle_difficulty_bits_max);
  FakeExecutor executor([](const UnitWork&, UnitInputs&, const FakeExecutor::Stopped&) -> UnitEnd { return UnitDropped{"none"}; });
  auto worker = Peer::start(options, &executor);
  REQUIRE(worker);
  REQUIRE(wait_until(**worker, [&] { return (*worker)->trouble().has_value(); }));
  CHECK((*worker)->trouble()->message.contains("minting"));
  PeerOptions light;
  light.state_folder = scratch / "light";
  light.join = (*worker)->invite();
  light.light = true;
  auto reader = Peer::start(light, nullptr);
  REQUIRE(reader);
  (*reader)->jobs();
  CHECK_FALSE((*reader)->trouble());
}
