// How V hears an entry (evaluation.hpp).
#pragma once

#include <cstdint>

namespace starling::protocol {

// Why an entry counts now, or not: the first of these that holds.
enum class Hearing : std::uint8_t {
  unknown,       // no such entry
  banned,        // its author is
  proven_wrong,
  void_,         // a fork, a repetition, an audit that no work stands behind, an answer from one input too many
  probation,     // dropped by a fault of its author before or after it
  other_input,   // waits, or went on from what is not accepted
  audit,         // counts against, never for
  out_of_order,  // not the author's turn, or not his position
  later_block,   // earlier blocks are not half done
  out_of_window, // its author has too many unverified results before it
  counts
};

}  // namespace starling::protocol
