// Taylor tree: sums of power along all straight tracks of 0 to n-1 channels over n spectra, in n log2 n additions per
// channel instead of n^2. J. H. Taylor, "A sensitive method for detecting dispersed radio emission", A&AS 15, 367
// (1974); used for drifting tones since Siemion et al. 2013.
//
// Rule: the 2g tracks over 2g rows come from the g tracks over each half: track j crosses j/2 channels in either half
// and steps (j+1)/2 channels up to the second half's start:
//   out[j][c] = first[j/2][c] + second[j/2][c + (j+1)/2]
// So a track is a straight line within one channel, and `track_offset` tells its exact channels.
//
// Drift blocks: row t read from channel c + k t gives the tracks of k(n-1) to (k+1)(n-1) channels, for any whole k,
// also negative. No copy is made: the first level reads the rows through shifted pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace starling::dedoppler {

// Channels by which track `track` of a tree over `rows` (a power of two) rows has moved at row `row`.
std::size_t track_offset(std::size_t rows, std::size_t track, std::size_t row);

class TaylorTree {
 public:
  // rows: a power of two. channels_max: the largest `channels` of later calls.
  TaylorTree(std::size_t rows, std::size_t channels_max);

  // row_starts[t] points to the sample of start channel 0 in row t (the block shift already added); at least
  // channels + rows samples must follow it. Valid until the next call.
  void transform(std::span<const float* const> row_starts, std::size_t channels);

  // Sums of track 0..rows-1, one per start channel.
  std::span<const float> track(std::size_t index) const;

 private:
  std::size_t rows_;
  std::size_t stride_;
  std::size_t channels_ = 0;
  std::vector<float> front_;
  std::vector<float> back_;
};

}  // namespace starling::dedoppler
