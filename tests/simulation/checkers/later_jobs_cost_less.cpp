// A manifest that names the peers of its owner's earlier jobs spares executions: the last job takes fewer for a unit than the first.
#include <cstdio>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

double executions_per_unit(const Simulator& run, const JobRun& job) {
  const auto hosts = run.honest_alive();
  const auto status = hosts.empty() ? std::nullopt : hosts.front()->node().job(job.id);
  return status ? static_cast<double>(status->executions) / job.manifest.unit_count : 0;
}

class LaterJobsCostLess final : public Checker {
 public:
  const char* name() const override { return "later_jobs_cost_less"; }
  bool by_default() const override { return false; }

  std::string at_end(const Simulator& run) override {
    if (executions_per_unit(run, run.jobs().back()) < executions_per_unit(run, run.jobs().front())) return "";
    return "the last job took as many executions as the first:" + report(run);
  }

  std::string report(const Simulator& run) override {
    char text[80];
    std::snprintf(text, sizeof text, "first_job=%.2f last_job=%.2f known=%zu", executions_per_unit(run, run.jobs().front()),
                  executions_per_unit(run, run.jobs().back()), run.jobs().back().manifest.known.size());
    return text;
  }
};

}  // namespace

std::unique_ptr<Checker> later_jobs_cost_less() { return std::make_unique<LaterJobsCostLess>(); }

}  // namespace starling::simulation
