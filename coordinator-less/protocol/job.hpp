// Everything a peer knows and does about one job: the parts, joined. No rule of its own.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/audit_plan.hpp"
#include "coordinator-less/protocol/claim_table.hpp"
#include "coordinator-less/protocol/custody.hpp"
#include "coordinator-less/protocol/finality.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "coordinator-less/protocol/own_work.hpp"
#include "coordinator-less/protocol/replay_plan.hpp"

namespace starling::protocol {

struct Job {
  Job(const Statement& manifest_statement, const NodeConfig& config, Notary& notary);
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Every unit is accepted and safe.
  bool complete() const { const JobState now = state(); return now == JobState::finished || now == JobState::failed; }
  // Does this peer still start units of it?
  bool open() const { return !canceled && !verdict.quarantined() && !verdict.banned(order.self()); }
  bool works() const { return open() && !replays.tiers_differ(); }  // ... on this machine
  JobState state() const;
  std::uint64_t results_per_author_max() const { return evidence.unit_count() * limits::answers_per_unit_max; }
  std::vector<BlobRef> input_blobs() const;  // program, units, inputs
  bool names_input(const Digest& blob) const;
  bool ended() const { return ended_order != 0; }  // as was told last
  // Nothing follows from the passing of time: it need not be looked at until something about it happens.
  bool rests();
  bool needs_archive(const Digest& blob) const { return custody.keeps(blob) || (replay_input && replay_input->blob == blob); }
  bool can_run(const std::set<Digest>& here) const { return here.contains(manifest->program.name) && here.contains(manifest->units.name); }

  JobId id;
  PeerId owner;
  std::shared_ptr<const Manifest> manifest;
  Segments segments;
  JobEvidence evidence;
  UnitOrder order;
  Verdict verdict;
  ClaimTable claims;
  Custody custody;
  OwnWork work;
  ReplayPlan replays;
  AuditPlan audits;
  OwnLog log;

  bool canceled = false;
  std::vector<UnitIndex> news;             // about which something was stated since the verdict was settled
  bool unsettled = false;
  bool local = false;                      // submitted on this machine
  std::uint64_t arrival = 0;               // order in which jobs came
  std::uint64_t ended_order = 0;           // order in which jobs ended; 0: open
  std::uint64_t kept_inputs_bytes = 0;     // pulled only to be kept for others
  std::optional<PeerId> first_from;        // who told us: likely to have the inputs
  std::uint64_t statement_count = 0;
  struct Stated {
    std::uint64_t results = 0, replays = 0;  // a statement has many results
  };
  std::map<PeerId, Stated> stated_by;
  std::uint64_t replays_started = 0;
  struct AwaitedInput {
    Digest blob;
    base::Instant since;
  };
  std::optional<AwaitedInput> replay_input;  // that the next replay waits for
  std::uint32_t released_count = 0;
  std::string last_release;
  std::map<UnitIndex, Execution> executed_once;  // by a machine that errs: waits for its second execution
  std::vector<ResultEntry> unsent_results;
  std::vector<UnitIndex> unsent_claims, unsent_releases;
  std::set<PeerId> banned_told;            // notices given
  struct Final {
    bool stale = true;                     // something was stated since
    std::optional<base::Instant> counted_at;
    FinalUnits found;
  };
  Final final;
  struct Earned {
    bool stale = true;
    std::optional<base::Instant> counted_at;
    std::map<PeerId, std::uint64_t> fuel;  // verified, by author
  };
  Earned earned;                           // counted of this peer's own owner's jobs alone
  struct Confirming {
    base::Instant until;
    std::vector<UnitIndex> to_draw;        // of what waited to be final when it was last counted
    std::optional<base::Instant> refilled_at;
    std::set<UnitIndex> released;          // given back by this machine: not tried again
  };
  std::optional<Confirming> confirming;
  JobState told = JobState::waiting;
};

}  // namespace starling::protocol
