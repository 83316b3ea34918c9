// Everything a peer knows and does about one job: the parts, joined. No rule of its own. What stays of it while it sleeps stands in
// sleeping_job.hpp.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/audit_plan.hpp"
#include "coordinator-less/protocol/claim_table.hpp"
#include "coordinator-less/protocol/custody.hpp"
#include "coordinator-less/protocol/finality.hpp"
#include "coordinator-less/protocol/fold.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/order.hpp"
#include "coordinator-less/protocol/judgement/segments.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/own_log.hpp"
#include "coordinator-less/protocol/own_work.hpp"
#include "coordinator-less/protocol/replay_plan.hpp"
#include "coordinator-less/protocol/sleeping_job.hpp"

namespace starling::protocol {

struct Job : JobRecord {
  Job(const Statement& manifest_statement, const NodeConfig& config, Notary& notary);
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Every unit is accepted and safe.
  bool complete() const { const JobState now = state(); return now == JobState::finished || now == JobState::failed; }
  // Nobody waits for what it still lacks: no archive of it is looked after any more (decision 0025).
  bool stopped() const { return canceled || state() == JobState::aborted; }
  // Does this peer still start units of it?
  bool open() const { return !canceled && !verdict.quarantined() && !verdict.banned(order.self()); }
  bool works() const { return open() && !replays.tiers_differ() && !verdict.withdrawn(order.self()); }  // ... on this machine
  JobState state() const;
  std::uint64_t results_per_author_max() const { return evidence.unit_count() * limits::answers_per_unit_max; }
  // Nothing follows from the passing of time: it need not be looked at until something about it happens.
  bool rests();
  // Some news of it makes it wait for more, but not for ever: it may be open, and others state results all the time.
  void hold(base::Instant now) {
    if (held_until == base::Instant{}) held_from = now;
    held_until = std::min(now + limits::evidence_patience, held_from + limits::evidence_patience_max);
  }
  bool held(base::Instant now) const { return now < held_until; }
  bool needs_archive(const Digest& blob) const { return custody.keeps(blob) || (replay_input && replay_input->blob == blob); }

  bool light;  // this peer is
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

  std::vector<UnitIndex> news;             // about which something was stated since the verdict was settled
  bool unsettled = false;
  std::uint64_t statement_count = 0;
  struct Stated {
    std::uint64_t results = 0, replays = 0;  // a statement has many results
  };
  std::map<PeerId, Stated> stated_by;
  struct AwaitedInput {
    Digest blob;
    base::Instant since;
  };
  std::optional<AwaitedInput> replay_input;  // that the next replay waits for
  base::Instant held_from = {}, held_until = {};  // nothing is started meanwhile: its evidence may be on its way
  std::optional<ResultEntry> finding;        // of an audit, while the job was told by folds
  bool awaits_comparison = false;            // held since the start, until one has been made
  base::Instant look_again_at;               // in custody, for others that pass: not before then
  std::optional<Digest> fold_root;           // of what is accepted now
  std::map<UnitIndex, Execution> executed_once;  // by a machine that errs: waits for its second execution
  std::optional<base::Instant> tail_wait_until;  // the coin said that others start what is left
  std::optional<base::Instant> others_looked_until;  // until then that others finish what is open is as it was seen
  bool others_finish = false;
  std::uint32_t tail_draws = 0;                  // so many times in a row
  std::vector<ResultEntry> unsent_results;
  std::vector<UnitIndex> unsent_claims, unsent_releases;
  struct Final {
    bool stale = true;                     // something was stated since
    std::optional<base::Instant> counted_at;
    FinalUnits found;
  };
  Final final;
  struct Confirming {
    base::Instant until;
    std::vector<UnitIndex> to_draw;        // of what waited to be final when it was last counted
    std::optional<base::Instant> refilled_at;
    std::set<UnitIndex> released;          // given back by this machine: not tried again
  };
  std::optional<Confirming> confirming;
};

}  // namespace starling::protocol
