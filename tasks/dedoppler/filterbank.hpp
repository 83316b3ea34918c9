// SIGPROC filterbank files (.fil) as Breakthrough Listen writes them: 32-bit float power, one polarisation product.
//
// Layout: a header of (int32 length, keyword)[value] records from HEADER_START to HEADER_END, little-endian, then for
// each spectrum `channels` floats; spectrum s, channel c lies at data_offset + 4 (s channels + c).
// Source: SIGPROC 4.3 user guide, section 2 and send_stuff.c; field use as in blimp's sigproc reader.
//
// Rules, because the file is outside data:
// - Every length is checked before it is used; the header must end within `header_bytes_max`.
// - A keyword outside SIGPROC's list is an error: its value's length is unknown, so nothing after it can be trusted.
// - The file must hold whole spectra and no fewer than the header's `nsamples`, if given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tasks/dedoppler/files.hpp"

namespace starling::dedoppler {

inline constexpr std::size_t header_bytes_max = 16 * 1024;  // real headers have about 350 bytes
inline constexpr std::uint64_t channels_max = 1ULL << 30;   // 1,024 coarse channels of 2^20
inline constexpr std::uint64_t spectra_max = 1024;          // five hours at 18 s

// What the search needs of a header; every value has passed the checks above.
struct Filterbank {
  std::uint64_t data_offset = 0;  // bytes
  std::uint64_t channels = 0;
  std::uint64_t spectra = 0;
  double first_channel_mhz = 0;  // centre of channel 0
  double channel_width_mhz = 0;  // signed: negative when frequency falls with the channel number
  double spectrum_s = 0;
  std::string source_name;

  double frequency_mhz(double channel) const { return first_channel_mhz + channel_width_mhz * channel; }
  // Drift of one channel per spectrum.
  double unit_drift_hz_s() const { return channel_width_mhz * 1e6 / spectrum_s; }
};

// `head` is the beginning of the file (all of it, or header_bytes_max bytes).
Result<Filterbank> parse_filterbank(std::span<const std::byte> head, std::uint64_t file_bytes);

// A header as SIGPROC writes it; for the generator and the tests.
std::string encode_filterbank_header(const Filterbank& filterbank);

// The only *.fil of a folder, opened and its header checked.
struct Observation {
  InputFile file;
  Filterbank filterbank;
};
Result<Observation> open_observation(const std::string& folder);

// Channels [first_channel, first_channel + into.size()) of one spectrum; the range must lie inside the file.
Result<void> read_channels(const Observation& observation, std::uint64_t spectrum, std::uint64_t first_channel,
                           std::span<float> into);

}  // namespace starling::dedoppler
