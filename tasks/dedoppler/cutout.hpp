// The piece of the observation around one hit, as file: raw power, so that a picture or another program can be made
// from it.
//
// Layout, little-endian: "DDCUT001" | u32 spectra | u32 channels | u64 first channel | u64 hit channel | f64 fch1 MHz
// of the observation | f64 foff MHz | f64 tsamp s | f64 drift Hz/s | f64 S/N | spectra x channels f32, spectrum by
// spectrum.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/dedoppler/text.hpp"

namespace starling::dedoppler {

inline constexpr std::uint32_t cutout_channels_min = 256;
inline constexpr std::uint32_t cutout_channels_max = 4096;  // longer tracks are shown in part
inline constexpr std::size_t cutout_bytes_max = 80 + 4096ULL * 1024 * 4;

struct Cutout {
  std::uint32_t spectra = 0;
  std::uint32_t channels = 0;
  std::uint64_t first_channel = 0;
  std::uint64_t hit_channel = 0;
  double first_channel_mhz = 0;
  double channel_width_mhz = 0;
  double spectrum_s = 0;
  double drift_hz_s = 0;
  double snr = 0;
  std::vector<float> power;

  friend bool operator==(const Cutout&, const Cutout&) = default;
};

// "cutout-<channel>.bin"
std::string cutout_name(std::uint64_t hit_channel);

std::string encode_cutout(const Cutout& cutout);
Result<Cutout> decode_cutout(std::string_view bytes);

}  // namespace starling::dedoppler
