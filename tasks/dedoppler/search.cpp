#include "tasks/dedoppler/search.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <tuple>

#include "tasks/dedoppler/noise.hpp"
#include "tasks/dedoppler/taylor_tree.hpp"

namespace starling::dedoppler {

namespace {

constexpr std::int64_t blank_margin_channels = 4;  // a tone's leakage beside its box
constexpr std::int64_t tile_channels = 1024;       // the tree's buffers stay in the second-level cache

std::size_t box_width(std::int64_t block) {
  return static_cast<std::size_t>(std::max<std::int64_t>(1, block >= 0 ? block : -block - 1));
}

// Which tracks are summed, in channels and rows; block b holds the drifts of b to b+1 channels per spectrum.
struct Plan {
  std::int64_t spectra = 0;
  std::int64_t rows = 0;  // spectra rounded up to a power of two; the rest are rows of noise level, zero
  std::int64_t blocks = 0;
  std::int64_t first_block = 0;
  double drift_max_channels = 0;
  std::int64_t reach = 0;  // no track leaves [start - reach, start + reach]

  std::size_t widest_box() const { return box_width(first_block + blocks - 1); }

  double drift_channels(std::int64_t block, std::int64_t track) const {
    return static_cast<double>(block) + (rows > 1 ? static_cast<double>(track) / static_cast<double>(rows - 1) : 0.0);
  }

  bool wanted(std::int64_t block, std::int64_t track) const {
    const double slack = rows > 1 ? 0.5 / static_cast<double>(rows - 1) : 0.0;
    return std::fabs(drift_channels(block, track)) <= drift_max_channels + slack;
  }
};

Plan make_plan(std::uint64_t spectra, double drift_max_channels) {
  Plan plan;
  plan.spectra = static_cast<std::int64_t>(spectra);
  plan.rows = static_cast<std::int64_t>(std::bit_ceil(spectra));
  plan.drift_max_channels = drift_max_channels;
  const auto limit = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(drift_max_channels)));
  plan.first_block = plan.rows == 1 ? 0 : -limit;
  plan.blocks = plan.rows == 1 ? 1 : 2 * limit;
  plan.reach = limit * (plan.spectra - 1) + plan.rows + limit;  // blocks, the tree, the box
  return plan;
}

// Samples of the window and its surroundings; column 0 is channel `first_channel`, which may lie outside the file.
struct Patch {
  std::int64_t first_channel = 0;
  std::int64_t columns = 0;
  std::int64_t file_begin = 0;  // columns that the file has
  std::int64_t file_end = 0;
  std::vector<float> raw;         // spectra x columns
  std::vector<float> normalised;  // rows x columns, noise level 0, sigma 1

  float* row(std::int64_t index) { return normalised.data() + index * columns; }
};

void normalise_row(std::span<const float> raw, std::span<float> out, std::vector<float>& finite,
                   std::vector<float>& scratch) {
  constexpr float strongest = 1e9F;  // sums of such samples stay finite
  finite.clear();
  std::ranges::copy_if(raw, std::back_inserter(finite), [](float x) { return std::isfinite(x); });
  const Noise noise = measure_noise(finite, scratch);
  if (!(noise.sigma > 0) || !std::isfinite(noise.sigma)) return;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const float value = (raw[i] - noise.median) / noise.sigma;
    out[i] = std::isfinite(raw[i]) && !std::isnan(value) ? std::clamp(value, -strongest, strongest) : 0.0F;
  }
}

void remove_dc_spikes(const Filterbank& filterbank, Patch& patch, std::int64_t spectra) {
  const std::uint64_t coarse = std::min(coarse_channels, filterbank.channels);
  if (coarse < 1024 || filterbank.channels % coarse != 0) return;
  for (std::int64_t column = patch.file_begin + 1; column + 1 < patch.file_end; ++column) {
    if (static_cast<std::uint64_t>(patch.first_channel + column) % coarse != coarse / 2) continue;
    for (std::int64_t spectrum = 0; spectrum < spectra; ++spectrum) {
      float* row = patch.row(spectrum);
      row[column] = (row[column - 1] + row[column + 1]) / 2;
    }
  }
}

Result<Patch> read_patch(const Observation& observation, const Plan& plan, std::int64_t first_channel,
                         std::int64_t columns) {
  const auto channels = static_cast<std::int64_t>(observation.filterbank.channels);
  Patch patch;
  patch.first_channel = first_channel;
  patch.columns = columns;
  patch.file_begin = std::max<std::int64_t>(0, -first_channel);
  patch.file_end = std::min(columns, channels - first_channel);
  patch.raw.resize(static_cast<std::size_t>(plan.spectra * columns));
  patch.normalised.resize(static_cast<std::size_t>(plan.rows * columns));
  std::vector<float> finite;
  std::vector<float> scratch;
  const auto begin = static_cast<std::size_t>(patch.file_begin);
  const auto count = static_cast<std::size_t>(patch.file_end - patch.file_begin);
  for (std::int64_t spectrum = 0; spectrum < plan.spectra; ++spectrum) {
    const auto at = static_cast<std::size_t>(spectrum * columns) + begin;
    const auto raw = std::span(patch.raw).subspan(at, count);
    const auto read = read_channels(observation, static_cast<std::uint64_t>(spectrum),
                                    static_cast<std::uint64_t>(first_channel + patch.file_begin), raw);
    if (!read) return std::unexpected(read.error());
    normalise_row(raw, std::span(patch.normalised).subspan(at, count), finite, scratch);
  }
  remove_dc_spikes(observation.filterbank, patch, plan.spectra);
  return patch;
}

// One track of the plan and how it stands out.
struct Track {
  std::int64_t column = 0;  // left edge of the box in the first spectrum
  std::int64_t block = 0;
  std::int64_t index = 0;  // in the block's tree
  double significance = 0;

  std::int64_t width() const { return static_cast<std::int64_t>(box_width(block)); }
  std::int64_t left(const Plan& plan, std::int64_t row) const {
    return column + block * row +
           static_cast<std::int64_t>(track_offset(static_cast<std::size_t>(plan.rows), static_cast<std::size_t>(index),
                                                  static_cast<std::size_t>(row)));
  }
  std::int64_t middle(const Plan& plan, std::int64_t row) const { return left(plan, row) + (width() - 1) / 2; }
  double snr() const { return significance / std::sqrt(static_cast<double>(width())); }
};

// A function of its own, and a mask instead of a choice: only so does every compiler make vector code of it.
void keep_higher(const float* __restrict sum, std::size_t count, float median, float scale, std::int32_t code,
                 float* __restrict best, std::int32_t* __restrict best_code) {
  for (std::size_t i = 0; i < count; ++i) {
    const float significance = (sum[i] - median) * scale;
    const std::int32_t better = -static_cast<std::int32_t>(significance > best[i]);
    best[i] = better != 0 ? significance : best[i];
    best_code[i] = (code & better) | (best_code[i] & ~better);
  }
}

// The best track of every start column in [begin, end) of a patch, kept up to date while tracks are blanked.
class TrackSearch {
 public:
  TrackSearch(const Plan& plan, Patch& patch, std::int64_t begin, std::int64_t end)
      : plan_(plan),
        patch_(patch),
        begin_(begin),
        end_(end),
        tree_(static_cast<std::size_t>(plan.rows), static_cast<std::size_t>(tile_channels)),
        row_starts_(static_cast<std::size_t>(plan.rows)),
        box_(patch.normalised.size()),
        best_(static_cast<std::size_t>(end - begin)),
        best_code_(static_cast<std::size_t>(end - begin)),
        noise_(static_cast<std::size_t>(plan.blocks)) {
    scan(begin, end, true);
  }

  // The most significant track whose S/N passes the threshold.
  std::optional<Track> strongest(double threshold) const {
    std::optional<Track> found;
    for (std::int64_t column = begin_; column < end_; ++column) {
      const auto i = static_cast<std::size_t>(column - begin_);
      if (static_cast<double>(best_[i]) < threshold || (found && static_cast<double>(best_[i]) <= found->significance))
        continue;
      const Track track = decode(column, best_code_[i], best_[i]);
      if (track.snr() >= threshold) found = track;
    }
    return found;
  }

  // Replaces the track by noise level and searches again where that may matter.
  void blank(const Track& track) {
    for (std::int64_t row = 0; row < plan_.spectra; ++row) {
      const std::int64_t left = track.left(plan_, row);
      const std::int64_t from = std::clamp<std::int64_t>(left - blank_margin_channels, 0, patch_.columns);
      const std::int64_t to =
          std::clamp<std::int64_t>(left + track.width() + blank_margin_channels, from, patch_.columns);
      std::fill(patch_.row(row) + from, patch_.row(row) + to, 0.0F);
    }
    const std::int64_t touched = 2 * plan_.reach + blank_margin_channels;
    scan(std::max(begin_, track.column - touched), std::min(end_, track.column + touched + 1), false);
  }

 private:
  Track decode(std::int64_t column, std::int32_t code, float significance) const {
    return {column, code / plan_.rows + plan_.first_block, code % plan_.rows, static_cast<double>(significance)};
  }

  // Boxes grow by one channel at a time, so each width costs one addition per sample.
  void scan(std::int64_t begin, std::int64_t end, bool measure) {
    std::fill(best_.begin() + (begin - begin_), best_.begin() + (end - begin_),
              -std::numeric_limits<float>::infinity());
    const std::int64_t from = begin - plan_.reach;
    const std::int64_t to = end + plan_.reach;
    for (std::int64_t row = 0; row < plan_.rows; ++row)
      std::copy(patch_.row(row) + from, patch_.row(row) + to, box_row(row) + from);
    for (std::size_t width = 1; width <= plan_.widest_box(); ++width) {
      if (width > 1) widen_boxes(from, to, static_cast<std::int64_t>(width));
      for (std::int64_t block = plan_.first_block; block < plan_.first_block + plan_.blocks; ++block)
        if (box_width(block) == width) scan_block(block, begin, end, measure);
    }
  }

  void widen_boxes(std::int64_t from, std::int64_t to, std::int64_t width) {
    for (std::int64_t row = 0; row < plan_.rows; ++row) {
      float* __restrict box = box_row(row);
      const float* __restrict added = patch_.row(row) + (width - 1);
      for (std::int64_t column = from; column < to - (width - 1); ++column) box[column] += added[column];
    }
  }

  void scan_block(std::int64_t block, std::int64_t begin, std::int64_t end, bool measure) {
    Noise& noise = noise_[static_cast<std::size_t>(block - plan_.first_block)];
    if (measure) noise = measure_block(block);
    if (!(noise.sigma > 0)) return;
    for (std::int64_t tile = begin; tile < end; tile += tile_channels) {
      const std::int64_t count = std::min(tile_channels, end - tile);
      for (std::int64_t row = 0; row < plan_.rows; ++row)
        row_starts_[static_cast<std::size_t>(row)] = box_row(row) + tile + block * std::min(row, plan_.spectra - 1);
      tree_.transform(row_starts_, static_cast<std::size_t>(count));
      for (std::int64_t index = 0; index < plan_.rows; ++index)
        if (plan_.wanted(block, index)) keep_better(block, index, tile, noise);
    }
  }

  void keep_better(std::int64_t block, std::int64_t index, std::int64_t tile, const Noise& noise) {
    const auto sums = tree_.track(static_cast<std::size_t>(index));
    const auto code = static_cast<std::int32_t>((block - plan_.first_block) * plan_.rows + index);
    const auto at = static_cast<std::size_t>(tile - begin_);
    keep_higher(sums.data(), sums.size(), noise.median, 1.0F / noise.sigma, code, best_.data() + at, best_code_.data() + at);
  }

  // From the block's first track at all start channels that the file has.
  Noise measure_block(std::int64_t block) {
    const std::int64_t from = std::max(begin_, patch_.file_begin);
    const std::int64_t to = std::min(end_, patch_.file_end);
    sums_.assign(static_cast<std::size_t>(std::max<std::int64_t>(0, to - from)), 0.0F);
    for (std::int64_t row = 0; row < plan_.spectra; ++row) {
      const float* __restrict box = box_row(row) + from + block * row;
      float* __restrict sum = sums_.data();
      for (std::size_t i = 0; i < sums_.size(); ++i) sum[i] += box[i];
    }
    return measure_noise(sums_, scratch_);
  }

  float* box_row(std::int64_t row) { return box_.data() + row * patch_.columns; }

  const Plan& plan_;
  Patch& patch_;
  std::int64_t begin_;
  std::int64_t end_;
  TaylorTree tree_;
  std::vector<const float*> row_starts_;
  std::vector<float> box_;
  std::vector<float> best_;  // significance per start column
  std::vector<std::int32_t> best_code_;
  std::vector<Noise> noise_;  // per block, from the first scan
  std::vector<float> sums_;
  std::vector<float> scratch_;
};

bool beside(const Plan& plan, const Track& a, const Track& b) {
  const auto near = static_cast<std::int64_t>(same_signal_channels) + std::max(a.width(), b.width()) / 2;
  return std::abs(a.middle(plan, 0) - b.middle(plan, 0)) <= near &&
         std::abs(a.middle(plan, plan.spectra - 1) - b.middle(plan, plan.spectra - 1)) <= near;
}

Hit make_hit(const Filterbank& filterbank, const Plan& plan, const Patch& patch, const Track& track) {
  const std::int64_t channel = patch.first_channel + track.middle(plan, 0);
  return {.frequency_mhz = filterbank.frequency_mhz(static_cast<double>(channel)),
          .drift_hz_s = plan.drift_channels(track.block, track.index) * filterbank.unit_drift_hz_s(),
          .snr = track.snr(),
          .channel = static_cast<std::uint64_t>(channel)};
}

Cutout make_cutout(const Filterbank& filterbank, const Plan& plan, const Patch& patch, const Track& track) {
  const Hit hit = make_hit(filterbank, plan, patch, track);
  const std::int64_t start = track.middle(plan, 0);
  const std::int64_t end = track.middle(plan, plan.spectra - 1);
  const std::int64_t wide =
      std::clamp<std::int64_t>(std::abs(end - start) + 96, cutout_channels_min, cutout_channels_max);
  const std::int64_t from = std::max((start + end) / 2 - wide / 2, patch.file_begin);
  const std::int64_t to = std::max(from + 1, std::min((start + end) / 2 - wide / 2 + wide, patch.file_end));
  Cutout cutout{.spectra = static_cast<std::uint32_t>(plan.spectra),
                .channels = static_cast<std::uint32_t>(to - from),
                .first_channel = static_cast<std::uint64_t>(patch.first_channel + from),
                .hit_channel = hit.channel,
                .first_channel_mhz = filterbank.first_channel_mhz,
                .channel_width_mhz = filterbank.channel_width_mhz,
                .spectrum_s = filterbank.spectrum_s,
                .drift_hz_s = hit.drift_hz_s,
                .snr = hit.snr,
                .power = {}};
  for (std::int64_t spectrum = 0; spectrum < plan.spectra; ++spectrum) {
    const auto row = patch.raw.begin() + spectrum * patch.columns;
    cutout.power.insert(cutout.power.end(), row + from, row + to);
  }
  return cutout;
}

bool owned(const Band& band, std::int64_t channel, std::uint64_t channels) {
  const auto guard = static_cast<std::int64_t>(guard_channels);
  const auto first = static_cast<std::int64_t>(band.first_channel);
  return channel >= std::max<std::int64_t>(0, first - guard) &&
         channel <
             std::min(first + static_cast<std::int64_t>(band.channels) + guard, static_cast<std::int64_t>(channels));
}

}  // namespace

Result<WindowHits> search_window(const Observation& observation, const Band& band) {
  const Filterbank& filterbank = observation.filterbank;
  const double drift_max_channels = drift_max_hz_s / std::fabs(filterbank.unit_drift_hz_s());
  const Error too_large =
      "a drift of 4 Hz/s crosses more channels in one observation than a unit can hold; "
      "cut the file in time or average its channels";
  if (!(drift_max_channels < 1e5)) return std::unexpected(too_large);
  const Plan plan = make_plan(filterbank.spectra, drift_max_channels);
  const std::int64_t margin = static_cast<std::int64_t>(guard_channels) + 2 * plan.reach;
  const std::int64_t halo = std::max<std::int64_t>(margin + plan.reach, cutout_channels_min);
  const std::int64_t columns = static_cast<std::int64_t>(band.channels) + 2 * halo;
  if (columns > static_cast<std::int64_t>(window_samples_max) / plan.rows) return std::unexpected(too_large);

  auto patch = read_patch(observation, plan, static_cast<std::int64_t>(band.first_channel) - halo, columns);
  if (!patch) return std::unexpected(patch.error());
  TrackSearch search(plan, *patch, halo - margin, halo + static_cast<std::int64_t>(band.channels) + margin);

  WindowHits found;
  std::vector<Track> taken;
  std::vector<Track> told;
  while (const auto track = search.strongest(snr_threshold)) {
    if (taken.size() == tracks_per_window_max) {
      found.saturated = true;
      break;
    }
    const bool skirt =
        std::ranges::any_of(taken, [&](const Track& stronger) { return beside(plan, stronger, *track); });
    if (!skirt && owned(band, patch->first_channel + track->middle(plan, 0), filterbank.channels))
      told.push_back(*track);
    taken.push_back(*track);
    search.blank(*track);
  }
  std::ranges::sort(told, [](const Track& a, const Track& b) {
    return std::tuple(a.column + (a.width() - 1) / 2, a.block, a.index) <
           std::tuple(b.column + (b.width() - 1) / 2, b.block, b.index);
  });
  for (const Track& track : told) {
    found.hits.push_back(make_hit(filterbank, plan, *patch, track));
    found.cutouts.push_back(make_cutout(filterbank, plan, *patch, track));
  }
  return found;
}

Smear smear_tone(double start_channel, double drift_channels, std::uint64_t spectrum) {
  constexpr double narrowest = 1e-3;  // a tone that stands still still has some width
  // Channel c covers [c - 0.5, c + 0.5) in units of the channel number.
  const double middle = start_channel + drift_channels * static_cast<double>(spectrum);
  const double half = std::max(std::fabs(drift_channels), narrowest) / 2;
  const double low = middle - half + 0.5;
  const double high = middle + half + 0.5;
  Smear smear;
  smear.first = static_cast<std::int64_t>(std::floor(low));
  for (std::int64_t channel = smear.first; static_cast<double>(channel) < high; ++channel) {
    const double from = std::max(low, static_cast<double>(channel));
    const double to = std::min(high, static_cast<double>(channel + 1));
    smear.shares.push_back((to - from) / (2 * half));
  }
  return smear;
}

double unit_response(std::uint64_t spectra, double start_channel, double drift_channels) {
  const Plan plan = make_plan(spectra, std::ceil(std::fabs(drift_channels)));
  const double whole = std::floor(start_channel);
  double best = 0;
  for (std::int64_t block = plan.first_block; block < plan.first_block + plan.blocks; ++block) {
    const double width = static_cast<double>(box_width(block));
    if (std::fabs(static_cast<double>(block) + 0.5 - drift_channels) > 1.5) continue;
    const auto reach = static_cast<std::int64_t>(width) + 2;
    for (std::int64_t index = 0; index < plan.rows; ++index)
      for (std::int64_t column = -reach; column <= reach; ++column) {
        const Track track{column, block, index, 0};
        double sum = 0;
        for (std::uint64_t spectrum = 0; spectrum < spectra; ++spectrum) {
          const Smear smear = smear_tone(start_channel - whole, drift_channels, spectrum);
          const std::int64_t left = track.left(plan, static_cast<std::int64_t>(spectrum)) - smear.first;
          for (std::int64_t i = std::max<std::int64_t>(left, 0); i < left + track.width(); ++i)
            if (i < static_cast<std::int64_t>(smear.shares.size())) sum += smear.shares[static_cast<std::size_t>(i)];
        }
        // A box of w channels over n spectra has a noise of sqrt(w n); S/N is told per sqrt(w) (see above).
        best = std::max(best, sum / std::sqrt(width * static_cast<double>(spectra)) / std::sqrt(width));
      }
  }
  return best;
}

}  // namespace starling::dedoppler
