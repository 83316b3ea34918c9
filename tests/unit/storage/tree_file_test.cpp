#include "coordinator-less/storage/tree_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/storage/leaf_map.hpp"
#include "tests/unit/storage/support.hpp"

namespace starling::storage {
namespace {

std::vector<base::Digest> random_leaves(base::Rng& rng, std::size_t count) {
  std::vector<base::Digest> leaves(count);
  for (auto& leaf : leaves) leaf = *base::Digest::from(random_bytes(rng, base::Digest::size));
  return leaves;
}

TEST_CASE("the tree on disk gives the root and the proofs of the tree in memory") {
  const testing::ScratchFolder scratch;
  base::Rng rng(41);
  for (const std::size_t count : {2U, 3U, 4U, 5U, 7U, 8U, 9U, 100U, 70'000U}) {
    const auto path = scratch / std::to_string(count);
    const auto leaves = random_leaves(rng, count);
    const base::MerkleTree tree(leaves, crypto::sha256);
    const TreeLayout layout(count);
    const auto file = open_file(path, O_RDWR | O_CREAT);
    REQUIRE(file);
    Nodes nodes;
    for (std::size_t i = 0; i < count; ++i) nodes[{0, i}] = leaves[i];
    REQUIRE(write_nodes(*file, layout, nodes, path));
    REQUIRE(*build_levels(*file, layout, crypto::sha256, path) == tree.root());
    REQUIRE(*size_of_file(*file, path) == layout.file_bytes());
    for (int draw = 0; draw < 20; ++draw) {
      const std::uint64_t first = rng.below(count);
      const std::uint64_t range = 1 + rng.below(std::min<std::uint64_t>(8, count - first));
      const auto positions = base::proof_positions(count, first, range);
      REQUIRE(*read_nodes(*file, layout, positions, crypto::sha256, path) == tree.proof(first, range));
    }
  }
}

TEST_CASE("a tree file that is too short is an error") {
  const testing::ScratchFolder scratch;
  const auto file = open_file(scratch / "tree", O_RDWR | O_CREAT);
  REQUIRE(file);
  CHECK_FALSE(read_nodes(*file, TreeLayout(4), {{0, 1}}, crypto::sha256, scratch / "tree"));
  CHECK_FALSE(build_levels(*file, TreeLayout(4), crypto::sha256, scratch / "tree"));
}

TEST_CASE("a leaf map comes back whole after ranges were written in any order") {
  const testing::ScratchFolder scratch;
  const auto path = scratch / "map";
  base::Rng rng(42);
  const auto file = open_file(path, O_RDWR | O_CREAT);
  REQUIRE(file);
  LeafMap map{77 * base::leaf_bytes + 5, std::vector<bool>(78)};
  REQUIRE(write_map(*file, map, path));
  for (int step = 0; step < 60; ++step) {
    const std::uint64_t first = rng.below(78);
    const std::uint64_t count = 1 + rng.below(78 - first);
    for (std::uint64_t leaf = first; leaf < first + count; ++leaf) map.have[leaf] = rng.chance(0.5);
    REQUIRE(write_map_range(*file, map, first, count, path));
    const auto found = read_map(*file, path);
    REQUIRE(found);
    REQUIRE(found->have == map.have);
    REQUIRE(found->size_bytes == map.size_bytes);
  }
}

TEST_CASE("bytes that are no leaf map are none") {
  const testing::ScratchFolder scratch;
  const auto found = [&](const base::Bytes& bytes) {
    write_file(scratch / "map", bytes);
    const auto file = open_file(scratch / "map", O_RDONLY);
    return file && read_map(*file, scratch / "map").has_value();
  };
  const auto with_size = [](std::uint64_t size, std::size_t bits) {
    base::Bytes bytes = base::copy(base::view("strlmap1"));
    base::append_u64(bytes, size);
    bytes.resize(16 + bits);
    return bytes;
  };
  CHECK(found(with_size(9 * base::leaf_bytes, 2)));
  CHECK_FALSE(found(with_size(9 * base::leaf_bytes, 1)));
  CHECK_FALSE(found(with_size(UINT64_MAX, 2)));
  CHECK_FALSE(found({}));
  CHECK_FALSE(found(base::Bytes(18)));
}

}  // namespace
}  // namespace starling::storage
