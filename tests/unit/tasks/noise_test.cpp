#include "tasks/dedoppler/noise.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

using namespace starling::dedoppler;

TEST_CASE("noise: median and MAD of Gaussian samples give mean and sigma, also with strong outliers") {
  std::mt19937 random(3);
  std::normal_distribution<float> gauss(50, 4);
  std::vector<float> samples(20000);
  for (float& sample : samples) sample = gauss(random);
  std::vector<float> scratch;
  CHECK(measure_noise(samples, scratch).median == doctest::Approx(50).epsilon(0.005));
  CHECK(measure_noise(samples, scratch).sigma == doctest::Approx(4).epsilon(0.03));
  std::fill_n(samples.begin(), 200, 1e9F);
  CHECK(measure_noise(samples, scratch).median == doctest::Approx(50).epsilon(0.005));
  CHECK(measure_noise(samples, scratch).sigma == doctest::Approx(4).epsilon(0.05));
}

TEST_CASE("noise: the median equals the sorted middle") {
  std::mt19937 random(4);
  for (std::size_t size = 1; size < 200; ++size) {
    std::vector<float> samples(size);
    for (float& sample : samples) sample = static_cast<float>(random() % 50);
    auto sorted = samples;
    std::ranges::sort(sorted);
    CHECK(median_in_place(samples) == sorted[size / 2]);
  }
}

TEST_CASE("noise: no samples and equal samples have no spread") {
  std::vector<float> scratch;
  CHECK(measure_noise({}, scratch).sigma == 0);
  CHECK(measure_noise(std::vector<float>(9, 2.5F), scratch).median == 2.5F);
  CHECK(measure_noise(std::vector<float>(9, 2.5F), scratch).sigma == 0);
}
