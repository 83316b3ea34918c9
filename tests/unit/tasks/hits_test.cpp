#include "tasks/dedoppler/hits.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tasks/dedoppler/bands.hpp"

using namespace starling::dedoppler;

TEST_CASE("text: fixed decimals and their reading back") {
  CHECK(format_fixed(8419.2970281, 6) == "8419.297028");
  CHECK(format_fixed(-0.3925, 3) == "-0.393");
  CHECK(format_fixed(-0.00001, 4) == "0.0000");
  CHECK(format_fixed(0.05, 4) == "0.0500");
  CHECK(format_fixed(1e300, 2) == "9999999999999.99");
  CHECK(parse_decimal("-12.5") == -12.5);
  CHECK(parse_decimal("8419.297028") == 8419.297028);
  for (const auto* bad : {"", "-", ".5", "5.", "1.2.3", "1e5", "nan", " 1", "1234567890123456"})
    CHECK_FALSE(parse_decimal(bad).has_value());
  for (const auto* bad : {"", "-1", "+1", "1 ", "0x1", "1234567890123456789"})
    CHECK_FALSE(parse_count(bad).has_value());
}

TEST_CASE("hits: a row comes back as it was written, anything else is refused") {
  const Hit hit{.frequency_mhz = 8419.297028, .drift_hz_s = -0.3925, .snr = 246.25, .channel = 747929};
  CHECK(format_row(hit) == "8419.297028,-0.3925,246.25,747929\n");
  CHECK(parse_rows(std::string(csv_header) + "\n" + format_row(hit)).value() == std::vector{hit});
  CHECK(parse_rows("").value().empty());
  for (const auto* bad : {"x", "1,2,3", "1,2,3,4,5", "1,2,3,-4", "1,2,nan,4", "\n", "1,2,3,4\n\n1,2,3,4"})
    CHECK_FALSE(parse_rows(bad).has_value());
  CHECK(parse_rows("1,2,3,4\n1,2,3").error().starts_with("line 2: "));
  CHECK_FALSE(parse_rows(std::string(100000, ',')).has_value());
}

TEST_CASE("hits: of near hits the strongest stays, different drifts and distant channels are different signals") {
  const Hit strong{8419.0, -0.39, 246, 1000};
  const Hit beside{8419.0, -0.36, 80, 1003};
  const Hit other_drift{8419.0, 1.5, 20, 1001};
  const Hit distant{8419.0, -0.39, 30, 1009};
  CHECK(drop_duplicates({beside, other_drift, distant, strong}) == std::vector{strong, distant, other_drift});
}

TEST_CASE("hits: the order of the units does not change the merged list") {
  std::mt19937 random(5);
  std::vector<Hit> hits;
  for (int i = 0; i < 300; ++i)
    hits.push_back({8419, static_cast<double>(random() % 20) / 10, static_cast<double>(random() % 40), random() % 900});
  const auto merged = drop_duplicates(hits);
  for (int round = 0; round < 20; ++round) {
    std::ranges::shuffle(hits, random);
    CHECK(drop_duplicates(hits) == merged);
  }
  CHECK(drop_duplicates(merged) == merged);
}

TEST_CASE("bands: the lines own every channel once, 256 for the Voyager file") {
  Filterbank filterbank;
  for (const std::uint64_t channels : {1ULL, 4095ULL, 4096ULL, 4097ULL, 100000ULL, 1048576ULL}) {
    filterbank.channels = channels;
    const auto lines = split_bands(filterbank);
    std::uint64_t next = 0;
    std::size_t count = 0;
    for (const auto line : split_fields(std::string_view(lines).substr(0, lines.size() - 1), '\n')) {
      const auto band = parse_band(line, filterbank);
      REQUIRE(band.has_value());
      CHECK(band->first_channel == next);
      next += band->channels;
      ++count;
    }
    CHECK(next == channels);
    if (channels == 1048576) CHECK(count == 256);
  }
}

TEST_CASE("bands: hostile lines get a clear error") {
  Filterbank filterbank;
  filterbank.channels = 10000;
  CHECK(parse_band("bands 1 4096 4096\n", filterbank).has_value());
  for (const std::string bad :
       {"", "bands", "bands 1 0", "bands 2 0 10", "bands 1 -1 10", "bands 1 0 0", "bands 1 10000 1", "bands 1 9999 2",
        "bands 1 0 65537", "bands 1 999999999999999999 1", "bands 1 0 10 ", "bands 1 0 10\n\n", "bands  1 0 10"}) {
    const auto band = parse_band(bad, filterbank);
    REQUIRE_FALSE(band.has_value());
    CHECK(band.error().find("; ") != std::string::npos);
    CHECK(band.error().find('\n') == std::string::npos);
  }
  CHECK(parse_band(std::string(1 << 20, 'x'), filterbank).error().size() < 300);
}
