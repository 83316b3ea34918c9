#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {

std::vector<std::unique_ptr<Checker>> all_checkers() {
  std::vector<std::unique_ptr<Checker>> out;
  out.push_back(jobs_sleep());  // before those who ask for units at the end, which wakes jobs and asks for the evidence of those that were told
  out.push_back(late_peers_are_told());
  out.push_back(false_folds_pass());
  out.push_back(contract_kept());
  out.push_back(planned_faults_happen());
  out.push_back(every_unit_verified());
  out.push_back(no_honest_peer_banned());
  out.push_back(no_wrong_result_accepted());
  out.push_back(no_wrong_result_stays());
  out.push_back(every_liar_banned());
  out.push_back(tables_bounded());
  out.push_back(inputs_survive());
  out.push_back(results_survive());
  out.push_back(every_liar_cut_off());
  out.push_back(later_jobs_cost_less());
  out.push_back(owners_get_their_share());
  out.push_back(tail_is_shared());
  out.push_back(copies_are_found());
  out.push_back(logs_fork());
  out.push_back(only_odd_machines_banned());
  return out;
}

}  // namespace starling::simulation
