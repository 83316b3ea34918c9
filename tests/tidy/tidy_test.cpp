// The project's borders as a test: include arrows, third-party homes, no clock, chance, thread, file or socket in the core,
// a README in every folder, no leftovers. The rules are the tables below; DESIGN section 3 has the reasons.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path root = STARLING_SOURCE_DIR;

struct File {
  std::string path;  // relative to the root
  std::vector<std::string> lines;
};

bool starts_with_any(const std::string& text, const std::vector<std::string>& prefixes) {
  return std::ranges::any_of(prefixes, [&](const std::string& prefix) { return text.starts_with(prefix); });
}

std::vector<File> sources() {
  std::vector<File> out;
  for (const std::string top : {"coordinator-less", "worker", "tasks", "sdk", "tests"}) {
    if (!fs::exists(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const auto extension = entry.path().extension();
      if (!entry.is_regular_file() || (extension != ".hpp" && extension != ".cpp" && extension != ".h" && extension != ".c")) continue;
      File file{fs::relative(entry.path(), root).generic_string(), {}};
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) file.lines.push_back(line);
      out.push_back(std::move(file));
    }
  }
  std::ranges::sort(out, {}, &File::path);
  return out;
}

// Longest prefix wins. A folder may include itself and what stands beside it.
const std::map<std::string, std::vector<std::string>> arrows = {
    {"coordinator-less/base/", {"coordinator-less/base/"}},
    {"coordinator-less/protocol/", {"coordinator-less/protocol/", "coordinator-less/base/"}},
    {"coordinator-less/protocol/judgement/",
     {"coordinator-less/protocol/judgement/", "coordinator-less/protocol/message.hpp", "coordinator-less/protocol/notary.hpp", "coordinator-less/base/"}},
    {"coordinator-less/wire/", {"coordinator-less/wire/", "coordinator-less/protocol/", "coordinator-less/base/"}},
    {"coordinator-less/crypto/", {"coordinator-less/crypto/", "coordinator-less/base/"}},
    {"coordinator-less/net/", {"coordinator-less/net/", "coordinator-less/base/"}},
    {"coordinator-less/storage/", {"coordinator-less/storage/", "coordinator-less/base/"}},
    {"coordinator-less/runtime/", {"coordinator-less/"}},
    {"worker/execution/", {"worker/execution/", "coordinator-less/base/", "coordinator-less/crypto/"}},
    {"worker/", {"worker/", "sdk/cli/", "sdk/client/", "coordinator-less/"}},
    {"sdk/task/", {"sdk/task/"}},
    {"sdk/client/", {"sdk/client/", "coordinator-less/"}},
    {"sdk/cli/", {"sdk/cli/", "sdk/client/", "coordinator-less/"}},
    {"sdk/examples/", {"sdk/client/", "sdk/task/", "coordinator-less/base/"}},
    {"tasks/", {"tasks/", "sdk/task/"}},
    {"tests/simulation/", {"tests/simulation/", "coordinator-less/protocol/", "coordinator-less/wire/", "coordinator-less/base/"}},
    {"tests/", {"tests/", "coordinator-less/", "worker/", "sdk/", "tasks/"}},
};

const std::map<std::string, std::vector<std::string>> third_party_homes = {
    {"zmq", {"coordinator-less/net/", "tests/unit/net/", "tests/integration/"}},
    {"capnp/", {"coordinator-less/wire/", "tests/unit/wire/"}},
    {"kj/", {"coordinator-less/wire/", "tests/unit/wire/"}},
    {"openssl/", {"coordinator-less/crypto/"}},
    {"sodium", {"coordinator-less/crypto/", "tests/unit/crypto/"}},
    {"sqlite3", {"coordinator-less/storage/", "tests/unit/storage/", "tests/integration/"}},
    {"spdlog/", {"coordinator-less/runtime/", "worker/", "tests/unit/runtime/"}},
    {"seccomp", {"worker/execution/cage/"}},
    {"wasmedge/", {"worker/execution/executor/", "tests/same_bytes/"}},
    {"oneapi/", {"worker/execution/executor/"}},
    {"tbb/", {"worker/execution/executor/", "coordinator-less/runtime/cores.cpp", "tests/benchmarks/"}},  // in the runtime its threads only compute
    {"CLI/", {"sdk/cli/", "worker/"}},
    {"nlohmann/", {"sdk/", "worker/", "tasks/dedoppler/generator/", "tasks/dedoppler/checker/", "tests/"}},
    {"doctest/", {"tests/"}},
};

const std::vector<std::string>& allowed_for(const std::string& path) {
  const std::vector<std::string>* best = nullptr;
  std::size_t best_length = 0;
  for (const auto& [prefix, allowed] : arrows) {
    if (!path.starts_with(prefix) || prefix.size() <= best_length) continue;
    best = &allowed;
    best_length = prefix.size();
  }
  REQUIRE_MESSAGE(best != nullptr, path << " belongs to no folder of the table");
  return *best;
}

std::string where(const File& file, std::size_t line) { return file.path + ":" + std::to_string(line + 1); }

// Code without its comment and string contents, so that prose may name what code may not.
std::string code_of(const std::string& line) {
  std::string out;
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (!quoted && line.compare(i, 2, "//") == 0) break;
    if (line[i] == '"' && (i == 0 || line[i - 1] != '\\')) quoted = !quoted;
    if (!quoted) out.push_back(line[i]);
  }
  return out;
}

}  // namespace

TEST_CASE("includes follow the arrows") {
  const std::regex project("#include \"([^\"]+)\"");
  for (const File& file : sources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      std::smatch match;
      if (!std::regex_search(file.lines[i], match, project)) continue;
      const std::string target = match[1];
      if (target.find('/') == std::string::npos) continue;  // generated, or a plain C header of a guest
      CHECK_MESSAGE(starts_with_any(target, allowed_for(file.path)), where(file, i) << " may not include " << target);
    }
  }
}

TEST_CASE("third-party headers stay at home") {
  for (const File& file : sources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      for (const auto& [header, homes] : third_party_homes) {
        if (file.lines[i].starts_with("#include <" + header))
          CHECK_MESSAGE(starts_with_any(file.path, homes), where(file, i) << " includes <" << header << "...> outside its home");
      }
    }
  }
}

TEST_CASE("the core has no clock, chance, thread, file, socket or log") {
  const std::regex banned(
      "system_clock|steady_clock|high_resolution_clock|random_device|mt19937|std::rand|\\bgetenv|std::thread|std::jthread|std::mutex|"
      "std::atomic|std::async|<fstream>|<filesystem>|<iostream>|<thread>|<mutex>|<sys/|<unistd|::socket\\(|\\bfopen\\(|spdlog|"
      "unordered_map|unordered_set|\\btime\\(NULL|\\btime\\(nullptr");
  for (const File& file : sources()) {
    if (!file.path.starts_with("coordinator-less/protocol/") && !file.path.starts_with("coordinator-less/wire/")) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      CHECK_MESSAGE(!std::regex_search(code_of(file.lines[i]), banned), where(file, i) << " names what the core must not know: " << file.lines[i]);
  }
}

TEST_CASE("no float in what peers must agree upon") {
  const std::regex banned("\\b(float|double|long double)\\b|<cmath>|std::(pow|log2?|exp2?|sqrt)\\(");
  for (const File& file : sources()) {
    if (!file.path.starts_with("coordinator-less/protocol/") && !file.path.starts_with("coordinator-less/wire/")) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      CHECK_MESSAGE(!std::regex_search(code_of(file.lines[i]), banned), where(file, i) << " calculates with floats: " << file.lines[i]);
  }
}

TEST_CASE("one place reads the clock for the runtime") {
  const std::regex clock("system_clock::now|steady_clock::now|clock_gettime");
  for (const File& file : sources()) {
    if (!file.path.starts_with("coordinator-less/") || file.path == "coordinator-less/runtime/clock.cpp") continue;
    if (file.path.starts_with("coordinator-less/net/")) continue;  // the socket thread times its own handshakes
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      CHECK_MESSAGE(!std::regex_search(code_of(file.lines[i]), clock), where(file, i) << " reads a clock");
  }
}

// zmq_unbind drops the links that were accepted there, so it is never "stop accepting" (DESIGN section 4).
TEST_CASE("no socket is unbound") {
  const std::regex unbind("zmq_unbind|[.>]unbind\\(");
  REQUIRE(std::regex_search(code_of("zmq_unbind(socket, \"tcp://*:1\");"), unbind));
  REQUIRE(std::regex_search(code_of("router.unbind(endpoint);"), unbind));
  for (const File& file : sources()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      CHECK_MESSAGE(!std::regex_search(code_of(file.lines[i]), unbind), where(file, i) << " unbinds a socket: its live links would drop");
  }
}

TEST_CASE("no leftovers") {
  const std::regex leftover("\\b(TODO|FIXME|XXX|HACK)\\b");
  for (const File& file : sources()) {
    if (file.path == "tests/tidy/tidy_test.cpp") continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i)
      CHECK_MESSAGE(!std::regex_search(file.lines[i], leftover), where(file, i) << " leaves something open: " << file.lines[i]);
  }
}

TEST_CASE("every folder says what it is for") {
  for (const std::string folder :
       {"coordinator-less", "coordinator-less/base", "coordinator-less/protocol", "coordinator-less/protocol/judgement", "coordinator-less/wire", "coordinator-less/crypto",
        "coordinator-less/net", "coordinator-less/storage", "coordinator-less/runtime", "worker", "worker/execution", "worker/execution/cage", "worker/execution/instrument", "sdk", "sdk/client",
        "sdk/cli", "sdk/task", "sdk/examples", "tasks", "tasks/dedoppler", "tests", "tests/simulation", "tests/fuzz", "tests/same_bytes", "deploy", "docs"}) {
    const fs::path readme = root / folder / "README.md";
    REQUIRE_MESSAGE(fs::exists(readme), folder << " has no README.md");
    std::ifstream in(readme);
    std::stringstream text;
    text << in.rdbuf();
    CHECK_MESSAGE(std::ranges::count(text.str(), '\n') <= 70, folder << "/README.md is longer than a screen");
  }
}

TEST_CASE("headers are guarded and compile under their own name") {
  for (const File& file : sources()) {
    if (!file.path.ends_with(".hpp")) continue;
    CHECK_MESSAGE(std::ranges::any_of(file.lines, [](const std::string& line) { return line == "#pragma once"; }), file.path << " lacks #pragma once");
  }
}
