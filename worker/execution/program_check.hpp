// Will the platform run this file? Answered in a throw-away process, before anything is submitted.
#pragma once

#include <filesystem>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/spawner.hpp"

namespace starling::execution {

// Errors: not_found (no such file), bad_input (one line that names what is wrong with the program, and a hint).
base::Expected<void> check_program(Spawner& spawner, const std::filesystem::path& executor, const std::filesystem::path& program);

}  // namespace starling::execution
