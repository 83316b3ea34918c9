// The command line: picks scenarios and seeds, runs them, applies the checkers, prints one line per run.
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/simulation/checkers/checker.hpp"
#include "tests/simulation/checkers/same_seed_same_trace.hpp"
#include "tests/simulation/figures.hpp"
#include "tests/simulation/policy/attackers.hpp"
#include "tests/simulation/self_test.hpp"

namespace starling::simulation {
namespace {

constexpr const char* usage =
    "usage: simulate --scenario NAME | --all | --kept | --list | --self-test\n"
    "  --seed K        the first seed (1)\n"
    "  --seeds N       so many seeds from there (1)\n"
    "  --trace FILE    write what happens, one line each (one run only)\n"
    "  --paranoid      check the invariants of a node after each of its steps\n"
    "  --once          leave out the second run that compares traces\n"
    "  --figures       tell also what each run came to, as one JSON object\n"
    "  --folder DIR    where scenarios/ and seeds.txt are\n"
    "or:    simulate --attackers [--small] [--peers N] [--part P] [--rows FILE] [--table FILE] [--no-run]\n"
    "  policies against attackers, statistically: raw rows to FILE (attackers.csv), the table to FILE (the screen), the gates checked;\n"
    "  --part P: only gate, ordered, others, published, rootless, classes, attacks, faults, farming, mature, capture or honest;\n"
    "  --no-run: only the table, from the rows that are there\n";

struct Options {
  std::vector<std::string> scenarios;
  bool all = false, kept = false, list = false, self_test = false, paranoid = false, once = false, figures = false;
  std::uint64_t seed = 1, seeds = 1;
  std::string trace_file;
  std::filesystem::path folder = STARLING_SIMULATION_DIR;
};

struct Planned {
  std::string scenario;
  std::uint64_t seed = 1;
};

// An abort inside a Node must leave the command that repeats it on the screen.
char repeat_command[256] = "";

void on_abort(int) {
  std::fprintf(stderr, "  repeat with: %s\n", repeat_command);
  std::fflush(stderr);
}

bool read_number(const char* text, std::uint64_t& out) {
  const auto result = std::from_chars(text, text + std::strlen(text), out);
  return result.ec == std::errc{} && *result.ptr == 0;
}

std::optional<Options> parse(int count, char** words) {
  Options o;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    const char* value = i + 1 < count ? words[i + 1] : nullptr;
    const auto takes = [&](auto&& use) { return value != nullptr && (++i, use(value)); };
    const auto text = [](auto& field) { return [&field](const char* v) { field = v; return true; }; };
    const auto number = [](std::uint64_t& field) { return [&field](const char* v) { return read_number(v, field); }; };
    bool understood = true;
    if (word == "--scenario") understood = takes([&](const char* v) { o.scenarios.emplace_back(v); return true; });
    else if (word == "--seed") understood = takes(number(o.seed));
    else if (word == "--seeds") understood = takes(number(o.seeds));
    else if (word == "--trace") understood = takes(text(o.trace_file));
    else if (word == "--folder") understood = takes(text(o.folder));
    else if (word == "--all") o.all = true;
    else if (word == "--kept") o.kept = true;
    else if (word == "--list") o.list = true;
    else if (word == "--self-test") o.self_test = true;
    else if (word == "--paranoid") o.paranoid = true;
    else if (word == "--once") o.once = true;
    else if (word == "--figures") o.figures = true;
    else understood = false;
    if (!understood) return std::nullopt;
  }
  if (o.scenarios.empty() && !o.all && !o.kept && !o.list && !o.self_test) return std::nullopt;
  return o;
}

bool applies(const Checker& checker, const Scenario& scenario) {
  if (scenario.skip.contains(checker.name())) return false;
  return checker.by_default() || scenario.expect.contains(checker.name());
}

// A name that no checker has would silently switch nothing off.
std::string unknown_checker(const Scenario& scenario) {
  std::set<std::string> names = {same_seed_same_trace_name};
  for (const auto& checker : all_checkers()) names.insert(checker->name());
  for (const auto* field : {&scenario.skip, &scenario.report, &scenario.expect}) {
    for (const auto& name : *field) {
      if (!names.contains(name)) return name;
    }
  }
  return {};
}

// True: every checker holds.
bool run_one(const Scenario& scenario, std::uint64_t seed, const Options& options) {
  const std::clock_t cpu_start = std::clock();  // processor time: what a run costs, however busy the machine is
  std::FILE* trace = options.trace_file.empty() ? nullptr : std::fopen(options.trace_file.c_str(), "w");
  if (!options.trace_file.empty() && trace == nullptr) {
    std::fprintf(stderr, "simulate: cannot write %s\n", options.trace_file.c_str());
    return false;
  }
  std::snprintf(repeat_command, sizeof repeat_command, "tests/simulate --scenario %s --seed %llu", scenario.name.c_str(),
                static_cast<unsigned long long>(seed));
  Simulator simulator(scenario, seed, {options.paranoid, trace});
  const auto checkers = all_checkers();
  std::vector<std::string> broken;
  Figures figures;
  simulator.run([&] {
    if (options.figures) figures.each_second(simulator);
    for (const auto& checker : checkers) {
      if (!applies(*checker, scenario)) continue;
      const std::string what = checker->each_second(simulator);
      if (!what.empty() && !scenario.report.contains(checker->name())) broken.push_back(std::string(checker->name()) + ": " + what);
    }
    return broken.empty() ? std::string() : broken.front();
  });
  if (broken.empty()) {
    for (const auto& checker : checkers) {
      if (!applies(*checker, scenario) || scenario.report.contains(checker->name())) continue;
      const std::string what = checker->at_end(simulator);
      if (!what.empty()) broken.push_back(std::string(checker->name()) + ": " + what);
    }
  }
  if (broken.empty() && !options.once && !scenario.skip.contains(same_seed_same_trace_name)) {
    const std::string what = same_seed_same_trace(simulator, seed);
    if (!what.empty()) broken.push_back(std::string(same_seed_same_trace_name) + ": " + what);
  }
  if (trace != nullptr) std::fclose(trace);

  std::string reports;
  for (const auto& checker : checkers) {
    const bool named = scenario.report.contains(checker->name()) || scenario.expect.contains(checker->name());
    if (named) reports += " " + checker->report(simulator);
  }
  const double cpu_s = static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
  std::printf("scenario=%s seed=%llu virtual_s=%.1f finished_s=%.1f executions_per_unit=%.2f messages=%llu megabytes=%.1f%s trace=%016llx cpu_s=%.2f result=%s\n",
              scenario.name.c_str(), static_cast<unsigned long long>(seed), static_cast<double>(simulator.now_ms()) / 1000,
              static_cast<double>(simulator.finished_at_ms()) / 1000, simulator.executions_per_unit(),
              static_cast<unsigned long long>(simulator.traffic().messages), static_cast<double>(simulator.traffic().bytes) / 1e6,
              reports.c_str(), static_cast<unsigned long long>(simulator.trace_hash()), cpu_s, broken.empty() ? "ok" : "FAILED");
  if (options.figures) std::printf("%s\n", figures.json(simulator).c_str());
  for (const auto& what : broken) std::printf("  %s\n", what.c_str());
  if (!broken.empty()) std::printf("  repeat with: %s\n", repeat_command);
  std::fflush(stdout);
  return broken.empty();
}

std::vector<Planned> kept_runs(const std::filesystem::path& file) {
  std::vector<Planned> runs;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    Planned run;
    if (words >> run.scenario >> run.seed) runs.push_back(run);
  }
  return runs;
}

std::vector<Planned> planned_runs(const Options& options) {
  std::vector<Planned> runs;
  if (options.kept) runs = kept_runs(options.folder / "seeds.txt");
  auto names = options.scenarios;
  if (options.all) names = scenario_names(options.folder / "scenarios");
  for (const auto& name : names) {
    for (std::uint64_t seed = options.seed; seed < options.seed + options.seeds; ++seed) runs.push_back({name, seed});
  }
  return runs;
}

int run_all(const Options& options) {
  std::size_t passed = 0, failed = 0;
  for (const Planned& planned : planned_runs(options)) {
    const auto scenario = load_scenario(options.folder / "scenarios", planned.scenario);
    if (!scenario) {
      std::fprintf(stderr, "simulate: %s; %s\n", scenario.error().message.c_str(), scenario.error().hint.c_str());
      return base::exit_code(scenario.error().code);
    }
    if (const auto unknown = unknown_checker(*scenario); !unknown.empty()) {
      std::fprintf(stderr, "simulate: %s names the checker %s, which does not exist\n", planned.scenario.c_str(), unknown.c_str());
      return 2;
    }
    ++(run_one(*scenario, planned.seed, options) ? passed : failed);
  }
  std::printf("%zu passed, %zu failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

int list(const Options& options) {
  for (const auto& name : scenario_names(options.folder / "scenarios")) {
    const auto scenario = load_scenario(options.folder / "scenarios", name);
    std::printf("%-28s %s\n", name.c_str(), scenario ? scenario->about.c_str() : scenario.error().message.c_str());
  }
  return 0;
}

std::optional<policy::AttackersOptions> parse_attackers(int count, char** words) {
  policy::AttackersOptions o;
  for (int i = 2; i < count; ++i) {
    const std::string word = words[i];
    const char* value = i + 1 < count ? words[i + 1] : nullptr;
    std::uint64_t peers = 0;
    if (word == "--small" || word == "--no-run") {
      (word == "--small" ? o.small : o.run) = word == "--small";
      continue;
    }
    if (value == nullptr) return std::nullopt;
    ++i;
    if (word == "--part") o.part = value;
    else if (word == "--rows") o.rows_file = value;
    else if (word == "--table") o.table_file = value;
    else if (word == "--peers" && read_number(value, peers) && peers >= 20 && peers <= 10'000) o.peers = static_cast<std::uint32_t>(peers);
    else return std::nullopt;
  }
  return o;
}

}  // namespace
}  // namespace starling::simulation

int main(int count, char** words) {
  using namespace starling::simulation;
  if (count > 1 && std::strcmp(words[1], "--attackers") == 0) {
    const auto attackers = parse_attackers(count, words);
    if (attackers) return policy::run_attackers(*attackers);
    std::fputs(usage, stderr);
    return 2;
  }
  std::signal(SIGABRT, on_abort);
  const auto options = parse(count, words);
  if (!options) {
    std::fputs(usage, stderr);
    return 2;
  }
  if (options->self_test && !self_test()) return 1;
  if (options->list) return list(*options);
  return options->self_test && options->scenarios.empty() && !options->all && !options->kept ? 0 : run_all(*options);
}
