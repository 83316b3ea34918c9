// The programs of the comparison: hand-made cases with a known end, random modules, and the guest programs of the project.
#pragma once

#include <string>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "tests/same_bytes/host.hpp"

namespace starling::testing {

struct Case {
  std::string name;      // "trap/divide_by_zero_i32": the part before the slash groups the table
  base::Bytes wasm;      // as a submitter would send it
  std::string expected;  // "kind" or "kind:code"; empty: whatever all tiers agree on
  RunLimits limits;
  std::vector<std::string> arguments;
  std::string input;
};

std::vector<Case> explicit_cases();
std::vector<Case> random_cases(std::uint64_t first_seed, std::uint64_t count);
std::vector<Case> guest_cases(const std::string& folder);  // every .wasm in it, the kernels of the benchmarks apart

}  // namespace starling::testing
