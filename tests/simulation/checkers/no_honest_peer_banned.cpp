// At no moment does an honest peer count an honest key as banned, or a unit of an honest key as proven wrong.
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class NoHonestPeerBanned final : public Checker {
 public:
  const char* name() const override { return "no_honest_peer_banned"; }
  std::string each_second(const Simulator& run) override { return look(run, false); }
  std::string at_end(const Simulator& run) override { return look(run, true); }

 private:
  static std::string look(const Simulator& run, bool asleep_too) {
    for (const JobRun& job : run.jobs()) {
      for (const Host* host : run.honest_alive()) {
        if (!job.submitted) continue;
        const protocol::Verdict* verdict = asleep_too ? host->node().verdict(job.id) : host->verdict_awake(job.id);
        if (verdict == nullptr) continue;
        for (const auto& accused : run.hosts()) {
          if (!accused->honest()) continue;
          const bool banned = verdict->banned(accused->id()) || host->keys_banned_here().contains(accused->id());
          const bool blamed = verdict->faults().contains(accused->id());
          if (!banned && !blamed) continue;
          return "peer " + std::to_string(host->traits().index) + (banned ? " banned" : " blames") + " the honest peer " +
                 std::to_string(accused->traits().index) + " at " + std::to_string(run.now_ms()) + " ms";
        }
      }
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Checker> no_honest_peer_banned() { return std::make_unique<NoHonestPeerBanned>(); }

}  // namespace starling::simulation
