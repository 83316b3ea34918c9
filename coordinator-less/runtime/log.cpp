#include "coordinator-less/runtime/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace starling::runtime {
namespace {

constexpr std::size_t file_bytes_max = 8 * 1024 * 1024;
constexpr std::size_t old_files_max = 2;

class SilentLog final : public Log {
 public:
  void debug(std::string_view) override {}
  void info(std::string_view) override {}
  void warning(std::string_view) override {}
};

class SpdLog final : public Log {
 public:
  SpdLog(spdlog::sink_ptr sink, bool verbose) : logger_("starling", std::move(sink)) {
    logger_.set_level(verbose ? spdlog::level::debug : spdlog::level::info);
    logger_.flush_on(spdlog::level::info);
    logger_.set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  }
  void debug(std::string_view line) override { logger_.debug(line); }
  void info(std::string_view line) override { logger_.info(line); }
  void warning(std::string_view line) override { logger_.warn(line); }

 private:
  spdlog::logger logger_;
};

}  // namespace

std::shared_ptr<Log> silent_log() { return std::make_shared<SilentLog>(); }

std::shared_ptr<Log> stderr_log(bool verbose) {
  return std::make_shared<SpdLog>(std::make_shared<spdlog::sinks::stderr_sink_mt>(), verbose);
}

base::Expected<std::shared_ptr<Log>> file_log(const std::filesystem::path& file, bool verbose) {
  try {
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(file.string(), file_bytes_max, old_files_max);
    return std::make_shared<SpdLog>(std::move(sink), verbose);
  } catch (const spdlog::spdlog_ex&) {
    return base::fail(base::ErrorCode::temporary, "cannot write the log file " + file.string(),
                      "check the folder, its rights and its free space");
  }
}

}  // namespace starling::runtime
