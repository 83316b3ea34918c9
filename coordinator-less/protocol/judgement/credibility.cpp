#include "coordinator-less/protocol/judgement/credibility.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {
namespace {

constexpr std::uint64_t ppm = 1'000'000;
constexpr int mantissa_bits = 62;                                      // values in [1, 2) as [2^62, 2^63)
constexpr std::uint64_t e_scaled = 3'133'965'575'612'453'543;          // e 2^60, rounded
constexpr Odds one_scaled = Odds{1} << log_odds_scale_bits;
constexpr Odds sum_max = Odds{1} << (83 + log_odds_scale_bits);

// 4 e k - 1, scaled by 2^48.
constexpr std::uint64_t credited_odds(std::uint32_t k) {
  return static_cast<std::uint64_t>((Odds{e_scaled} * 4 * k) >> 12) - (1ULL << 48);
}

// log2 digit by digit: squaring doubles a logarithm, so each squaring shows its next bit.
constexpr LogOdds log2_scaled(std::uint64_t value, int value_scale_bits) {
  const int width = std::bit_width(value);
  const LogOdds whole = width - 1 - value_scale_bits;
  std::uint64_t x = value << (mantissa_bits + 1 - width);
  constexpr int digits = log_odds_scale_bits + 6;
  LogOdds fraction = 0;
  for (int i = 0; i < digits; ++i) {
    x = static_cast<std::uint64_t>((Odds{x} * x) >> mantissa_bits);
    const bool carry = (x >> (mantissa_bits + 1)) != 0;
    if (carry) x >>= 1;
    fraction = 2 * fraction + (carry ? 1 : 0);
  }
  constexpr int excess = digits - log_odds_scale_bits;
  return (whole << log_odds_scale_bits) + ((fraction + (1 << (excess - 1))) >> excess);
}

constexpr std::uint64_t root(Odds square) {
  std::uint64_t found = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t tried = found | (1ULL << bit);
    if (Odds{tried} * tried <= square) found = tried;
  }
  return found;
}

constexpr auto make_log_odds() {
  std::array<std::int32_t, credited_units_max + 1> table{};
  table[0] = 2 << log_odds_scale_bits;  // L(0) = 4 exactly
  for (std::uint32_t k = 1; k <= credited_units_max; ++k) table[k] = static_cast<std::int32_t>(log2_scaled(credited_odds(k), 48));
  return table;
}

// 2^(1/2), 2^(1/4), ...
constexpr auto make_roots_of_two() {
  std::array<std::uint64_t, log_odds_scale_bits> roots{};
  std::uint64_t last = 1ULL << (mantissa_bits + 1);
  for (auto& each : roots) last = each = root(Odds{last} << mantissa_bits);
  return roots;
}

constexpr auto log_odds_table = make_log_odds();
constexpr auto roots_of_two = make_roots_of_two();
static_assert(std::ranges::is_sorted(log_odds_table));

}  // namespace

LogOdds log_odds(std::uint32_t verified_units) { return log_odds_table[std::min(verified_units, credited_units_max)]; }

Odds odds(LogOdds logarithm) {
  STARLING_ENSURE(logarithm >= 0);
  logarithm = std::min(logarithm, group_log_odds_max);
  std::uint64_t mantissa = 1ULL << mantissa_bits;
  for (std::size_t i = 0; i < roots_of_two.size(); ++i) {
    if (((logarithm >> (log_odds_scale_bits - 1 - static_cast<int>(i))) & 1) == 0) continue;
    mantissa = static_cast<std::uint64_t>((Odds{mantissa} * roots_of_two[i]) >> mantissa_bits);
  }
  const int shift = static_cast<int>(logarithm >> log_odds_scale_bits) + log_odds_scale_bits - mantissa_bits;
  return shift >= 0 ? Odds{mantissa} << shift : Odds{mantissa} >> -shift;
}

Odds sum_of_odds(Odds a, Odds b) { return std::min(a + b, sum_max); }

bool credible(LogOdds group, Odds others, std::uint32_t epsilon_ppm) {
  if (epsilon_ppm >= ppm) return true;
  // Without the denominators: epsilon prod L_a >= (1 - epsilon) (1 + others).
  return epsilon_ppm * odds(group) >= (ppm - epsilon_ppm) * sum_of_odds(one_scaled, others);
}

LogOdds credible_alone(std::uint32_t epsilon_ppm) {
  LogOdds low = 0, high = group_log_odds_max + 1;
  while (low < high) {
    const LogOdds middle = low + (high - low) / 2;
    if (credible(middle, 0, epsilon_ppm)) high = middle;
    else low = middle + 1;
  }
  return low;
}

}  // namespace starling::protocol
