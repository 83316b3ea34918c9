#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/cli/quantities.hpp"
#include "sdk/client/splitting.hpp"

namespace starling::cli {

namespace {

using base::ErrorCode;
using client::JobSpec;

auto usage(std::string what, std::string hint) { return base::fail(ErrorCode::usage, std::move(what), std::move(hint)); }

base::Expected<JobSpec::InputFile> parse_input(const std::string& text) {
  const auto equals = text.find('=');
  const bool named = equals != std::string::npos && text.substr(0, equals).find('/') == std::string::npos;
  JobSpec::InputFile input;
  input.file = named ? text.substr(equals + 1) : text;
  input.name = named ? text.substr(0, equals) : input.file.filename().string();
  std::error_code error;
  if (!std::filesystem::exists(input.file, error))
    return base::fail(ErrorCode::not_found, "no such file: " + input.file.string(), "check the path after --input");
  if (!std::filesystem::is_regular_file(input.file, error))
    return base::fail(ErrorCode::bad_input, input.file.string() + " is not a file", "give one --input per file");
  return input;
}

base::Expected<std::vector<JobSpec::InputFile>> parse_inputs(const std::vector<std::string>& texts) {
  std::vector<JobSpec::InputFile> inputs;
  for (const auto& text : texts) {
    STARLING_TRY(JobSpec::InputFile input, parse_input(text));
    inputs.push_back(std::move(input));
  }
  return inputs;
}

base::Expected<std::vector<std::string>> read_items(const std::string& source) {
  if (source == "-") {
    std::cin >> std::noskipws;
    const std::string text((std::istreambuf_iterator<char>(std::cin)), {});
    return client::lines_of(text);
  }
  STARLING_TRY(const base::Bytes bytes, client::read_file(source, limits::units_blob_bytes_max));
  return client::lines_of(base::text(bytes));
}

base::Expected<std::vector<std::string>> items_of(Context& context, const SubmitOptions& options, const std::vector<JobSpec::InputFile>& inputs) {
  const int ways = int{!options.split.empty()} + int{!options.items.empty()} + int{!options.array.empty()};
  if (ways > 1) return usage("--split, --items and --array exclude each other", "give one of them");
  if (!options.split.empty()) {
    context.output.note("splitting: " + options.program + " split " + options.split);
    return client::run_split(context.ports.programs, {.program = options.program, .scheme = options.split, .inputs = inputs});
  }
  if (!options.items.empty()) return read_items(options.items);
  if (options.array.empty()) return std::vector<std::string>{""};
  constexpr std::uint64_t count_max = std::uint64_t{limits::units_per_job_max} * limits::items_per_unit_max;
  auto items = parse_array(options.array, count_max);
  if (!items) return usage("--array does not understand \"" + options.array + "\"", "write it as 0-999 or 0-999:5");
  return *std::move(items);
}

base::Expected<std::uint64_t> size_option(const char* option, const std::string& text) {
  const auto bytes = parse_bytes(text);
  if (!bytes) return usage(std::string(option) + " does not understand \"" + text + "\"", "write a size as 512MB or 64MiB");
  return *bytes;
}

base::Expected<std::chrono::milliseconds> time_option(const char* option, const std::string& text) {
  const auto time = parse_duration(text);
  if (!time) return usage(std::string(option) + " does not understand \"" + text + "\"", "write a time as 90s, 10m, 1h 30m or 7d");
  return *time;
}

base::Expected<std::uint64_t> count_option(const char* option, const std::string& text) {
  const auto count = parse_count(text);
  if (!count) return usage(std::string(option) + " does not understand \"" + text + "\"", "write a number as 20G or 500M");
  return *count;
}

base::Expected<std::uint32_t> epsilon_option(const std::string& text) {
  double value = 0;
  try {
    std::size_t used = 0;
    value = std::stod(text, &used);
    if (used != text.size()) value = 0;
  } catch (const std::exception&) {
    value = 0;
  }
  const double ppm = std::round(value * 1e6);
  if (!(ppm >= 1 && ppm <= 5e5)) return usage("--epsilon does not understand \"" + text + "\"", "write a probability from 0.000001 up to 0.5, such as 0.001");
  return static_cast<std::uint32_t>(ppm);
}

base::Expected<std::uint32_t> audits_option(const std::string& text) {
  std::uint32_t percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  if (whole && percent >= limits::audit_share_percent && percent <= limits::audit_share_percent_max) return percent;
  return usage("--audits does not understand \"" + text + "\"",
               "write a percentage from " + std::to_string(limits::audit_share_percent) + " to " + std::to_string(limits::audit_share_percent_max) + ", such as 10");
}

Done apply_limits(const SubmitOptions& options, JobSpec& spec) {
  if (!options.memory.empty()) {
    STARLING_TRY(const auto bytes, size_option("--memory", options.memory));
    spec.memory_bytes(bytes);
  }
  if (!options.output_limit.empty()) {
    STARLING_TRY(const auto bytes, size_option("--output-limit", options.output_limit));
    spec.output_bytes(bytes);
  }
  if (!options.time_limit.empty()) {
    STARLING_TRY(const auto time, time_option("--time-limit", options.time_limit));
    spec.time_limit(time);
  }
  if (!options.fuel.empty()) {
    STARLING_TRY(const auto limit, count_option("--fuel", options.fuel));
    spec.fuel(limit);
  }
  if (!options.expires.empty()) {
    STARLING_TRY(const auto time, time_option("--expires", options.expires));
    spec.lifetime(std::chrono::duration_cast<std::chrono::seconds>(time));
  }
  return {};
}

Done apply_verification(const SubmitOptions& options, JobSpec& spec) {
  if (!options.verification.empty()) {
    const auto verification = client::verification_from(options.verification);
    if (!verification) return usage("there is no class \"" + options.verification + "\"", "choose trusted, fast, standard or strict");
    spec.verification(*verification);
  }
  if (!options.epsilon.empty()) {
    STARLING_TRY(const auto ppm, epsilon_option(options.epsilon));
    spec.epsilon_ppm(ppm);
  }
  if (!options.audits.empty()) {
    if (options.verification == "trusted") return usage("--audits and --class trusted exclude each other", "nobody audits a trusted job; choose fast");
    STARLING_TRY(const auto percent, audits_option(options.audits));
    spec.audit_percent(percent);
  }
  return {};
}

base::Expected<JobSpec> spec_of(Context& context, const SubmitOptions& options) {
  JobSpec spec(options.program);
  STARLING_TRY(auto inputs, parse_inputs(options.inputs));
  if (const auto applied = apply_limits(options, spec); !applied) return std::unexpected(applied.error());
  if (const auto applied = apply_verification(options, spec); !applied) return std::unexpected(applied.error());
  if (const auto checked = context.ports.programs.check(options.program); !checked) return std::unexpected(checked.error());
  STARLING_TRY(auto items, items_of(context, options, inputs));
  for (auto& input : inputs) spec.input(std::move(input.name), std::move(input.file));
  spec.name(options.name).arguments(options.arguments).items(std::move(items)).items_per_unit(options.items_per_unit).split(options.split);
  spec.rounds(options.rounds).segment_rounds(options.segment_rounds);
  return spec;
}

// The job may wait for more peers, so it is a warning; but it must not wait in silence.
void warn_when_out_of_reach(Context& context, client::Client& client, const protocol::JobStatus& status) {
  const auto& manifest = *status.manifest;
  const auto live = client.live_workers();
  if (!live) return;
  const auto needed = protocol::members_needed({.verification = manifest.verification, .epsilon_ppm = manifest.epsilon_ppm}, {});
  if (!needed)
    context.output.note("warning: no number of peers can reach this --epsilon; the job will not finish");
  else if (*needed > *live)
    context.output.note("warning: each unit needs " + std::to_string(*needed) + " agreeing peers and " + std::to_string(*live) +
                        " are here; the job waits for more, or submit it with a larger --epsilon");
}

// Who submits may leave, so it is said when enough others hold the inputs. An embedded peer cannot go before; a local worker
// alone in its swarm has nobody to wait for.
Done stay_until_safe(Context& context, client::Client& client, const base::JobId& job) {
  while (true) {
    STARLING_TRY(const auto status, client.job(job));
    STARLING_TRY(const std::uint32_t live, client.live_workers());
    const std::uint32_t needed = client.embedded() ? std::min(3U, std::max(1U, live)) : std::min(3U, live - std::min(1U, live));
    if (needed == 0) return {};
    const std::uint32_t others = status.input_holders > 0 ? status.input_holders - 1 : 0;
    if (others >= needed || client::has_ended(status.state)) break;
    context.output.progress("inputs are held by " + std::to_string(others) + " of " + std::to_string(needed) + " peers; stay until they are safe");
    if (context.interrupted) {
      context.output.end_progress();
      return base::fail(ErrorCode::interrupted, "left before the inputs were safe; the job may wait for them",
                        "come back with the same --state folder: starling job wait " + job.brief());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  context.output.end_progress();
  context.output.note("inputs are safe with other peers: this machine may leave");
  return {};
}

void announce(Context& context, const protocol::JobStatus& status) {
  const std::string id = status.id.base32(), brief = status.id.brief();
  const std::string human = "job " + brief + " submitted: " + std::to_string(status.units) + " units\n" +  //
                            "  follow it:    starling job wait " + brief + "\n" +                           //
                            "  get results:  starling results " + brief + " -o DIR\n" +                     //
                            "  stop it:      starling job cancel " + brief + "\n";
  context.output.answer(human, {{"job", client::to_json(status, true)}}, id);
}

}  // namespace

Done submit(Context& context, const SubmitOptions& options) {
  STARLING_TRY(const JobSpec spec, spec_of(context, options));
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const base::JobId job, client.submit(spec));
  STARLING_TRY(const protocol::JobStatus status, client.job(job));
  announce(context, status);
  warn_when_out_of_reach(context, client, status);
  if (!options.detach)
    if (const auto safe = stay_until_safe(context, client, job); !safe) return safe;
  if (!options.wait) return {};
  return watch(context, client, job, std::nullopt);
}

}  // namespace starling::cli
