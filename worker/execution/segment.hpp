// A unit in segments of rounds (decision 0012): each goes on from the archive that was accepted for the one before, so its own
// archive is a function of that one. Items that ended earlier are copied; those that were left as checkpoints run on. The
// limit of a unit's output holds for each segment's archive as for any, in index order, checkpoints included. Pure.
#pragma once

#include "worker/execution/archive.hpp"

namespace starling::execution {

struct SegmentStart {
  Archive before;  // views into the bytes that it was read from; no items: the first segment

  bool runs(std::size_t item) const { return before.items.empty() || before.items[item].kind == OutcomeKind::checkpoint; }
  std::uint64_t fuel() const;  // that the items which run have used before
};

// Errors: malformed when it is no archive of so many items with one that goes on.
base::Expected<SegmentStart> segment_start(base::ByteView archive, std::size_t items);

// What the executor gave, with the items that it did not run taken from before. REQUIRES: as many items.
Archive joined(const SegmentStart& start, Archive ran, std::uint64_t output_bytes_max);

std::uint64_t output_bytes_of(const ArchiveItem& item);  // what the limit counts

}  // namespace starling::execution
