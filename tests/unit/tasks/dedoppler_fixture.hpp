// Small observations and whole jobs of the dedoppler program, in folders that vanish with the test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tasks/dedoppler/filterbank.hpp"
#include "tasks/dedoppler/hits.hpp"
#include "tasks/dedoppler/program.hpp"
#include "tasks/dedoppler/search.hpp"
#include "tests/support/scratch.hpp"

namespace starling::dedoppler::testing {

class JobFolder {
 public:
  std::string path(const std::string& name) const {
    const auto full = root_ / name;
    std::filesystem::create_directories(full.parent_path());
    return full.string();
  }
  std::string folder(const std::string& name) const {
    std::filesystem::create_directories(root_ / name);
    return (root_ / name).string();
  }

 private:
  starling::testing::ScratchFolder root_;
};

inline void write_text(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct PlantedTone {
  double channel = 0;         // in the middle of the first spectrum
  double drift_channels = 0;  // per spectrum
  double snr = 0;
};

// Gaussian-like noise of mean 100 and sigma 1 (sums of uniforms) plus tones; header of the Voyager file.
struct SmallObservation {
  Filterbank filterbank;
  std::vector<float> power;

  SmallObservation(std::uint64_t channels, std::uint64_t spectra, std::uint32_t seed) {
    filterbank.channels = channels;
    filterbank.spectra = spectra;
    filterbank.first_channel_mhz = 8421.386717353016;
    filterbank.channel_width_mhz = -2.7939677238464355e-06;
    filterbank.spectrum_s = 18.253611008;
    filterbank.source_name = "test";
    std::mt19937 random(seed);
    for (std::uint64_t i = 0; i < channels * spectra; ++i) {
      double sum = 0;
      for (int k = 0; k < 12; ++k) sum += static_cast<double>(random()) / 4294967296.0;
      power.push_back(static_cast<float>(94 + sum));
    }
  }

  void plant(const PlantedTone& tone) {
    const double flux = tone.snr / unit_response(filterbank.spectra, tone.channel, tone.drift_channels);
    for (std::uint64_t spectrum = 0; spectrum < filterbank.spectra; ++spectrum) {
      const Smear smear = smear_tone(tone.channel, tone.drift_channels, spectrum);
      for (std::size_t i = 0; i < smear.shares.size(); ++i) {
        const auto channel = smear.first + static_cast<std::int64_t>(i);
        if (channel < 0 || channel >= static_cast<std::int64_t>(filterbank.channels)) continue;
        power[spectrum * filterbank.channels + static_cast<std::uint64_t>(channel)] +=
            static_cast<float>(flux * smear.shares[i]);
      }
    }
  }

  std::string bytes() const {
    return encode_filterbank_header(filterbank) +
           std::string(reinterpret_cast<const char*>(power.data()), power.size() * sizeof(float));
  }
};

// Splits, searches every unit and merges, as a job would; answers with the merged rows.
inline std::vector<Hit> run_job(const JobFolder& scratch, const std::string& file_bytes,
                                std::vector<std::string>* pictures = nullptr) {
  write_text(scratch.path("in/small.fil"), file_bytes);
  const auto lines = run({"split", "bands"}, "", {scratch.folder("in"), scratch.folder("out")}).standard_output;
  std::size_t number = 0;
  for (const auto line : split_fields(std::string_view(lines).substr(0, lines.size() - 1), '\n')) {
    std::string unit = std::to_string(number++);
    unit = "units/" + std::string(6 - unit.size(), '0') + unit;
    const auto output = run({}, line, {scratch.folder("in"), scratch.folder(unit + "/out")});
    write_text(scratch.path(unit + "/stdout"), output.standard_output);
  }
  run({"merge", "bands"}, "", {scratch.folder("units"), scratch.folder("merged")});
  if (pictures != nullptr)
    for (const auto& entry : std::filesystem::directory_iterator(scratch.folder("merged")))
      if (entry.path().extension() == ".png") pictures->push_back(entry.path().string());
  return parse_rows(read_text(scratch.path("merged/hits.csv"))).value_or(std::vector<Hit>{});
}

}  // namespace starling::dedoppler::testing
