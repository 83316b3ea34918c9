// At the end every honest living peer sees every unit of every job accepted and every job finished; who is told a job by folds has that from others.
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class EveryUnitVerified final : public Checker {
 public:
  const char* name() const override { return "every_unit_verified"; }

  std::string at_end(const Simulator& run) override {
    for (const JobRun& job : run.jobs()) {
      if (!job.submitted) return job.manifest.name + " was never submitted";
      for (const Host* host : run.honest_alive()) {
        if (host->node().folded(job.id)) continue;
        const protocol::Verdict* verdict = host->node().verdict(job.id);
        if (verdict == nullptr || verdict->ended_count() != job.manifest.unit_count) return run.state_of_jobs();
      }
    }
    return run.all_finished() ? "" : run.state_of_jobs();
  }
};

}  // namespace

std::unique_ptr<Checker> every_unit_verified() { return std::make_unique<EveryUnitVerified>(); }

}  // namespace starling::simulation
