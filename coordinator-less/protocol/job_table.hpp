// Who gives way when the table of jobs is full. Pure: a function over plain places.
//
// Only jobs of strangers count; a job submitted on this machine always has its place, up to limits::jobs_per_owner_max open
// ones of its owner, and never gives way. Two bounds, each by number and by units (units are what memory follows from):
//   open   jobs that have not ended (jobs_open_max, units_open_max; of one owner jobs_per_owner_max)
//   all    ended ones too (jobs_max, units_max): an ended job stays until it expires, because its owner may fetch its results
//          until then. It does not count as open, so an owner with any number of ended jobs is served.
// Room is made in this order, until the new job fits:
//   1. (bound `all` only) ended jobs of which this peer keeps no results: canceled, aborted, or none of their archives is
//      here. The one that ended longest ago goes first.
//      A job that is told by folds (fold.hpp) has ended by strangers' word alone: it gives way as one with results does, and when it
//      becomes a job like others it has to find room as if it came then.
//   2. The owner with most (units, or jobs, whichever is exceeded), the new job counted in, gives way: is it the new job's
//      own, the new job is refused; else that owner's newest job is forgotten. What came first stays. An owner with at most
//      a sixteenth of the bound never gives way: the new job is refused.
// Attack: one key, or a few, that fill the table. They share with everybody the right to be the largest, so a smaller owner
// gets in. Sixteen keys or more still lock newcomers out, but can have nobody's job forgotten: ids are what must cost.
// Cost: O(jobs) per job refused or dropped, nothing while there is room.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

struct JobPlace {
  JobId id;
  PeerId owner;
  std::uint32_t units = 0;
  std::uint64_t arrival = 0;      // order in which jobs came
  std::uint64_t ended_order = 0;  // order in which they ended; 0: open
  bool keeps_results = false;
};

// The strangers' jobs to forget, so that one more of `owner` fits; nullopt: refuse that one.
std::optional<std::vector<JobId>> make_room(std::vector<JobPlace> strangers, const PeerId& owner, std::uint32_t units);

}  // namespace starling::protocol
