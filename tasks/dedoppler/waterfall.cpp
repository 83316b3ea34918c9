#include "tasks/dedoppler/waterfall.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "tasks/dedoppler/noise.hpp"
#include "tasks/dedoppler/png.hpp"

namespace starling::dedoppler {

namespace {

constexpr std::uint8_t brightest = 254;
constexpr std::uint8_t white = 255;
constexpr std::uint32_t width_px_min = 768;
constexpr std::uint32_t height_px_min = 320;
constexpr std::uint32_t mark_px = 10;

// Nine points of matplotlib's viridis map (CC0), joined by straight lines; the last index is white.
Palette viridis() {
  constexpr std::array<std::array<int, 3>, 9> points = {{{68, 1, 84},
                                                         {71, 44, 122},
                                                         {59, 81, 139},
                                                         {44, 113, 142},
                                                         {33, 144, 141},
                                                         {39, 173, 129},
                                                         {92, 200, 99},
                                                         {170, 220, 50},
                                                         {253, 231, 37}}};
  Palette palette;
  for (int i = 0; i <= brightest; ++i) {
    const int place = i * 8;
    const auto from = static_cast<std::size_t>(std::min(place / brightest, 7));
    const int part = place - static_cast<int>(from) * brightest;
    const auto mix = [&](std::size_t k) {
      return static_cast<std::uint8_t>((points[from][k] * (brightest - part) + points[from + 1][k] * part) / brightest);
    };
    palette[static_cast<std::size_t>(i)] = {mix(0), mix(1), mix(2)};
  }
  palette[white] = {255, 255, 255};
  return palette;
}

// Palette index of every sample.
std::vector<std::uint8_t> shade(const Cutout& cutout) {
  std::vector<float> finite;
  std::ranges::copy_if(cutout.power, std::back_inserter(finite), [](float x) { return std::isfinite(x); });
  std::vector<float> scratch;
  const Noise noise = measure_noise(finite, scratch);
  const float strongest = finite.empty() ? 0 : std::ranges::max(finite);
  const float low = noise.median - 2 * noise.sigma;
  const float high = std::clamp(strongest, noise.median + 6 * noise.sigma, noise.median + 64 * noise.sigma);
  std::vector<std::uint8_t> shades;
  for (const float sample : cutout.power) {
    const float value = std::isfinite(sample) ? sample : noise.median;
    const float share = high > low ? std::clamp((value - low) / (high - low), 0.0F, 1.0F) : 0.0F;
    shades.push_back(static_cast<std::uint8_t>(std::sqrt(share) * static_cast<float>(brightest) + 0.5F));
  }
  return shades;
}

struct Canvas {
  std::uint32_t width_px;
  std::uint32_t height_px;
  std::vector<std::uint8_t> pixels;

  void fill(std::int64_t x, std::int64_t y, std::int64_t wide, std::int64_t high, std::uint8_t shade) {
    const std::int64_t right = std::min<std::int64_t>(x + wide, width_px);
    for (std::int64_t row = std::max<std::int64_t>(y, 0); row < std::min<std::int64_t>(y + high, height_px); ++row)
      for (std::int64_t column = std::max<std::int64_t>(x, 0); column < right; ++column)
        pixels[static_cast<std::size_t>(row * width_px + column)] = shade;
  }
};

}  // namespace

std::string draw_waterfall(const Cutout& cutout) {
  const std::uint32_t across = (width_px_min + cutout.channels - 1) / cutout.channels;
  const std::uint32_t down = (height_px_min + cutout.spectra - 1) / cutout.spectra;
  const bool falling = cutout.channel_width_mhz < 0;
  Canvas canvas{cutout.channels * across, cutout.spectra * down + 2 * mark_px, {}};
  canvas.pixels.assign(std::size_t{canvas.width_px} * canvas.height_px, 0);

  const auto left_px = [&](std::int64_t column) {
    return (falling ? std::int64_t{cutout.channels} - 1 - column : column) * across;
  };
  const auto shades = shade(cutout);
  for (std::uint32_t spectrum = 0; spectrum < cutout.spectra; ++spectrum)
    for (std::uint32_t column = 0; column < cutout.channels; ++column)
      canvas.fill(left_px(column), mark_px + std::int64_t{spectrum} * down, across, down,
                  shades[std::size_t{spectrum} * cutout.channels + column]);

  const double channels_per_spectrum = cutout.drift_hz_s * cutout.spectrum_s / (cutout.channel_width_mhz * 1e6);
  const double travelled = std::clamp(channels_per_spectrum * (cutout.spectra - 1), -1e9, 1e9);
  const auto start = static_cast<std::int64_t>(cutout.hit_channel) - static_cast<std::int64_t>(cutout.first_channel);
  const auto end = start + static_cast<std::int64_t>(std::floor(travelled + 0.5));
  canvas.fill(left_px(start) + across / 2 - 1, 0, 3, mark_px, white);
  canvas.fill(left_px(end) + across / 2 - 1, canvas.height_px - mark_px, 3, mark_px, white);
  return encode_png(canvas.width_px, canvas.height_px, viridis(), canvas.pixels);
}

}  // namespace starling::dedoppler
