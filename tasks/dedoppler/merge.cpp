#include "tasks/dedoppler/merge.hpp"

#include <algorithm>
#include <map>

#include "tasks/dedoppler/cutout.hpp"
#include "tasks/dedoppler/hits.hpp"
#include "tasks/dedoppler/waterfall.hpp"

namespace starling::dedoppler {

namespace {

bool is_unit_name(const std::string& name) {
  return name.size() >= 6 && parse_count(name).has_value();
}

// Hits of all units, and the units that told each of them (a signal at an edge has two).
struct Collected {
  std::vector<Hit> hits;
  std::multimap<std::uint64_t, std::string> folders_by_channel;
};

Result<void> collect_unit(const std::string& folder, Collected& collected) {
  const auto text = read_file(folder + "/stdout", unit_stdout_bytes_max);
  if (!text) return std::unexpected(text.error());
  const auto hits = parse_rows(*text);
  if (!hits) return std::unexpected(printable(folder) + "/stdout: " + hits.error());
  for (const Hit& hit : *hits) {
    if (collected.hits.size() == hits_max)
      return std::unexpected("the units hold more than " + std::to_string(hits_max) +
                             " hits; raise the threshold or mask interference");
    collected.hits.push_back(hit);
    collected.folders_by_channel.emplace(hit.channel, folder);
  }
  return {};
}

// The cut-out of a hit from whichever unit has it.
Result<Cutout> find_cutout(const Collected& collected, const Hit& hit) {
  Result<Cutout> found = std::unexpected<Error>("no unit left a cut-out");
  const auto [first, last] = collected.folders_by_channel.equal_range(hit.channel);
  for (auto at = first; at != last && !found; ++at) {
    const auto bytes = read_file(at->second + "/out/" + cutout_name(hit.channel), cutout_bytes_max);
    found = bytes ? decode_cutout(*bytes) : std::unexpected(bytes.error());
  }
  return found;
}

}  // namespace

Result<MergeReport> merge_bands(const Folders& folders) {
  auto names = list_folder(folders.in);
  if (!names) return std::unexpected(names.error());
  std::erase_if(*names, [](const std::string& name) { return !is_unit_name(name); });
  if (names->empty())
    return std::unexpected<Error>("there are no units to merge; run merge on the accepted outputs of a job");
  Collected collected;
  for (const std::string& name : *names)
    if (const auto unit = collect_unit(folders.in + "/" + name, collected); !unit) return std::unexpected(unit.error());

  const auto signals = drop_duplicates(collected.hits);
  MergeReport report{.units = names->size(), .signals = signals.size(), .notices = {}};
  std::string csv = std::string(csv_header) + "\n";
  for (const Hit& hit : signals) csv += format_row(hit);
  if (const auto written = write_file(folders.out + "/hits.csv", csv); !written)
    return std::unexpected(written.error());

  for (std::size_t i = 0; i < std::min(signals.size(), waterfalls_max); ++i) {
    const auto cutout = find_cutout(collected, signals[i]);
    const std::string picture = "waterfall-" + std::to_string(i + 1) + ".png";
    if (!cutout) {
      report.notices.push_back(picture + " was not drawn: " + cutout.error());
      continue;
    }
    if (const auto written = write_file(folders.out + "/" + picture, draw_waterfall(*cutout)); !written)
      return std::unexpected(written.error());
  }
  return report;
}

}  // namespace starling::dedoppler
