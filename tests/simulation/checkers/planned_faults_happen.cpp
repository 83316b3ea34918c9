// A run ends only after every death, return and partition of its scenario, and machines that are to err did: what never came would test nothing. The
// submitter is killed no earlier than its inputs are safe, so inputs that never become safe show up here.
#include <algorithm>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class PlannedFaultsHappen final : public Checker {
 public:
  const char* name() const override { return "planned_faults_happen"; }

  std::string at_end(const Simulator& run) override {
    if (run.faults_open()) return "planned deaths or returns never came (is the submitter's input safe with three others?)";
    const auto errs = [](const auto& host) { return host->counters().machine_errors > 0; };
    if (run.scenario().erring_peers + run.scenario().bad_tier_peers > 0 && std::ranges::none_of(run.hosts(), errs)) return "no machine erred";
    return run.now_ms() < run.scenario().partition_to_ms ? "the run ended inside its partition" : "";
  }
};

}  // namespace

std::unique_ptr<Checker> planned_faults_happen() { return std::make_unique<PlannedFaultsHappen>(); }

}  // namespace starling::simulation
