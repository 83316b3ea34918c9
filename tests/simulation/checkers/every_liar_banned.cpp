// At the end every honest living peer that runs units has banned every living liar, by its own replays. Off by default:
// a ban needs three proven faults, which short jobs and large swarms need not give to everybody.
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class EveryLiarBanned final : public Checker {
 public:
  const char* name() const override { return "every_liar_banned"; }
  bool by_default() const override { return false; }

  std::string at_end(const Simulator& run) override {
    std::string missing;
    visit(run, [&](const Host& judge, const Host& liar, bool banned) {
      if (!banned) {
        missing += "peer " + std::to_string(judge.traits().index) + " has not banned the liar " + std::to_string(liar.traits().index) + "; ";
      }
    });
    return missing;
  }

  std::string report(const Simulator& run) override {
    std::uint64_t banned_pairs = 0, pairs = 0;
    visit(run, [&](const Host&, const Host&, bool banned) {
      ++pairs;
      if (banned) ++banned_pairs;
    });
    return "liars_banned=" + std::to_string(banned_pairs) + "/" + std::to_string(pairs);
  }

 private:
  template <class Look>
  static void visit(const Simulator& run, Look&& each) {
    for (const Host* judge : run.honest_alive()) {
      if (judge->traits().light) continue;
      for (const auto& liar : run.hosts()) {
        if (liar->honest() || !liar->alive()) continue;
        bool banned = false;
        for (const JobRun& job : run.jobs()) {
          const protocol::Verdict* verdict = judge->node().verdict(job.id);
          banned = banned || (verdict != nullptr && verdict->banned(liar->id()));
        }
        each(*judge, *liar, banned);
      }
    }
  }
};

}  // namespace

std::unique_ptr<Checker> every_liar_banned() { return std::make_unique<EveryLiarBanned>(); }

}  // namespace starling::simulation
