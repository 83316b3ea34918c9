// Every honest peer lets every job sleep at some time, and every job wakes again at some of them: else nothing was tried.
#include <cstdio>
#include <set>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class JobsSleep final : public Checker {
 public:
  const char* name() const override { return "jobs_sleep"; }
  bool by_default() const override { return false; }

  std::string each_second(const Simulator& run) override {
    for (const JobRun& job : run.jobs())
      for (const Host* host : run.honest_alive())
        if (job.submitted && host->node().asleep(job.id)) slept_.emplace(host->id(), job.id);
    return {};
  }

  std::string at_end(const Simulator& run) override {
    for (const JobRun& job : run.jobs())
      for (const Host* host : run.honest_alive())
        if (!slept_.contains({host->id(), job.id})) return "peer " + std::to_string(host->traits().index) + " never let " + job.manifest.name + " sleep";
    for (const JobRun& job : run.jobs())
      if (woken(run, job) == 0) return job.manifest.name + " never woke";
    return {};
  }

  std::string report(const Simulator& run) override {
    char text[40];
    std::uint64_t wakings = 0;
    for (const JobRun& job : run.jobs()) wakings += woken(run, job);
    std::snprintf(text, sizeof text, "wakings=%llu", static_cast<unsigned long long>(wakings));
    return text;
  }

 private:
  static std::uint64_t woken(const Simulator& run, const JobRun& job) {
    std::uint64_t sum = 0;
    for (const auto& host : run.hosts()) sum += host->times_woken(job.id);
    return sum;
  }
  std::set<std::pair<base::PeerId, base::JobId>> slept_;
};

}  // namespace

std::unique_ptr<Checker> jobs_sleep() { return std::make_unique<JobsSleep>(); }

}  // namespace starling::simulation
