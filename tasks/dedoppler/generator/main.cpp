// dedoppler-generate --seed S --output FILE.fil --truth TRUTH.json [--channels N]
#include <cstdio>
#include <optional>
#include <string>

#include "tasks/dedoppler/generator/observation.hpp"

namespace {

namespace dedoppler = starling::dedoppler;
namespace generator = starling::dedoppler::generator;

constexpr const char* usage = "use: dedoppler-generate --seed S --output FILE.fil --truth TRUTH.json [--channels N]";

int fail(const std::string& line) {
  std::fprintf(stderr, "dedoppler-generate: %s\n", line.c_str());
  return 2;
}

struct Options {
  std::optional<std::uint64_t> seed;
  std::string output;
  std::string truth;
  std::uint64_t channels = generator::demo_channels;
};

dedoppler::Result<Options> parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) return std::unexpected(dedoppler::printable(name) + " has no value; " + usage);
    const std::string value = argv[i + 1];
    const auto number = dedoppler::parse_count(value);
    if (name == "--seed" && number) {
      options.seed = *number;
    } else if (name == "--output") {
      options.output = value;
    } else if (name == "--truth") {
      options.truth = value;
    } else if (name == "--channels" && number && *number >= generator::demo_channels_min &&
               *number <= generator::demo_channels_max) {
      options.channels = *number;
    } else if (name == "--channels") {
      return std::unexpected("--channels " + dedoppler::printable(value) + " is not a number from " +
                             std::to_string(generator::demo_channels_min) + " to " +
                             std::to_string(generator::demo_channels_max) + "; choose one in between");
    } else {
      return std::unexpected("'" + dedoppler::printable(name + " " + value) + "' is not understood; " + usage);
    }
  }
  if (!options.seed || options.output.empty() || options.truth.empty())
    return std::unexpected(std::string("--seed, --output or --truth is missing; ") + usage);
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse_options(argc, argv);
  if (!options) return fail(options.error());
  const auto plan = generator::plan_observation(*options->seed, options->channels);
  if (const auto written = generator::write_observation(plan, options->output); !written) return fail(written.error());
  if (const auto written = dedoppler::write_file(options->truth, generator::truth_json(plan)); !written)
    return fail(written.error());
  return 0;
}
