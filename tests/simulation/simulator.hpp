// One run: a swarm of real Nodes in virtual time, made from a scenario and one 64-bit seed. Nothing else decides anything:
// no clock, no thread, no address, no iteration over unordered tables.
//
// Calling order: construct, run(), then ask. Checkers look at a run through its const interface.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/host.hpp"

namespace starling::simulation {

struct RunOptions {
  bool paranoid = false;             // check_invariants after every step, not only every virtual second
  std::FILE* trace_file = nullptr;
  std::uint32_t slots_beyond = 0;    // a wrong runtime, for the self test: it tells Node of so many slots more than there are
};

class Simulator final : private NetworkUser {
 public:
  Simulator(const Scenario& scenario, std::uint64_t seed, RunOptions options);
  ~Simulator() override;

  // `each_second` is called every virtual second; an answer other than "" ends the run.
  void run(const std::function<std::string()>& each_second);

  const Scenario& scenario() const { return scenario_; }
  const std::vector<std::unique_ptr<Host>>& hosts() const { return hosts_; }
  const std::vector<JobRun>& jobs() const { return world_.jobs; }
  const World& world() const { return world_; }
  const NetworkCounters& traffic() const { return network_.counters(); }
  std::uint64_t now_ms() const { return world_.queue.now_ms(); }
  std::uint64_t trace_hash() const { return world_.trace.hash(); }
  bool all_finished() const;         // every live honest peer sees every job finished
  std::uint64_t finished_at_ms() const { return finished_at_ms_; }  // 0: never
  bool faults_open() const { return kills_open_ != 0; }  // planned deaths and returns that have not come yet
  bool linked_to_honest(const Host& host) const;
  double executions_per_unit() const;
  std::vector<const Host*> honest_alive() const;
  std::string state_of_jobs() const;  // for people: what is still open, and at whom

 private:
  void on_link_up(PeerIndex at, PeerIndex other) override;
  void on_link_down(PeerIndex at, PeerIndex other) override;
  void on_dial_failed(PeerIndex at, PeerIndex other) override;
  void on_message(PeerIndex at, PeerIndex from, const Message& message) override;

  void cast();  // who is what
  void plan_siege();
  void plan_starts();
  void plan_jobs();
  void plan_kills();
  void plan_machine_faults();
  std::vector<PeerIndex> honest_beside_submitter(std::uint32_t count);
  void kill_when_safe();
  bool inputs_safe() const;
  void kill(PeerIndex peer);
  std::vector<PeerIndex> contacts_of(PeerIndex peer);
  NetworkOptions network_options();
  bool settled() const;

  Scenario scenario_;
  World world_;
  base::Rng rng_;
  bool paranoid_;
  Network network_;
  std::vector<HostTraits> traits_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::uint32_t kills_open_ = 0;     // planned deaths and returns that have not happened yet
  std::uint64_t finished_at_ms_ = 0;
};

}  // namespace starling::simulation
