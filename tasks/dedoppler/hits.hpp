// A hit: one drifting tone above the threshold, and how hits of overlapping windows become one list.
//
// CSV row: frequency_mhz,drift_hz_s,snr,channel with 6, 4, 2 and 0 decimals. Frequency and channel are those of the
// tone in the middle of the first spectrum.
// Rule for duplicates: two hits within 8 channels and 0.1 Hz/s are one signal, and the higher S/N stays. A tone
// wanders by a channel or two between two windows' noise; different tones that close cannot be told apart by this
// search.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/dedoppler/text.hpp"

namespace starling::dedoppler {

inline constexpr std::string_view csv_header = "frequency_mhz,drift_hz_s,snr,channel";
inline constexpr std::uint64_t same_signal_channels = 8;
inline constexpr double same_signal_drift_hz_s = 0.1;
inline constexpr std::size_t hits_max = 1'000'000;  // of one list; a file with more is all interference

struct Hit {
  double frequency_mhz = 0;
  double drift_hz_s = 0;
  double snr = 0;
  std::uint64_t channel = 0;

  friend bool operator==(const Hit&, const Hit&) = default;
};

// With a line feed at the end.
std::string format_row(const Hit& hit);
Result<Hit> parse_row(std::string_view line);

// All rows of a text, with or without the header line; errors name the line.
Result<std::vector<Hit>> parse_rows(std::string_view text);

// One hit per signal, the strongest, in falling order of S/N (equal S/N: rising channel, then drift).
std::vector<Hit> drop_duplicates(std::vector<Hit> hits);

}  // namespace starling::dedoppler
