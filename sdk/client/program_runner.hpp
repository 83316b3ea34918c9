// Port: runs a program once on this machine, sandboxed as a unit is, for the parts of a job that are the program's own:
// `split NAME` before it and `merge NAME` after it. The worker's executor implements it; main hands it over.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
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
  base::Bytes standard_input = {};
};

struct LocalRunEnd {
  ItemOutput output;
  std::string error_text;  // the last of what it wrote to stderr
  base::Digest digest;     // what a peer would sign for a unit of this one item
  std::int64_t wall_us = 0;
  std::uint64_t peak_memory_bytes = 0;  // of the process, engine included; 0: not known
  std::optional<std::uint64_t> fuel;    // when the program is metered
  bool compiled = true;                 // else interpreted
  std::string note;                     // why it did not run as optimised native code
};

// What can be told of a program without running it.
struct ProgramFacts {
  bool runs = false;
  std::string problem, hint;  // when it does not
  std::string engine;
  std::uint64_t bytes = 0;
  std::vector<std::string> imports;
  std::vector<std::string> features;  // of WebAssembly beyond the first version, when the check names them
  std::uint64_t memory_bytes_min = 0;
  std::optional<std::uint64_t> memory_bytes_max;
  std::optional<std::string> cost;    // estimated cost of instrumentation, when the check names it
};

class ProgramRunner {
 public:
  virtual ~ProgramRunner() = default;
  // Before this process has threads or sockets (a light peer has both); the other calls prepare by themselves.
  virtual base::Expected<void> prepare() = 0;
  // bad_input unless the file is a module that every peer can run; not_found when there is no such file.
  virtual base::Expected<void> check(const std::filesystem::path& program) = 0;
  // not_found when there is no such file; what is wrong with the program is part of the value.
  virtual base::Expected<ProgramFacts> look_at(const std::filesystem::path& program) = 0;
  // How the program ended is part of the value; errors are this machine's own (no memory, no time, no executor).
  virtual base::Expected<LocalRunEnd> run(const LocalRun& run) = 0;
};

}  // namespace starling::client
