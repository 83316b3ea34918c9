// Means and quantiles of what a run has measured.
#pragma once

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace starling::simulation::policy {

inline double mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The least value that at least this share does not exceed; 0 of none.
inline double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto rank = std::min(static_cast<std::size_t>(share * static_cast<double>(values.size())), values.size() - 1);
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(rank));
  return values[rank];
}

// Of each unit that was looked at the rounds until it was final, if ever: into either model's measures.
template <class Measures>
void note_final(Measures& measures, const std::vector<std::optional<double>>& rounds_of) {
  std::vector<double> rounds;
  for (const auto& each : rounds_of)
    if (each) rounds.push_back(*each);
  measures.final_share = static_cast<double>(rounds.size()) / static_cast<double>(rounds_of.size());
  measures.final_rounds_p50 = quantile(rounds, 0.5);
  measures.final_rounds_p99 = quantile(rounds, 0.99);
}

}  // namespace starling::simulation::policy
