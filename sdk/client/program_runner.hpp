// Port: runs a program once on this machine, sandboxed as a unit is, for the parts of a job that are the program's own:
// `split NAME` before it and `merge NAME` after it. The worker's executor implements it; main hands it over.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "sdk/client/unit_archive.hpp"

namespace starling::client {

struct LocalInput {
  std::string path;  // below /in
  std::variant<std::filesystem::path, base::Bytes> content;
};

struct LocalRun {
  std::filesystem::path program;
  std::vector<std::string> arguments;  // argv[1..]
  std::vector<LocalInput> inputs;
  protocol::UnitLimits limits;
};

struct LocalRunEnd {
  ItemOutput output;
  std::string error_text;  // the last of what it wrote to stderr
};

class ProgramRunner {
 public:
  virtual ~ProgramRunner() = default;
  // Before this process has threads or sockets (a light peer has both); the other calls prepare by themselves.
  virtual base::Expected<void> prepare() = 0;
  // bad_input unless the file is a module that every peer can run; not_found when there is no such file.
  virtual base::Expected<void> check(const std::filesystem::path& program) = 0;
  // How the program ended is part of the value; errors are this machine's own (no memory, no time, no executor).
  virtual base::Expected<LocalRunEnd> run(const LocalRun& run) = 0;
};

}  // namespace starling::client
