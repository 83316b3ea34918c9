#include "tasks/dedoppler/taylor_tree.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>

using namespace starling::dedoppler;

namespace {

// The model: every track summed sample by sample along the straight line that the tree's rule describes.
float naive_sum(const std::vector<std::vector<float>>& rows, std::size_t origin, std::int64_t block, std::size_t track,
                std::size_t channel) {
  float sum = 0;
  for (std::size_t t = 0; t < rows.size(); ++t) {
    const auto at = static_cast<std::int64_t>(origin + channel + track_offset(rows.size(), track, t)) +
                    block * static_cast<std::int64_t>(t);
    sum += rows[t][static_cast<std::size_t>(at)];
  }
  return sum;
}

}  // namespace

TEST_CASE("taylor tree: a track starts at 0, ends at its number and never leaves the straight line by a channel") {
  for (std::size_t rows = 1; rows <= 256; rows *= 2)
    for (std::size_t track = 0; track < rows; ++track) {
      CHECK(track_offset(rows, track, 0) == 0);
      CHECK(track_offset(rows, track, rows - 1) == track);
      for (std::size_t t = 0; t < rows && rows > 1; ++t) {
        const double straight = static_cast<double>(track) * static_cast<double>(t) / static_cast<double>(rows - 1);
        CHECK(std::abs(static_cast<double>(track_offset(rows, track, t)) - straight) <= 1.5);
      }
    }
}

TEST_CASE("taylor tree: equals the naive sums for random sizes and drift blocks") {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::size_t rows = std::size_t{1} << (random() % 6);
    const std::size_t channels = 1 + random() % 70;
    const auto block = static_cast<std::int64_t>(random() % 9) - 4;
    const std::size_t origin = 4 * rows;
    std::vector<std::vector<float>> samples(rows);
    for (auto& row : samples)
      for (std::size_t i = 0; i < channels + rows + 8 * rows; ++i) row.push_back(static_cast<float>(random() % 1000));

    TaylorTree tree(rows, channels + random() % 5);
    std::vector<const float*> starts;
    for (std::size_t t = 0; t < rows; ++t)
      starts.push_back(samples[t].data() + static_cast<std::int64_t>(origin) + block * static_cast<std::int64_t>(t));
    tree.transform(starts, channels);
    for (std::size_t track = 0; track < rows; ++track) {
      REQUIRE(tree.track(track).size() == channels);
      for (std::size_t channel = 0; channel < channels; ++channel)
        REQUIRE(tree.track(track)[channel] == naive_sum(samples, origin, block, track, channel));
    }
  }
}
