#include "coordinator-less/protocol/judgement/credibility.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"

namespace {

using namespace starling::protocol;

constexpr std::uint32_t private_ppm = 60'000, public_ppm = 1'000;

// The formulas of the header in 64 bits of mantissa, k as DESIGN writes it.
long double odds_of(std::uint32_t k) {
  const long double f = 0.2L, least = 1 - f;
  const long double c = k == 0 ? least : std::max(least, 1 - f / ((1 - f) * std::numbers::e_v<long double> * k));
  return c / (1 - c);
}

using Group = std::vector<std::uint32_t>;  // each member's k

LogOdds log_odds_of(const Group& group) {
  LogOdds sum = 0;
  for (const std::uint32_t k : group) sum += log_odds(k);
  return sum;
}

long double product_of(const Group& group) {
  long double product = 1;
  for (const std::uint32_t k : group) product *= odds_of(k);
  return product;
}

bool accepts(const Group& group, const std::vector<Group>& dissenters, std::uint32_t epsilon_ppm) {
  Odds others = 0;
  for (const Group& dissenting : dissenters) others = sum_of_odds(others, odds(log_odds_of(dissenting)));
  return credible(log_odds_of(group), others, epsilon_ppm);
}

std::size_t fresh_needed(std::uint32_t epsilon_ppm, const std::vector<Group>& dissenters) {
  for (std::size_t members = 1;; ++members) {
    if (accepts(Group(members, 0), dissenters, epsilon_ppm)) return members;
  }
}

std::uint32_t k_needed(std::size_t members, std::uint32_t epsilon_ppm) {
  for (std::uint32_t k = 0; k <= credited_units_max; ++k) {
    if (accepts(Group(members, k), {}, epsilon_ppm)) return k;
  }
  return credited_units_max + 1;
}

}  // namespace

TEST_CASE("credibility: log-odds of every k are the formula's, within 2^-25") {
  for (std::uint32_t k = 0; k <= credited_units_max; ++k) {
    const long double exact = std::log2(odds_of(k));
    const long double got = std::ldexp(static_cast<long double>(log_odds(k)), -log_odds_scale_bits);
    CHECK(std::abs(got - exact) <= std::ldexp(1.001L, -25));
  }
  CHECK(log_odds(credited_units_max + 5) == log_odds(credited_units_max));
  CHECK(log_odds(0) == LogOdds{2} << log_odds_scale_bits);
}

TEST_CASE("credibility: odds undo the logarithm, exactly at whole powers") {
  for (int power = 0; power <= 80; ++power) {
    CHECK(odds(LogOdds{power} << log_odds_scale_bits) == Odds{1} << (power + log_odds_scale_bits));
  }
  for (LogOdds x = 0; x < group_log_odds_max; x += 12'345'677) {
    const long double exact = std::exp2(std::ldexp(static_cast<long double>(x), -log_odds_scale_bits));
    const long double got = std::ldexp(static_cast<long double>(odds(x)), -log_odds_scale_bits);
    CHECK(got <= exact * (1 + 1e-17L));
    CHECK(exact - got <= std::ldexp(1.0L, -24) + std::ldexp(exact, -56));
  }
  CHECK(odds(group_log_odds_max + 1) == odds(group_log_odds_max));
}

TEST_CASE("credibility: the figures of the design") {
  CHECK(fresh_needed(private_ppm, {}) == 2);
  CHECK(fresh_needed(public_ppm, {}) == 5);
  CHECK(fresh_needed(private_ppm, {{0}}) == 4);
  CHECK(fresh_needed(public_ppm, {{0}}) == 7);
  CHECK(k_needed(2, public_ppm) == 3);      // pairs with k >= 3 each
  CHECK(k_needed(1, public_ppm) == 92);     // one result
  CHECK(k_needed(1, 10'000) == 10);         // 9.2 in fact
  CHECK(k_needed(1, 100) == 920);
  CHECK(k_needed(2, 1) == 93);       // 4 e 92 - 1 = 999.3, whose square just misses 999,999
}

// 4^members / (1 + 4^members + others) >= 1 - epsilon, in integers.
std::optional<std::uint32_t> needed_by_powers_of_four(std::uint32_t least, std::uint32_t epsilon_ppm, const std::vector<std::uint32_t>& sizes) {
  std::uint64_t others = 0;
  for (const std::uint32_t size : sizes) others += 1ULL << (2 * size);
  for (std::uint32_t members = least; members <= fresh_members_max; ++members) {
    if (epsilon_ppm * (1ULL << (2 * members)) / (1'000'000 - epsilon_ppm) >= 1 + others) return members;
  }
  return std::nullopt;
}

TEST_CASE("credibility: fresh peers are judged as by powers of four, up to twenty in a group") {
  for (const auto verification : {VerificationClass::fast, VerificationClass::standard, VerificationClass::strict}) {
    const std::uint32_t least = verification == VerificationClass::fast ? 1 : verification == VerificationClass::standard ? 2 : 3;
    for (const std::uint32_t epsilon_ppm : {1U, 100U, 999U, 1'000U, 5'000U, 60'000U, 200'000U, 500'000U}) {
      for (std::uint32_t first = 0; first <= 16; ++first) {
        for (std::uint32_t second = 0; second <= first; ++second) {
          std::vector<std::uint32_t> sizes;
          std::vector<Group> groups;
          for (const std::uint32_t size : {first, second}) {
            if (size == 0) continue;
            sizes.push_back(size);
            groups.push_back(Group(size, 0));
          }
          const auto expected = needed_by_powers_of_four(least, epsilon_ppm, sizes);
          std::optional<std::uint32_t> found;
          for (std::uint32_t members = least; members <= fresh_members_max && !found; ++members) {
            if (accepts(Group(members, 0), groups, epsilon_ppm)) found = members;
          }
          CHECK(found == expected);
          CHECK(members_needed({verification, epsilon_ppm}, sizes) == expected);
        }
      }
    }
  }
}

TEST_CASE("credibility: verdicts agree with high precision wherever the margin exceeds the stated error") {
  starling::base::Rng rng(7);
  const auto draw = [&](std::uint64_t bound) { return rng.below(bound); };
  int near = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto group = [&](std::uint64_t members_max) {
      Group out(draw(members_max + 1));
      for (auto& k : out) k = static_cast<std::uint32_t>(draw(4) == 0 ? 0 : draw(draw(2) == 0 ? 8 : 300));
      return out;
    };
    const Group leading = group(6);
    const std::vector<Group> dissenters = {group(3), group(2)};
    const auto epsilon_ppm = static_cast<std::uint32_t>(1 + draw(100'000));
    const long double epsilon = epsilon_ppm / 1e6L;
    long double others = 0;
    for (const Group& dissenting : dissenters) others += product_of(dissenting);
    const long double left = epsilon * product_of(leading), right = (1 - epsilon) * (1 + others);
    if (std::abs(left - right) < right * 1e-6L) {
      ++near;
      continue;
    }
    CHECK(accepts(leading, dissenters, epsilon_ppm) == (left > right));
  }
  CHECK(near < 20);
}

TEST_CASE("credibility: caps hold and nothing overflows") {
  const Group many(200, credited_units_max);
  CHECK(odds(log_odds_of(many)) == Odds{1} << (80 + log_odds_scale_bits));
  CHECK(accepts(many, {}, 1));
  CHECK_FALSE(accepts(many, {many}, 400'000));
  CHECK_FALSE(accepts(many, std::vector<Group>(100, many), 400'000));
  CHECK_FALSE(accepts({0}, std::vector<Group>(100, many), 400'000));
  CHECK(accepts({}, {many}, 1'000'000));
}

TEST_CASE("credibility: the least that is credible alone is the border itself") {
  for (const std::uint32_t epsilon_ppm : {1U, 1'000U, 60'000U, 400'000U}) {
    const LogOdds least = credible_alone(epsilon_ppm);
    CHECK(credible(least, 0, epsilon_ppm));
    CHECK_FALSE(credible(least - 1, 0, epsilon_ppm));
  }
  CHECK(credible_alone(0) == group_log_odds_max + 1);
}
