// Each living copier is banned by some honest peer, though what it copied is right and nothing contests it: audits make the fingerprints of others too.
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class CopiesAreFound final : public Checker {
 public:
  const char* name() const override { return "copies_are_found"; }
  bool by_default() const override { return false; }

  std::string at_end(const Simulator& run) override {
    std::string missing;
    for (const auto& host : run.hosts())
      if (host->traits().behaviour == Behaviour::copier && host->alive() && finders_of(run, *host) == 0)
        missing += "nobody has found the copier " + std::to_string(host->traits().index) + "; ";
    return missing;
  }

  std::string report(const Simulator& run) override {
    std::size_t finders = 0, pairs = 0;
    for (const auto& host : run.hosts()) {
      if (host->traits().behaviour != Behaviour::copier) continue;
      finders += finders_of(run, *host);
      pairs += run.honest_alive().size();
    }
    return "copiers_banned=" + std::to_string(finders) + "/" + std::to_string(pairs);
  }

 private:
  static std::size_t finders_of(const Simulator& run, const Host& copier) {
    std::size_t count = 0;
    for (const Host* honest : run.honest_alive()) {
      bool banned = false;
      for (const JobRun& job : run.jobs()) {
        const protocol::Verdict* verdict = honest->node().verdict(job.id);
        banned = banned || (verdict != nullptr && verdict->banned(copier.id()));
      }
      count += banned ? 1 : 0;
    }
    return count;
  }
};

}  // namespace

std::unique_ptr<Checker> copies_are_found() { return std::make_unique<CopiesAreFound>(); }

}  // namespace starling::simulation
