#include "coordinator-less/storage/tree_file.hpp"

#include <algorithm>
#include <bit>

#include "coordinator-less/base/check.hpp"

namespace starling::storage {
namespace {

constexpr std::uint64_t nodes_at_once = 32 * 1024;  // 1 MiB read, 512 KiB written

std::span<std::byte> bytes_of(std::span<base::Digest> nodes) {
  return std::as_writable_bytes(nodes);
}

base::Expected<void> read_level(const File& file, const TreeLayout& layout, base::NodePosition first,
                                std::span<base::Digest> out, const std::filesystem::path& path) {
  STARLING_TRY(const std::size_t got, read_at(file, layout.offset_of(first), bytes_of(out), path));
  if (got != out.size_bytes())
    return base::fail(base::ErrorCode::not_found, "the hash tree " + path.string() + " is too short");
  return {};
}

}  // namespace

TreeLayout::TreeLayout(std::uint64_t leaves) {
  std::uint64_t start = 0;
  for (unsigned level = 0; level <= base::tree_depth(leaves); ++level) {
    widths_.push_back(((leaves - 1) >> level) + 1);
    starts_.push_back(start);
    start += widths_.back();
  }
}

std::uint64_t TreeLayout::file_bytes() const {
  return offset_of({depth(), 0}) + base::Digest::size;
}

// Neighbours on disk go out in one write.
base::Expected<void> write_nodes(const File& file, const TreeLayout& layout, const Nodes& nodes,
                                 const std::filesystem::path& path) {
  base::Bytes run;
  std::uint64_t run_start = 0;
  for (const auto& [at, value] : nodes) {
    if (layout.is_padding(at)) continue;
    const std::uint64_t offset = layout.offset_of(at);
    if (offset != run_start + run.size()) {
      if (auto done = write_at(file, run_start, run, path); !done) return done;
      run.clear();
      run_start = offset;
    }
    base::append(run, value.view());
  }
  return write_at(file, run_start, run, path);
}

base::Expected<std::vector<base::Digest>> read_nodes(const File& file, const TreeLayout& layout,
                                                     const std::vector<base::NodePosition>& positions,
                                                     base::HashFunction hash, const std::filesystem::path& path) {
  const auto padding = base::padding_roots(layout.depth(), hash);
  std::vector<base::Digest> out(positions.size());
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const auto at = positions[i];
    if (layout.is_padding(at)) {
      out[i] = padding[at.level];
    } else if (auto done = read_level(file, layout, at, std::span(out).subspan(i, 1), path); !done) {
      return std::unexpected(std::move(done).error());
    }
  }
  return out;
}

base::Expected<base::Digest> build_levels(const File& file, const TreeLayout& layout, base::HashFunction hash,
                                          const std::filesystem::path& path) {
  std::vector<base::Digest> below(static_cast<std::size_t>(std::min(nodes_at_once, std::bit_ceil(layout.leaves()))));
  base::Digest padding{};
  for (unsigned level = 1; level <= layout.depth(); ++level) {
    for (std::uint64_t first = 0; first < layout.width(level - 1); first += nodes_at_once) {
      const auto count = static_cast<std::size_t>(std::min(nodes_at_once, layout.width(level - 1) - first));
      if (auto done = read_level(file, layout, {level - 1, first}, std::span(below).first(count), path); !done)
        return std::unexpected(std::move(done).error());
      if (count % 2 != 0) below[count] = padding;
      const std::size_t made = (count + 1) / 2;
      for (std::size_t i = 0; i < made; ++i) below[i] = base::hash_pair(below[2 * i], below[2 * i + 1], hash);
      if (auto done =
              write_at(file, layout.offset_of({level, first / 2}), bytes_of(std::span(below).first(made)), path);
          !done)
        return std::unexpected(std::move(done).error());
    }
    padding = base::hash_pair(padding, padding, hash);
  }
  base::Digest root;
  if (auto done = read_level(file, layout, {layout.depth(), 0}, std::span(&root, 1), path); !done)
    return std::unexpected(std::move(done).error());
  return root;
}

}  // namespace starling::storage
