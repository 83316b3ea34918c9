// Golden stories: each file in stories/ is a script (lines that start a column) and what must follow from it (indented lines).
// To accept a changed story after reading it: transcript_tests writes what it got beside the build as NAME.got.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/transcripts/theatre.hpp"

namespace fs = std::filesystem;

TEST_CASE("every story goes as it is told") {
  std::vector<fs::path> stories;
  for (const auto& entry : fs::directory_iterator(fs::path(STARLING_SOURCE_DIR) / "tests/transcripts/stories")) stories.push_back(entry.path());
  std::ranges::sort(stories);
  REQUIRE(stories.size() >= 4);
  for (const fs::path& story : stories) {
    CAPTURE(story.filename().string());
    std::ifstream in(story);
    const std::string told((std::istreambuf_iterator<char>(in)), {});
    starling::testing::Theatre theatre;
    std::string got;
    std::istringstream lines(told);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("  ")) continue;
      got += line.empty() || line.starts_with("#") ? line + "\n" : theatre.perform(line);
    }
    if (got != told) std::ofstream(story.filename().string() + ".got") << got;
    CHECK(got == told);
  }
}
