// Work units of the search: frequency windows ("bands") that tile the observation.
//
// A unit's line is `bands 1 FIRST COUNT`: version, first owned channel, owned channels. A signal belongs to the
// window that owns its channel in the first spectrum; what a window must read beyond its own channels is the search's
// affair (search.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tasks/dedoppler/filterbank.hpp"

namespace starling::dedoppler {

// 256 units for one coarse channel of 2^20, each reading about 1 % of such a file.
inline constexpr std::uint64_t band_channels = 4096;
inline constexpr std::uint64_t band_channels_max = 65536;  // a larger window is no work unit but a whole search

struct Band {
  std::uint64_t first_channel = 0;
  std::uint64_t channels = 0;
};

// With a line feed at the end.
std::string format_band(const Band& band);

// The line must name channels that the observation has.
Result<Band> parse_band(std::string_view line, const Filterbank& filterbank);

// One line per unit; together the windows own every channel once.
std::string split_bands(const Filterbank& filterbank);

}  // namespace starling::dedoppler
