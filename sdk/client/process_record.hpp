// Which process serves a state folder: its pid and start time, so that a pid which the system has given to somebody else is
// never signalled.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>

#include "coordinator-less/base/error.hpp"

namespace starling::client {

struct ProcessRecord {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;  // /proc/PID/stat, field 22
  bool operator==(const ProcessRecord&) const = default;
};

std::optional<ProcessRecord> process_record_of(pid_t pid);  // empty: no such process
base::Expected<void> write_process_record(const std::filesystem::path& file, const ProcessRecord& record);
std::optional<ProcessRecord> read_process_record(const std::filesystem::path& file);  // "PID START\n"
bool is_alive(const ProcessRecord& record);

// SIGTERM, then waits for the end. not_found when it is not alive, timeout when it still is at the end.
base::Expected<void> terminate(const ProcessRecord& record, std::chrono::milliseconds patience);

}  // namespace starling::client
