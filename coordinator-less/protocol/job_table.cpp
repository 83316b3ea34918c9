#include "coordinator-less/protocol/job_table.hpp"

#include <algorithm>
#include <map>

#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

struct Amount {
  std::uint64_t jobs = 0, units = 0;
};

struct Newcomer {
  PeerId owner;
  std::uint32_t units = 0;
};

Amount total_of(const std::vector<JobPlace>& places, const Newcomer& newcomer) {
  Amount total{1, newcomer.units};
  for (const JobPlace& place : places) total = {total.jobs + 1, total.units + place.units};
  return total;
}

// The owner with most, and whether that is the newcomer's.
std::pair<PeerId, std::uint64_t> largest_owner(const std::vector<JobPlace>& places, const Newcomer& newcomer, bool by_units) {
  std::map<PeerId, std::uint64_t> amounts;
  amounts[newcomer.owner] = by_units ? newcomer.units : 1;
  for (const JobPlace& place : places) amounts[place.owner] += by_units ? place.units : 1;
  PeerId largest = newcomer.owner;  // among equals it is the one who asks for more
  for (const auto& [owner, amount] : amounts)
    if (amount > amounts[largest]) largest = owner;
  return {largest, amounts[largest]};
}

// Takes places away until the newcomer fits into `most`; false: the newcomer gives way.
bool fit(std::vector<JobPlace>& places, const Newcomer& newcomer, const Amount& most, std::vector<JobId>& dropped) {
  while (true) {
    const Amount total = total_of(places, newcomer);
    const bool by_units = total.units > most.units;
    if (!by_units && total.jobs <= most.jobs) return true;
    const auto [owner, amount] = largest_owner(places, newcomer, by_units);
    if (owner == newcomer.owner || amount <= (by_units ? most.units : most.jobs) / 16) return false;
    const auto newest = std::ranges::max_element(places, {}, [&, who = owner](const JobPlace& place) { return place.owner == who ? place.arrival + 1 : 0; });
    dropped.push_back(newest->id);
    places.erase(newest);
  }
}

void drop_without_results(std::vector<JobPlace>& places, const Newcomer& newcomer, const Amount& most, std::vector<JobId>& dropped) {
  while (true) {
    const Amount total = total_of(places, newcomer);
    if (total.jobs <= most.jobs && total.units <= most.units) return;
    const auto idle = [](const JobPlace& place) { return place.ended_order != 0 && !place.keeps_results; };
    const auto first = std::ranges::min_element(places, {}, [&](const JobPlace& place) { return idle(place) ? place.ended_order : UINT64_MAX; });
    if (first == places.end() || !idle(*first)) return;
    dropped.push_back(first->id);
    places.erase(first);
  }
}

}  // namespace

std::optional<std::vector<JobId>> make_room(std::vector<JobPlace> strangers, const PeerId& owner, std::uint32_t units) {
  const Newcomer newcomer{owner, units};
  std::vector<JobId> dropped;
  std::vector<JobPlace> open;
  std::ranges::copy_if(strangers, std::back_inserter(open), [](const JobPlace& place) { return place.ended_order == 0; });
  if (static_cast<std::size_t>(std::ranges::count(open, owner, &JobPlace::owner)) >= limits::jobs_per_owner_max) return std::nullopt;
  if (!fit(open, newcomer, {limits::jobs_open_max, limits::units_open_max}, dropped)) return std::nullopt;
  std::erase_if(strangers, [&](const JobPlace& place) { return std::ranges::find(dropped, place.id) != dropped.end(); });
  const Amount all{limits::jobs_max, limits::units_max};
  drop_without_results(strangers, newcomer, all, dropped);
  if (!fit(strangers, newcomer, all, dropped)) return std::nullopt;
  return dropped;
}

}  // namespace starling::protocol
