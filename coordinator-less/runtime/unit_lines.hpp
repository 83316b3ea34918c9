// The lines of a units blob, found by unit. Item i is line i without its '\n'; a last line may lack it.
// Only the offset of each unit's first line is kept (8 bytes per unit, at most 512 KiB), so a blob of 256 MiB costs one scan.
#pragma once

#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::runtime {

class UnitLines {
 public:
  // `descriptor` reads the whole blob. Errors: bad_input when the blob does not hold manifest.item_count lines, or one of
  // them is longer than limits: item_bytes_max; internal when it cannot be read.
  static base::Expected<UnitLines> scan(int descriptor, const protocol::Manifest& manifest);

  base::Expected<std::vector<base::Bytes>> items(int descriptor, base::UnitIndex unit) const;

 private:
  std::vector<std::uint64_t> offsets_;  // of each unit's first line, then the end of the last
};

}  // namespace starling::runtime
