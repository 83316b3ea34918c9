// Where some honest machines always compute otherwise: at no moment does an honest peer whose machine is not at fault ban anybody but these and liars;
// at the end each such peer bans each odd machine and has the job finished. What the odd ones ban is only reported.
#include <algorithm>
#include <cstdio>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class OnlyOddMachinesBanned final : public Checker {
 public:
  const char* name() const override { return "only_odd_machines_banned"; }
  bool by_default() const override { return false; }

  std::string each_second(const Simulator& run) override { return first_sound_banned(run); }

  std::string at_end(const Simulator& run) override {
    if (const auto sound = first_sound_banned(run); !sound.empty()) return sound;
    std::uint32_t odd = 0;
    for (const auto& host : run.hosts()) odd += host->traits().broken ? 1U : 0U;
    if (odd == 0) return "no machine is odd";
    std::string missing;
    for (const JobRun& job : run.jobs())
      for (const Host* judge : sound_judges(run)) {
        const auto status = judge->node().job(job.id);
        if (!status || status->state != protocol::JobState::finished) missing += "peer " + std::to_string(judge->traits().index) + " has not finished " + job.manifest.name + "; ";
        for (const auto& accused : run.hosts())
          if (accused->traits().broken && !bans(*judge, job, *accused))
            missing += "peer " + std::to_string(judge->traits().index) + " does not ban the odd machine " + std::to_string(accused->traits().index) + "; ";
      }
    return missing;
  }

  std::string report(const Simulator& run) override {
    std::uint32_t by_sound = 0, by_odd = 0;
    for (const JobRun& job : run.jobs())
      for (const Host* judge : run.honest_alive())
        for (const auto& accused : run.hosts())
          if (accused->honest() && bans(*judge, job, *accused)) ++(judge->traits().broken ? by_odd : by_sound);
    char text[60];
    std::snprintf(text, sizeof text, "bans_by_sound=%u bans_by_odd=%u", by_sound, by_odd);
    return text;
  }

 private:
  static std::vector<const Host*> sound_judges(const Simulator& run) {
    auto judges = run.honest_alive();
    std::erase_if(judges, [](const Host* host) { return host->traits().at_fault() || host->traits().light; });
    return judges;
  }

  static bool bans(const Host& judge, const JobRun& job, const Host& accused) {
    if (judge.keys_banned_here().contains(accused.id())) return true;
    const auto status = job.submitted ? judge.node().job(job.id) : std::nullopt;
    return status && std::ranges::find(status->banned, accused.id()) != status->banned.end();
  }

  static std::string first_sound_banned(const Simulator& run) {
    for (const JobRun& job : run.jobs())
      for (const Host* judge : sound_judges(run))
        for (const auto& accused : run.hosts())
          if (accused->honest() && !accused->traits().broken && bans(*judge, job, *accused))
            return "peer " + std::to_string(judge->traits().index) + " banned the sound machine " + std::to_string(accused->traits().index) + " at " + std::to_string(run.now_ms()) + " ms";
    return {};
  }
};

}  // namespace

std::unique_ptr<Checker> only_odd_machines_banned() { return std::make_unique<OnlyOddMachinesBanned>(); }

}  // namespace starling::simulation
