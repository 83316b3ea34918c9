// A run ends only after every death, return and partition of its scenario, machines that are to err did, all clocks that are to jump jumped, one at least
// while its machine worked, and all disks that are to be set back were (whether logs fork then says logs_fork): what never came would test nothing. The
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
    const Scenario& planned = run.scenario();
    if (planned.clock_jumpers != 0 && sum(run, &HostCounters::clock_jumps) != planned.clock_jumpers) return "not all clocks jumped";
    if (planned.clock_jumpers != 0 && sum(run, &HostCounters::clock_jumps_at_work) == 0) return "no clock jumped while its machine worked";
    if (sum(run, &HostCounters::set_backs) != planned.set_back_peers) return "not all disks were set back";
    return run.now_ms() < run.scenario().partition_to_ms ? "the run ended inside its partition" : "";
  }

 private:
  static std::uint32_t sum(const Simulator& run, std::uint32_t HostCounters::* counter) {
    std::uint32_t all = 0;
    for (const auto& host : run.hosts()) all += host->counters().*counter;
    return all;
  }
};

}  // namespace

std::unique_ptr<Checker> planned_faults_happen() { return std::make_unique<PlannedFaultsHappen>(); }

}  // namespace starling::simulation
