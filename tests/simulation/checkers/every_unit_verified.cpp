// At the end every honest living peer sees every unit of every job accepted and every job finished; who is told a job by folds is told the truth: the root
// is that of the right outcomes, and as many failed.
#include "coordinator-less/protocol/fold.hpp"
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
          if (!told_the_truth(run, *host, job.id)) return "peer " + std::to_string(host->traits().index) + " is told another outcome of " + job.manifest.name;
          continue;
        }
        const protocol::Verdict* verdict = host->node().verdict(job.id);
        if (verdict == nullptr || verdict->ended_count() != job.manifest.unit_count) return run.state_of_jobs();
      }
    }
    return run.all_finished() ? "" : run.state_of_jobs();
  }

 private:
  static bool told_the_truth(const Simulator& run, const Host& host, const base::JobId& job) {
    NotaryOffice nobody;
    SimNotary digester(nobody, {});
    std::vector<base::Digest> leaves;
    std::uint32_t failures = 0;
    for (const auto& outcome : truth_of(run.scenario(), job)) {
      leaves.push_back(outcome ? protocol::fold_leaf(*outcome, digester) : base::Digest{});
      if (outcome && outcome->kind != protocol::OutcomeKind::ok && outcome->kind != protocol::OutcomeKind::checkpoint) ++failures;
    }
    const auto told = host.node().job(job);
    return host.node().told_root(job) == protocol::FoldTree(std::move(leaves), digester).root() && told->accepted_failures == failures &&
           told->state == (failures == 0 ? protocol::JobState::finished : protocol::JobState::failed);
  }
};

}  // namespace

std::unique_ptr<Checker> every_unit_verified() { return std::make_unique<EveryUnitVerified>(); }

}  // namespace starling::simulation
