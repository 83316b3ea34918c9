// What stays in memory of a job that sleeps, and how it sleeps (decision 0025).
//
// Rule: a job that has ended, in which nothing of this peer is under way, and of which nothing was heard for its quiet time, falls asleep: evidence,
// verdict, orders, custody and the signed bytes are let go, since all of it follows from the statements on the disk. Neighbours compare,
// list and fetch what it has without waking it. It wakes when a statement about it comes that is new here (taken in once it is awake), when
// somebody asks for single units, keys or evidence, and when its archives need looking after (sleeping_custody.hpp). Waking is what a restart
// does: the stored statements are read in stored order, so a job that slept equals one that never did, by construction.
// While the disk cannot be read a job that would wake stays asleep: what came is not taken, and comparison brings it again; who asked
// is told that the job is not there.
// Attack: one valid statement of a stranger wakes a job, which costs up to seconds. Others' statements wake one job in statement_waking_interval, and
// the quiet time doubles with each such waking; not with those for archives, one in custody_waking_interval, nor by questions of this machine's user.
// Cost: 3 KB and a bit a unit, one byte more where its archive is elsewhere, however many statements; bench_sleeping measures it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/explanation.hpp"
#include "coordinator-less/protocol/finality.hpp"
#include "coordinator-less/protocol/local_blobs.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/replay_plan.hpp"
#include "coordinator-less/protocol/sleeping_custody.hpp"

namespace starling::protocol {

// Of a job, awake or asleep.
struct JobRecord {
  JobId id;
  PeerId owner;
  std::shared_ptr<const Manifest> manifest;

  bool canceled = false;
  bool local = false;                      // submitted on this machine
  bool served = true;                      // by the donor's choice of projects: else nothing of it is executed here, replays neither
  std::uint64_t arrival = 0;               // order in which jobs came
  std::uint64_t ended_order = 0;           // order in which jobs ended; 0: open
  std::uint64_t kept_inputs_bytes = 0;     // pulled only to be kept for others
  std::optional<PeerId> first_from = {};   // who told us: likely to have the inputs
  std::uint64_t replays_started = 0;
  std::uint32_t released_count = 0;
  std::string last_release = {};
  std::set<PeerId> banned_told = {};       // notices given
  struct Earned {
    bool stale = true;
    std::optional<base::Instant> counted_at;
    std::map<PeerId, VerifiedWork> work;
  };
  Earned earned = {};                      // counted of this peer's own owner's jobs alone
  JobState told = JobState::waiting;
  base::Instant heard_at = {};             // something new about it, or it woke
  base::Duration quiet = {};               // after which it sleeps
  bool unfolded = false;                   // was told by folds (fold.hpp), and will not be again

  bool ended() const { return ended_order != 0; }  // as was told last
  std::vector<BlobRef> input_blobs() const;  // program, units, inputs
  bool names_input(const Digest& blob) const;
  bool can_run(const LocalBlobs& here) const { return here.contains(manifest->program.name) && here.contains(manifest->units.name); }
};

struct SleepingJob : JobRecord {
  std::uint32_t numbers = 0;               // units, segments counted each
  JobStatus status = {};                   // as when it fell asleep; without the manifest
  JobFinality finality = {};
  bool open = false, works = false;        // as Job says
  Digest root = {};                        // what came of it, as folds say it (fold.hpp); zero: nothing to be folded
  SleepingCustody custody = {};
  ReplayPlan::Past replays = {};
  LocalBlobs::Sleep sleep = 0;
  std::vector<PeerId> proven_liars = {};   // refused for as long as the job is known
  std::vector<std::uint64_t> authors = {};  // the first word of who stated something, ascending: enough to keep their records by, in swarms with a puzzle
  std::optional<JobExplanation> explained = {};  // of this machine's own jobs: their owner's next manifest asks for it
};

}  // namespace starling::protocol
