#include "worker/execution/program_check.hpp"

#include <nlohmann/json.hpp>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::execution {

base::Expected<void> check_program(Spawner& spawner, const std::filesystem::path& executor, const std::filesystem::path& program) {
  std::error_code error;
  const auto path = std::filesystem::absolute(program, error);
  if (!std::filesystem::is_regular_file(path, error))
    return base::fail(base::ErrorCode::not_found, "no such program: " + program.string(), "check the path");
  const auto output = run_process(spawner, executor.string(), {"--check", path.string()}, limits::check_timeout, 64 * 1024);
  if (!output && output.error().code == base::ErrorCode::internal && output.error().hint.empty())
    return base::fail(base::ErrorCode::bad_input, program.string() + ": the engine cannot read this module (" + output.error().message + ")",
                      "compile it again for wasm32-wasip1");
  if (!output) return std::unexpected(output.error());
  const auto report = nlohmann::json::parse(output->text, nullptr, false);
  if (!report.is_object() || !report.contains("ok"))
    return base::fail(base::ErrorCode::internal, "the program check gave no answer", "install starling again");
  if (report.value("ok", false)) return {};
  return base::fail(base::ErrorCode::bad_input, program.string() + ": " + report.value("error", std::string("not a program")),
                    report.value("hint", std::string()));
}

}  // namespace starling::execution
