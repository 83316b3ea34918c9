// One simulated machine: a real protocol::Node and what the runtime would do for its effects, in virtual time. Blobs are
// names with a bitmap of leaves; executions take time and give outcomes that are functions of (job, unit, behaviour); the
// disk survives a crash, memory does not. Breaches of the contract in node.hpp and effect.hpp are noted in the world.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/protocol/known_peers.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/stored_evidence.hpp"
#include "tests/simulation/hostile.hpp"
#include "tests/simulation/world.hpp"

namespace starling::simulation {

struct HostTraits {
  PeerIndex index = 0;
  Behaviour behaviour = Behaviour::honest;
  bool honest_replays = true;
  bool broken = false;  // honest, but its machine computes wrongly
  bool errs = false;    // ... now and then
  bool bad_tier = false;  // ... some units, compiled
  bool at_fault() const { return broken || errs || bad_tier; }
  bool light = false;
  bool dial_only = false;
  bool late = false;
  double slowness = 1;  // factor on every execution's time
};

struct HostCounters {
  std::uint64_t inputs = 0, units_started = 0, units_finished = 0, units_released = 0, units_stopped = 0;
  std::uint64_t replays_finished = 0, ranges_requested = 0, ranges_refused = 0, blob_leaves_received = 0;
  std::uint64_t bytes_received = 0;  // blobs aside
  std::uint64_t machine_errors = 0;  // executions that its machine got wrong, tiers counted apart
  std::uint64_t made_up = 0;  // results and replays that a hostile member stated without work
  std::uint32_t running_most = 0;
  std::uint32_t clock_jumps = 0, set_backs = 0;  // while it was up
  std::uint32_t clock_jumps_at_work = 0;
};

// Which leaves of which blobs are on a disk.
class BlobShelf {
 public:
  struct Blob {
    std::uint64_t size_bytes = 0;
    std::vector<bool> leaves;
    std::uint64_t missing = 0;
  };
  void put_whole(const base::Digest& name, std::uint64_t size_bytes);
  // True: the blob became whole by it. REQUIRES: the range lies inside.
  bool put_range(const base::Digest& name, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count);
  bool whole(const base::Digest& name) const;
  bool has(const base::Digest& name, std::uint64_t first, std::uint64_t count) const;
  const Blob* find(const base::Digest& name) const;
  const std::map<base::Digest, Blob>& blobs() const { return blobs_; }

 private:
  std::map<base::Digest, Blob> blobs_;
};

class Host {
 public:
  Host(World& world, HostTraits traits);

  // Calling order: start; then on_* of the network and submit; crash and start again at will.
  void start(const std::vector<PeerIndex>& contacts);
  void meet(const std::vector<PeerIndex>& contacts);
  void crash();
  void submit(JobRun& job);
  void jump_clock(std::int64_t seconds);  // the calendar only; the other clock is monotonic by contract
  void take_image();     // of the disk
  void restore_image();  // what happened since is forgotten here, not elsewhere. REQUIRES: not alive, take_image
  void step(protocol::Input input);

  void on_message(PeerIndex from, const Message& message);

  bool alive() const { return node_ != nullptr; }
  bool honest() const { return traits_.behaviour == Behaviour::honest; }
  const HostTraits& traits() const { return traits_; }
  const base::PeerId& id() const { return id_; }
  protocol::Node& node() const { return *node_; }  // REQUIRES: alive
  // For looks while a run goes on: null also while the job sleeps or is told by folds, for what it says then was looked at before, and asking would wake it.
  const protocol::Verdict* verdict_awake(const base::JobId& job) const { return node_->asleep(job) || node_->folded(job) ? nullptr : node_->verdict(job); }
  const BlobShelf& shelf() const { return shelf_; }
  const HostCounters& counters() const { return counters_; }
  std::uint64_t envelopes_opened() const { return notary_.opened_count(); }
  std::size_t persisted_count() const { return persisted_.size(); }
  std::size_t requests_open() const { return requests_open_; }
  std::uint64_t times_woken(const base::JobId& job) const {
    const auto found = woken_.find(job);
    return found == woken_.end() ? 0 : found->second;
  }
  const std::set<base::PeerId>& keys_banned_here() const { return keys_banned_; }
  bool cut(const base::PeerId& peer) const { return cut_.contains(peer); }  // ended its link at least once

 private:
  struct Running {
    std::uint64_t token = 0;
    bool waits_for_input = false;
    base::Digest from;  // the archive of the segment before
    std::vector<base::PeerId> others;  // whose fingerprints to make too
  };
  struct RunKey {
    base::JobId job;
    base::UnitIndex unit = 0;
    std::optional<base::MessageId> accused;  // a replay of this statement's answer
    base::PeerId author;                     // whose
    auto operator<=>(const RunKey&) const = default;
  };
  class StoredHere final : public protocol::StoredEvidence {
   public:
    explicit StoredHere(Host& host) : host_(host) {}
    base::Expected<std::vector<protocol::Statement>> read_job(const base::JobId& job) override;
    base::Expected<protocol::StoredAnswer> read(std::span<const base::MessageId> ids, std::size_t bytes_max) override;
    base::Expected<std::optional<base::JobId>> job_of(const base::MessageId& id) override;
    base::Expected<std::vector<base::MessageId>> ids_of(const base::JobId& job, const base::MessageId& first, const base::MessageId& last, std::size_t count_max) override;
    void forget_index() { jobs_.clear(), ids_.clear(), indexed_count_ = 0; }  // where rows went

   private:
    void bring_index_up_to_date();
    Host& host_;
    std::map<base::MessageId, base::JobId> jobs_;            // made when something is looked up
    std::map<base::JobId, std::set<base::MessageId>> ids_;
    std::size_t indexed_count_ = 0;
  };
  struct Stored {
    base::MessageId id;
    std::shared_ptr<const base::Bytes> raw;
    base::JobId job;
    bool own = false;
    std::uint64_t at_ms = 0;
  };

  struct Executed {
    protocol::Outcome outcome;
    base::Digest fingerprint;
    Fault fault = Fault::none;
  };
  enum class Tier : std::uint8_t { compiled, interpreted };
  Executed execute(const RunKey& key, const base::Digest& from, Behaviour says, const base::PeerId& whose, Tier tier);
  Fault fault_in(const RunKey& key, Tier tier);
  std::vector<protocol::KnownPeer> known_of(const base::PeerId& owner) const;
  std::vector<protocol::FingerprintOf> fingerprints_of(const RunKey& key, Behaviour says, const std::vector<base::PeerId>& others, Fault compiled, Fault interpreted) const;
  std::optional<protocol::Outcome> copied_outcome(const RunKey& key) const;
  void misbehave();
  void later(protocol::Input input, std::uint64_t delay_ms = 0);
  void carry_out(protocol::Effect effect);
  void carry_out(const protocol::Send& effect);
  void carry_out(const protocol::Dial& effect);
  void carry_out(const protocol::Disconnect& effect);
  void carry_out(const protocol::RememberPeer& effect);
  void carry_out(const protocol::Persist& effect);
  void carry_out(const protocol::ForgetJob& effect);
  void carry_out(const protocol::SetTimer& effect);
  void carry_out(const protocol::StartUnit& effect);
  void carry_out(const protocol::StopUnit& effect);
  void carry_out(const protocol::StartReplay& effect);
  void carry_out(const protocol::RequestRange& effect);
  void carry_out(const protocol::RangeReady& effect);
  void carry_out(const protocol::RangeFailed& effect);
  void carry_out(const protocol::Notice& effect);
  void carry_out(const protocol::MintId&) { world_.breach(traits_.index, "mints its id in a swarm without a puzzle"); }
  void carry_out(const protocol::CheckPuzzle&) { world_.breach(traits_.index, "checks an id in a swarm without a puzzle"); }

  void check_sent(const protocol::StatementBundle& bundle);
  bool hides(const protocol::StatementBundle& bundle);
  Message altered(const Message& message);
  void begin(const RunKey& key, const base::Digest& from, const std::vector<base::PeerId>& others);
  Running take(const RunKey& key);  // its end
  void compute(const RunKey& key, Running& run);
  void end_unit(RunKey key);
  void end_replay(RunKey key);
  void release(RunKey key);
  void serve(PeerIndex from, const protocol::BlobGet& get);
  void take(PeerIndex from, const protocol::BlobData& data);
  const JobRun* job_run(const base::JobId& id) const;
  std::uint64_t execution_ms();
  base::Now now() const;

  World& world_;
  HostTraits traits_;
  base::PeerId id_;
  base::Rng rng_;
  SimNotary notary_;
  StoredHere stored_{*this};
  std::unique_ptr<protocol::Node> node_;
  std::uint32_t life_ = 0;           // counts starts: what an earlier life planned does not happen
  std::uint64_t timer_generation_ = 0;
  std::uint64_t next_token_ = 1;
  std::uint64_t next_owner_ = 0;
  std::map<RunKey, Running> running_;
  std::size_t requests_open_ = 0;
  std::set<base::PeerId> keys_banned_, cut_;
  std::unique_ptr<HostileMember> hostile_;
  HostCounters counters_;
  std::map<base::JobId, std::uint64_t> woken_;  // how often the Node read it from the disk
  std::int64_t clock_error_s_ = 0;
  struct Disk {
    std::vector<Stored> persisted;
    std::set<const base::Bytes*> persisted_bytes;
    std::map<base::PeerId, std::vector<std::string>> remembered;
    BlobShelf shelf;
  };
  std::optional<Disk> image_;
  // --- the disk
  std::vector<Stored> persisted_;
  std::set<const base::Bytes*> persisted_bytes_;
  std::map<base::PeerId, std::vector<std::string>> remembered_;
  BlobShelf shelf_;
};

}  // namespace starling::simulation
