// The heart of tasks/dedoppler on made-up noise: the Taylor tree, and the noise of each track.
#include <vector>

#include "tasks/dedoppler/noise.hpp"
#include "tasks/dedoppler/taylor_tree.hpp"
#include "tests/benchmarks/kernels/kernel.h"

int main() {
  constexpr std::size_t rows = 16, channels = 1 << 15;
  std::vector<float> samples(rows * (channels + rows));
  std::uint64_t seed = 23;
  for (float& one : samples) one = static_cast<float>(next_unit(&seed) + next_unit(&seed) + next_unit(&seed));
  std::vector<const float*> starts(rows);
  for (std::size_t row = 0; row < rows; ++row) starts[row] = samples.data() + row * (channels + rows);
  starling::dedoppler::TaylorTree tree(rows, channels);
  std::vector<float> scratch;
  double sum = 0;
  for (int turn = 0; turn < 40; ++turn) {
    tree.transform(starts, channels);
    for (std::size_t track = 0; track < rows; ++track) {
      const auto sums = tree.track(track);
      const auto noise = starling::dedoppler::measure_noise(sums, scratch);
      unsigned above = 0;
      for (const float one : sums) above += one > noise.median + 3 * noise.sigma;
      sum += noise.median + static_cast<double>(above);
    }
    samples[static_cast<std::size_t>(turn)] += 1;
  }
  printf("%.17g\n", sum);
}
