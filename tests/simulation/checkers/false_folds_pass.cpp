// No honest peer believes the false folds of hostile members for long: comparison with one honest neighbour ends it. Honest folds are believed by
// nobody here, as the false ones contradict them. Where late peers are under siege, each of them believes until its first honest link comes, and none
// of them for long after that.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

constexpr std::uint64_t belief_ms_max = 20'000;

class FalseFoldsPass final : public Checker {
 public:
  const char* name() const override { return "false_folds_pass"; }
  bool by_default() const override { return false; }

  std::string each_second(const Simulator& run) override {
    if (run.scenario().siege_to_ms != 0) note_relief(run);
    for (const JobRun& job : run.jobs())
      for (const Host* host : run.honest_alive()) {
        const std::pair place{host->id(), job.id};
        if (!job.submitted || !host->node().folded(job.id)) {
          since_.erase(place);
          continue;
        }
        const auto [belief, fresh] = since_.try_emplace(place, run.now_ms());
        believed_ += fresh ? 1U : 0U;
        if (!besieged(run, *host) && run.now_ms() - std::max(belief->second, relieved_at(*host)) > belief_ms_max)
          return "peer " + std::to_string(host->traits().index) + " believes false folds of " + job.manifest.name + " since " + std::to_string(belief->second) + " ms";
      }
    return {};
  }

  std::string at_end(const Simulator& run) override {
    if (run.scenario().siege_to_ms == 0) return {};
    for (const Host* host : run.honest_alive()) {
      const std::string who = "the late peer " + std::to_string(host->traits().index);
      if (!host->traits().late) continue;
      if (besieged(run, *host)) return who + " never got an honest link";
      if (!believed_till_relief_.contains(host->id())) return who + " believed no false folds when its first honest link came";
    }
    return since_.empty() ? "" : "false folds are believed at the end";
  }

  std::string report(const Simulator&) override {
    char text[60];
    std::snprintf(text, sizeof text, "believed=%u till_honest_link=%zu", believed_, believed_till_relief_.size());
    return text;
  }

 private:
  bool besieged(const Simulator& run, const Host& host) const { return run.scenario().siege_to_ms != 0 && host.traits().late && !relieved_ms_.contains(host.id()); }

  std::uint64_t relieved_at(const Host& host) const {
    const auto it = relieved_ms_.find(host.id());
    return it == relieved_ms_.end() ? 0 : it->second;
  }

  // What was believed at the look before: the link may have ended that already.
  void note_relief(const Simulator& run) {
    for (const Host* host : run.honest_alive()) {
      if (!besieged(run, *host) || !run.linked_to_honest(*host)) continue;
      relieved_ms_[host->id()] = run.now_ms();
      if (std::ranges::any_of(since_, [&](const auto& belief) { return belief.first.first == host->id(); })) believed_till_relief_.insert(host->id());
    }
  }

  std::map<std::pair<base::PeerId, base::JobId>, std::uint64_t> since_;
  std::map<base::PeerId, std::uint64_t> relieved_ms_;  // of late peers under siege: when the first honest link was seen
  std::set<base::PeerId> believed_till_relief_;
  std::uint32_t believed_ = 0;
};

}  // namespace

std::unique_ptr<Checker> false_folds_pass() { return std::make_unique<FalseFoldsPass>(); }

}  // namespace starling::simulation
