// Which leaves of a partial blob were verified: NAME.map = "strlmap1" | size (u64, little-endian) | one bit a leaf, low
// bit first.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "coordinator-less/storage/file.hpp"

namespace starling::storage {

struct LeafMap {
  std::uint64_t size_bytes = 0;  // of the blob
  std::vector<bool> have;
};

base::Expected<void> write_map(const File& file, const LeafMap& map, const std::filesystem::path& path);  // all of it
base::Expected<void> write_map_range(const File& file, const LeafMap& map, std::uint64_t first, std::uint64_t count,
                                     const std::filesystem::path& path);
std::optional<LeafMap> read_map(const File& file, const std::filesystem::path& path);  // nullopt: not such a file

}  // namespace starling::storage
