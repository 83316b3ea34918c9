#include "worker/execution/program_check.hpp"

#include <nlohmann/json.hpp>
#include <ranges>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::execution {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  for (const auto word : std::views::split(text, ','))
    if (!word.empty()) out.emplace_back(word.begin(), word.end());
  return out;
}

// The caged process has read hostile bytes: what it says is read with the same care.
base::Expected<ProgramReport> report_from(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    ProgramReport out;
    out.runs = json.at("ok").get<bool>();
    out.problem = json.value("error", std::string());
    out.hint = json.value("hint", std::string());
    out.engine = json.value("engine", std::string());
    out.imports = words_of(json.value("imports", std::string()));
    out.features = words_of(json.value("features", std::string()));
    out.memory_bytes_min = json.value("memory_bytes_min", std::uint64_t{0});
    if (json.contains("memory_bytes_max")) out.memory_bytes_max = json["memory_bytes_max"].get<std::uint64_t>();
    if (json.contains("cost")) out.cost = json["cost"].get<std::string>();
    return out;
  } catch (const std::exception&) {
    return base::fail(base::ErrorCode::internal, "the program check gave no answer", "install starling again");
  }
}

}  // namespace

base::Expected<ProgramReport> inspect_program(Spawner& spawner, const std::filesystem::path& executor, const std::filesystem::path& program) {
  std::error_code error;
  const auto path = std::filesystem::absolute(program, error);
  if (!std::filesystem::is_regular_file(path, error))
    return base::fail(base::ErrorCode::not_found, "no such program: " + program.string(), "check the path");
  const std::uint64_t bytes = std::filesystem::file_size(path, error);
  const auto output = run_process(spawner, executor.string(), {"--check", path.string()}, limits::check_timeout, 64 * 1024);
  const bool crashed = !output && output.error().code == base::ErrorCode::internal && output.error().hint.empty();
  if (!output && !crashed) return std::unexpected(output.error());
  ProgramReport out;
  if (crashed || output->text.starts_with("forbidden")) {
    out.problem = "the engine cannot read this module (" + (crashed ? output.error().message : "the cage stopped it") + ")";
    out.hint = "compile it again for wasm32-wasip1";
  } else {
    STARLING_TRY(out, report_from(output->text));
  }
  out.bytes = bytes;
  return out;
}

base::Expected<void> check_program(Spawner& spawner, const std::filesystem::path& executor, const std::filesystem::path& program) {
  STARLING_TRY(const auto report, inspect_program(spawner, executor, program));
  if (report.runs) return {};
  return base::fail(base::ErrorCode::bad_input, program.string() + ": " + (report.problem.empty() ? "not a program" : report.problem), report.hint);
}

}  // namespace starling::execution
