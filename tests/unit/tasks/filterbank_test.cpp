#include "tasks/dedoppler/filterbank.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <limits>
#include <random>
#include <span>

#include "tests/unit/tasks/dedoppler_fixture.hpp"

using namespace starling::dedoppler;
using starling::dedoppler::testing::SmallObservation;

namespace {

Result<Filterbank> parse(const std::string& bytes) {
  return parse_filterbank(std::as_bytes(std::span(bytes)), bytes.size());
}

// Replaces the value behind a keyword.
template <typename T>
std::string with(std::string bytes, const std::string& keyword, T value) {
  const auto at = bytes.find(keyword);
  REQUIRE(at != std::string::npos);
  std::memcpy(bytes.data() + at + keyword.size(), &value, sizeof(value));
  return bytes;
}

void check_refused(const std::string& bytes, const std::string& because) {
  const auto parsed = parse(bytes);
  REQUIRE_FALSE(parsed.has_value());
  CHECK_MESSAGE(parsed.error().find(because) != std::string::npos, parsed.error());
  CHECK(parsed.error().find("; ") != std::string::npos);
  CHECK(parsed.error().find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("filterbank: a header comes back as it was written") {
  const SmallObservation observation(64, 4, 1);
  const auto parsed = parse(observation.bytes());
  REQUIRE(parsed.has_value());
  CHECK(parsed->channels == 64);
  CHECK(parsed->spectra == 4);
  CHECK(parsed->first_channel_mhz == 8421.386717353016);
  CHECK(parsed->channel_width_mhz == -2.7939677238464355e-06);
  CHECK(parsed->spectrum_s == 18.253611008);
  CHECK(parsed->source_name == "test");
  CHECK(parsed->data_offset == encode_filterbank_header(observation.filterbank).size());
}

TEST_CASE("filterbank: bad headers are refused with the reason") {
  const std::string good = SmallObservation(64, 4, 1).bytes();
  check_refused("", "does not begin");
  check_refused("PK\3\4 not a filterbank at all", "does not begin");
  check_refused(with(good, "nbits", std::int32_t{8}), "8 bits");
  check_refused(with(good, "nifs", std::int32_t{4}), "nifs 4");
  check_refused(with(good, "data_type", std::int32_t{2}), "data_type 2");
  check_refused(with(good, "nchans", std::int32_t{0}), "nchans 0");
  check_refused(with(good, "nchans", std::int32_t{-5}), "nchans -5");
  check_refused(with(good, "nchans", std::numeric_limits<std::int32_t>::max()), "nchans 2147483647");
  check_refused(with(good, "nchans", std::int32_t{1 << 30}), "ends inside spectrum 0");
  check_refused(with(good, "nchans", std::int32_t{65}), "ends inside spectrum 3");
  check_refused(with(good, "tsamp", -18.25), "tsamp");
  check_refused(with(good, "tsamp", 0.0), "tsamp");
  check_refused(with(good, "tsamp", std::numeric_limits<double>::quiet_NaN()), "tsamp");
  check_refused(with(good, "tsamp", std::numeric_limits<double>::infinity()), "tsamp");
  check_refused(with(good, "foff", 0.0), "foff");
  check_refused(with(good, "foff", std::numeric_limits<double>::quiet_NaN()), "foff");
  check_refused(with(good, "fch1", -1.0), "fch1");
  check_refused(with(good, "source_name", std::int32_t{-1}), "source_name");
  check_refused(with(good, "source_name", std::int32_t{1 << 30}), "source_name");
  check_refused(good.substr(0, 40), "");
  check_refused(good.substr(0, good.size() - 1), "ends inside spectrum 3");
  check_refused(good.substr(0, parse(good)->data_offset), "no data");
  std::string unknown = good;
  unknown.replace(unknown.find("machine_id"), 10, "machine\nid");
  check_refused(unknown, "unknown keyword 'machine?id'");
}

TEST_CASE("filterbank: a file shorter than nsamples says is refused") {
  std::string promised = encode_filterbank_header(SmallObservation(64, 4, 1).filterbank);
  promised.insert(promised.size() - 14, std::string("\x08\0\0\0nsamples\x09\0\0\0", 16));
  check_refused(promised + std::string(64 * 4 * 4, '\0'), "promises 9 spectra");
}

TEST_CASE("filterbank: every truncation and random damage is an answer, not a crash") {
  const std::string good = SmallObservation(16, 2, 1).bytes();
  // A cut between two spectra leaves a shorter, valid observation.
  for (std::size_t length = 0; length < good.size(); ++length)
    CHECK(parse(good.substr(0, length)).has_value() == (length == good.size() - 16 * sizeof(float)));
  std::mt19937 random(11);
  for (int round = 0; round < 5000; ++round) {
    std::string damaged = good;
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto parsed = parse(damaged);
    if (parsed) CHECK(parsed->data_offset + parsed->channels * parsed->spectra * 4 <= damaged.size());
  }
}
