// Jobs of different owners that come at about one time progress alike, whatever priority a stranger wrote into his own: when the
// first of them has ended, none is less than three fifths done.
#include <algorithm>
#include <cstdio>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

constexpr double done_least = 0.6;

class OwnersGetTheirShare final : public Checker {
 public:
  const char* name() const override { return "owners_get_their_share"; }
  bool by_default() const override { return false; }

  std::string each_second(const Simulator& run) override {
    if (least_ >= 0) return {};
    double least = 1, most = 0;
    for (const JobRun& job : run.jobs()) {
      const double done = done_of(run, job);
      least = std::min(least, done);
      most = std::max(most, done);
    }
    if (most >= 1) least_ = least;
    return {};
  }

  std::string at_end(const Simulator& run) override {
    if (least_ < 0) return "no second passed in which a job was done";
    return least_ >= done_least ? "" : "when the first job was done another was not:" + report(run);
  }

  std::string report(const Simulator&) override {
    char text[64];
    std::snprintf(text, sizeof text, "done_beside_first=%.2f", least_);
    return text;
  }

 private:
  static double done_of(const Simulator& run, const JobRun& job) {
    const auto hosts = run.honest_alive();
    const protocol::Verdict* verdict = !job.submitted || hosts.empty() ? nullptr : hosts.front()->node().verdict(job.id);
    return verdict == nullptr ? 0 : static_cast<double>(verdict->ended_count()) / job.manifest.unit_count;
  }

  double least_ = -1;  // of the other jobs, when the first was done
};

}  // namespace

std::unique_ptr<Checker> owners_get_their_share() { return std::make_unique<OwnersGetTheirShare>(); }

}  // namespace starling::simulation
