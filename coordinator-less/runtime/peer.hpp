// One running peer: joins the core (protocol::Node) and the world (links, storage, executor, clock). Used by the worker daemon
// and, without an executor, embedded in the command line as a light peer.
// Threads: a protocol thread owns Node and EvidenceStore; the transport has its socket thread; every public call is
// thread-safe and blocks until the protocol thread answered.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/swarm.hpp"
#include "coordinator-less/runtime/log.hpp"
#include "coordinator-less/runtime/unit_executor.hpp"

namespace starling::runtime {

struct PeerOptions {
  std::filesystem::path state_folder;          // made when missing (0700): peer.db, blobs/
  std::optional<protocol::Ticket> join;        // else the stored swarm; else `create`; with none of the three: an error
  std::optional<protocol::SwarmParameters> create;  // a new swarm; private and development ones get a random secret
  bool light = false;
  std::uint32_t slots = 1;
  std::string bind_host = "127.0.0.1";
  std::uint16_t bind_port = 0;                 // 0: the stored port when free, else any
  std::vector<base::PeerId> roots;
  std::uint64_t blob_quota_bytes = 10ULL << 30;
  std::vector<std::string> advertise_hosts;    // numeric; what others dial when bind_host is not one address ("0.0.0.0")
  std::shared_ptr<Log> log;                    // null: silent
  bool paused = false;                         // as after set_paused(true)
  std::vector<protocol::ProjectChoice> projects;  // whose jobs are served before others, or alone
  bool only_projects = false;
  bool doubts_itself = true;                   // false: an attacker of a development swarm
  std::optional<base::PeerId> credit_to;       // the owner this peer works for
};

struct AcceptedUnit {
  base::UnitIndex unit = 0;
  protocol::Outcome outcome;
  std::uint64_t archive_bytes = 0;
};

struct PeerCounters {
  std::uint64_t bytes_sent = 0, bytes_received = 0, statements_verified = 0, statements_refused = 0, frames_refused = 0, blob_bytes = 0;
};

class Peer {
 public:
  static base::Expected<std::unique_ptr<Peer>> start(PeerOptions options, UnitExecutor* executor);
  virtual ~Peer() = default;  // stops units, closes links, flushes storage

  virtual base::PeerId id() const = 0;
  virtual std::uint16_t port() const = 0;
  virtual const protocol::SwarmParameters& swarm() const = 0;
  virtual base::NetworkId network() const = 0;
  virtual protocol::Ticket invite() = 0;  // this peer first, then some linked ones that can be dialled

  virtual base::Expected<base::Digest> put_blob(base::ByteView bytes) = 0;
  virtual base::Expected<base::Digest> import_file(const std::filesystem::path& file) = 0;
  virtual base::Expected<base::JobId> submit(base::Bytes manifest_envelope) = 0;  // bad_input when its blobs are not in the store or it is unacceptable
  virtual base::Expected<void> cancel(base::Bytes cancel_envelope) = 0;

  virtual std::vector<protocol::JobStatus> jobs() = 0;
  virtual std::optional<protocol::JobStatus> job(const base::JobId& id) = 0;  // finality included
  virtual base::Expected<std::vector<AcceptedUnit>> accepted(const base::JobId& id) = 0;
  // Whole blob of a job (an input or an accepted archive), fetched from peers when it is not here.
  virtual base::Expected<base::Bytes> fetch(const base::JobId& job, const protocol::BlobRef& blob, std::chrono::milliseconds timeout) = 0;
  virtual base::Expected<std::filesystem::path> fetch_file(const base::JobId& job, const protocol::BlobRef& blob, std::chrono::milliseconds timeout) = 0;
  virtual base::Expected<std::vector<std::shared_ptr<const base::Bytes>>> evidence(const base::JobId& id) = 0;  // raw envelopes: manifest, cancel, results, replays

  // For people (protocol/explanation.hpp). not_found: no such job, unit or segment; without a segment the one that tells most.
  virtual base::Expected<protocol::UnitExplanation> explain(const base::JobId& job, base::UnitIndex unit, std::optional<std::uint32_t> segment) = 0;
  virtual base::Expected<protocol::JobExplanation> explain(const base::JobId& job) = 0;
  virtual std::vector<protocol::ReplayExplanation> proofs_against(const base::JobId& job, const base::PeerId& peer) = 0;
  virtual bool id_proven(const base::PeerId& peer) = 0;  // its puzzle is checked here, or the swarm asks for none

  // Somebody here waits until the job is final: for limits::confirm_lifetime this peer executes again what is not.
  virtual void confirm(const base::JobId& job) = 0;

  // While paused no unit is started or claimed; what runs is the executor's to stop. Takes effect after this returns, at once.
  virtual void set_paused(bool paused) = 0;

  virtual std::vector<protocol::PeerStatus> peers() = 0;
  virtual PeerCounters counters() = 0;
  // Set while this machine keeps the peer from working: a full or failing disk, an id that is still being minted. It goes on by itself.
  virtual std::optional<base::Error> trouble() = 0;
  // Returns when anything visible changed after `seen` (start with 0) or at the timeout; gives the new version.
  virtual std::uint64_t wait_change(std::uint64_t seen, std::chrono::milliseconds timeout) = 0;
};

}  // namespace starling::runtime
