#include "tasks/dedoppler/generator/observation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tasks/dedoppler/search.hpp"

namespace starling::dedoppler::generator {

namespace {

constexpr std::size_t quantiles = 4096;    // 12 bits a draw: five from one 64-bit word
constexpr int exponentials = 102;          // half of 204 degrees of freedom
constexpr double quantile_scale = 65536;   // sums stay below 2^24, where floats hold every integer
constexpr float sample_scale = 1024.0F;    // brings the mean to 7e9, the size of the published file's samples
constexpr double dc_spike_sigmas = 400.0;  // the digitiser's offset, in the centre channel

// splitmix64 (Steele, Lea, Flood 2014): spreads a seed over the generator's state.
std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// xoshiro256++ 1.0 (Blackman and Vigna 2019, public domain).
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream) {
    std::uint64_t state = seed;
    state = splitmix(state) ^ (stream * 0xd1342543de82ef95ULL);
    for (auto& word : words_) word = splitmix(state);
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(words_[0] + words_[3], 23) + words_[0];
    const std::uint64_t t = words_[1] << 17;
    words_[2] ^= words_[0];
    words_[3] ^= words_[1];
    words_[1] ^= words_[2];
    words_[0] ^= words_[3];
    words_[2] ^= t;
    words_[3] = rotate(words_[3], 45);
    return result;
  }

  double uniform(double low, double high) {
    return low + (high - low) * (static_cast<double>(next() >> 11) / 9007199254740992.0);
  }

 private:
  static std::uint64_t rotate(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  std::array<std::uint64_t, 4> words_{};
};

// ln x for x in (0, 1], by halving and the series of artanh: the same bits everywhere, which libm does not promise.
double natural_log(double x) {
  constexpr double ln2 = 0.693147180559945309417;
  int halvings = 0;
  while (x < 0.5) {
    x *= 2;
    ++halvings;
  }
  const double z = (x - 1) / (x + 1);
  double power = z;
  double sum = 0;
  for (int n = 1; n < 60; n += 2) {
    sum += power / n;
    power *= z * z;
  }
  return 2 * sum - halvings * ln2;
}

struct Exponential {
  std::array<std::uint32_t, quantiles> quantile{};
  double mean = 0;
  double variance = 0;
};

Exponential make_exponential() {
  Exponential table;
  double squares = 0;
  for (std::size_t i = 0; i < quantiles; ++i) {
    const double survival = 1 - (static_cast<double>(i) + 0.5) / quantiles;
    table.quantile[i] = static_cast<std::uint32_t>(-natural_log(survival) * quantile_scale + 0.5);
    table.mean += table.quantile[i];
    squares += static_cast<double>(table.quantile[i]) * table.quantile[i];
  }
  table.mean /= quantiles;
  table.variance = squares / quantiles - table.mean * table.mean;
  return table;
}

const Exponential& exponential() {
  static const Exponential table = make_exponential();
  return table;
}

float draw_power(const Exponential& table, Random& random) {
  std::uint32_t sum = 0;
  for (int drawn = 0; drawn < exponentials;) {
    std::uint64_t word = random.next();
    for (int i = 0; i < 5 && drawn < exponentials; ++i, ++drawn, word >>= 12) sum += table.quantile[word % quantiles];
  }
  return static_cast<float>(sum);
}

double channel_of(const Filterbank& filterbank, double frequency_mhz) {
  return (frequency_mhz - filterbank.first_channel_mhz) / filterbank.channel_width_mhz;
}

Tone make_tone(const Filterbank& filterbank, double channel, double drift_hz_s, double snr, bool voyager) {
  return {.channel = channel,
          .frequency_mhz = filterbank.frequency_mhz(channel),
          .drift_hz_s = drift_hz_s,
          .snr = snr,
          .voyager = voyager};
}

// Far enough from the edges, from DC and from other tones that no two tracks meet.
bool clear(const Plan& plan, double channel) {
  constexpr double edge = 2048;
  constexpr double apart = 1024;
  const auto channels = static_cast<double>(plan.filterbank.channels);
  if (channel < edge || channel > channels - edge || std::fabs(channel - channels / 2) < edge) return false;
  return std::ranges::none_of(plan.tones, [&](const Tone& tone) { return std::fabs(tone.channel - channel) < apart; });
}

}  // namespace

Filterbank voyager_filterbank(std::uint64_t channels) {
  Filterbank filterbank;
  filterbank.channels = channels;
  filterbank.spectra = demo_spectra;
  filterbank.first_channel_mhz = 8421.386717353016;
  filterbank.channel_width_mhz = -2.7939677238464355e-06;
  filterbank.spectrum_s = 18.253611008;
  filterbank.source_name = "Voyager1";
  return filterbank;
}

Plan plan_observation(std::uint64_t seed, std::uint64_t channels) {
  Plan plan{.seed = seed, .filterbank = voyager_filterbank(channels), .tones = {}};
  struct Published {
    double frequency_mhz;
    double drift_hz_s;
    double snr;
  };
  constexpr std::array<Published, 3> voyager = {
      {{8419.274374, -0.392, 31}, {8419.297028, -0.392, 246}, {8419.319368, -0.392, 31}}};
  const double scale = static_cast<double>(channels) / static_cast<double>(demo_channels);
  for (const auto& [frequency_mhz, drift_hz_s, snr] : voyager)
    plan.tones.push_back(
        make_tone(plan.filterbank, channel_of(plan.filterbank, frequency_mhz) * scale, drift_hz_s, snr, true));
  Random random(seed, 0);
  while (plan.tones.size() < voyager.size() + random_tones) {
    const double channel = random.uniform(0, static_cast<double>(channels));
    const double drift_hz_s = random.uniform(-3.5, 3.5);
    const double snr = random.uniform(20, 60);
    if (clear(plan, channel)) plan.tones.push_back(make_tone(plan.filterbank, channel, drift_hz_s, snr, false));
  }
  return plan;
}

std::vector<float> make_spectrum(const Plan& plan, std::uint64_t spectrum, bool with_noise) {
  const Exponential& table = exponential();
  const double mean = table.mean * exponentials;
  const double sigma = std::sqrt(table.variance * exponentials);
  std::vector<float> power(static_cast<std::size_t>(plan.filterbank.channels), static_cast<float>(mean));
  Random random(plan.seed, spectrum + 1);
  if (with_noise)
    for (float& sample : power) sample = draw_power(table, random);

  power[power.size() / 2] += static_cast<float>(dc_spike_sigmas * sigma);
  for (const Tone& tone : plan.tones) {
    const double drift_channels = tone.drift_hz_s / plan.filterbank.unit_drift_hz_s();
    const double flux = tone.snr / unit_response(plan.filterbank.spectra, tone.channel, drift_channels);
    const Smear smear = smear_tone(tone.channel, drift_channels, spectrum);
    for (std::size_t i = 0; i < smear.shares.size(); ++i) {
      const std::int64_t channel = smear.first + static_cast<std::int64_t>(i);
      if (channel >= 0 && channel < static_cast<std::int64_t>(power.size()))
        power[static_cast<std::size_t>(channel)] += static_cast<float>(flux * sigma * smear.shares[i]);
    }
  }
  for (float& sample : power) sample *= sample_scale;
  return power;
}

Result<void> write_observation(const Plan& plan, const std::string& path) {
  const std::string partial = path + ".partial";
  const auto failed = std::unexpected("writing " + printable(path) + " failed; check the folder and the space left");
  {
    std::ofstream out(partial, std::ios::binary | std::ios::trunc);
    const std::string header = encode_filterbank_header(plan.filterbank);
    out.write(header.data(), static_cast<std::streamsize>(header.size()));
    for (std::uint64_t spectrum = 0; spectrum < plan.filterbank.spectra && out; ++spectrum) {
      const auto power = make_spectrum(plan, spectrum);
      out.write(reinterpret_cast<const char*>(power.data()),
                static_cast<std::streamsize>(power.size() * sizeof(float)));
    }
    out.close();
    if (!out) {
      std::remove(partial.c_str());
      return failed;
    }
  }
  if (std::rename(partial.c_str(), path.c_str()) != 0) return failed;
  return {};
}

std::string truth_json(const Plan& plan) {
  nlohmann::ordered_json truth;
  truth["seed"] = plan.seed;
  truth["channels"] = plan.filterbank.channels;
  truth["signals"] = nlohmann::ordered_json::array();
  for (const Tone& tone : plan.tones)
    truth["signals"].push_back({{"frequency_mhz", tone.frequency_mhz},
                                {"drift_hz_s", tone.drift_hz_s},
                                {"snr", tone.snr},
                                {"kind", tone.voyager ? "voyager" : "random"}});
  return truth.dump(2) + "\n";
}

}  // namespace starling::dedoppler::generator
