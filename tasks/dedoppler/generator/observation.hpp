// The demo's observation: what Green Bank's file of Voyager 1 looks like, plus random tones, from one seed.
//
// - Header and sizes are those of the published file (Breakthrough Listen, Voyager1.single_coarse.fine_res.fil):
//   1,048,576 channels x 16 spectra. Carrier and sidebands lie where that file has them: 8419.297028, 8419.274374 and
//   8419.319368 MHz, S/N about 246, 31, 31, near -0.39 Hz/s.
// - Noise is chi-squared with 204 degrees of freedom: 18.25 s x 2.79 Hz = 51 integrations, two polarisations, complex
//   voltages. Each sample is a sum of 102 exponentials, drawn from a table of 4,096 quantiles and added as integers.
// - Rule: the same seed gives the same bytes on every machine. Only + - * / and sqrt on doubles, without contraction,
//   an own logarithm, integers for the rest; no library distribution takes part.
// - A tone's power spreads over the channels that it crosses in one spectrum; its flux is set so that the search of
//   ../search.hpp recovers the S/N asked for, within noise of about 1 and a few per cent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/dedoppler/filterbank.hpp"

namespace starling::dedoppler::generator {

inline constexpr std::uint64_t demo_channels = 1ULL << 20;
inline constexpr std::uint64_t demo_spectra = 16;
inline constexpr std::uint64_t demo_channels_min = 1ULL << 16;  // below, eight tones do not fit apart from each other
inline constexpr std::uint64_t demo_channels_max = 1ULL << 24;
inline constexpr int random_tones = 5;

// A tone by its middle in the first spectrum.
struct Tone {
  double channel = 0;
  double frequency_mhz = 0;
  double drift_hz_s = 0;
  double snr = 0;
  bool voyager = false;
};

struct Plan {
  std::uint64_t seed = 0;
  Filterbank filterbank;
  std::vector<Tone> tones;
};

// The header of the published file with `channels` channels; for other counts the tones keep their place relative to
// the band.
Filterbank voyager_filterbank(std::uint64_t channels);

// Voyager's three tones and five from the seed: S/N 20 to 60, drift within 3.5 Hz/s, at least 1,024 channels (or the
// spacing of Voyager's own tones) from all others, 2,048 from the edges and from the DC spike.
Plan plan_observation(std::uint64_t seed, std::uint64_t channels);

// One spectrum, in samples of `plan.filterbank`; `with_noise` false leaves the mean level and the tones.
std::vector<float> make_spectrum(const Plan& plan, std::uint64_t spectrum, bool with_noise = true);

// The whole file; it is written beside `path` and renamed, so an interrupted run leaves no half file.
Result<void> write_observation(const Plan& plan, const std::string& path);

// {"seed", "channels", "signals": [{"frequency_mhz", "drift_hz_s", "snr", "kind"}]}, with a line feed.
std::string truth_json(const Plan& plan);

}  // namespace starling::dedoppler::generator
