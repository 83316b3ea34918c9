// Means and quantiles of what a run has measured.
#pragma once

#include <algorithm>
#include <numeric>
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

}  // namespace starling::simulation::policy
