// Two runs of one scenario and seed give the same trace: the same inputs and effects at the same peers and instants.
#pragma once

#include <cstdint>
#include <string>

#include "tests/simulation/simulator.hpp"

namespace starling::simulation {

inline constexpr const char* same_seed_same_trace_name = "same_seed_same_trace";

// Runs once more, without checkers, and compares. "" when equal.
std::string same_seed_same_trace(const Simulator& first, std::uint64_t seed);

}  // namespace starling::simulation
