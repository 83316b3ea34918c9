// The command line of `starling`: words to a command, and its outcome to an exit code (base::exit_code).
#pragma once

#include <atomic>
#include <cstdio>
#include <string>
#include <vector>

#include "sdk/cli/ports.hpp"

namespace starling::cli {

// `arguments` without the program's own name.
int run(const std::vector<std::string>& arguments, Ports& ports, const std::atomic<bool>& interrupted, std::FILE* data = stdout,
        std::FILE* notes = stderr);

}  // namespace starling::cli
