#include "tasks/dedoppler/program.hpp"

#include "tasks/dedoppler/bands.hpp"
#include "tasks/dedoppler/merge.hpp"
#include "tasks/dedoppler/search.hpp"

namespace starling::dedoppler {

namespace {

std::string say(const std::string& line) {
  return "dedoppler: " + line + "\n";
}

Output fail(const Error& error) {
  return {.exit_code = 2, .standard_output = {}, .standard_error = say(error)};
}

Output split(const Folders& folders) {
  const auto observation = open_observation(folders.in);
  if (!observation) return fail(observation.error());
  return {.exit_code = 0, .standard_output = split_bands(observation->filterbank), .standard_error = {}};
}

Output search(std::string_view line, const Folders& folders) {
  const auto observation = open_observation(folders.in);
  if (!observation) return fail(observation.error());
  const auto band = parse_band(line, observation->filterbank);
  if (!band) return fail(band.error());
  const auto found = search_window(*observation, *band);
  if (!found) return fail(found.error());
  Output output;
  for (const Hit& hit : found->hits) output.standard_output += format_row(hit);
  for (const Cutout& cutout : found->cutouts) {
    const auto path = folders.out + "/" + cutout_name(cutout.hit_channel);
    if (const auto written = write_file(path, encode_cutout(cutout)); !written) return fail(written.error());
  }
  if (found->saturated)
    output.standard_error = say("this window holds more than " + std::to_string(tracks_per_window_max) +
                                " tones, the weakest were left out; it is likely interference");
  return output;
}

Output merge(const Folders& folders) {
  const auto report = merge_bands(folders);
  if (!report) return fail(report.error());
  Output output;
  output.standard_output =
      std::to_string(report->signals) + " signals from " + std::to_string(report->units) + " units\n";
  for (const auto& notice : report->notices) output.standard_error += say(notice);
  return output;
}

}  // namespace

Output run(const std::vector<std::string>& arguments, std::string_view standard_input, const Folders& folders) {
  using Words = std::vector<std::string>;
  if (arguments.empty() || arguments == Words{"search"}) return search(standard_input, folders);
  if (arguments == Words{"split", "bands"}) return split(folders);
  if (arguments == Words{"merge", "bands"}) return merge(folders);
  return fail("unknown arguments; use 'split bands', 'search' with a unit's line on stdin, or 'merge bands'");
}

}  // namespace starling::dedoppler
