#include "sdk/cli/quantities.hpp"

#include <doctest/doctest.h>

using namespace starling::cli;
using namespace std::chrono_literals;

TEST_CASE("sizes") {
  CHECK(parse_bytes("0") == 0);
  CHECK(parse_bytes("1_000_000") == 1'000'000);
  CHECK(parse_bytes("512MB") == 512'000'000);
  CHECK(parse_bytes("512 MiB") == 512ULL << 20);
  CHECK(parse_bytes("64k") == 64'000);
  CHECK(parse_bytes("2gib") == 2ULL << 30);
  CHECK(parse_bytes(" 3 B ") == 3);
  for (const char* bad : {"", "MB", "-1", "1.5GB", "5 apples", "12MBB", "0x10", "99999999999999999999", "18446744073709551615k", "_1"})
    CHECK_MESSAGE(!parse_bytes(bad), bad);
}

TEST_CASE("counts") {
  CHECK(parse_count("20G") == 20'000'000'000);
  CHECK(parse_count("500 m") == 500'000'000);
  CHECK(parse_count("7") == 7);
  for (const char* bad : {"", "G", "20GB", "1.5G", "2Ki", "18446744073709551616", "18446744073709552T"}) CHECK_MESSAGE(!parse_count(bad), bad);
}

TEST_CASE("durations") {
  CHECK(parse_duration("90") == 90s);
  CHECK(parse_duration("10m") == 10min);
  CHECK(parse_duration("1h 30m") == 90min);
  CHECK(parse_duration("1h30m") == 90min);
  CHECK(parse_duration("250ms") == 250ms);
  CHECK(parse_duration("7d") == 168h);
  CHECK(parse_duration("01:30:05") == 1h + 30min + 5s);
  CHECK(parse_duration("100:00:00") == 100h);
  for (const char* bad : {"", "m", "10 parsecs", "-5s", "1h 30", "1:2", "00:60:00", "00:00:00:00", "99999999999999999999d", "999999999w", "1.5h"})
    CHECK_MESSAGE((!parse_duration(bad) || parse_duration(bad) == 0ms), bad);
}

TEST_CASE("no duration is invented from nothing") {
  CHECK_FALSE(parse_duration("10 parsecs"));
  CHECK_FALSE(parse_duration("99999999999999999999d"));
  CHECK_FALSE(parse_duration("-5s"));
  CHECK_FALSE(parse_duration(""));
}

TEST_CASE("arrays") {
  CHECK(parse_array("7", 10) == std::vector<std::string>{"7"});
  CHECK(parse_array("0-3", 10) == std::vector<std::string>{"0", "1", "2", "3"});
  CHECK(parse_array("0-10:5", 10) == std::vector<std::string>{"0", "5", "10"});
  CHECK(parse_array("18446744073709551614-18446744073709551615", 10)->size() == 2);
  for (const char* bad : {"", "-", "3-1", "0-10:0", "0-10", "0-18446744073709551615", "1-2x", "a-b"}) CHECK_MESSAGE(!parse_array(bad, 10), bad);
}

TEST_CASE("sizes for people") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(999) == "999 B");
  CHECK(bytes_text(67'109'000) == "67.1 MB");
  CHECK(count_text(0) == "0");
  CHECK(count_text(999) == "999");
  CHECK(count_text(12'345'678) == "12.3 M");
  CHECK(count_text(UINT64_MAX) == "18.4 E");
}
