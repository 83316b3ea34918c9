#include "coordinator-less/runtime/peer.hpp"

#include <algorithm>
#include <future>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/runtime/clock.hpp"
#include "coordinator-less/runtime/descriptor.hpp"
#include "coordinator-less/runtime/driver.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "coordinator-less/runtime/home.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "coordinator-less/runtime/range_reader.hpp"

namespace starling::runtime {
namespace {

using base::ErrorCode;
using base::Expected;

std::string address_of(const std::string& host, std::uint16_t port) {
  return (host.contains(':') ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::vector<std::string> own_addresses(const PeerOptions& options, std::uint16_t port) {
  std::vector<std::string> addresses;
  if (port == 0) return addresses;
  for (const auto& host : options.advertise_hosts) addresses.push_back(address_of(host, port));
  const bool any_host = options.bind_host == "0.0.0.0" || options.bind_host == "::";
  if (addresses.empty() && !any_host) addresses.push_back(address_of(options.bind_host, port));
  if (addresses.size() > limits::addresses_per_peer_max) addresses.resize(limits::addresses_per_peer_max);
  return addresses;
}

net::TransportConfig transport_config(const PeerOptions& options, const Home& home) {
  net::TransportConfig config;
  config.self = home.identity.id();
  config.curve_public = home.identity.curve_public();
  config.curve_secret = home.identity.curve_secret();
  config.network = network_id_of(home.swarm);
  config.role = options.light ? net::Role::light : net::Role::worker;
  config.bind_host = options.light ? "" : options.bind_host;
  config.bind_port = options.bind_port != 0 ? options.bind_port : home.stored_port;
  return config;
}

// The stored port is a wish: when it is taken any other will do. A port that the user named is not.
Expected<std::unique_ptr<net::Transport>> start_links(const PeerOptions& options, const Home& home, std::shared_ptr<Inbox> inbox) {
  auto config = transport_config(options, home);
  const auto sink = [inbox](net::Event&& event) { return inbox->offer(std::move(event)); };
  auto links = net::Transport::start(config, make_authenticator(home.identity, home.secret), sink);
  if (links || options.bind_port != 0 || config.bind_port == 0) return links;
  config.bind_port = 0;
  return net::Transport::start(config, make_authenticator(home.identity, home.secret), sink);
}

base::Rng random_rng() {
  base::Digest seed;
  crypto::fill_random(seed.bytes);
  return base::Rng(seed);
}

Expected<void> check_blob(const storage::BlobStore& blobs, const protocol::BlobRef& blob, const std::string& what) {
  if (blobs.has(blob.name) && blobs.size_of(blob.name) == blob.size_bytes) return {};
  return base::fail(ErrorCode::bad_input, what + " of the job is not in this peer's store", "put it there before the manifest");
}

Expected<void> check_blobs(const storage::BlobStore& blobs, const protocol::Manifest& manifest) {
  if (auto ok = check_blob(blobs, manifest.program, "the program"); !ok) return ok;
  if (auto ok = check_blob(blobs, manifest.units, "the list of units"); !ok) return ok;
  for (const auto& input : manifest.inputs)
    if (auto ok = check_blob(blobs, input.blob, "input " + input.name); !ok) return ok;
  STARLING_TRY(const Descriptor units, open_blob(blobs, manifest.units.name));
  if (auto lines = UnitLines::scan(units.get(), manifest); !lines) return std::unexpected(std::move(lines).error());
  return {};
}

auto unknown(const base::JobId& job) {
  return base::fail(ErrorCode::not_found, "no job " + job.brief() + " is known here", "see the list of jobs");
}

// Of a job whose evidence is on the disk alone.
auto unreadable(const base::JobId& job) {
  return base::fail(ErrorCode::temporary, "what is stored of job " + job.brief() + " cannot be read now", "see the peer's log for what its disk says");
}

auto no_such_unit(const protocol::JobStatus& job, base::UnitIndex unit) {
  if (unit >= job.units)
    return base::fail(ErrorCode::not_found, "job " + job.id.brief() + " has no unit " + std::to_string(unit), "its units are 0 to " + std::to_string(job.units - 1));
  return base::fail(ErrorCode::not_found, "unit " + std::to_string(unit) + " of job " + job.id.brief() + " has no such segment",
                    job.segments == job.units ? "its units are not cut into segments" : "its segments are 0 to " + std::to_string(job.segments / job.units - 1));
}

std::optional<protocol::JobStatus> status_of(const protocol::Node& node, const base::JobId& id) {
  auto status = node.job(id);
  if (status) status->finality = *node.finality(id);
  return status;
}

class RunningPeer final : public Peer {
 public:
  RunningPeer(PeerOptions options, Home home, UnitExecutor* executor)
      : options_(std::move(options)),
        home_(std::move(home)),
        network_(network_id_of(home_.swarm)),
        notary_(network_, home_.identity),
        reader_(home_.blobs, inbox_, read_clock) {
    if (executor) executor->attach(reader_);
  }

  ~RunningPeer() override {
    if (!thread_.joinable()) return;
    reader_.close();
    inbox_->push(Call{[](Driver& driver) { driver.begin_closing(); }});
    ask<bool>([](Driver&) { return true; });  // the runs have been asked to stop
    driver_->wait_idle();
    inbox_->close();
    thread_.join();
  }

  Expected<void> begin(UnitExecutor* executor) {
    STARLING_TRY(links_, start_links(options_, home_, inbox_));
    if (port() != 0 && port() != home_.stored_port)
      if (auto kept = store_port(*home_.evidence, port()); !kept) return kept;
    protocol::NodeConfig config;
    config.self = id();
    config.light = options_.light;
    config.paused = options_.paused;
    config.slots = options_.slots;
    config.blob_quota_bytes = home_.blobs->quota_bytes();
    config.own_addresses = own_addresses(options_, port());
    config.roots = options_.roots;
    config.projects = options_.projects;
    config.only_projects = options_.only_projects;
    config.credit_to = options_.credit_to;
    config.doubts_itself = options_.doubts_itself;
    config.puzzle_difficulty_bits = home_.swarm.puzzle_difficulty_bits;
    config.puzzle_nonce = home_.puzzle_nonce;
    driver_ = std::make_unique<Driver>(
        World{*home_.evidence, home_.blobs, *links_, executor, inbox_, notary_, *options_.log, pins_, changes_, read_clock},
        std::move(config), random_rng());
    if (auto restored = driver_->restore(); !restored) return restored;
    if (auto known = meet_peers(); !known) return known;
    thread_ = std::thread([this] { driver_->run(); });
    options_.log->info("peer " + id().base32() + " in swarm " + network_.brief());
    return {};
  }

  base::PeerId id() const override { return home_.identity.id(); }
  std::uint16_t port() const override { return links_->port(); }
  const protocol::SwarmParameters& swarm() const override { return home_.swarm; }
  base::NetworkId network() const override { return network_; }
  protocol::Ticket invite() override;

  Expected<base::Digest> put_blob(base::ByteView bytes) override {
    return keep([&] { return home_.blobs->put(bytes); });
  }
  Expected<base::Digest> import_file(const std::filesystem::path& file) override {
    return keep([&] { return home_.blobs->import_file(file); });
  }
  Expected<base::JobId> submit(base::Bytes manifest_envelope) override;
  Expected<void> cancel(base::Bytes cancel_envelope) override;

  std::vector<protocol::JobStatus> jobs() override;
  std::optional<protocol::JobStatus> job(const base::JobId& job) override {
    return ask<std::optional<protocol::JobStatus>>([&](Driver& driver) { return status_of(driver.node(), job); });
  }
  Expected<std::vector<AcceptedUnit>> accepted(const base::JobId& job) override;
  Expected<base::Bytes> fetch(const base::JobId& job, const protocol::BlobRef& blob, std::chrono::milliseconds timeout) override;
  Expected<std::filesystem::path> fetch_file(const base::JobId& job, const protocol::BlobRef& blob,
                                             std::chrono::milliseconds timeout) override;
  Expected<std::vector<std::shared_ptr<const base::Bytes>>> evidence(const base::JobId& job) override;

  Expected<protocol::UnitExplanation> explain(const base::JobId& job, base::UnitIndex unit, std::optional<std::uint32_t> segment) override;
  Expected<protocol::JobExplanation> explain(const base::JobId& job) override;
  std::vector<protocol::ReplayExplanation> proofs_against(const base::JobId& job, const base::PeerId& peer) override {
    return ask<std::vector<protocol::ReplayExplanation>>([&](Driver& driver) { return driver.node().proofs_against(job, peer); });
  }
  bool id_proven(const base::PeerId& peer) override {
    return ask<bool>([&](Driver& driver) { return driver.node().id_proven(peer); });
  }

  void confirm(const base::JobId& job) override { inbox_->push(protocol::Input(protocol::Confirm{job})); }
  void set_paused(bool paused) override { inbox_->push(protocol::Input(protocol::Pause{paused})); }

  std::vector<protocol::PeerStatus> peers() override {
    return ask<std::vector<protocol::PeerStatus>>([](Driver& driver) { return driver.node().peers(); });
  }
  PeerCounters counters() override;
  std::optional<base::Error> trouble() override { return driver_->trouble(); }
  std::uint64_t wait_change(std::uint64_t seen, std::chrono::milliseconds timeout) override {
    return changes_.wait_after(seen, timeout);
  }

 private:
  Expected<void> bring_evidence(const base::JobId& job);

  // Asks on the protocol thread and waits for the answer. Never called on that thread.
  template <class R>
  R ask(std::move_only_function<R(Driver&)> question) {
    std::promise<R> promise;
    auto answer = promise.get_future();
    inbox_->push(Call{[&](Driver& driver) { promise.set_value(question(driver)); }});
    return answer.get();
  }

  // Feeds one input and waits until what follows from it is durable; `answer` then reads the core.
  template <class R>
  Expected<R> settle(protocol::Input input, std::move_only_function<Expected<R>(Driver&)> answer) {
    std::promise<Expected<R>> promise;
    auto future = promise.get_future();
    inbox_->push(Call{[&](Driver& driver) {
      if (driver.stalled()) return promise.set_value(std::unexpected(*driver.stalled()));
      driver.feed(std::move(input));
      driver.after_settled([&](Expected<void> settled) {
        promise.set_value(settled ? answer(driver) : Expected<R>(std::unexpected(settled.error())));
      });
    }});
    return future.get();
  }

  Expected<base::Digest> keep(const std::function<Expected<base::Digest>()>& put);
  Expected<void> meet_peers();

  PeerOptions options_;
  Home home_;
  base::NetworkId network_;
  SigningNotary notary_;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  BlobPins pins_;
  ChangeSignal changes_;
  RangeReader reader_;
  std::unique_ptr<net::Transport> links_;
  std::unique_ptr<Driver> driver_;  // after links_: destroyed before it
  std::thread thread_;
};

Expected<void> RunningPeer::meet_peers() {
  STARLING_TRY(auto known, home_.evidence->peers());
  if (options_.join) {
    for (const auto& peer : options_.join->peers) {
      // Kept at once: a restart without the ticket finds its way too.
      auto kept = home_.evidence->remember_peer({peer.id, peer.addresses, read_clock().unix_s});
      if (!kept) return kept;
      std::erase_if(known, [&](const auto& stored) { return stored.id == peer.id; });
      known.insert(known.begin(), {peer.id, peer.addresses, 0});
    }
  }
  for (auto& peer : known)
    if (peer.id != id()) inbox_->push(protocol::Input(protocol::AddPeer{peer.id, std::move(peer.addresses)}));
  return {};
}

protocol::Ticket RunningPeer::invite() {
  protocol::Ticket ticket{home_.swarm, home_.secret, {}};
  auto own = own_addresses(options_, port());
  if (!own.empty()) ticket.peers.push_back({id(), std::move(own)});
  for (auto& peer : peers()) {
    if (ticket.peers.size() >= limits::ticket_peers_max) break;
    if (peer.linked && !peer.addresses.empty() && peer.id != id()) ticket.peers.push_back({peer.id, std::move(peer.addresses)});
  }
  return ticket;
}

Expected<base::Digest> RunningPeer::keep(const std::function<Expected<base::Digest>()>& put) {
  auto name = put();
  if (!name && name.error().code == ErrorCode::temporary &&
      ask<bool>([](Driver& driver) { return driver.make_room(); }))
    name = put();
  if (!name) return name;
  pins_.pin(*name);
  inbox_->push(protocol::Input(protocol::BlobHeld{*name}));
  return name;
}

Expected<base::JobId> RunningPeer::submit(base::Bytes manifest_envelope) {
  STARLING_TRY(auto statement, open(network_, std::make_shared<const base::Bytes>(std::move(manifest_envelope))));
  const auto* body = std::get_if<protocol::Manifest>(&statement.body);
  if (!body) return base::fail(ErrorCode::bad_input, "the signed statement is not a manifest", "submit a job's manifest");
  const auto manifest = *body;
  if (manifest.expires_unix_s <= read_clock().unix_s)
    return base::fail(ErrorCode::bad_input, "the job has expired before it began", "check this machine's clock and submit again");
  if (auto held = check_blobs(*home_.blobs, manifest); !held) return std::unexpected(std::move(held).error());
  const auto job = base::retag<base::JobId>(statement.id);
  auto submitted = settle<base::JobId>(protocol::Submit{std::move(statement)}, [job](Driver& driver) -> Expected<base::JobId> {
    if (driver.node().job(job)) return job;
    return base::fail(ErrorCode::refused, "this peer does not take the job", "wait until some of its owner's " + std::to_string(limits::jobs_per_owner_max) + " unfinished jobs have ended");
  });
  if (!submitted) return submitted;
  pins_.unpin_all(manifest.program.name);  // the core needs them now
  pins_.unpin_all(manifest.units.name);
  for (const auto& input : manifest.inputs) pins_.unpin_all(input.blob.name);
  return submitted;
}

Expected<void> RunningPeer::cancel(base::Bytes cancel_envelope) {
  STARLING_TRY(auto statement, open(network_, std::make_shared<const base::Bytes>(std::move(cancel_envelope))));
  const auto* body = std::get_if<protocol::Cancel>(&statement.body);
  if (!body) return base::fail(ErrorCode::bad_input, "the signed statement is not a cancellation", "sign a cancellation");
  const auto status = job(body->job);
  if (!status) return base::fail(ErrorCode::not_found, "no job " + body->job.brief() + " is known here", "see the list of jobs");
  if (status->owner != statement.author)
    return base::fail(ErrorCode::refused, "job " + body->job.brief() + " belongs to another key", "cancel it with its owner's key");
  auto done = settle<bool>(protocol::CancelJob{std::move(statement)}, [](Driver&) -> Expected<bool> { return true; });
  if (!done) return std::unexpected(std::move(done).error());
  return {};
}

std::vector<protocol::JobStatus> RunningPeer::jobs() {
  return ask<std::vector<protocol::JobStatus>>([](Driver& driver) {
    std::vector<protocol::JobStatus> all;
    for (const auto& id : driver.node().jobs())
      if (auto status = status_of(driver.node(), id)) all.push_back(*std::move(status));
    return all;
  });
}

// A job that others told this peer in short: asking for its evidence makes it come, and a moment is waited for it, by who asks next as well.
Expected<void> RunningPeer::bring_evidence(const base::JobId& job) {
  const auto awaited = [&] {
    return ask<bool>([&](Driver& driver) {
      if (driver.node().folded(job)) driver.node().evidence(job);
      return driver.node().evidence_awaited(job);
    });
  };
  const auto deadline = read_clock().steady + limits::local_wait_max;
  for (std::uint64_t seen = 0; awaited();) {
    const auto left = deadline - read_clock().steady;
    if (left.ms <= 0)
      return base::fail(ErrorCode::temporary, "what came of job " + job.brief() + " was told by others, and its evidence is on its way", "ask again in some seconds");
    seen = changes_.wait_after(seen, std::chrono::milliseconds(std::min(left.ms, limits::evidence_look_interval.ms)));  // it may also stay away
  }
  return {};
}

Expected<std::vector<AcceptedUnit>> RunningPeer::accepted(const base::JobId& job) {
  if (auto brought = bring_evidence(job); !brought) return std::unexpected(std::move(brought).error());
  return ask<Expected<std::vector<AcceptedUnit>>>([&](Driver& driver) -> Expected<std::vector<AcceptedUnit>> {
    const auto* evidence = driver.node().evidence(job);
    const auto* verdict = driver.node().verdict(job);
    if (driver.node().asleep(job)) return unreadable(job);
    if (!evidence || !verdict) return unknown(job);
    const protocol::Segments segments(*driver.node().job(job)->manifest);
    std::vector<AcceptedUnit> units;
    for (base::UnitIndex unit = 0; unit < evidence->unit_count(); ++unit) {
      if (!verdict->ends(unit)) continue;
      const protocol::Outcome& found = *verdict->accepted_outcome(unit);
      units.push_back({segments.unit_of(unit), found, found.archive_bytes});
    }
    std::ranges::sort(units, {}, &AcceptedUnit::unit);
    return units;
  });
}

Expected<base::Bytes> RunningPeer::fetch(const base::JobId& job, const protocol::BlobRef& blob, std::chrono::milliseconds timeout) {
  const BlobPin pin(pins_, blob.name);
  const auto deadline = read_clock().steady + base::milliseconds(timeout.count());
  if (auto got = reader_.fetch_whole(job, blob, deadline); !got) return std::unexpected(std::move(got).error());
  auto bytes = home_.blobs->read(blob.name, blob.size_bytes);
  if (!bytes && !home_.blobs->has(blob.name)) inbox_->push(protocol::Input(protocol::BlobLost{blob.name}));  // found damaged
  return bytes;
}

Expected<std::filesystem::path> RunningPeer::fetch_file(const base::JobId& job, const protocol::BlobRef& blob,
                                                        std::chrono::milliseconds timeout) {
  const BlobPin pin(pins_, blob.name);
  const auto deadline = read_clock().steady + base::milliseconds(timeout.count());
  if (auto got = reader_.fetch_whole(job, blob, deadline); !got) return std::unexpected(std::move(got).error());
  return blob_path(*home_.blobs, blob.name);
}

Expected<std::vector<std::shared_ptr<const base::Bytes>>> RunningPeer::evidence(const base::JobId& job) {
  using Raws = std::vector<std::shared_ptr<const base::Bytes>>;
  if (auto brought = bring_evidence(job); !brought) return std::unexpected(std::move(brought).error());
  return ask<Expected<Raws>>([&](Driver& driver) -> Expected<Raws> {
    Raws raws;
    for (auto& statement : driver.node().statements_of(job)) raws.push_back(std::move(statement.raw));
    if (driver.node().asleep(job)) return unreadable(job);
    return raws;
  });
}

Expected<protocol::UnitExplanation> RunningPeer::explain(const base::JobId& job, base::UnitIndex unit, std::optional<std::uint32_t> segment) {
  if (auto brought = bring_evidence(job); !brought) return std::unexpected(std::move(brought).error());
  return ask<Expected<protocol::UnitExplanation>>([&](Driver& driver) -> Expected<protocol::UnitExplanation> {
    if (auto explained = driver.node().explain(job, unit, segment)) return *std::move(explained);
    const auto status = driver.node().job(job);
    if (!status) return unknown(job);
    if (driver.node().asleep(job)) return unreadable(job);
    return no_such_unit(*status, unit);
  });
}

Expected<protocol::JobExplanation> RunningPeer::explain(const base::JobId& job) {
  if (auto brought = bring_evidence(job); !brought) return std::unexpected(std::move(brought).error());
  return ask<Expected<protocol::JobExplanation>>([&](Driver& driver) -> Expected<protocol::JobExplanation> {
    if (auto explained = driver.node().explain(job)) return *std::move(explained);
    if (driver.node().asleep(job)) return unreadable(job);
    return unknown(job);
  });
}

PeerCounters RunningPeer::counters() {
  const auto links = links_->counters();
  return {links.bytes_sent,         links.bytes_received,     notary_.verified_count(),
          notary_.refused_count(), driver_->frames_refused(), driver_->blob_bytes()};
}

}  // namespace

Expected<std::unique_ptr<Peer>> Peer::start(PeerOptions options, UnitExecutor* executor) {
  STARLING_ENSURE(executor != nullptr || options.light);  // only light peers run nothing
  if (!options.log) options.log = silent_log();
  if (options.light) executor = nullptr;
  STARLING_TRY(Home home, open_home(options));
  auto peer = std::make_unique<RunningPeer>(std::move(options), std::move(home), executor);
  if (auto begun = peer->begin(executor); !begun) return std::unexpected(std::move(begun).error());
  return peer;
}

}  // namespace starling::runtime
