#include "sdk/client/splitting.hpp"

#include "coordinator-less/base/check.hpp"

namespace starling::client {

namespace {

using base::ErrorCode;

// It is the submitter's own machine and program: only the sandbox's own bounds apply.
constexpr protocol::UnitLimits local_limits{limits::memory_bytes_max, limits::output_bytes_max, 3'600'000};

std::string last_line(const std::string& text) {
  const auto lines = lines_of(text);
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    if (!line->empty()) return *line;
  return {};
}

std::string how_it_ended(const ItemOutput& output) {
  switch (output.kind) {
    case protocol::OutcomeKind::ok: return "finished";
    case protocol::OutcomeKind::exit_code: return "ended with exit code " + std::to_string(output.code);
    case protocol::OutcomeKind::trap: return "crashed";
    case protocol::OutcomeKind::memory_limit: return "needs more memory than a program can have";
    case protocol::OutcomeKind::output_limit: return "writes more output than allowed";
    case protocol::OutcomeKind::checkpoint: return "was left unfinished";
  }
  return "crashed";
}

base::Expected<ItemOutput> run_part(ProgramRunner& runner, const LocalRun& run, const std::string& verb) {
  STARLING_TRY(LocalRunEnd end, runner.run(run));
  if (end.output.kind == protocol::OutcomeKind::ok) return std::move(end.output);
  std::string what = "the program's `" + verb + "` " + how_it_ended(end.output);
  std::string hint = "check the inputs and the name after --split";
  std::string said = last_line(end.error_text);
  // A program that says itself what to do next knows better than we do, and one hint is enough.
  if (const auto semicolon = said.rfind("; "); semicolon != std::string::npos && semicolon + 2 < said.size()) {
    hint = said.substr(semicolon + 2);
    said.resize(semicolon);
  }
  if (!said.empty()) what += ": " + said;
  return base::fail(ErrorCode::bad_input, std::move(what), std::move(hint));
}

}  // namespace

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

base::Expected<std::vector<std::string>> run_split(ProgramRunner& runner, const SplitRequest& request) {
  LocalRun run{.program = request.program, .arguments = {"split", request.scheme}, .inputs = {}, .limits = local_limits};
  for (const auto& input : request.inputs) run.inputs.push_back({.path = input.name, .content = input.file});
  STARLING_TRY(const ItemOutput output, run_part(runner, run, "split " + request.scheme));
  auto lines = lines_of(base::text(output.standard_output));
  if (lines.empty())
    return base::fail(ErrorCode::bad_input, "the program's `split " + request.scheme + "` printed no units", "check the inputs and the name after --split");
  return lines;
}

std::string item_name(std::uint64_t item) {
  const std::string digits = std::to_string(item);
  return digits.size() < 6 ? std::string(6 - digits.size(), '0') + digits : digits;
}

void add_outputs(std::uint64_t item, const ItemOutput& output, std::vector<LocalInput>& to) {
  to.push_back({.path = item_name(item) + "/stdout", .content = output.standard_output});
  for (const auto& file : output.files) to.push_back({.path = item_name(item) + "/out/" + file.path, .content = file.bytes});
}

base::Expected<ItemOutput> run_merge(ProgramRunner& runner, const MergeRequest& request) {
  return run_part(runner, {.program = request.program, .arguments = {"merge", request.scheme}, .inputs = request.outputs, .limits = local_limits},
                  "merge " + request.scheme);
}

}  // namespace starling::client
