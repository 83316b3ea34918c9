// What a unit's programs left behind, read from the canonical archive that the swarm agreed on (DESIGN section 8):
//   "starling" | u32 1 | u32 items | per item: u8 kind | u32 code | u64 length, stdout | u32 files |
//   (kind 5, an unfinished segment: after the code u64 fuel | u64 clock)
//   per file: u64 length, path | u64 length, bytes                         (little-endian; paths in byte order)
// Archives come from other people's machines: bounds first, and paths that would leave their folder are refused.
#pragma once

#include <string>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::client {

struct OutputFile {
  std::string path;  // below /out: relative, no "." or ".." part
  base::Bytes bytes;
};

struct ItemOutput {
  protocol::OutcomeKind kind = protocol::OutcomeKind::ok;
  std::int32_t code = 0;
  base::Bytes standard_output;
  std::vector<OutputFile> files;
};

base::Expected<std::vector<ItemOutput>> read_archive(base::ByteView bytes);
bool is_safe_path(std::string_view path);

}  // namespace starling::client
