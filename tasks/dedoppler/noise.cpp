#include "tasks/dedoppler/noise.hpp"

#include <algorithm>
#include <cmath>

namespace starling::dedoppler {

float median_in_place(std::span<float> samples) {
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

Noise measure_noise(std::span<const float> samples, std::vector<float>& scratch) {
  if (samples.empty()) return {};
  scratch.assign(samples.begin(), samples.end());
  const float median = median_in_place(scratch);
  for (float& sample : scratch) sample = std::fabs(sample - median);
  return {.median = median, .sigma = 1.4826F * median_in_place(scratch)};
}

}  // namespace starling::dedoppler
