// Every peer whose disk was set back has stated two results after the same one, some honest peer holds both, and a unit of such a peer was answered
// by it again. Else a scenario of disks that are set back tries nothing that an ordinary restart does not.
#include <cstdio>
#include <set>

#include "coordinator-less/wire/codec.hpp"
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class LogsFork final : public Checker {
 public:
  const char* name() const override { return "logs_fork"; }
  bool by_default() const override { return false; }

  std::string at_end(const Simulator& run) override {
    std::uint32_t set_back = 0;
    for (const auto& host : run.hosts()) set_back += host->counters().set_backs > 0 ? 1U : 0U;
    const auto [forked, answered_again] = look(run);
    if (set_back == 0 || forked < set_back) return "of " + std::to_string(set_back) + " peers that were set back " + std::to_string(forked) + " forked their logs";
    return answered_again < forked ? "of " + std::to_string(forked) + " peers with forks " + std::to_string(answered_again) + " answered a unit again" : "";
  }

  std::string report(const Simulator& run) override {
    char text[60];
    const auto [forked, answered_again] = look(run);
    std::snprintf(text, sizeof text, "forked=%u answered_again=%u", forked, answered_again);
    return text;
  }

 private:
  struct Seen {
    std::uint32_t forked = 0, answered_again = 0;  // peers that were set back
  };

  static Seen look(const Simulator& run) {
    Seen seen;
    for (const auto& host : run.hosts()) {
      if (host->counters().set_backs == 0) continue;
      bool forked = false, again = false;
      for (const JobRun& job : run.jobs())
        for (const Host* witness : run.honest_alive()) {
          forked = forked || forks(*witness, job, host->id());
          again = again || repeats(*witness, job, host->id());
        }
      seen.forked += forked ? 1U : 0U;
      seen.answered_again += forked && again ? 1U : 0U;
    }
    return seen;
  }

  static bool forks(const Host& witness, const JobRun& job, const base::PeerId& author) {
    std::set<base::MessageId> followed;
    for (const auto& statement : witness.node().statements_of(job.id)) {
      if (statement.type != protocol::StatementType::results || statement.author != author) continue;
      const auto body = wire::decode_body(statement.type, wire::decode_envelope(*statement.raw)->body);
      if (!followed.insert(std::get<protocol::Results>(*body).previous).second) return true;
    }
    return false;
  }

  static bool repeats(const Host& witness, const JobRun& job, const base::PeerId& author) {
    const protocol::Verdict* verdict = witness.node().verdict(job.id);
    for (protocol::UnitIndex unit = 0; verdict != nullptr && unit < job.manifest.unit_count; ++unit)
      if (verdict->entries_of(author, unit) > 1) return true;
    return false;
  }
};

}  // namespace

std::unique_ptr<Checker> logs_fork() { return std::make_unique<LogsFork>(); }

}  // namespace starling::simulation
