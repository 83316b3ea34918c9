#include "tasks/dedoppler/bands.hpp"

#include <algorithm>

namespace starling::dedoppler {

std::string format_band(const Band& band) {
  return "bands 1 " + std::to_string(band.first_channel) + " " + std::to_string(band.channels) + "\n";
}

Result<Band> parse_band(std::string_view line, const Filterbank& filterbank) {
  const auto quoted = "the unit's line '" + printable(line) + "' ";
  if (line.ends_with('\n')) line.remove_suffix(1);
  const auto fields = split_fields(line.substr(0, 100), ' ');
  if (line.size() > 100 || fields.size() != 4 || fields[0] != "bands" || fields[1] != "1")
    return std::unexpected(quoted + "is not 'bands 1 FIRST COUNT'; make the lines with: split bands");
  const auto first = parse_count(fields[2]);
  const auto count = parse_count(fields[3]);
  if (!first || !count || *count == 0 || *count > band_channels_max)
    return std::unexpected(quoted + "has no valid channel range (1 to " + std::to_string(band_channels_max) +
                           " channels); make the lines with: split bands");
  if (*first >= filterbank.channels || *count > filterbank.channels - *first)
    return std::unexpected(quoted + "names channels beyond the file's " + std::to_string(filterbank.channels) +
                           "; split the same file that is searched");
  return Band{*first, *count};
}

std::string split_bands(const Filterbank& filterbank) {
  std::string lines;
  for (std::uint64_t first = 0; first < filterbank.channels; first += band_channels)
    lines += format_band({first, std::min(band_channels, filterbank.channels - first)});
  return lines;
}

}  // namespace starling::dedoppler
