// A scenario is data: a text file of `key = value` lines ('#' starts a comment). An unknown or repeated key is an error.
// Times are virtual milliseconds from the start of the run; shares are fractions of 1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::simulation {

// What a hostile member does, once a second (hostile.hpp).
struct Hostility {
  bool lies_about_sizes = false;       // of every archive that it states, asks for or serves, and about what it holds
  bool claims_everything = false;      // every unit, for ever
  bool moves = false;                  // a new peer record with other addresses
  std::uint32_t statements_per_s = 0;  // accusations, cancels of others' jobs, results of jobs that do not exist
  bool makes_up_results = false;       // ... and results without work, which replays can prove wrong
  std::uint32_t manifests = 0;         // jobs of the largest size that a codec lets through, in all
  bool makes_folds = false;            // false ones of every job, all hostile members the same
};

struct Scenario {
  std::string name;   // of the file
  std::string about;  // one line for people

  // --- who
  std::uint32_t peers = 5;
  std::uint32_t slots = 2;           // units at once, per peer
  std::uint32_t liars = 0;           // wrong in every unit, each with bytes of its own
  std::uint32_t colluders = 0;       // wrong in every unit, all with the same bytes
  double lie_share = 1;              // ... of both: not in every unit but in this share, the colluders all in the same ones
  std::uint32_t copiers = 0;         // answer with what leads among the answers that they saw
  std::uint32_t lazy_auditors = 0;   // the same, once the unit is accepted
  std::uint32_t accusers = 0;        // lie in replays alone
  std::uint32_t honest_replayers = 0;  // of the liars: those that publish honest replays (the others accuse the honest)
  double liar_corrupts = 0;          // share of a liar's bundles in which it alters one envelope that it relays
  bool liar_serves_garbage = false;  // it answers every blob request with bytes that do not fit
  std::uint32_t hostile_members = 0;
  Hostility hostility;               // of all of them; the keys begin with hostile_
  std::uint32_t broken_peers = 0;    // honest, but their machines compute wrongly, always alike, in lie_share of the units: they earn a ban, so most checkers must not hold
  std::uint32_t erring_peers = 0;    // honest, but one of so many executions on their machines errs, of either tier
  std::uint32_t erring_once_in = 100;
  std::uint32_t bad_tier_peers = 0;  // honest, but the compiled code of this share of the units is wrong on all their machines alike
  double bad_tier_share = 0.05;
  std::uint32_t slow_peers = 0;
  double slow_factor = 1;
  std::uint32_t dial_only = 0;       // peers without an address of their own
  bool light_submitter = false;
  std::uint32_t contacts = 2;        // earlier peers that a peer knows when it starts
  std::uint64_t start_spread_ms = 1000;
  std::uint32_t late_peers = 0;      // the last ones, honest: they start later
  std::uint64_t late_at_ms = 0;
  std::uint64_t siege_to_ms = 0;     // until then the late ones know, and have links to, hostile members alone

  // --- links
  std::uint64_t latency_min_ms = 5;
  std::uint64_t latency_max_ms = 60;
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;                // share of messages that do not wait for earlier ones of their link
  bool wire_real = false;            // every link message is encoded and decoded on the way, nothing is remembered

  // --- what
  std::uint32_t jobs = 1;
  std::uint64_t submit_at_ms = 3000;
  std::uint64_t job_gap_ms = 1000;
  std::uint32_t submitter = 0;
  bool one_owner = false;            // of all jobs; else each has its own
  bool knows_peers = false;          // a manifest names the peers of its owner's earlier jobs
  std::uint32_t first_priority = 100;  // of the first job; the others have 100
  std::uint32_t units = 64;
  std::uint32_t segments = 1;        // of each unit, at most; its real length is drawn
  std::uint64_t unit_time_ms = 500;  // of a segment, where there are several
  std::uint64_t time_limit_ms = 60'000;
  std::uint32_t input_leaves = 0;    // one input blob of so many leaves, of which each unit reads a range of its own
  std::uint32_t unit_leaves = 1;     // leaves that a unit reads
  std::uint64_t archive_bytes = 20'000;
  bool fingerprints = true;          // no: every unit is too short to have one
  protocol::VerificationClass verification = protocol::VerificationClass::standard;
  std::uint32_t epsilon_ppm = 60'000;
  std::uint32_t peer_estimate = 0;   // 0: the number of peers

  std::uint64_t job_quiet_ms = 300'000;  // after which jobs sleep
  bool folds = true;                 // no: no job is large enough for them

  // --- faults
  double kill_share = 0;
  std::uint32_t kill_count = 0;
  std::uint64_t kill_at_ms = 0;      // not before every submitted job's inputs are safe
  std::uint64_t kill_spread_ms = 0;  // the kills fall into this window
  bool kill_submitter = false;
  bool kill_honest = false;          // only honest peers die
  std::uint64_t restart_after_ms = 0;  // 0: the killed never return
  std::uint32_t clock_jumpers = 0;   // honest peers whose calendar clock jumps ahead, respectively (every second one) back
  std::uint64_t clock_jump_s = 0;
  std::uint64_t clock_jump_at_ms = 0;
  std::uint32_t set_back_peers = 0;  // honest peers that crash and come back from an image of their disk
  std::uint64_t image_at_ms = 0;     // when it was taken
  std::uint64_t set_back_at_ms = 0;
  double partition_share = 0;        // so many peers are cut off from the others
  std::uint64_t partition_from_ms = 0;
  std::uint64_t partition_to_ms = 0;

  // --- how the run ends and what is looked at
  std::uint64_t virtual_limit_ms = 3'600'000;
  std::uint64_t settle_ms = 5000;    // runs on so long after every honest peer sees every job finished
  std::uint32_t replays_each = 0;    // ... and after each honest peer has published so many replays, or is idle
  double capture_max = 0;            // share of all (honest peer, unit) that may be wrong at any look; the end is another checker's
  std::set<std::string> skip;        // checkers that do not apply
  std::set<std::string> report;      // checkers that only report
  std::set<std::string> expect;      // checkers that are off unless named here
};

base::Expected<Scenario> parse_scenario(std::string name, const std::string& text);
base::Expected<Scenario> load_scenario(const std::filesystem::path& folder, const std::string& name);
std::vector<std::string> scenario_names(const std::filesystem::path& folder);  // sorted

}  // namespace starling::simulation
