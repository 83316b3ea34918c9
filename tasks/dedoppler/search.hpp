// The search of one frequency window for narrowband tones that drift at up to 4 Hz/s either way.
//
// What is computed: for every start channel and every drift the power summed along the track, by a Taylor tree per
// drift block (taylor_tree.hpp), each block smoothed over the channels that such a tone crosses during one spectrum.
//
// Rules:
// - Each spectrum is normalised by its own median and MAD over what the window reads; the receiver's gain may change.
//   Samples that are no numbers count as noise. The spike at the centre of a coarse channel (DC of the digitiser) is
//   replaced by its neighbours' mean, as turboSETI does.
// - A tone that drifts by d channels per spectrum spreads over |d| channels in each. Its track is therefore summed over
//   a box of w = max(1, floor |d|) channels. That gains sqrt(w) in significance, and without it the place of a fast
//   tone would be ambiguous by d channels.
// - Noise of a block: median and MAD of its box sums over all start channels. The best track is the one with the
//   highest significance (sum - median) / sigma.
// - The S/N told and compared with the threshold is significance / sqrt(w): the mean over the box of what a track one
//   channel wide has, which is the convention of published surveys (turboSETI), so numbers can be compared.
// - CLEAN (Hogbom, A&AS 15, 417 (1974)): the strongest track is taken, its samples are replaced by noise level, and
//   what it touched is searched again, until nothing passes the threshold. Without it every track that crosses a tone
//   of S/N 246 in one spectrum would have S/N 15. What remains beside a taken track is that tone's skirt and is no hit.
// - The window searches starts beyond its own channels by all that a tone there could touch, but tells only those
//   within `guard_channels`: noise moves a tone's channel by one or two, and two windows must not each leave it to the
//   other. Duplicates fall out in the merge.
//
// Cost: 54 blocks x 64 additions x 5,900 start channels for the Voyager file, and 1 % of it read.
#pragma once

#include <cstdint>
#include <vector>

#include "tasks/dedoppler/bands.hpp"
#include "tasks/dedoppler/cutout.hpp"
#include "tasks/dedoppler/hits.hpp"

namespace starling::dedoppler {

inline constexpr double drift_max_hz_s = 4.0;
inline constexpr double snr_threshold = 10.0;
inline constexpr std::uint64_t guard_channels = 2 * same_signal_channels;
inline constexpr std::uint64_t coarse_channels = 1ULL << 20;   // fine channels per coarse one of the telescope
inline constexpr std::size_t tracks_per_window_max = 32;       // more means interference; bounds the time of a unit
inline constexpr std::size_t window_samples_max = 1ULL << 24;  // 64 MiB of floats

struct WindowHits {
  std::vector<Hit> hits;        // by channel, then drift
  std::vector<Cutout> cutouts;  // one per hit
  bool saturated = false;       // stopped at tracks_per_window_max
};

Result<WindowHits> search_window(const Observation& observation, const Band& band);

// The S/N that a noiseless tone of unit flux (in units of one channel's noise per spectrum) reaches when it starts at
// `start_channel` (fractional, the middle of the first spectrum) and drifts by `drift_channels` per spectrum. The
// generator divides by it to plant a tone of a chosen S/N.
double unit_response(std::uint64_t spectra, double start_channel, double drift_channels);

// Shares of a tone's flux per channel in one spectrum; share i belongs to channel first + i.
struct Smear {
  std::int64_t first = 0;
  std::vector<double> shares;
};
Smear smear_tone(double start_channel, double drift_channels, std::uint64_t spectrum);

}  // namespace starling::dedoppler
