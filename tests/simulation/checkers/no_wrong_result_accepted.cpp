// At no moment does an honest peer accept an outcome other than the true one. Where a coalition is expected to capture units for a while the
// scenario gives capture_max, of all (honest peer, unit) pairs, and expects no_wrong_result_stays, or it only reports: capture = share of accepted
// pairs that have a wrong outcome at the end, capture_most = the largest share of all pairs at any look.
#include <algorithm>
#include <cstdio>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class NoWrongResultAccepted final : public Checker {
 public:
  const char* name() const override { return "no_wrong_result_accepted"; }
  std::string each_second(const Simulator& run) override {
    const double most = run.scenario().capture_max;
    if (most == 0 && !run.scenario().report.contains(name())) return first_wrong(run, false);
    const double pairs = static_cast<double>(run.honest_alive().size()) * run.scenario().units * run.scenario().jobs;
    capture_most_ = std::max(capture_most_, static_cast<double>(count(run, false).wrong) / std::max(pairs, 1.0));
    if (capture_most_ <= most) return {};
    return "of all pairs of an honest peer and a unit " + std::to_string(capture_most_) + " are wrong at " + std::to_string(run.now_ms()) + " ms";
  }
  std::string at_end(const Simulator& run) override { return run.scenario().capture_max == 0 ? first_wrong(run, true) : ""; }

  std::string report(const Simulator& run) override {
    const Counts counts = count(run, true);
    char text[80];
    std::snprintf(text, sizeof text, "capture=%.4f capture_most=%.4f",
                  static_cast<double>(counts.wrong) / std::max(static_cast<double>(counts.accepted), 1.0), capture_most_);
    return text;
  }

 private:
  struct Counts {
    std::uint64_t accepted = 0, wrong = 0;
  };
  static Counts count(const Simulator& run, bool asleep_too) {
    Counts counts;
    visit(run, asleep_too, [&](const Host&, const JobRun&, protocol::UnitIndex, bool right) {
      ++counts.accepted;
      if (!right) ++counts.wrong;
      return true;
    });
    return counts;
  }

  template <class Look>
  static void visit(const Simulator& run, bool asleep_too, Look&& each) {
    for (const JobRun& job : run.jobs()) {
      if (!job.submitted) continue;
      const auto truth = truth_of(run.scenario(), job.id);
      for (const Host* host : run.honest_alive()) {
        const protocol::Verdict* verdict = asleep_too ? host->node().verdict(job.id) : host->verdict_awake(job.id);
        if (verdict == nullptr) continue;
        for (protocol::UnitIndex unit = 0; unit < truth.size(); ++unit) {
          const protocol::UnitVerdict& seen = verdict->unit(unit);
          if (seen.accepted && !each(*host, job, unit, seen.outcome == truth[unit])) return;
        }
      }
    }
  }

  static std::string first_wrong(const Simulator& run, bool asleep_too) {
    std::string found;
    visit(run, asleep_too, [&](const Host& host, const JobRun& job, protocol::UnitIndex unit, bool right) {
      if (right) return true;
      found = "peer " + std::to_string(host.traits().index) + " accepts a wrong outcome of unit " + std::to_string(unit) + " of " +
              job.manifest.name + " at " + std::to_string(run.now_ms()) + " ms";
      return false;
    });
    return found;
  }

  double capture_most_ = 0;
};

}  // namespace

std::unique_ptr<Checker> no_wrong_result_accepted() { return std::make_unique<NoWrongResultAccepted>(); }

}  // namespace starling::simulation
