// Every late peer is told the first job by folds until the end, takes none of its evidence, and audits of such jobs are made; nobody is told a job that
// its submitter does not see finished.
#include <cstdio>
#include <set>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class LatePeersAreTold final : public Checker {
 public:
  const char* name() const override { return "late_peers_are_told"; }
  bool by_default() const override { return false; }

  std::string each_second(const Simulator& run) override {
    if (!run.jobs().back().submitted) bytes_ = late_bytes(run);
    for (const JobRun& job : run.jobs())
      for (const Host* host : run.honest_alive()) {
        if (!job.submitted || !host->node().folded(job.id)) continue;
        const auto status = run.hosts()[job.submitter]->node().job(job.id);
        if (status->state != protocol::JobState::finished)
          return "peer " + std::to_string(host->traits().index) + " is told " + job.manifest.name + ", which is not finished, at " + std::to_string(run.now_ms()) + " ms";
      }
    return {};
  }

  std::string at_end(const Simulator& run) override {
    const base::JobId job = run.jobs().front().id;
    for (const Host* host : run.honest_alive())
      if (host->traits().late && !host->node().folded(job)) return "the late peer " + std::to_string(host->traits().index) + " is not told the first job";
    return audits(run) == 0 ? "nobody audited a job that he was told" : "";
  }

  std::string report(const Simulator&) override {
    char text[80];
    std::snprintf(text, sizeof text, "late_bytes=%llu audits=%u", static_cast<unsigned long long>(bytes_), audits_);
    return text;
  }

 private:
  static std::uint64_t late_bytes(const Simulator& run) {
    std::uint64_t bytes = 0;
    for (const Host* host : run.honest_alive())
      if (host->traits().late) bytes += host->counters().bytes_received;
    return bytes;
  }
  std::uint32_t audits(const Simulator& run) {
    audits_ = 0;
    for (const JobRun& job : run.jobs())
      for (const Host* host : run.honest_alive())
        if (const auto status = host->node().job(job.id)) audits_ += status->audits_of_told;
    return audits_;
  }
  std::uint64_t bytes_ = 0;  // that the late peers received before the next job came
  std::uint32_t audits_ = 0;
};

}  // namespace

std::unique_ptr<Checker> late_peers_are_told() { return std::make_unique<LatePeersAreTold>(); }

}  // namespace starling::simulation
