// dedoppler-check --truth TRUTH.json --hits hits.csv
// Exit 0 when every planted signal is found and no hit is false, 1 when not, 2 when an input cannot be read.
#include <cstdio>
#include <string>

#include "tasks/dedoppler/checker/check.hpp"
#include "tasks/dedoppler/files.hpp"

namespace {

namespace dedoppler = starling::dedoppler;
namespace checker = starling::dedoppler::checker;

constexpr const char* usage = "use: dedoppler-check --truth TRUTH.json --hits hits.csv";

int fail(const std::string& line) {
  std::fprintf(stderr, "dedoppler-check: %s\n", line.c_str());
  return 2;
}

struct Inputs {
  std::vector<checker::Signal> planted;
  std::vector<dedoppler::Hit> hits;
};

dedoppler::Result<Inputs> read_inputs(const std::string& truth_path, const std::string& hits_path) {
  const auto truth_text = dedoppler::read_file(truth_path, checker::input_bytes_max);
  if (!truth_text) return std::unexpected(truth_text.error());
  auto planted = checker::parse_truth(*truth_text);
  if (!planted) return std::unexpected(planted.error());
  const auto hits_text = dedoppler::read_file(hits_path, checker::input_bytes_max);
  if (!hits_text) return std::unexpected(hits_text.error());
  auto hits = dedoppler::parse_rows(*hits_text);
  if (!hits) return std::unexpected(dedoppler::printable(hits_path) + ": " + hits.error());
  return Inputs{std::move(*planted), std::move(*hits)};
}

}  // namespace

int main(int argc, char** argv) {
  std::string truth_path;
  std::string hits_path;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string(argv[i]) == "--truth") truth_path = argv[i + 1];
    if (std::string(argv[i]) == "--hits") hits_path = argv[i + 1];
  }
  if (argc != 5 || truth_path.empty() || hits_path.empty())
    return fail(std::string("--truth or --hits is missing; ") + usage);
  const auto inputs = read_inputs(truth_path, hits_path);
  if (!inputs) return fail(inputs.error());
  const auto verdict = checker::check_hits(inputs->planted, inputs->hits);
  std::fputs(checker::format_verdict(verdict).c_str(), stdout);
  return verdict.perfect() ? 0 : 1;
}
