#include "coordinator-less/protocol/job_table.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "coordinator-less/base/limits.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

PeerId owner(unsigned n) {
  PeerId id;
  id.bytes[0] = static_cast<std::byte>(n);
  id.bytes[1] = static_cast<std::byte>(n >> 8);
  return id;
}

struct Table {
  JobId add(unsigned who, std::uint32_t units, bool ended = false, bool keeps_results = true) {
    JobPlace place;
    place.arrival = ++arrivals;
    for (int byte = 0; byte < 4; ++byte) place.id.bytes[static_cast<std::size_t>(byte)] = static_cast<std::byte>(arrivals >> (8 * byte));
    place.owner = owner(who);
    place.units = units;
    place.ended_order = ended ? arrivals : 0;
    place.keeps_results = ended && keeps_results;
    places.push_back(place);
    return place.id;
  }
  std::uint64_t arrivals = 0;
  std::vector<JobPlace> places;
};

}  // namespace

TEST_CASE("jobs: while there is room nobody gives way") {
  Table table;
  for (unsigned n = 0; n < 100; ++n) table.add(n % 3, 1000);
  const auto dropped = make_room(table.places, owner(9), limits::units_per_job_max);
  REQUIRE(dropped);
  CHECK(dropped->empty());
}

TEST_CASE("jobs: four keys with as many jobs as they may have do not lock the table") {
  Table table;
  std::vector<JobId> newest;
  for (unsigned n = 0; n < limits::jobs_open_max; ++n) newest.push_back(table.add(n % 4, 1));
  const auto dropped = make_room(table.places, owner(9), 1);
  REQUIRE(dropped);
  REQUIRE(dropped->size() == 1);
  CHECK(std::ranges::find(newest.end() - 4, newest.end(), dropped->front()) != newest.end());  // the newest of one of them
  CHECK_FALSE(make_room(table.places, owner(2), 1));  // they themselves get no more
}

TEST_CASE("jobs: the owner with most units gives way, whatever the number of jobs") {
  Table table;
  const std::uint32_t big = limits::units_per_job_max;
  JobId last;
  for (std::uint64_t n = 0; n < limits::units_open_max / big; ++n) last = table.add(1, big);
  for (unsigned n = 0; n < 50; ++n) table.add(2, 1);
  const auto dropped = make_room(table.places, owner(3), 100);
  REQUIRE(dropped);
  CHECK(*dropped == std::vector{last});
  CHECK_FALSE(make_room(table.places, owner(1), 1));
}

TEST_CASE("jobs: many free keys cannot have a modest owner's job forgotten") {
  Table table;
  const JobId modest = table.add(1, limits::units_per_job_max);
  for (unsigned n = 2; n < 100; ++n) {
    const auto dropped = make_room(table.places, owner(n), limits::units_per_job_max - 1);
    if (!dropped) continue;
    CHECK(std::ranges::find(*dropped, modest) == dropped->end());
    table.add(n, limits::units_per_job_max - 1);
  }
  CHECK_FALSE(make_room(table.places, owner(200), limits::units_per_job_max - 1));
}

TEST_CASE("jobs: ended ones do not count as open") {
  Table table;
  for (std::size_t n = 0; n < limits::jobs_per_owner_max + 1; ++n) table.add(1, 100, true);
  const auto dropped = make_room(table.places, owner(1), 100);
  REQUIRE(dropped);
  CHECK(dropped->empty());
  for (std::size_t n = 0; n < limits::jobs_per_owner_max; ++n) table.add(1, 100);
  CHECK_FALSE(make_room(table.places, owner(1), 100));
}

TEST_CASE("jobs: of a full table those without results go first, the one that ended longest ago before others") {
  Table table;
  const JobId fetched_by_nobody = table.add(1, 1, true, true);
  const JobId canceled = table.add(2, 1, true, false);
  table.add(2, 1, true, false);
  while (table.places.size() < limits::jobs_max) table.add(3 + static_cast<unsigned>(table.places.size() % 500), 1, true, true);
  const auto dropped = make_room(table.places, owner(1000), 1);
  REQUIRE(dropped);
  CHECK(*dropped == std::vector{canceled});
  std::erase_if(table.places, [](const JobPlace& place) { return !place.keeps_results; });
  table.places.resize(limits::jobs_max - limits::jobs_max / 8);
  while (table.places.size() < limits::jobs_max) table.add(7, 1, true, true);
  const auto largest = make_room(table.places, owner(1000), 1);
  REQUIRE(largest);
  REQUIRE(largest->size() == 1);
  CHECK(largest->front() != fetched_by_nobody);
  CHECK(std::ranges::find(table.places, largest->front(), &JobPlace::id)->owner == owner(7));
}
