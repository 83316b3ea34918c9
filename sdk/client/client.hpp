// The C++ SDK: submit work to a swarm and collect what it agreed on. There is no server to log in to: the client talks to
// the worker of this machine over its UNIX socket or, when none runs, becomes a light peer of the swarm for as long as it
// lives. Either way the results are kept by the swarm, so a client may leave once its inputs are safe.
//
//   auto client = Client::connect({});
//   auto job = client->submit(JobSpec("primes.wasm").items({"1 1000", "1000 2000"}));
//   client->wait(*job, [](const auto&) { return true; });
//   client->for_each_result(*job, 1min, [](const Result& result) { ...; return Expected<void>{}; });
//
// Not thread-safe. Every error is a value with a hint.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/crypto/identity.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "coordinator-less/runtime/peer.hpp"
#include "sdk/client/folders.hpp"
#include "sdk/client/job_selector.hpp"
#include "sdk/client/job_spec.hpp"
#include "sdk/client/peer_service.hpp"
#include "sdk/client/unit_archive.hpp"

namespace starling::client {

struct ConnectOptions {
  std::filesystem::path state_folder = default_state_folder();
  std::filesystem::path owner_key_file = default_owner_key_file();
  std::optional<protocol::Ticket> join;  // for the light peer; a running worker has a swarm already
  bool embed = true;                     // false: only a running worker will do
  std::chrono::milliseconds first_link_timeout{10'000};
};

struct PeerInfo {
  base::PeerId id;
  std::uint16_t port = 0;
  int pid = 0;
  base::NetworkId network;
  protocol::SwarmParameters swarm;
  runtime::PeerCounters counters;
  std::vector<CageGap> cage;           // layers that protect this machine from programs and are not on
  bool paused = false;
  std::vector<RunningUnit> units;      // that run here now
  std::optional<base::Error> trouble;  // what keeps the peer from working, such as a full disk
};

struct Result {
  base::UnitIndex unit = 0;
  protocol::Outcome outcome;
  std::uint64_t first_item = 0;
  std::vector<ItemOutput> items;
};

class Connection;

class Client {
 public:
  static base::Expected<Client> connect(ConnectOptions options = {});
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  bool embedded() const { return embedded_; }
  const base::PeerId& owner() const { return owner_.id(); }

  base::Expected<base::JobId> submit(const JobSpec& spec);
  base::Expected<std::vector<protocol::JobStatus>> jobs();  // without arguments, inputs and blobs: job() gives those
  base::Expected<protocol::JobStatus> job(const base::JobId& id);
  // Why this machine's worker does not run the job's units as native, optimised code; empty when it does.
  base::Expected<std::string> note(const base::JobId& id);
  base::Expected<base::JobId> find(const JobSelector& selector);
  base::Expected<void> cancel(const base::JobId& id);

  // Calls `look` with every change until it returns false or the job has ended; gives the last status. Looks at least
  // every 250 ms, so that a caller can watch the clock or a signal.
  base::Expected<protocol::JobStatus> wait(const base::JobId& id, const std::function<bool(const protocol::JobStatus&)>& look);

  // Goes on until every unit is final as well (protocol/finality.hpp), or cannot become so: finality.obstacle of the last status says
  // why. The worker of this machine executes again what the swarm leaves unaudited; a light peer cannot.
  base::Expected<protocol::JobStatus> wait_final(const base::JobId& id, const std::function<bool(const protocol::JobStatus&)>& look);

  base::Expected<std::vector<runtime::AcceptedUnit>> accepted(const base::JobId& id);
  base::Expected<base::Bytes> fetch(const base::JobId& id, const protocol::BlobRef& blob, std::chrono::milliseconds timeout);
  // Accepted units in index order, one in memory at a time; stops at the first error, `take`'s own included.
  base::Expected<void> for_each_result(const base::JobId& id, std::chrono::milliseconds timeout_each,
                                       const std::function<base::Expected<void>(const Result&)>& take);
  base::Expected<runtime::EvidenceFile> evidence(const base::JobId& id);

  // Who computed what, who agreed, why it is accepted or open. Without a segment the one that tells most.
  base::Expected<protocol::UnitExplanation> explain(const base::JobId& id, base::UnitIndex unit, std::optional<std::uint32_t> segment = {});
  base::Expected<protocol::JobExplanation> explain(const base::JobId& id);
  base::Expected<std::vector<protocol::ReplayExplanation>> proofs_against(const base::JobId& id, const base::PeerId& peer);
  base::Expected<bool> id_proven(const base::PeerId& peer);

  base::Expected<PeerInfo> info();
  base::Expected<void> set_paused(bool paused);
  base::Expected<std::string> invite();
  base::Expected<std::vector<protocol::PeerStatus>> peers();
  // Peers that run units and are linked now, this machine's own worker included.
  base::Expected<std::uint32_t> live_workers();

 private:
  Client(std::unique_ptr<Connection> connection, crypto::Identity owner, std::filesystem::path state_folder, bool embedded);

  base::Expected<protocol::JobStatus> wait_until(const base::JobId& id, const std::function<bool(const protocol::JobStatus&)>& look,
                                                 const std::function<bool(const protocol::JobStatus&)>& done);
  // k of peers in this owner's earlier jobs, for the manifest of his next one.
  base::Expected<std::vector<protocol::KnownPeer>> known_peers();
  base::Expected<protocol::BlobRef> upload_file(const std::filesystem::path& file, std::uint64_t bytes_max);
  base::Expected<protocol::BlobRef> upload_bytes(const base::Bytes& bytes);

  std::unique_ptr<Connection> connection_;
  crypto::Identity owner_;
  std::filesystem::path state_folder_;
  bool embedded_ = false;
};

}  // namespace starling::client
