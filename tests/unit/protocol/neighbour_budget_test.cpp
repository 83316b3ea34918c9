#include "coordinator-less/protocol/neighbour_budget.hpp"

#include <doctest/doctest.h>

#include "tests/support/keys.hpp"

using namespace starling;
using namespace starling::protocol;

TEST_CASE("a neighbour that compares all the time makes this peer read its share and no more; others are answered as before") {
  NeighbourBudget budget;
  const PeerId greedy = testing::Member(2).id(), other = testing::Member(3).id();
  constexpr std::size_t neighbours = 32;
  constexpr std::uint64_t answer = 2 * limits::ids_per_reconciliation_max;
  std::uint64_t read = 0;
  for (std::int64_t ms = 0; ms <= 60'000; ms += 10) {
    if (budget.may_ask(greedy, {ms}, neighbours)) budget.pay_rows(greedy, answer), read += answer;
    if (ms % 10'000 != 0) continue;
    CHECK(budget.may_ask(other, {ms}, neighbours));
    budget.pay_rows(other, answer);
  }
  CHECK(read >= 60 * limits::stored_reads_per_s / neighbours);
  CHECK(read <= 60 * limits::stored_reads_per_s / neighbours + limits::stored_reads_burst + answer);
}
