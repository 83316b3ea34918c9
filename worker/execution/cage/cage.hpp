// The cage: what the kernel still refuses to a process whose guest has broken out of the WebAssembly engine.
//
// A process that handles a stranger's bytes enters it before it reads the first of them, in two steps:
//   enter(plan)  first thing in main, with one thread: descriptors, limits, namespaces, files, privileges, priority
//   lock(plan)   when libraries are loaded and the engine is up: from here on only the listed system calls
// Each layer stands alone and says whether it is on; one that a host lacks weakens the cage and never hides. The layers:
//   descriptors         nothing inherited but the standard streams and what the plan keeps
//   limits              no core dump, no files larger than planned, few descriptors, bounded stack; memory and CPU where the plan says
//   user-namespace      ids that mean nothing outside, and its own count of processes
//   network-namespace   no network device, not even loopback; no abstract UNIX socket of the host; no System V IPC of the host
//   landlock            of all files only the planned ones; no TCP; no signal and no abstract socket out of the cage
//   mount-view          a file system that holds nothing but the planned files
//   no-new-privileges   no capability left, none to be had by execve; not traceable or readable by other processes of the user
//   idle-priority       runs when nobody else wants the processor or the disk, and is the first to go when memory is short
//   system-calls        seccomp, an allow-list (system_calls.cpp says what a forbidden call does)
// landlock and mount-view are two ways to the same end: one of them suffices.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace starling::execution::cage {

enum class LayerState : std::uint8_t {
  on,
  missing,  // this kernel does not have it
  refused,  // this host forbids it, or has run out of it
};
struct Layer {
  std::string name;
  LayerState state = LayerState::on;
  std::string why;  // when it is not on
};
using Layers = std::vector<Layer>;

enum class Kind : std::uint8_t { executor, compiler, checker };

struct Plan {
  Kind kind = Kind::executor;
  bool background = true;
  std::vector<int> descriptors;                 // kept beside 0, 1 and 2
  std::vector<std::filesystem::path> readable;  // files and folders; those that do not exist are left out
  std::filesystem::path writable;               // one folder, or none
  std::uint64_t address_space_bytes_max = 0;    // 0: no limit
  std::uint64_t cpu_seconds_max = 0;            // 0: no limit
  std::uint64_t file_bytes_max = 0;             // of each file that it writes
};

// Units of guests: native code from `cache` and nothing else; writes to its socket alone. Its memory is watched by the host.
Plan executor_plan(int socket, const std::filesystem::path& cache, bool background);
// Reads the program, writes into one folder of its own.
Plan compiler_plan(const std::filesystem::path& program, const std::filesystem::path& folder);
Plan checker_plan(const std::filesystem::path& program);

// What to tell when a forbidden call ends the process: `before`, three or more digits in place of `digits` zeros, `after`.
struct Notice {
  int fd = 1;
  std::string text;          // with "0000" where the call's number goes
  std::size_t number_at = 0;
};

Layers enter(const Plan& plan);
Layer lock(const Plan& plan, const Notice& notice);

// Layers that are wanted and not there; landlock or mount-view alone is enough.
Layers lacking(const Layers& layers);
std::string name_of(LayerState state);
std::string to_text(const Layers& layers);           // a line each: name, state, why
Layers from_text(std::string_view text);             // lines that are none are left out
std::string call_name(int number);                   // "connect"; its number when it has no name here

}  // namespace starling::execution::cage
