// The BitTorrent v2 hash tree (BEP 52): SHA-256 over 16 KiB leaves (the last one hashed at its true length), padded to
// a power of two with leaves whose *hash* is zero; the root names a blob of any size the same way on every path. An
// empty blob is named by the hash of the empty string. Up to one leaf the name is the plain SHA-256 of the bytes.
//
// Ranges: a proof for leaves [first, first + count) is the list of roots of the largest subtrees outside the range, in
// depth-first order, left before right. Checking costs count leaf hashes and O(count + log n) node hashes and cannot be
// made to read past what it is given.
//
// What a root says about the size, and what not. A proof's subtree must equal the padding exactly when it lies behind
// the last leaf, so a range that holds the last leaf proves the number of leaves and the last one's length; other
// ranges prove only their own bytes. BEP 52 does not tell leaves from nodes: the 64 bytes that hash to a node are also
// a blob of that name. Name and size together identify a blob; take the size from a signed place, never from who serves
// the bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::base {

inline constexpr std::uint64_t leaf_bytes = 16 * 1024;

using HashFunction = Digest (*)(ByteView);  // SHA-256 in production

constexpr std::uint64_t leaf_count(std::uint64_t size_bytes) {
  return size_bytes == 0 ? 1 : size_bytes / leaf_bytes + (size_bytes % leaf_bytes != 0 ? 1 : 0);
}

// Levels above the leaves: 0 for one leaf.
unsigned tree_depth(std::uint64_t leaves);

// Bytes of the leaves [first, first + count); nullopt unless 0 < count and the range lies inside a blob of at most
// limits::blob_bytes_max.
std::optional<std::uint64_t> range_bytes(std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count);

// A node covers the leaves [index << level, (index + 1) << level).
struct NodePosition {
  unsigned level = 0;
  std::uint64_t index = 0;
  auto operator<=>(const NodePosition&) const = default;
};

Digest hash_pair(const Digest& left, const Digest& right, HashFunction hash);
std::vector<Digest> padding_roots(unsigned depth, HashFunction hash);  // [level], level <= depth

// Where the nodes of a proof lie, in the proof's order. REQUIRES: the range lies inside the tree
std::vector<NodePosition> proof_positions(std::uint64_t leaves, std::uint64_t first, std::uint64_t count);

class MerkleTree {
 public:
  // REQUIRES: leaves.size() == leaf_count(blob size)
  MerkleTree(std::vector<Digest> leaves, HashFunction hash);

  Digest root() const;
  std::vector<Digest> proof(std::uint64_t first,
                            std::uint64_t count) const;  // REQUIRES: the range lies inside the tree

 private:
  std::uint64_t leaves_;                     // without padding
  std::vector<std::vector<Digest>> levels_;  // [0] = padded leaves ... back() = {root}
};

Digest blob_name(ByteView bytes, HashFunction hash);

// Does `bytes` hold exactly the leaves [first, first + count) of the blob `root` of `size_bytes`? Hostile arguments
// give false.
bool check_range(const Digest& root, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count, ByteView bytes,
                 const std::vector<Digest>& proof, HashFunction hash);

// check_range that also hands out every node it computed or was given: enough to prove any part of what was ever
// verified. `learn` is called before the verdict is known; what it heard means nothing when the answer is false.
bool check_range(const Digest& root, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count, ByteView bytes,
                 const std::vector<Digest>& proof, HashFunction hash,
                 const std::function<void(NodePosition, const Digest&)>& learn);

}  // namespace starling::base
