#include "coordinator-less/base/merkle_tree.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::base {
namespace {

using Learn = std::function<void(NodePosition, const Digest&)>;

struct LeafRange {
  std::uint64_t first;
  std::uint64_t end;

  bool misses(NodePosition node) const {
    return node.index << node.level >= end || (node.index + 1) << node.level <= first;
  }
};

NodePosition left_of(NodePosition parent) {
  return {parent.level - 1, parent.index * 2};
}
NodePosition right_of(NodePosition parent) {
  return {parent.level - 1, parent.index * 2 + 1};
}

void collect_positions(NodePosition node, LeafRange range, std::vector<NodePosition>& out) {
  if (range.misses(node)) {
    out.push_back(node);
  } else if (node.level > 0) {
    collect_positions(left_of(node), range, out);
    collect_positions(right_of(node), range, out);
  }
}

// One depth-first walk that consumes the bytes and the proof from their fronts. Its work is bounded by the range, whose
// length the caller has compared with the bytes given.
class RangeCheck {
 public:
  RangeCheck(std::uint64_t leaves, LeafRange range, ByteView bytes, const std::vector<Digest>& proof, HashFunction hash,
             const Learn& learn)
      : leaves_(leaves),
        range_(range),
        bytes_(bytes),
        proof_(proof),
        hash_(hash),
        learn_(learn),
        padding_(padding_roots(tree_depth(leaves), hash)) {}

  bool leads_to(const Digest& root) {
    const Digest found = node({tree_depth(leaves_), 0});
    return !failed_ && bytes_.empty() && proof_used_ == proof_.size() && found == root;
  }

 private:
  Digest node(NodePosition at) {
    if (failed_) return {};
    const Digest value = range_.misses(at) ? from_proof(at) : at.level == 0 ? from_bytes() : from_children(at);
    if (learn_ && !failed_) learn_(at, value);
    return value;
  }

  // Real subtrees never equal the padding and padding is nothing else: this ties the proof to the number of leaves.
  Digest from_proof(NodePosition at) {
    failed_ = proof_used_ == proof_.size();
    if (failed_) return {};
    const Digest& value = proof_[proof_used_++];
    const bool behind_last_leaf = at.index << at.level >= leaves_;
    failed_ = behind_last_leaf != (value == padding_[at.level]);
    return value;
  }

  Digest from_bytes() {
    const auto leaf = bytes_.first(std::min<std::size_t>(leaf_bytes, bytes_.size()));
    bytes_ = bytes_.subspan(leaf.size());
    return hash_(leaf);
  }

  Digest from_children(NodePosition at) {
    const Digest left = node(left_of(at));
    const Digest right = node(right_of(at));
    return failed_ ? Digest{} : hash_pair(left, right, hash_);
  }

  std::uint64_t leaves_;
  LeafRange range_;
  ByteView bytes_;
  const std::vector<Digest>& proof_;
  HashFunction hash_;
  const Learn& learn_;
  std::vector<Digest> padding_;
  std::size_t proof_used_ = 0;
  bool failed_ = false;
};

}  // namespace

unsigned tree_depth(std::uint64_t leaves) {
  return static_cast<unsigned>(std::bit_width(leaves - 1));
}

std::optional<std::uint64_t> range_bytes(std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count) {
  if (size_bytes > limits::blob_bytes_max || count == 0) return std::nullopt;
  const std::uint64_t leaves = leaf_count(size_bytes);
  if (first >= leaves || count > leaves - first) return std::nullopt;
  return std::min((first + count) * leaf_bytes, size_bytes) - first * leaf_bytes;
}

Digest hash_pair(const Digest& left, const Digest& right, HashFunction hash) {
  std::array<std::byte, 2 * Digest::size> both;
  std::ranges::copy(left.bytes, both.begin());
  std::ranges::copy(right.bytes, both.begin() + Digest::size);
  return hash(both);
}

std::vector<Digest> padding_roots(unsigned depth, HashFunction hash) {
  std::vector<Digest> roots(depth + 1);
  for (unsigned level = 1; level <= depth; ++level) roots[level] = hash_pair(roots[level - 1], roots[level - 1], hash);
  return roots;
}

std::vector<NodePosition> proof_positions(std::uint64_t leaves, std::uint64_t first, std::uint64_t count) {
  STARLING_ENSURE(leaves > 0 && count > 0 && first < leaves && count <= leaves - first);
  std::vector<NodePosition> out;
  collect_positions({tree_depth(leaves), 0}, {first, first + count}, out);
  return out;
}

MerkleTree::MerkleTree(std::vector<Digest> leaves, HashFunction hash) : leaves_(leaves.size()) {
  STARLING_ENSURE(!leaves.empty());
  leaves.resize(std::bit_ceil(leaves.size()));
  levels_.push_back(std::move(leaves));
  while (levels_.back().size() > 1) {
    const auto& below = levels_.back();
    std::vector<Digest> level(below.size() / 2);
    for (std::size_t i = 0; i < level.size(); ++i) level[i] = hash_pair(below[2 * i], below[2 * i + 1], hash);
    levels_.push_back(std::move(level));
  }
}

Digest MerkleTree::root() const {
  return levels_.back().front();
}

std::vector<Digest> MerkleTree::proof(std::uint64_t first, std::uint64_t count) const {
  std::vector<Digest> out;
  for (const NodePosition at : proof_positions(leaves_, first, count)) out.push_back(levels_[at.level][at.index]);
  return out;
}

Digest blob_name(ByteView bytes, HashFunction hash) {
  std::vector<Digest> level;
  level.reserve(leaf_count(bytes.size()));
  for (std::size_t at = 0; at < bytes.size(); at += leaf_bytes)
    level.push_back(hash(bytes.subspan(at, std::min<std::size_t>(leaf_bytes, bytes.size() - at))));
  if (level.empty()) return hash(bytes);
  Digest padding{};
  while (level.size() > 1) {  // each level halves in place
    if (level.size() % 2 != 0) level.push_back(padding);
    for (std::size_t i = 0; i < level.size() / 2; ++i) level[i] = hash_pair(level[2 * i], level[2 * i + 1], hash);
    level.resize(level.size() / 2);
    padding = hash_pair(padding, padding, hash);
  }
  return level.front();
}

bool check_range(const Digest& root, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count, ByteView bytes,
                 const std::vector<Digest>& proof, HashFunction hash, const Learn& learn) {
  const auto expected_bytes = range_bytes(size_bytes, first, count);
  if (!expected_bytes || bytes.size() != *expected_bytes || proof.size() > limits::proof_nodes_max) return false;
  return RangeCheck(leaf_count(size_bytes), {first, first + count}, bytes, proof, hash, learn).leads_to(root);
}

bool check_range(const Digest& root, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count, ByteView bytes,
                 const std::vector<Digest>& proof, HashFunction hash) {
  return check_range(root, size_bytes, first, count, bytes, proof, hash, nullptr);
}

}  // namespace starling::base
