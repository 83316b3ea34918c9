#include "tests/simulation/checkers/same_seed_same_trace.hpp"

namespace starling::simulation {

std::string same_seed_same_trace(const Simulator& first, std::uint64_t seed) {
  Simulator again(first.scenario(), seed, {});
  again.run([] { return std::string(); });
  if (again.trace_hash() == first.trace_hash() && again.now_ms() == first.now_ms()) return {};
  return "a second run of the same seed took another course";
}

}  // namespace starling::simulation
