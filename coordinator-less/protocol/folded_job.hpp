// What stays in memory of a job that this peer is told in short (fold.hpp), and the audit of such jobs.
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/protocol/sleeping_job.hpp"

namespace starling::protocol {

struct FoldedJob : JobRecord {
  Digest root = {};
  std::uint32_t numbers = 0;             // units, segments counted each
  std::uint32_t failures = 0;
  std::uint32_t makers = 0;              // keys that say so
  std::vector<FoldCredit> credit = {};
  base::Instant since = {};
  std::set<PeerId> holders = {};         // linked workers that name archives of it which they hold
  std::set<PeerId> made_by = {};         // whose folds say so: they have the evidence too
  std::uint32_t wrong_paths = 0;         // since one that was right
  std::set<PeerId> silent = {};          // who did not answer since
  std::uint32_t audits = 0;              // made here, and found as the root says
};

// One unit of a folded job that is executed again. A neighbour shows what was accepted of it first, with the path to the root. What this machine finds
// too is told to nobody: an audit confirms nothing, and would wake the job at everybody who has it.
struct FoldAudit {
  JobId job;
  UnitIndex unit = 0;
  PeerId asked;
  base::Instant until;                   // then without the answer, or the program
  std::optional<Outcome> expected = {};  // as the path shows; nothing while it runs: nobody waits for it any more
  bool running = false;
};

}  // namespace starling::protocol
