// No honest peer believes the false folds of hostile members for long: comparison with one honest neighbour ends it. Honest folds are believed by
// nobody here, as the false ones contradict them.
#include <cstdio>
#include <map>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

constexpr std::uint64_t belief_ms_max = 20'000;

class FalseFoldsPass final : public Checker {
 public:
  const char* name() const override { return "false_folds_pass"; }
  bool by_default() const override { return false; }

  std::string each_second(const Simulator& run) override {
    for (const JobRun& job : run.jobs())
      for (const Host* host : run.honest_alive()) {
        const std::pair place{host->id(), job.id};
        if (!job.submitted || !host->node().folded(job.id)) {
          since_.erase(place);
          continue;
        }
        const auto [belief, fresh] = since_.try_emplace(place, run.now_ms());
        believed_ += fresh ? 1 : 0;
        if (run.now_ms() - belief->second > belief_ms_max)
          return "peer " + std::to_string(host->traits().index) + " believes false folds of " + job.manifest.name + " since " + std::to_string(belief->second) + " ms";
      }
    return {};
  }

  std::string report(const Simulator&) override {
    char text[40];
    std::snprintf(text, sizeof text, "believed=%u", believed_);
    return text;
  }

 private:
  std::map<std::pair<base::PeerId, base::JobId>, std::uint64_t> since_;
  std::uint32_t believed_ = 0;
};

}  // namespace

std::unique_ptr<Checker> false_folds_pass() { return std::make_unique<FalseFoldsPass>(); }

}  // namespace starling::simulation
