// A checker watches one global property of a run. It says "" while the property holds, else in one line what broke it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/simulator.hpp"

namespace starling::simulation {

class Checker {
 public:
  virtual ~Checker() = default;
  virtual const char* name() const = 0;                                   // a sentence, as the file is named
  virtual bool by_default() const { return true; }                        // else only where a scenario expects it
  virtual std::string each_second(const Simulator&) { return {}; }
  virtual std::string at_end(const Simulator&) { return {}; }
  virtual std::string report(const Simulator&) { return {}; }             // a figure for the line of a run
};

std::unique_ptr<Checker> every_unit_verified();
std::unique_ptr<Checker> no_honest_peer_banned();
std::unique_ptr<Checker> no_wrong_result_accepted();
std::unique_ptr<Checker> no_wrong_result_stays();
std::unique_ptr<Checker> every_liar_banned();
std::unique_ptr<Checker> tables_bounded();
std::unique_ptr<Checker> contract_kept();
std::unique_ptr<Checker> planned_faults_happen();
std::unique_ptr<Checker> inputs_survive();
std::unique_ptr<Checker> results_survive();
std::unique_ptr<Checker> every_liar_cut_off();
std::unique_ptr<Checker> later_jobs_cost_less();
std::unique_ptr<Checker> owners_get_their_share();
std::unique_ptr<Checker> jobs_sleep();
std::unique_ptr<Checker> tail_is_shared();
std::unique_ptr<Checker> copies_are_found();
std::unique_ptr<Checker> late_peers_are_told();
std::unique_ptr<Checker> false_folds_pass();
std::unique_ptr<Checker> logs_fork();
std::unique_ptr<Checker> only_odd_machines_banned();

// All of them. same_seed_same_trace compares whole runs, so it stands beside (same_seed_same_trace.hpp).
std::vector<std::unique_ptr<Checker>> all_checkers();

}  // namespace starling::simulation
