// At no moment does an honest peer count an honest key as banned, whether its job sleeps or not, or a unit of an honest key whose machine computes
// rightly as proven wrong.
#include <set>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class NoHonestPeerBanned final : public Checker {
 public:
  const char* name() const override { return "no_honest_peer_banned"; }
  std::string each_second(const Simulator& run) override { return look(run, false); }
  std::string at_end(const Simulator& run) override { return look(run, true); }

  // For scenarios in which some must be: honest keys that somebody bans at the end, and pairs of those who ban and are banned, in any job.
  std::string report(const Simulator& run) override {
    std::set<std::pair<const Host*, const Host*>> pairs;
    std::set<const Host*> banned;
    for (const JobRun& job : run.jobs())
      for (const Host* host : run.honest_alive()) {
        const auto here = banned_by(*host, job.id, host->node().verdict(job.id));
        for (const auto& accused : run.hosts())
          if (accused->honest() && here.contains(accused->id())) pairs.emplace(host, accused.get()), banned.insert(accused.get());
      }
    return "honest_banned=" + std::to_string(banned.size()) + " pairs=" + std::to_string(pairs.size());
  }

 private:
  static std::string look(const Simulator& run, bool asleep_too) {
    for (const JobRun& job : run.jobs()) {
      for (const Host* host : run.honest_alive()) {
        if (!job.submitted) continue;
        const protocol::Verdict* verdict = asleep_too ? host->node().verdict(job.id) : host->verdict_awake(job.id);
        const auto banned_here = banned_by(*host, job.id, verdict);
        for (const auto& accused : run.hosts()) {
          if (!accused->honest()) continue;
          const bool banned = banned_here.contains(accused->id()) || host->keys_banned_here().contains(accused->id());
          const bool blamed = verdict != nullptr && !accused->traits().at_fault() && verdict->faults().contains(accused->id());
          if (!banned && !blamed) continue;
          return "peer " + std::to_string(host->traits().index) + (banned ? " banned" : " blames") + " the honest peer " +
                 std::to_string(accused->traits().index) + " at " + std::to_string(run.now_ms()) + " ms";
        }
      }
    }
    return {};
  }

  // A job that sleeps says so without waking.
  static std::set<base::PeerId> banned_by(const Host& host, const base::JobId& job, const protocol::Verdict* verdict) {
    if (verdict != nullptr) return verdict->banned();
    const auto status = host.node().job(job);
    return status ? std::set(status->banned.begin(), status->banned.end()) : std::set<base::PeerId>();
  }
};

}  // namespace

std::unique_ptr<Checker> no_honest_peer_banned() { return std::make_unique<NoHonestPeerBanned>(); }

}  // namespace starling::simulation
