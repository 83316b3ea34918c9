// Policies against attackers, honest swarms and forced order: raw rows to a file, the page computed from that file, the gates checked.
#pragma once

#include <cstdint>
#include <string>

namespace starling::simulation::policy {

struct AttackersOptions {
  bool small = false;            // below a minute: what CI runs
  std::uint32_t peers = 200;     // of the full grid
  std::string part;              // of grid.hpp; empty: all
  std::string rows_file = "attackers.csv";
  std::string table_file;        // empty: the screen
  bool run = true;               // false: only the table, from the rows that are there
};

// 0: every gate holds.
int run_attackers(const AttackersOptions& options);

}  // namespace starling::simulation::policy
