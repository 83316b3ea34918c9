// Finds what starling_progress() (sdk/task/starling_task.h) says in a guest's standard error, however that is cut in pieces:
// whole lines "starling:progress DONE/TOTAL". Other lines, and those that make no sense, are passed over.
// Memory: one line. Cost: a look at each byte of a line that may still be one, a search for the end of others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator-less/base/bytes.hpp"

namespace starling::execution::wasi {

inline constexpr std::uint32_t progress_whole = 1'000'000;

class ProgressLines {
 public:
  // The part done, in millionths, as the last such line that ends in `bytes` says.
  std::optional<std::uint32_t> feed(base::ByteView bytes);

 private:
  std::string line_;     // so far, while it may be one
  bool skipping_ = false;  // to the line's end
};

}  // namespace starling::execution::wasi
