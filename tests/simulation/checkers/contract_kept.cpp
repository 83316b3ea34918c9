// Node asks nothing of its runtime that the contract in node.hpp, effect.hpp and input.hpp forbids (host.cpp notes breaches).
#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class ContractKept final : public Checker {
 public:
  const char* name() const override { return "contract_kept"; }
  std::string each_second(const Simulator& run) override { return first(run); }
  std::string at_end(const Simulator& run) override { return first(run); }

 private:
  static std::string first(const Simulator& run) { return run.world().breaches.empty() ? "" : run.world().breaches.front(); }
};

}  // namespace

std::unique_ptr<Checker> contract_kept() { return std::make_unique<ContractKept>(); }

}  // namespace starling::simulation
