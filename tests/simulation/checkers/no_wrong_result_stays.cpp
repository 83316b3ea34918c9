// At the end no honest peer accepts an outcome other than the true one. For scenarios in which machines err alike, so that a wrong one may be accepted
// until somebody finds out; the others expect no_wrong_result_accepted.
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class NoWrongResultStays final : public Checker {
 public:
  const char* name() const override { return "no_wrong_result_stays"; }
  bool by_default() const override { return false; }

  std::string at_end(const Simulator& run) override {
    for (const JobRun& job : run.jobs()) {
      const auto truth = truth_of(run.scenario(), job.id);
      for (const Host* host : run.honest_alive()) {
        const protocol::Verdict* verdict = host->node().verdict(job.id);
        if (verdict == nullptr) continue;
        for (protocol::UnitIndex unit = 0; unit < truth.size(); ++unit) {
          const auto* accepted = verdict->accepted_outcome(unit);
          if (accepted != nullptr && *accepted != truth[unit])
            return "peer " + std::to_string(host->traits().index) + " ends with a wrong outcome of unit " + std::to_string(unit) + " of " + job.manifest.name;
        }
      }
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Checker> no_wrong_result_stays() { return std::make_unique<NoWrongResultStays>(); }

}  // namespace starling::simulation
