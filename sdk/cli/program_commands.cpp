// One program on this machine, without a swarm: run it as a peer would, or look at it.
#include <unistd.h>

#include <iostream>
#include <iterator>

#include "coordinator-less/base/check.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/cli/quantities.hpp"
#include "sdk/client/folders.hpp"

namespace starling::cli {

namespace {

using base::ErrorCode;

base::Expected<std::uint64_t> size_or(const char* option, const std::string& text, std::uint64_t otherwise) {
  if (text.empty()) return otherwise;
  const auto bytes = parse_bytes(text);
  if (bytes) return *bytes;
  return base::fail(ErrorCode::usage, std::string(option) + " does not understand \"" + text + "\"", "write a size as 512MB or 64MiB");
}

base::Expected<std::uint32_t> time_or(const std::string& text, std::uint32_t otherwise) {
  if (text.empty()) return otherwise;
  const auto time = parse_duration(text);
  if (time && time->count() > 0 && time->count() <= UINT32_MAX) return static_cast<std::uint32_t>(time->count());
  return base::fail(ErrorCode::usage, "--time-limit does not understand \"" + text + "\"", "write a time as 90s, 10m or 1h 30m");
}

base::Expected<std::uint64_t> fuel_of(const std::string& text) {
  if (text.empty()) return 0;
  const auto fuel = parse_count(text);
  if (fuel) return *fuel;
  return base::fail(ErrorCode::usage, "--fuel does not understand \"" + text + "\"", "write a number as 20G or 500M");
}

base::Expected<client::LocalInput> input_of(const std::string& text) {
  const auto equals = text.find('=');
  const bool named = equals != std::string::npos && text.substr(0, equals).find('/') == std::string::npos;
  const std::filesystem::path file = named ? text.substr(equals + 1) : text;
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error))
    return base::fail(ErrorCode::not_found, "no such file: " + file.string(), "check the path after --input");
  return client::LocalInput{.path = named ? text.substr(0, equals) : file.filename().string(), .content = file};
}

base::Expected<client::LocalRun> run_of(const RunOptions& options) {
  client::LocalRun run;
  run.program = options.program;
  run.arguments = options.arguments;
  STARLING_TRY(run.limits.memory_bytes, size_or("--memory", options.memory, limits::memory_bytes_default));
  STARLING_TRY(run.limits.output_bytes, size_or("--output-limit", options.output_limit, limits::output_bytes_default));
  STARLING_TRY(run.limits.time_ms, time_or(options.time_limit, static_cast<std::uint32_t>(limits::unit_time_ms_default)));
  STARLING_TRY(run.limits.fuel, fuel_of(options.fuel));
  for (const auto& text : options.inputs) {
    STARLING_TRY(auto input, input_of(text));
    run.inputs.push_back(std::move(input));
  }
  return run;
}

// The item. A terminal is no item: nobody would know that the program waits.
base::Bytes read_item() {
  if (::isatty(0) != 0) return {};
  std::cin >> std::noskipws;
  const std::string text((std::istreambuf_iterator<char>(std::cin)), {});
  return base::copy(base::view(text));
}

std::string outcome_text(const client::ItemOutput& output) {
  std::string text = client::name_of(output.kind);
  if (output.kind == protocol::OutcomeKind::exit_code || output.kind == protocol::OutcomeKind::trap) text += " " + std::to_string(output.code);
  return text;
}

std::string seconds_text(std::int64_t us) {
  const auto ms = us / 1000;
  if (ms >= 1000) return std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) + " s";
  return std::to_string(us / 1000) + "." + std::to_string(us % 1000 / 100) + " ms";
}

Json run_json(const client::LocalRunEnd& end) {
  Json files = Json::array();
  for (const auto& file : end.output.files) files.push_back({{"path", file.path}, {"size_bytes", file.bytes.size()}});
  return {{"outcome", client::name_of(end.output.kind)},
          {"code", end.output.code},
          {"digest", end.digest.base32()},
          {"fuel", end.fuel ? Json(*end.fuel) : Json()},
          {"peak_memory_bytes", end.peak_memory_bytes},
          {"wall_us", end.wall_us},
          {"tier", end.compiled ? "compiled" : "interpreted"},
          {"note", end.note},
          {"stdout", base::text(end.output.standard_output)},
          {"stderr", end.error_text},
          {"files", std::move(files)}};
}

Done write_files(const client::ItemOutput& output, const std::filesystem::path& folder) {
  for (const auto& file : output.files) {
    const auto path = folder / file.path;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (const auto written = client::write_file(path, file.bytes); !written) return written;
  }
  return {};
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : ", ") + printable(word);
  return out.empty() ? "none" : out;
}

}  // namespace

Done run_local(Context& context, const RunOptions& options) {
  if (!options.local)
    return base::fail(ErrorCode::usage, "run needs --local: it runs one item on this machine", "for the swarm there is: starling submit");
  STARLING_TRY(client::LocalRun run, run_of(options));
  if (const auto checked = context.ports.programs.check(run.program); !checked) return checked;
  run.standard_input = read_item();
  STARLING_TRY(const client::LocalRunEnd end, context.ports.programs.run(run));
  if (!options.folder.empty())
    if (const auto written = write_files(end.output, options.folder); !written) return written;
  const std::string standard_output(base::text(end.output.standard_output));
  context.output.answer(standard_output, run_json(end), standard_output);
  if (!context.output.json()) {
    if (!end.error_text.empty()) context.output.note(end.error_text);
    std::vector<std::vector<std::string>> rows{{"outcome", outcome_text(end.output)},
                                               {"digest", end.digest.base32()},
                                               {"fuel", end.fuel ? std::to_string(*end.fuel) : "not metered"},
                                               {"peak memory", bytes_text(end.peak_memory_bytes)},
                                               {"time", seconds_text(end.wall_us) + (end.compiled ? ", compiled" : ", interpreted")}};
    if (!end.output.files.empty()) rows.push_back({"files", std::to_string(end.output.files.size()) + (options.folder.empty() ? ", kept with --to" : "")});
    if (!end.note.empty()) rows.push_back({"note", printable(end.note)});
    for (const auto& row : rows) context.output.note(row[0] + std::string(13 - row[0].size(), ' ') + row[1]);
  }
  if (end.output.kind == protocol::OutcomeKind::ok) return {};
  return base::fail(ErrorCode::job_failed, "the program ended with " + outcome_text(end.output), "its item would count as failed");
}

Done program_check(Context& context, const ProgramCheckOptions& options) {
  STARLING_TRY(const client::ProgramFacts facts, context.ports.programs.look_at(options.program));
  std::vector<std::vector<std::string>> rows{{"program", printable(options.program) + ", " + bytes_text(facts.bytes)},
                                             {"runs", facts.runs ? "yes" : "no: " + printable(facts.problem)}};
  if (facts.runs) {
    rows.push_back({"imports", joined(facts.imports)});
    if (!facts.features.empty()) rows.push_back({"features", joined(facts.features)});
    rows.push_back({"memory", bytes_text(facts.memory_bytes_min) + (facts.memory_bytes_max ? " to " + bytes_text(*facts.memory_bytes_max) : " at least")});
    rows.push_back({"engine", printable(facts.engine)});
    if (facts.cost) rows.push_back({"metering", printable(*facts.cost)});
  }
  if (!facts.runs)
    return base::fail(ErrorCode::bad_input, options.program + ": " + facts.problem, facts.hint);
  context.output.answer(table(rows),
                        {{"runs", facts.runs},
                         {"bytes", facts.bytes},
                         {"imports", facts.imports},
                         {"features", facts.features},
                         {"memory_bytes_min", facts.memory_bytes_min},
                         {"memory_bytes_max", facts.memory_bytes_max ? Json(*facts.memory_bytes_max) : Json()},
                         {"engine", facts.engine},
                         {"cost", facts.cost ? Json(*facts.cost) : Json()}},
                        "runs");
  return {};
}

}  // namespace starling::cli
