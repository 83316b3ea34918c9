// Which runs there are: the small grid of CI and the full one of the page.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/simulation/policy/rows.hpp"

namespace starling::simulation::policy {

inline const std::vector<double> stealth_rates = {1, 0.5, 0.3, 0.2, 0.1, 0.05};

struct Planned {
  std::string group;  // the part of the page that it belongs to
  std::function<Row()> measure;
};

// Groups: gate, ordered, others, published, rootless, classes, attacks, faults, farming, mature, capture, honest.
std::vector<Planned> small_grid();
std::vector<Planned> full_grid(std::uint32_t peers);

}  // namespace starling::simulation::policy
