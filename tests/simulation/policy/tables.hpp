// The parts of the page, each computed from raw rows alone.
#pragma once

#include "tests/simulation/policy/rows.hpp"

namespace starling::simulation::policy {

// Per seed the rate that does most harm; the mean of these over the seeds.
struct Worst {
  Estimate error, redundancy;
  std::size_t seeds = 0;
};
Worst worst_of(const Rows& rows);

void stealth_table(Text& text, const Rows& rows);
void attack_table(Text& text, const Rows& rows);
void farming_table(Text& text, const Rows& rows);
void faults_table(Text& text, const Rows& rows);
void mature_table(Text& text, const Rows& rows);
void mature_target(Text& text, const Rows& rows);
void capture_table(Text& text, const Rows& rows);
void honest_table(Text& text, const Rows& rows);
bool published_table(Text& text, const Rows& rows);  // false: a published figure is missed

// An honest swarm, or one with a liar, that must finish by the rules: as many honest peers stay as have to agree.
bool must_finish(const Row& row);
bool finished(const Row& row);

}  // namespace starling::simulation::policy
