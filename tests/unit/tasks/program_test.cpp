#include "tasks/dedoppler/program.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "tasks/dedoppler/checker/check.hpp"
#include "tasks/dedoppler/generator/observation.hpp"
#include "tests/unit/tasks/dedoppler_fixture.hpp"

using namespace starling::dedoppler;
using starling::dedoppler::testing::read_text;
using starling::dedoppler::testing::run_job;
using starling::dedoppler::testing::SmallObservation;
using starling::dedoppler::testing::JobFolder;
using starling::dedoppler::testing::write_text;

namespace {

// One line "dedoppler: what; what to do", nothing on stdout, exit code 2.
void check_refused(const Output& output, const std::string& because) {
  CHECK(output.exit_code == 2);
  CHECK(output.standard_output.empty());
  CHECK(output.standard_error.starts_with("dedoppler: "));
  CHECK(std::ranges::count(output.standard_error, '\n') == 1);
  CHECK(output.standard_error.find("; ") != std::string::npos);
  CHECK_MESSAGE(output.standard_error.find(because) != std::string::npos, output.standard_error);
}

generator::Plan small_plan(std::uint64_t seed) {
  return generator::plan_observation(seed, generator::demo_channels_min);
}

std::string file_of(const generator::Plan& plan) {
  std::string bytes = encode_filterbank_header(plan.filterbank);
  for (std::uint64_t t = 0; t < plan.filterbank.spectra; ++t) {
    const auto power = generator::make_spectrum(plan, t);
    bytes.append(reinterpret_cast<const char*>(power.data()), power.size() * sizeof(float));
  }
  return bytes;
}

}  // namespace

TEST_CASE("program: a generated observation, split, searched, merged and checked against its truth") {
  for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL}) {
    JobFolder scratch;
    const auto plan = small_plan(seed);
    std::vector<std::string> pictures;
    const auto hits = run_job(scratch, file_of(plan), &pictures);
    const auto planted = checker::parse_truth(generator::truth_json(plan));
    REQUIRE(planted.has_value());
    CHECK(planted->size() == 8);
    const auto verdict = checker::check_hits(*planted, hits);
    CHECK_MESSAGE(verdict.perfect(), checker::format_verdict(verdict));
    CHECK(checker::format_verdict(verdict).ends_with("\nsignals: 8/8 verified, 0 false\n"));
    CHECK(pictures.size() == 8);
    CHECK(std::ranges::is_sorted(hits, std::ranges::greater{}, &Hit::snr));
  }
}

TEST_CASE("program: bad inputs are refused by split and by search") {
  JobFolder scratch;
  const Folders folders{scratch.folder("in"), scratch.folder("out")};
  const auto check_both = [&](const std::string& because) {
    check_refused(run({"split", "bands"}, "", folders), because);
    check_refused(run({"search"}, "bands 1 0 100\n", folders), because);
  };
  check_both("0 .fil files");
  const std::string good = SmallObservation(4096, 4, 1).bytes();
  write_text(scratch.path("in/a.fil"), "");
  check_both("HEADER_START");
  write_text(scratch.path("in/a.fil"), good.substr(0, good.size() - 3));
  check_both("truncated");
  write_text(scratch.path("in/a.fil"), good.substr(0, 50));
  check_both("the header ends");
  write_text(scratch.path("in/a.fil"), std::string(200000, '\xff'));
  check_both("HEADER_START");
  write_text(scratch.path("in/b.fil"), good);
  check_both("2 .fil files");
  std::filesystem::remove(scratch.path("in/a.fil"));
  CHECK(run({"split", "bands"}, "", folders).standard_output == "bands 1 0 4096\n");
  check_refused(run({"search"}, "bands 1 4096 1\n", folders), "beyond the file's 4096");
  check_refused(run({"search"}, "", folders), "is not 'bands 1 FIRST COUNT'");
  check_refused(run({"split"}, "", folders), "unknown arguments");
  check_refused(run({"split", "beams"}, "", folders), "unknown arguments");
  check_refused(run({"merge", "bands"}, "", {scratch.folder("empty"), folders.out}), "no units");
  check_refused(run({"merge", "bands"}, "", {scratch.path("nowhere/x"), folders.out}), "opening the folder");
}

TEST_CASE("program: merge refuses a broken list and goes on without a broken picture") {
  JobFolder scratch;
  const Folders folders{scratch.folder("units"), scratch.folder("out")};
  write_text(scratch.path("units/000000/stdout"), "8419.297028,-0.3900,246.00,100\n");
  write_text(scratch.path("units/000000/out/cutout-100.bin"), "DDCUT001 but damaged");
  write_text(scratch.path("units/000001/stdout"), "8419.297028,-0.3800,31.00,101\n8419.200000,1.0000,12.00,900\n");
  const auto output = run({"merge", "bands"}, "", folders);
  CHECK(output.exit_code == 0);
  CHECK(output.standard_output == "2 signals from 2 units\n");
  CHECK(output.standard_error.find("waterfall-1.png was not drawn") != std::string::npos);
  CHECK(read_text(scratch.path("out/hits.csv")) ==
        "frequency_mhz,drift_hz_s,snr,channel\n8419.297028,-0.3900,246.00,100\n8419.200000,1.0000,12.00,900\n");
  write_text(scratch.path("units/000002/stdout"), "hello\n");
  check_refused(run({"merge", "bands"}, "", folders), "000002/stdout: line 1: 'hello' is not a row");
}

TEST_CASE("generator: one seed is one file, another seed another") {
  const auto plan = small_plan(42);
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const float sample : generator::make_spectrum(plan, 3)) {
    std::uint32_t bits = 0;
    static_assert(sizeof(bits) == sizeof(sample));
    std::memcpy(&bits, &sample, sizeof(bits));
    hash = (hash ^ bits) * 1099511628211ULL;
  }
  CHECK(hash == 9595666045815899585ULL);  // must hold on every machine
  CHECK(generator::truth_json(plan) == generator::truth_json(small_plan(42)));
  CHECK(generator::truth_json(plan) != generator::truth_json(small_plan(43)));
}

TEST_CASE("generator: Voyager's tones lie where they were published, the random ones apart and within their ranges") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const auto plan = generator::plan_observation(seed, generator::demo_channels);
    REQUIRE(plan.tones.size() == 8);
    CHECK(plan.tones[1].frequency_mhz == doctest::Approx(8419.297028).epsilon(1e-12));
    CHECK(plan.tones[1].snr == 246);
    for (std::size_t i = 3; i < 8; ++i) {
      CHECK(std::fabs(plan.tones[i].drift_hz_s) <= 3.5);
      CHECK(plan.tones[i].snr >= 20);
      CHECK(plan.tones[i].snr <= 60);
      for (std::size_t j = 0; j < i; ++j) CHECK(std::fabs(plan.tones[i].channel - plan.tones[j].channel) >= 1024);
    }
  }
}

TEST_CASE("checker: found, missing, false and repeated") {
  const std::vector<checker::Signal> planted = {{8419.297028, -0.39, 246}, {8419.1, 2.0, 30}};
  const Hit carrier{8419.297030, -0.37, 240, 1};
  const Hit second{8419.1, 2.05, 28, 2};
  CHECK(checker::check_hits(planted, {carrier, second}).perfect());
  CHECK(checker::check_hits(planted, {carrier}).found() == 1);
  CHECK(checker::check_hits(planted, {carrier, second, carrier}).false_hits.size() == 1);
  CHECK(checker::check_hits(planted, {carrier, {8419.1, 2.2, 28, 2}}).false_hits.size() == 1);
  CHECK(checker::check_hits(planted, {{8419.297043, -0.39, 246, 1}, second}).found() == 1);
  const auto text = checker::format_verdict(checker::check_hits(planted, {second, {8420, 0, 99, 3}}));
  CHECK(text.ends_with("\nsignals: 1/2 verified, 1 false\n"));
  CHECK(text.find("missing") != std::string::npos);
}

TEST_CASE("checker: truth files that are none are refused") {
  for (const auto* bad : {"", "[]", "{}", "{\"signals\": 3}", "{\"signals\": []}", "{\"signals\": [3]}",
                          "{\"signals\": [{\"frequency_mhz\": 1}]}",
                          "{\"signals\": [{\"frequency_mhz\": \"1\", "
                          "\"drift_hz_s\": 1, \"snr\": 1}]}",
                          "{\"signals\": ["}) {
    const auto truth = checker::parse_truth(bad);
    REQUIRE_FALSE(truth.has_value());
    CHECK(truth.error().find("; ") != std::string::npos);
  }
  CHECK_FALSE(checker::parse_truth(std::string(100000, '[')).has_value());
}
