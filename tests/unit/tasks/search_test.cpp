#include "tasks/dedoppler/search.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/tasks/dedoppler_fixture.hpp"

using namespace starling::dedoppler;
using starling::dedoppler::testing::PlantedTone;
using starling::dedoppler::testing::run_job;
using starling::dedoppler::testing::SmallObservation;
using starling::dedoppler::testing::JobFolder;
using starling::dedoppler::testing::write_text;

namespace {

const SmallObservation& quiet_sky() {
  static const SmallObservation sky(3 * band_channels, 16, 21);
  return sky;
}

bool matches(const Hit& hit, const PlantedTone& tone, const Filterbank& filterbank) {
  return std::fabs(static_cast<double>(hit.channel) - tone.channel) <= 3 &&
         std::fabs(hit.drift_hz_s - tone.drift_channels * filterbank.unit_drift_hz_s()) <= 0.05;
}

// The tones and nothing else, each once.
void check_found(const std::vector<Hit>& hits, const std::vector<PlantedTone>& tones, const Filterbank& filterbank) {
  CHECK(hits.size() == tones.size());
  for (const auto& tone : tones) {
    CAPTURE(tone.channel);
    CAPTURE(tone.drift_channels);
    CHECK(std::ranges::count_if(hits, [&](const Hit& hit) { return matches(hit, tone, filterbank); }) == 1);
  }
}

}  // namespace

TEST_CASE("search: noise alone gives no hit") {
  JobFolder scratch;
  CHECK(run_job(scratch, quiet_sky().bytes()).empty());
}

TEST_CASE("search: a tone at every kind of window edge is found exactly once") {
  for (const double offset : {-17.0, -9.0, -1.0, -0.5, 0.0, 0.5, 1.0, 9.0, 16.0, 17.0})
    for (const double drift : {-25.5, -2.55, 0.0, 2.55, 25.5}) {
      auto sky = quiet_sky();
      const std::vector<PlantedTone> tones = {{band_channels + offset, drift, 25},
                                              {2 * band_channels + offset, -drift, 40}};
      for (const auto& tone : tones) sky.plant(tone);
      JobFolder scratch;
      check_found(run_job(scratch, sky.bytes()), tones, sky.filterbank);
    }
}

TEST_CASE("search: tones beside the file's own edges that drift inwards are found") {
  auto sky = quiet_sky();
  const auto last = static_cast<double>(sky.filterbank.channels - 1);
  const std::vector<PlantedTone> tones = {{14, 24.3, 30}, {2, 0, 30}, {last - 14, -24.3, 30}, {last - 2, 0.0, 30}};
  for (const auto& tone : tones) sky.plant(tone);
  JobFolder scratch;
  check_found(run_job(scratch, sky.bytes()), tones, sky.filterbank);
}

TEST_CASE("search: S/N comes back as planted at every drift") {
  for (double drift = -26; drift <= 26; drift += 3.7) {
    auto sky = quiet_sky();
    sky.plant({5000.3, drift, 50});
    JobFolder scratch;
    const auto hits = run_job(scratch, sky.bytes());
    REQUIRE(hits.size() == 1);
    CHECK(hits.front().snr == doctest::Approx(50).epsilon(0.12));
    CHECK(matches(hits.front(), {5000.3, drift, 50}, sky.filterbank));
  }
}

TEST_CASE("search: a very strong tone is one hit, and crossing tones are two") {
  auto sky = quiet_sky();
  std::vector<PlantedTone> tones = {{6000, 2.55, 1000}, {3000, 10.0, 60}, {3100, -3.0, 40}};
  for (const auto& tone : tones) sky.plant(tone);
  JobFolder scratch;
  check_found(run_job(scratch, sky.bytes()), tones, sky.filterbank);
}

TEST_CASE("search: the DC spike is no signal, a tone near it is") {
  auto sky = quiet_sky();
  for (std::uint64_t t = 0; t < 16; ++t) sky.power[t * sky.filterbank.channels + sky.filterbank.channels / 2] += 5000;
  const std::vector<PlantedTone> tones = {{6144 + 20, 0.0, 40}};
  sky.plant(tones.front());
  JobFolder scratch;
  check_found(run_job(scratch, sky.bytes()), tones, sky.filterbank);
}

TEST_CASE("search: samples that are no numbers or absurd do no harm") {
  auto sky = quiet_sky();
  const std::vector<PlantedTone> tones = {{5000, 3.3, 40}};
  sky.plant(tones.front());
  for (std::size_t i = 0; i < sky.power.size(); i += 997)
    sky.power[i] = i % 2 == 0 ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  JobFolder scratch;
  check_found(run_job(scratch, sky.bytes()), tones, sky.filterbank);

  auto dead = quiet_sky();
  std::ranges::fill(dead.power, 0.0F);
  dead.power[100] = std::numeric_limits<float>::max();
  JobFolder dead_scratch;
  CHECK(run_job(dead_scratch, dead.bytes()).empty());
}

TEST_CASE("search: a receiver whose gain changes between spectra changes nothing") {
  auto sky = quiet_sky();
  const std::vector<PlantedTone> tones = {{5000, -1.7, 40}};
  sky.plant(tones.front());
  for (std::size_t i = 0; i < sky.power.size(); ++i)
    sky.power[i] *= static_cast<float>(1 + (i / sky.filterbank.channels) % 5);
  JobFolder scratch;
  check_found(run_job(scratch, sky.bytes()), tones, sky.filterbank);
}

TEST_CASE("search: spectra that are no power of two, and a single one") {
  for (const std::uint64_t spectra : {1ULL, 2ULL, 5ULL, 13ULL}) {
    SmallObservation sky(9000, spectra, 33);
    const std::vector<PlantedTone> tones = {{4000, spectra == 1 ? 0.0 : 2.0, 60}};
    sky.plant(tones.front());
    JobFolder scratch;
    const auto hits = run_job(scratch, sky.bytes());
    REQUIRE(hits.size() == 1);
    CHECK(std::fabs(static_cast<double>(hits.front().channel) - 4000) <= 3);
  }
}

TEST_CASE("search: a window full of tones stops at its bound and says so") {
  auto sky = quiet_sky();
  for (double channel = 4200; channel < 8100; channel += 60) sky.plant({channel, 0, 50});
  JobFolder scratch;
  write_text(scratch.path("in/a.fil"), sky.bytes());
  const auto output = run({}, "bands 1 4096 4096\n", {scratch.folder("in"), scratch.folder("out")});
  CHECK(output.exit_code == 0);
  CHECK(output.standard_error.find("more than 32 tones") != std::string::npos);
}

TEST_CASE("search: a file whose drifts do not fit a unit is refused") {
  SmallObservation sky(2048, 2, 1);
  sky.filterbank.channel_width_mhz = 1e-9;
  sky.filterbank.spectrum_s = 1000;
  JobFolder scratch;
  write_text(scratch.path("in/a.fil"), sky.bytes());
  const auto output = run({}, "bands 1 0 2048", {scratch.folder("in"), scratch.folder("out")});
  CHECK(output.exit_code == 2);
  CHECK(output.standard_error.find("cut the file in time") != std::string::npos);
}
