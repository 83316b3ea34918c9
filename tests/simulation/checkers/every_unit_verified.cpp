// At the end every honest living peer sees every unit of every job accepted and every job finished; who is told a job by folds is told what its submitter
// sees: that it ended so, with as many failures.
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
        if (host->node().folded(job.id)) {
          if (!told_the_truth(*host, *run.hosts()[job.submitter], job.id)) return "peer " + std::to_string(host->traits().index) + " is told otherwise: " + run.state_of_jobs();
          continue;
        }
        const protocol::Verdict* verdict = host->node().verdict(job.id);
        if (verdict == nullptr || verdict->ended_count() != job.manifest.unit_count) return run.state_of_jobs();
      }
    }
    return run.all_finished() ? "" : run.state_of_jobs();
  }

 private:
  static bool told_the_truth(const Host& host, const Host& submitter, const base::JobId& job) {
    if (!submitter.alive()) return true;
    const auto told = host.node().job(job), truth = submitter.node().job(job);
    return truth && !submitter.node().folded(job) && told->state == truth->state && told->accepted_failures == truth->accepted_failures;
  }
};

}  // namespace

std::unique_ptr<Checker> every_unit_verified() { return std::make_unique<EveryUnitVerified>(); }

}  // namespace starling::simulation
