// A hash tree on disk: the levels of base/merkle_tree.hpp without their padding, leaves first, root last, 32 bytes a
// node. A proof costs one small read for each of its nodes, whatever the blob's size; building costs a fixed amount of
// memory. In a part's tree only the nodes that verified ranges touched are there; they are all that proofs of those
// leaves need.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/storage/file.hpp"

namespace starling::storage {

class TreeLayout {
 public:
  explicit TreeLayout(std::uint64_t leaves);

  std::uint64_t leaves() const { return widths_.front(); }
  unsigned depth() const { return static_cast<unsigned>(widths_.size() - 1); }
  std::uint64_t width(unsigned level) const { return widths_[level]; }
  bool is_padding(base::NodePosition at) const { return at.index >= widths_[at.level]; }
  std::uint64_t offset_of(base::NodePosition at) const { return (starts_[at.level] + at.index) * base::Digest::size; }
  std::uint64_t file_bytes() const;

 private:
  std::vector<std::uint64_t> widths_;  // real nodes of each level
  std::vector<std::uint64_t> starts_;  // nodes before the level
};

using Nodes = std::map<base::NodePosition, base::Digest>;

base::Expected<void> write_nodes(const File& file, const TreeLayout& layout, const Nodes& nodes,
                                 const std::filesystem::path& path);
base::Expected<std::vector<base::Digest>> read_nodes(const File& file, const TreeLayout& layout,
                                                     const std::vector<base::NodePosition>& positions,
                                                     base::HashFunction hash, const std::filesystem::path& path);

// Fills in the levels above the leaves, which are already there, and gives the root.
base::Expected<base::Digest> build_levels(const File& file, const TreeLayout& layout, base::HashFunction hash,
                                          const std::filesystem::path& path);

}  // namespace starling::storage
