// What a peer tells people: joins, jobs, bans, trouble with the machine. Light peers are silent unless given a log.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "coordinator-less/base/error.hpp"

namespace starling::runtime {

class Log {
 public:
  virtual ~Log() = default;
  virtual void debug(std::string_view line) = 0;
  virtual void info(std::string_view line) = 0;
  virtual void warning(std::string_view line) = 0;
};

std::shared_ptr<Log> silent_log();
std::shared_ptr<Log> stderr_log(bool verbose);  // verbose: debug lines too
// Rotates at 8 MiB and keeps three files. Errors: temporary, when the file cannot be opened.
base::Expected<std::shared_ptr<Log>> file_log(const std::filesystem::path& file, bool verbose);

}  // namespace starling::runtime
