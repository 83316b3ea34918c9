// Runs the corpus in WasmEdge's tiers, and compares rows of any tiers and machines.
//   same_bytes rows --to FOLDER [--tiers aot-O0,aot-O2,interpreter] [--seeds FIRST COUNT] [--guests FOLDER] [--only TEXT]
//       Instruments every program into FOLDER, lists them in FOLDER/cases for run.js, prints a row for each program and tier.
//   same_bytes file PROGRAM FOLDER
//       One program in every tier, with a line "equal" or "different"; FOLDER takes the intermediate files.
//   same_bytes compare FILE...
//       Reads rows, prints a table and every difference. Exit code 1 when anything differs or ends as it must not.
// Every run has a process of its own: an engine that crashes is a row, not the end.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>

#include "tests/same_bytes/corpus.hpp"
#include "tests/same_bytes/engine.hpp"
#include "tests/same_bytes/instrumented.hpp"

using namespace starling;
using namespace starling::testing;

namespace {

constexpr unsigned run_s_max = 600;  // O2 of a large program under qemu

struct Child {
  pid_t process = 0;
  int output = -1;
};

Child spawn(const std::function<std::string()>& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) std::abort();
  std::fflush(stdout);
  const pid_t process = ::fork();
  if (process == 0) {
    ::close(ends[0]);
    ::alarm(run_s_max);
    const std::string out = work();
    for (std::size_t at = 0; at < out.size();) {
      const ssize_t n = ::write(ends[1], out.data() + at, out.size() - at);
      if (n <= 0) ::_exit(3);
      at += static_cast<std::size_t>(n);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  return {process, ends[0]};
}

// What it wrote, or how it died.
std::string result_of(const Child& child) {
  std::string out;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = ::read(child.output, buffer.data(), buffer.size())) > 0;) out.append(buffer.data(), static_cast<std::size_t>(n));
  ::close(child.output);
  int status = 0;
  ::waitpid(child.process, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return out;
  Row row;
  row.kind = "crash";
  row.code = WIFSIGNALED(status) ? "signal_" + std::to_string(WTERMSIG(status)) : "exit_" + std::to_string(WEXITSTATUS(status));
  return to_line(row);
}

bool write_file(const std::filesystem::path& path, base::ByteView bytes) {
  std::ofstream out(path, std::ios::binary);
  out << base::text(bytes);
  return out.good();
}

// Empty when the file is there, else a row's words.
std::string instrument_into(const std::filesystem::path& path, const Case& one) {
  const Child child = spawn([&]() -> std::string {
    const auto done = instrumented(one.wasm);
    Row row;
    row.kind = "refused";
    if (done && write_file(path, done->module)) return "";
    row.code = done ? "cannot_write" : done.error().message;
    std::ranges::replace(row.code, ' ', '_');
    return to_line(row);
  });
  return result_of(child);
}

base::Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return base::copy(base::view(text));
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out.empty() ? "-" : out;
}

struct RowsOptions {
  std::string folder;
  std::vector<Tier> tiers{std::begin(engine_tiers), std::end(engine_tiers)};
  std::uint64_t first_seed = 0, seeds = 200;
  std::string guests, only;
};

int rows(const RowsOptions& options) {
  std::filesystem::create_directories(options.folder);
  std::vector<Case> cases = explicit_cases();
  for (auto& one : random_cases(options.first_seed, options.seeds)) cases.push_back(std::move(one));
  if (!options.guests.empty())
    for (auto& one : guest_cases(options.guests)) cases.push_back(std::move(one));
  std::ofstream list(std::filesystem::path(options.folder) / "cases");
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Case& one = cases[i];
    if (!options.only.empty() && one.name.find(options.only) == std::string::npos) continue;
    const auto file = std::filesystem::path(options.folder) / (std::to_string(i) + ".wasm");
    if (!options.only.empty()) write_file(file.string() + ".original", one.wasm);
    const std::string problem = instrument_into(file, one);
    if (!problem.empty()) {
      std::printf("%s instrumenter %s\n", one.name.c_str(), problem.c_str());
      continue;
    }
    list << one.name << '\t' << file.filename().string() << '\t' << one.limits.fuel_max << '\t' << one.limits.memory_pages << '\t'
         << one.limits.table_elements << '\t' << joined(one.arguments) << '\t' << (one.input.empty() ? "-" : base::to_hex(base::view(one.input))) << '\n';
    const base::Bytes wasm = read_file(file);
    std::vector<Child> children;
    for (const Tier tier : options.tiers)
      children.push_back(spawn([&, tier] { return to_line(run_in_engine(tier, {wasm, one.limits, one.arguments, base::view(one.input)}, options.folder)); }));
    for (std::size_t t = 0; t < children.size(); ++t)
      std::printf("%s %s %s\n", one.name.c_str(), name_of(options.tiers[t]), result_of(children[t]).c_str());
  }
  return 0;
}

// ------------------------------------------------------------------------------------------------ comparing

std::string difference(const Row& a, const Row& b) {
  std::string out;
  const auto add = [&](const char* what, bool differs) {
    if (differs) out += std::string(out.empty() ? "" : ", ") + what;
  };
  add("end", a.kind != b.kind || a.code != b.code);
  add("output", a.output != b.output);
  add("memory", a.memory != b.memory);
  add("fuel", a.fuel != b.fuel);
  add("fingerprint", a.fingerprint != b.fingerprint);
  return out;
}

std::string end_of(const Row& row) { return row.code.empty() ? row.kind : row.kind + ":" + row.code; }

int compare(const std::vector<std::string>& files) {
  std::vector<std::pair<std::string, std::map<std::string, Row>>> by_case;
  std::map<std::string, std::size_t> index;
  std::set<std::string> tiers;
  std::size_t wrong = 0;
  for (const auto& file : files) {
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string name, tier, rest;
      words >> name >> tier;
      std::getline(words, rest);
      const auto row = row_of(rest);
      if (!row) {
        std::printf("not a row: %s\n", line.c_str());
        ++wrong;
        continue;
      }
      if (!index.contains(name)) {
        index[name] = by_case.size();
        by_case.push_back({name, {}});
      }
      by_case[index[name]].second[tier] = *row;
      tiers.insert(tier);
    }
  }
  tiers.erase("instrumenter");
  std::map<std::string, std::string> expected;
  for (const auto& one : explicit_cases()) expected[one.name] = one.expected;

  struct Group {
    std::size_t cases = 0;
    std::map<std::string, std::size_t> equal, ends;
  };
  std::map<std::string, Group> groups;
  std::map<std::string, std::uint64_t> stack_max;
  for (const auto& [name, found] : by_case) {
    Group& group = groups[name.substr(0, name.find('/'))];
    ++group.cases;
    if (found.contains("instrumenter")) {
      const Row& row = found.at("instrumenter");
      ++group.ends[row.kind];
      for (const auto& tier : tiers) ++group.equal[tier];
      const bool meant = name.ends_with("/unknown_import") && row.kind == "refused";
      if (!meant) std::printf("%s: the instrumenter: %s\n", name.c_str(), end_of(row).c_str());
      wrong += meant ? 0 : 1;
      continue;
    }
    const std::string reference_tier = found.contains("aot-O2") ? "aot-O2" : found.begin()->first;
    const Row& reference = found.at(reference_tier);
    ++group.ends[reference.kind];
    for (const auto& tier : tiers) {
      if (!found.contains(tier)) {
        std::printf("%s: no row of %s\n", name.c_str(), tier.c_str());
        ++wrong;
        continue;
      }
      const Row& row = found.at(tier);
      stack_max[tier] = std::max(stack_max[tier], row.stack_bytes);
      const std::string what = difference(reference, row);
      if (what.empty()) {
        ++group.equal[tier];
      } else {
        std::printf("%s: %s differs from %s in %s: %s, fuel %llu, against %s, fuel %llu\n", name.c_str(), tier.c_str(), reference_tier.c_str(),
                    what.c_str(), end_of(row).c_str(), static_cast<unsigned long long>(row.fuel), end_of(reference).c_str(),
                    static_cast<unsigned long long>(reference.fuel));
        ++wrong;
      }
    }
    const std::string want = expected.contains(name) ? expected[name] : "";
    if (!want.empty() && want != end_of(reference)) {
      std::printf("%s: ends with %s instead of %s\n", name.c_str(), end_of(reference).c_str(), want.c_str());
      ++wrong;
    } else if (reference.kind == "crash" || reference.kind == "host" || reference.kind == "refused" || reference.code == "other") {
      std::printf("%s: ends with %s\n", name.c_str(), end_of(reference).c_str());
      ++wrong;
    }
  }

  std::printf("| programs | cases |");
  for (const auto& tier : tiers) std::printf(" %s |", tier.c_str());
  std::printf(" ends |\n|---|---:|");
  for (std::size_t i = 0; i < tiers.size(); ++i) std::printf("---:|");
  std::printf("---|\n");
  std::size_t total = 0;
  for (const auto& [name, group] : groups) {
    total += group.cases;
    std::printf("| %s | %zu |", name.c_str(), group.cases);
    for (const auto& tier : tiers) std::printf(" %zu |", group.equal.contains(tier) ? group.equal.at(tier) : 0);
    std::string ends;
    for (const auto& [kind, count] : group.ends) ends += (ends.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
    std::printf(" %s |\n", ends.c_str());
  }
  std::printf("| deepest stack, MiB | |");
  for (const auto& tier : tiers) std::printf(" %.1f |", static_cast<double>(stack_max[tier]) / (1 << 20));
  std::printf(" |\n\nsame bytes: %zu programs, %zu tiers, %zu differences\n", total, tiers.size(), wrong);
  return wrong == 0 && total > 0 ? 0 : 1;
}

int one_file(const std::string& program, const std::string& folder) {
  std::filesystem::create_directories(folder);
  const Case one{program, read_file(program), {}, {}, {}, {}};
  const auto file = std::filesystem::path(folder) / "program.wasm";
  const std::string problem = instrument_into(file, one);
  if (!problem.empty()) {
    std::printf("instrumenter %s\n", problem.c_str());
    return 1;
  }
  const base::Bytes wasm = read_file(file);
  std::vector<Row> found;
  for (const Tier tier : engine_tiers) {
    const std::string line = result_of(spawn([&] { return to_line(run_in_engine(tier, {wasm, one.limits, {}, {}}, folder)); }));
    std::printf("%s %s\n", name_of(tier), line.c_str());
    found.push_back(row_of(line).value_or(Row{}));
  }
  const bool equal = difference(found[0], found[1]).empty() && difference(found[0], found[2]).empty();
  std::printf("%s\n", equal ? "equal" : "different");
  return equal ? 0 : 1;
}

int usage() {
  std::fprintf(stderr, "same_bytes: rows --to FOLDER [--tiers LIST] [--seeds FIRST COUNT] [--guests FOLDER] [--only TEXT], file PROGRAM FOLDER, or compare FILE...\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() >= 2 && words[0] == "compare") return compare({words.begin() + 1, words.end()});
  if (words.size() == 3 && words[0] == "file") return one_file(words[1], words[2]);
  if (words.empty() || words[0] != "rows") return usage();
  RowsOptions options;
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
    if (words[i] == "--to") options.folder = words[i + 1];
    else if (words[i] == "--guests") options.guests = words[i + 1];
    else if (words[i] == "--only") options.only = words[i + 1];
    else if (words[i] == "--seeds" && i + 2 < words.size()) {
      options.first_seed = std::stoull(words[i + 1]);
      options.seeds = std::stoull(words[i + 2]);
      ++i;
    } else if (words[i] == "--tiers") {
      std::erase_if(options.tiers, [&](Tier tier) { return words[i + 1].find(name_of(tier)) == std::string::npos; });
    } else {
      return usage();
    }
  }
  return options.folder.empty() ? usage() : rows(options);
}
