// At the end some living peer holds the whole archive of each unit that an honest peer accepts (of its last segment): no result bytes are lost.
// A peer that never lies must hold it, since a liar serves what it likes.
#include <algorithm>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class ResultsSurvive final : public Checker {
 public:
  const char* name() const override { return "results_survive"; }

  std::string at_end(const Simulator& run) override {
    const auto honest = run.honest_alive();
    std::uint64_t lost = 0;
    for (const JobRun& job : run.jobs()) {
      if (!job.submitted) continue;
      for (const Host* reader : honest) {
        const protocol::Verdict* verdict = reader->node().verdict(job.id);
        if (verdict == nullptr) continue;
        for (protocol::UnitIndex unit = 0; unit < reader->node().evidence(job.id)->unit_count(); ++unit) {
          if (verdict->ends(unit) && !held(honest, verdict->accepted_outcome(unit)->digest)) ++lost;
        }
        if (lost != 0) return std::to_string(lost) + " accepted archives are held by no honest living peer";
      }
    }
    return {};
  }

 private:
  static bool held(const std::vector<const Host*>& hosts, const base::Digest& archive) {
    return std::ranges::any_of(hosts, [&](const Host* host) { return host->shelf().whole(archive); });
  }
};

}  // namespace

std::unique_ptr<Checker> results_survive() { return std::make_unique<ResultsSurvive>(); }

}  // namespace starling::simulation
