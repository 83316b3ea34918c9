// One peer's protocol, whole: a value that takes inputs and gives effects. No clock, socket, file, thread or randomness of
// its own. It owns no rule itself: it routes inputs to its parts and gathers their effects.
//
// Calling order: construct; restore() every stored statement in stored order, blob_present() every whole blob; start();
// then on_input() for all that happens, and after each call poll_effect() until it gives nothing. Inputs must be monotonic
// in time, and what was to be persisted before an input must be stored by the next later instant. Queries may be asked at any moment; one
// about single units, keys or statements wakes a job that sleeps (sleeping_job.hpp). Single-threaded.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/effect.hpp"
#include "coordinator-less/protocol/explanation.hpp"
#include "coordinator-less/protocol/fair_share.hpp"
#include "coordinator-less/protocol/input.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/protocol/notary.hpp"
#include "coordinator-less/protocol/statement_store.hpp"
#include "coordinator-less/protocol/stored_evidence.hpp"

namespace starling::protocol {

struct NodeConfig {
  PeerId self;
  bool light = false;                        // joins, submits and fetches; runs no units
  std::uint32_t slots = 1;                   // units (or replays) that may run at once
  std::vector<std::string> own_addresses;    // what the peer record says; empty: can only dial out
  std::uint64_t blob_quota_bytes = limits::blob_quota_default_bytes;  // of the local store: bounds what is kept for others
  std::vector<PeerId> roots;                 // keys whose replays this reader trusts, besides its own
  std::uint8_t puzzle_difficulty_bits = 0;   // of the swarm
  std::optional<std::uint64_t> puzzle_nonce = {};  // of this id, once minted; unused at difficulty 0 and by light peers
  bool paused = false;                       // as after Pause
  std::vector<ProjectChoice> projects = {};  // whose jobs are served before others (fair_share.hpp)
  bool only_projects = false;                // ... and no others
  bool doubts_itself = true;                 // looks again at what contradicts it (replay_plan.hpp); attackers of development swarms would not
  std::optional<PeerId> credit_to = {};      // the owner this peer works for: its record says so, and his jobs are its own
  base::Duration job_quiet = limits::job_quiet;  // after which a job that has ended sleeps; tests shorten it
  std::uint32_t fold_units_min = limits::fold_units_min;   // smaller jobs are told by no folds
  std::size_t fold_holders_min = limits::fold_holders_min;  // who is told a job by folds wants so many to have its evidence
};

enum class JobState : std::uint8_t { waiting, running, finished, failed, canceled, aborted };
const char* name_of(JobState state);

// Why what is not final yet stays so until somebody else does something.
enum class FinalityObstacle : std::uint8_t {
  none,
  not_finished,  // the job goes on
  stopped,       // it is canceled or aborted
  light,         // this peer runs no units, and who does may have stopped auditing
  banned,        // this peer is, in this job
  paused,
  no_inputs,     // its program is not here
  released       // this machine gave back what it executed again
};
const char* name_of(FinalityObstacle obstacle);

struct JobFinality {
  std::uint32_t final_units = 0;     // finality.hpp
  std::uint32_t waiting = 0;         // units with accepted segments that are not final
  bool confirming = false;           // their turn comes here, since a user waits for it
  std::uint32_t released_here = 0;   // ... but these were given back
  FinalityObstacle obstacle = FinalityObstacle::none;
  bool operator==(const JobFinality&) const = default;
};

struct JobStatus {
  JobId id;
  PeerId owner;
  std::shared_ptr<const Manifest> manifest;
  JobState state = JobState::waiting;
  std::uint32_t units = 0;
  std::uint32_t segments = 0, segments_done = 0;  // of all units, where they are cut into segments; else they equal units and accepted
  std::uint32_t accepted = 0;          // units whose result is: the last segment of each counts
  std::uint32_t accepted_failures = 0;
  std::uint32_t bytes_safe = 0;        // accepted units whose archive some live peer (or this one) holds
  std::uint64_t accepted_fuel = 0;     // of the accepted units together
  std::uint32_t running_here = 0;
  std::uint32_t contested = 0;
  std::uint64_t executions = 0;        // results stated by all peers
  std::uint64_t own_results = 0;
  std::uint64_t own_replays = 0;
  std::uint32_t replays_pending = 0;   // replays this peer still means to do
  std::uint32_t input_holders = 0;     // live peers (this one included) that hold every input whole
  std::uint32_t released_here = 0;     // units this peer gave back (time, memory, executor)
  std::string last_release;            // why, the last time
  std::vector<PeerId> banned;          // for this reader's judges
  bool quarantined = false;
  std::uint32_t told_by = 0;           // keys whose folds say so (fold.hpp): this peer has no evidence of it. 0: it knows by itself
  std::uint32_t audits_of_told = 0;    // units of such a job that this machine executed and found as the folds say
  JobFinality finality = {};           // Node::finality, which is asked apart: it costs more than the rest together
};

struct PeerStatus {
  PeerId id;
  bool linked = false;
  bool light = false;
  std::vector<std::string> addresses;
};

class Node {
 public:
  // `stored` gives back what was persisted; without it no job sleeps.
  Node(NodeConfig config, Notary& notary, base::Rng rng, StoredEvidence* stored = nullptr);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void restore(const Statement& statement, bool own = false);  // own: this machine's user or this peer made it
  void blob_present(const Digest& blob);
  void start(base::Now now);
  void set_units_ahead(std::uint32_t per_slot);  // units that may wait behind each running one; 0 at first

  void on_input(Input input, base::Now now);
  std::optional<Effect> poll_effect();

  const PeerId& self() const;
  // Whether it would look at that neighbour's frames now, and whether it would pass that statement by as one it knows.
  bool listens_to(const PeerId& peer) const;
  bool knows(const MessageId& statement) const;
  std::vector<JobId> jobs() const;
  std::optional<JobStatus> job(const JobId& id) const;
  // Counted anew at most once in limits::finality_interval.
  std::optional<JobFinality> finality(const JobId& id) const;
  bool asleep(const JobId& id) const;
  bool folded(const JobId& id) const;  // told by folds alone; a question about units, keys or evidence asks for the evidence from then on
  std::optional<Digest> told_root(const JobId& id) const;  // what these folds say of it (fold.hpp)
  bool evidence_awaited(const JobId& id) const;  // it was told, and its evidence is on its way: answers about units would be parts
  // Null when there is no such job, or when it sleeps and the disk cannot be read now. Valid until the next input.
  const JobEvidence* evidence(const JobId& id) const;
  const Verdict* verdict(const JobId& id) const;
  std::vector<KeptStatement> statements_of(const JobId& id) const;  // manifest, cancel, results, replays: what an export holds
  // For people, with what this peer knows beside the verdict. Nothing when there is no such job, unit or segment; without a
  // segment the one that tells most. Proofs: of a key's faults in this job.
  std::optional<UnitExplanation> explain(const JobId& id, UnitIndex unit, std::optional<std::uint32_t> segment) const;
  std::optional<JobExplanation> explain(const JobId& id) const;
  std::vector<ReplayExplanation> proofs_against(const JobId& id, const PeerId& peer) const;
  bool id_proven(const PeerId& peer) const;  // its puzzle is checked, or the swarm asks for none
  std::vector<PeerStatus> peers() const;
  // Peers to ask for a blob of this job, best first: linked holders, by what they said. For fetching results and inputs.
  std::vector<PeerId> holders(const JobId& id, const Digest& blob) const;
  bool needs(const Digest& blob) const;  // for eviction: an input, or an archive this peer should keep
  bool idle() const;                     // nothing running, nothing to run, nothing to replay or pull

  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace starling::protocol
