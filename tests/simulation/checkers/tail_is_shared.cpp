// Where more slots are free than answers are missing, hardly more start than are needed (decision 0026): with claims alone the scenario short_tail takes
// 4.0 executions for a unit, by the coin 2.6 to 2.9.
#include <cstdio>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

constexpr double executions_per_unit_max = 3.3;

class TailIsShared final : public Checker {
 public:
  const char* name() const override { return "tail_is_shared"; }
  bool by_default() const override { return false; }

  std::string at_end(const Simulator& run) override {
    if (run.executions_per_unit() <= executions_per_unit_max) return "";
    return "too many peers started the same units:" + report(run);
  }

  std::string report(const Simulator& run) override {
    char text[80];
    std::snprintf(text, sizeof text, "executions_per_unit=%.2f at_most=%.1f", run.executions_per_unit(), executions_per_unit_max);
    return text;
  }
};

}  // namespace

std::unique_ptr<Checker> tail_is_shared() { return std::make_unique<TailIsShared>(); }

}  // namespace starling::simulation
