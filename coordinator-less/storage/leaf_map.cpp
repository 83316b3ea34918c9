#include "coordinator-less/storage/leaf_map.hpp"

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"

namespace starling::storage {
namespace {

constexpr std::string_view magic = "strlmap1";
constexpr std::uint64_t header_bytes = 16;

base::Bytes packed(const std::vector<bool>& have, std::uint64_t first_byte, std::uint64_t end_byte) {
  base::Bytes out(static_cast<std::size_t>(end_byte - first_byte));
  const std::size_t end = std::min<std::size_t>(have.size(), end_byte * 8);
  for (std::size_t leaf = first_byte * 8; leaf < end; ++leaf)
    if (have[leaf]) out[leaf / 8 - first_byte] |= std::byte{1} << leaf % 8;
  return out;
}

}  // namespace

base::Expected<void> write_map(const File& file, const LeafMap& map, const std::filesystem::path& path) {
  base::Bytes bytes = base::copy(base::view(magic));
  base::append_u64(bytes, map.size_bytes);
  base::append(bytes, packed(map.have, 0, (map.have.size() + 7) / 8));
  return write_at(file, 0, bytes, path);
}

base::Expected<void> write_map_range(const File& file, const LeafMap& map, std::uint64_t first, std::uint64_t count,
                                     const std::filesystem::path& path) {
  const std::uint64_t first_byte = first / 8;
  return write_at(file, header_bytes + first_byte, packed(map.have, first_byte, (first + count + 7) / 8), path);
}

std::optional<LeafMap> read_map(const File& file, const std::filesystem::path& path) {
  std::array<std::byte, header_bytes> header;
  const auto got = read_at(file, 0, header, path);
  if (!got || *got != header.size() || base::text(header).substr(0, magic.size()) != magic) return std::nullopt;
  LeafMap map;
  map.size_bytes = base::read_u64(base::ByteView(header).subspan(magic.size()));
  if (map.size_bytes > limits::blob_bytes_max) return std::nullopt;
  map.have.resize(static_cast<std::size_t>(base::leaf_count(map.size_bytes)));
  base::Bytes bits((map.have.size() + 7) / 8);
  const auto got_bits = read_at(file, header_bytes, bits, path);
  if (!got_bits || *got_bits != bits.size()) return std::nullopt;
  for (std::size_t leaf = 0; leaf < map.have.size(); ++leaf)
    map.have[leaf] = (bits[leaf / 8] & (std::byte{1} << leaf % 8)) != std::byte{0};
  return map;
}

}  // namespace starling::storage
