// What all peers of a run share, and the truths that only the simulator knows: what each unit's right outcome is, who lies.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/protocol/message.hpp"
#include "tests/simulation/event_queue.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/notary.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/trace.hpp"

namespace starling::simulation {

enum class Behaviour : std::uint8_t { honest, liar, colluder, hostile, copier, lazy_auditor, accuser };
// What a machine makes of an honest peer's execution. Wrong by chance: bytes of its own; miscompiled: the same on all such machines.
enum class Fault : std::uint8_t { none, error, miscompiled };

struct JobRun {
  base::JobId id;
  protocol::Manifest manifest;
  PeerIndex submitter = 0;
  bool submitted = false;
};

struct World {
  World(const Scenario& s, std::uint64_t run_seed, std::FILE* trace_file) : scenario(s), seed(run_seed), trace(trace_file) {}

  const Scenario& scenario;
  const std::uint64_t seed;
  EventQueue queue;
  Trace trace;
  NotaryOffice office;
  Network* network = nullptr;
  std::map<base::PeerId, PeerIndex> directory;
  std::vector<JobRun> jobs;
  std::vector<std::string> breaches;  // of the contract between Node and its runtime
  bool paranoid = false;
  std::uint32_t slots_beyond = 0;  // see RunOptions

  void breach(PeerIndex peer, const std::string& what);
};

base::PeerId peer_id_of(std::uint64_t seed, PeerIndex peer);
std::string address_of(PeerIndex peer);

// What a peer of this behaviour states about a unit that it executes. Liars and accusers differ from each other, colluders do not; a hostile member's answer
// is right but for the size, where it lies about that.
// Where units are cut into segments, `unit` is a number as segments.hpp has it, and `input` the archive that it goes on from. A
// unit really has between one segment and all; liars forge checkpoints, end chains too early and go on too long.
protocol::Outcome outcome_of(const Scenario& scenario, const base::JobId& job, base::UnitIndex unit, Behaviour behaviour, PeerIndex peer,
                             const base::Digest& input = {}, Fault fault = Fault::none);
bool miscompiled(const Scenario& scenario, const base::JobId& job, base::UnitIndex unit);  // by a bad tier
// The right outcome of every number, empty for those that are skipped.
std::vector<std::optional<protocol::Outcome>> truth_of(const Scenario& scenario, const base::JobId& job);

// What that peer states beside it, respectively what `judge`, who behaves so, says that `whose` execution gives. A quarter of the
// units is too short to have one.
base::Digest fingerprint_of(const Scenario& scenario, const base::JobId& job, base::UnitIndex unit, Behaviour behaviour, PeerIndex judge, const base::PeerId& whose,
                            Fault fault = Fault::none);

struct LeafRange {
  std::uint64_t first = 0, count = 0;
};
LeafRange input_range_of(const Scenario& scenario, base::UnitIndex unit);

}  // namespace starling::simulation
