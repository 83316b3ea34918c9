// How far an answer is believed: Sarmenta's credibility (FGCS 2002) in integers, the same bits on every machine.
//
// Formulas, with the assumed share of saboteurs f = 0.2: a peer with k verified units since its last proven fault is right with
// c(k) = max(1 - f, 1 - f / ((1 - f) e k)), odds L(k) = c / (1 - c) = max(4, 4 e k - 1). A group of agreeing peers has the
// product of its members' odds; group a is believed with prod L_a / (1 + sum over all groups of prod L).
// Integers: log_odds(k) = round(2^24 log2 L(k)), from a table made at build time by integer arithmetic alone. Sums of
// logarithms have no order, so members may come and go in any order. odds(x) = floor(2^24 2^(x / 2^24)), exact at whole powers.
// Error: each member at most 2^-25 in log2, odds() at most 2^-24 absolutely and 2^-56 relatively: a group of n fresh or
// seasoned members is off by less than n 2.1e-8 + 1.5e-8 of its odds. Powers of four (k = 0) are exact.
// Bounds: k counts up to 1023 (one result then carries 1 - 9e-5); a group's odds up to 2^80, forty fresh members or six of the
// highest k; the sum of dissenting groups up to 2^83. Beyond them nothing is gained, so a contested unit of dozens may stay open
// until a replay settles it. Nothing overflows 128 bits: 2^83 (odds) x 2^24 (scale) x 2^20 (millionths).
#pragma once

#include <cstdint>
#include <span>

namespace starling::protocol {

using LogOdds = std::int64_t;  // 2^24 log2 of odds
__extension__ using Odds = unsigned __int128;  // odds scaled by 2^24

inline constexpr int log_odds_scale_bits = 24;
inline constexpr std::uint32_t credited_units_max = 1023;
inline constexpr LogOdds group_log_odds_max = LogOdds{80} << log_odds_scale_bits;

LogOdds log_odds(std::uint32_t verified_units);  // of one peer; at least that of two bits
Odds odds(LogOdds logarithm);                    // of a group, for logarithm >= 0
Odds sum_of_odds(Odds a, Odds b);                // saturates at 2^83 (scaled), so that the order does not matter

// prod L_a / (1 + prod L_a + others) >= 1 - epsilon. `epsilon_ppm` in 0..500,000; 10^6 and more accept anything.
bool credible(LogOdds group, Odds others, std::uint32_t epsilon_ppm);
// The least logarithm that is credible when nobody dissents; group_log_odds_max + 1 when none is.
LogOdds credible_alone(std::uint32_t epsilon_ppm);

}  // namespace starling::protocol
