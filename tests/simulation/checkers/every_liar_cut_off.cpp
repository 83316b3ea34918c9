// At the end no honest living peer has a link with a peer that is not honest, and each of those was cut off by somebody: for
// bytes that do not verify, or faults that were proven. Off by default: a quiet liar among many may never be caught.
#include <algorithm>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class EveryLiarCutOff final : public Checker {
 public:
  const char* name() const override { return "every_liar_cut_off"; }
  bool by_default() const override { return false; }

  std::string at_end(const Simulator& run) override {
    std::string missing;
    for (const auto& other : run.hosts()) {
      if (other->honest()) continue;
      const auto honest = run.honest_alive();
      const std::string who = "peer " + std::to_string(other->traits().index);
      if (std::ranges::none_of(honest, [&](const Host* host) { return host->cut(other->id()); })) missing += "nobody cut off " + who + "; ";
      for (const Host* host : honest)
        if (linked(*host, other->id())) missing += "peer " + std::to_string(host->traits().index) + " still has a link with " + who + "; ";
    }
    return missing;
  }

 private:
  static bool linked(const Host& host, const base::PeerId& other) {
    return std::ranges::any_of(host.node().peers(), [&](const protocol::PeerStatus& peer) { return peer.id == other && peer.linked; });
  }
};

}  // namespace

std::unique_ptr<Checker> every_liar_cut_off() { return std::make_unique<EveryLiarCutOff>(); }

}  // namespace starling::simulation
