// Will the platform run this file? Answered in a throw-away process, before anything is submitted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/spawner.hpp"

namespace starling::execution {

// Errors: not_found (no such file), bad_input (one line that names what is wrong with the program, and a hint).
base::Expected<void> check_program(Spawner& spawner, const std::filesystem::path& executor, const std::filesystem::path& program);

struct ProgramReport {
  bool runs = false;
  std::string problem, hint, engine;
  std::uint64_t bytes = 0;
  std::vector<std::string> imports, features;
  std::uint64_t memory_bytes_min = 0;
  std::optional<std::uint64_t> memory_bytes_max;
  std::optional<std::string> cost;
};
// The same look, told in full. Errors: not_found, or this machine's own.
base::Expected<ProgramReport> inspect_program(Spawner& spawner, const std::filesystem::path& executor, const std::filesystem::path& program);

}  // namespace starling::execution
