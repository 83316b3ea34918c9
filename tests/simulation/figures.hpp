// What a run came to, as one JSON object: the figures that tests/sixty takes of a swarm of real processes too, by the same
// definitions, so that the two can stand side by side. Of a scenario with one job. All counts start when the job is submitted.
#pragma once

#include <set>
#include <string>

#include "tests/simulation/simulator.hpp"

namespace starling::simulation {

class Figures {
 public:
  void each_second(const Simulator& run);
  std::string json(const Simulator& run) const;  // as of settle_ms after every honest peer had finished for the first time

 private:
  struct Sums {
    std::uint64_t bytes = 0, signatures = 0;
  };
  static Sums sums_of(const Simulator& run);
  std::string told(const Simulator& run) const;

  Sums before_;
  std::uint64_t submitted_ms_ = 0, finished_ms_ = 0;
  double executions_at_finish_ = 0;
  std::string at_the_end_;
  std::set<protocol::UnitIndex> wrong_once_;  // units of which a watched peer accepted a wrong outcome at a look
};

}  // namespace starling::simulation
