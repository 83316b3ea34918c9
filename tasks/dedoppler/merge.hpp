// From the accepted outputs of all windows to the answer.
// Input: <in>/NNNNNN/stdout (rows of hits.hpp) and <in>/NNNNNN/out/cutout-<channel>.bin for every unit.
// Output: <out>/hits.csv with header, one row per signal, strongest first, and <out>/waterfall-<rank>.png for the first
// `waterfalls_max` of them, where rank 1 is the first row.
// Rule: a broken list of hits is an error, since a silent gap would look like silence in the sky; a missing picture
// is a notice.
#pragma once

#include <string>
#include <vector>

#include "tasks/dedoppler/files.hpp"

namespace starling::dedoppler {

inline constexpr std::size_t waterfalls_max = 1000;
inline constexpr std::size_t unit_stdout_bytes_max = 1 << 20;

struct MergeReport {
  std::size_t units = 0;
  std::size_t signals = 0;
  std::vector<std::string> notices;
};

Result<MergeReport> merge_bands(const Folders& folders);

}  // namespace starling::dedoppler
