#include <doctest/doctest.h>

#include "sdk/cli/commands.hpp"

using namespace starling;

namespace {

protocol::JobStatus status_with(std::uint32_t units, std::uint32_t final_units, std::uint32_t waiting) {
  protocol::JobStatus status;
  status.units = units;
  status.finality.final_units = final_units;
  status.finality.waiting = waiting;
  return status;
}

}  // namespace

TEST_CASE("what is not final yet is told with the whole rule that it waits for") {
  CHECK(cli::finality_text(status_with(8, 8, 0)) == "8 of 8");
  CHECK(cli::finality_text(status_with(8, 0, 8)) == "0 of 8; 8 units wait until enough supporters have passed 5 later audits or 200 further units, or for an execution here");
  CHECK(cli::finality_text(status_with(8, 7, 1)).starts_with("7 of 8; 1 unit waits until "));
}

TEST_CASE("one unit is a unit, and one execution is one") {
  auto status = status_with(1, 1, 0);
  status.accepted = 1;
  status.executions = 1;
  CHECK(cli::verified_text(status) == "1 unit verified, 1 of them final here, 1 execution");
  CHECK(cli::progress_line(status).contains(" 1/1 units verified, 1 execution,"));
  status.accepted = 24;
  status.executions = 24;
  CHECK(cli::verified_text(status) == "24 units verified, 1 of them final here, 24 executions");
}
