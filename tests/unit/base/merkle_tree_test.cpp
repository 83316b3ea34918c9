#include "coordinator-less/base/merkle_tree.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/crypto/digest.hpp"

namespace starling::base {
namespace {

constexpr HashFunction sha256 = crypto::sha256;

Bytes random_bytes(Rng& rng, std::size_t count) {
  Bytes bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(rng.next());
  return bytes;
}

// The definition, spelled out: no sharing, no cleverness.
struct NaiveTree {
  explicit NaiveTree(ByteView bytes) {
    for (std::size_t at = 0; at == 0 || at < bytes.size(); at += leaf_bytes)
      padded.push_back(sha256(bytes.subspan(at, std::min<std::size_t>(leaf_bytes, bytes.size() - at))));
    padded.resize(std::bit_ceil(padded.size()));
  }
  Digest root_of(std::size_t first, std::size_t end) const {
    if (end - first == 1) return padded[first];
    const std::size_t middle = (first + end) / 2;
    Bytes both = copy(root_of(first, middle).view());
    append(both, root_of(middle, end).view());
    return sha256(both);
  }
  void prove(std::size_t first, std::size_t end, std::size_t from, std::size_t to, std::vector<Digest>& out) const {
    if (end <= from || first >= to) return out.push_back(root_of(first, end));
    if (first >= from && end <= to) return;
    prove(first, (first + end) / 2, from, to, out);
    prove((first + end) / 2, end, from, to, out);
  }
  std::vector<Digest> padded;
};

MerkleTree tree_of(ByteView bytes) {
  std::vector<Digest> leaves;
  for (std::uint64_t leaf = 0; leaf < leaf_count(bytes.size()); ++leaf)
    leaves.push_back(sha256(bytes.subspan(leaf * leaf_bytes, *range_bytes(bytes.size(), leaf, 1))));
  return MerkleTree(std::move(leaves), sha256);
}

// A blob with one range of it and the proof.
struct Case {
  Bytes blob;
  Digest root;
  std::uint64_t first, count;
  Bytes bytes;
  std::vector<Digest> proof;

  Case(Bytes whole, std::uint64_t first_leaf, std::uint64_t leaves)
      : blob(std::move(whole)), first(first_leaf), count(leaves) {
    const auto tree = tree_of(blob);
    root = tree.root();
    proof = tree.proof(first, count);
    bytes = copy(ByteView(blob).subspan(first * leaf_bytes, *range_bytes(blob.size(), first, count)));
  }
  bool holds() const { return holds_for_size(blob.size()); }
  bool holds_for_size(std::uint64_t size_bytes) const {
    return check_range(root, size_bytes, first, count, bytes, proof, sha256);
  }
};

void flip(std::span<std::byte> bytes, std::size_t bit) {
  bytes[bit / 8] ^= std::byte{1} << bit % 8;
}

TEST_CASE("roots and proofs equal the naive model's on random sizes and ranges") {
  Rng rng(11);
  const Bytes source = random_bytes(rng, 40 * leaf_bytes);
  for (int round = 0; round < 60; ++round) {
    std::size_t size = rng.below(source.size());
    if (round % 3 == 0) size -= size % leaf_bytes;
    if (round < 4) size = static_cast<std::size_t>(round) * leaf_bytes / 2;
    const ByteView blob = ByteView(source).first(size);
    const NaiveTree naive(blob);
    const auto tree = tree_of(blob);
    REQUIRE(tree.root() == naive.root_of(0, naive.padded.size()));
    REQUIRE(blob_name(blob, sha256) == tree.root());
    for (int draw = 0; draw < 4; ++draw) {
      const std::uint64_t first = rng.below(leaf_count(size));
      const std::uint64_t count = 1 + rng.below(leaf_count(size) - first);
      std::vector<Digest> expected;
      naive.prove(0, naive.padded.size(), first, first + count, expected);
      const Case drawn(copy(blob), first, count);
      REQUIRE(drawn.proof == expected);
      REQUIRE(drawn.proof.size() <= limits::proof_nodes_max);
      REQUIRE(drawn.holds());
    }
  }
}

TEST_CASE("names of small blobs are plain SHA-256 and larger ones those of BEP 52") {
  Rng rng(12);
  const Bytes blob = random_bytes(rng, 3 * leaf_bytes);
  CHECK(blob_name({}, sha256).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (const std::size_t size : {std::size_t{1}, std::size_t{leaf_bytes}})
    CHECK(blob_name(ByteView(blob).first(size), sha256) == sha256(ByteView(blob).first(size)));
  const auto leaf = [&](std::size_t i) { return sha256(ByteView(blob).subspan(i * leaf_bytes, leaf_bytes)); };
  const Digest left = hash_pair(leaf(0), leaf(1), sha256);
  CHECK(blob_name(blob, sha256) == hash_pair(left, hash_pair(leaf(2), Digest{}, sha256), sha256));
}

TEST_CASE("every flipped bit of a proof or a root is refused") {
  Rng rng(13);
  const Bytes blob = random_bytes(rng, 5 * leaf_bytes + 37);
  for (std::uint64_t first = 0; first < 6; ++first) {
    Case drawn(blob, first, 1);
    for (auto& node : drawn.proof)
      for (std::size_t bit = 0; bit < 256; ++bit) {
        flip(node.bytes, bit);
        REQUIRE_FALSE(drawn.holds());
        flip(node.bytes, bit);
      }
    for (std::size_t bit = 0; bit < 256; ++bit) {
      flip(drawn.root.bytes, bit);
      REQUIRE_FALSE(drawn.holds());
      flip(drawn.root.bytes, bit);
    }
    REQUIRE(drawn.holds());
  }
}

TEST_CASE("every flipped bit of the bytes is refused") {
  Rng rng(14);
  Case last_leaf(random_bytes(rng, 5 * leaf_bytes + 37), 5, 1);
  for (std::size_t bit = 0; bit < 37 * 8; ++bit) {
    flip(last_leaf.bytes, bit);
    REQUIRE_FALSE(last_leaf.holds());
    flip(last_leaf.bytes, bit);
  }
  Case wide(last_leaf.blob, 1, 4);
  for (int draw = 0; draw < 300; ++draw) {
    const std::size_t bit = rng.below(wide.bytes.size() * 8);
    flip(wide.bytes, bit);
    REQUIRE_FALSE(wide.holds());
    flip(wide.bytes, bit);
  }
  REQUIRE(wide.holds());
}

TEST_CASE("another range than the proven one is refused") {
  Rng rng(15);
  for (const std::uint64_t leaves : {1U, 2U, 3U, 5U, 8U}) {
    const Bytes blob = random_bytes(rng, leaves * leaf_bytes);
    for (std::uint64_t first = 0; first < leaves; ++first)
      for (std::uint64_t count = 1; count <= leaves - first; ++count) {
        Case drawn(blob, first, count);
        for (unsigned bit = 0; bit < 64; ++bit) {
          drawn.first = first ^ 1ULL << bit;
          REQUIRE_FALSE(drawn.holds());
          drawn.first = first;
          drawn.count = count ^ 1ULL << bit;
          REQUIRE_FALSE(drawn.holds());
          drawn.count = count;
        }
      }
  }
}

TEST_CASE("a range with the last leaf proves the size") {
  Rng rng(16);
  for (const std::uint64_t leaves : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 12U})
    for (const std::uint64_t tail : {std::uint64_t{1}, std::uint64_t{300}, leaf_bytes}) {
      const std::uint64_t size = (leaves - 1) * leaf_bytes + tail;
      for (std::uint64_t first = 0; first < leaves; ++first) {
        const Case drawn(random_bytes(rng, size), first, leaves - first);
        for (unsigned bit = 0; bit < 64; ++bit) REQUIRE_FALSE(drawn.holds_for_size(size ^ 1ULL << bit));
        for (std::uint64_t other = 1; other <= 16; ++other)
          if (other != leaves) REQUIRE_FALSE(drawn.holds_for_size((other - 1) * leaf_bytes + tail));
      }
    }
}

TEST_CASE("a range without the last leaf proves its own bytes under any size of the same shape, and nothing else") {
  Rng rng(17);
  const Case drawn(random_bytes(rng, 6 * leaf_bytes), 0, 1);
  CHECK(drawn.holds_for_size(6 * leaf_bytes - 1));
  CHECK(drawn.holds_for_size(5 * leaf_bytes + 1));
  CHECK_FALSE(drawn.holds_for_size(4 * leaf_bytes));  // then the proof's last subtree would not be there
  CHECK_FALSE(drawn.holds_for_size(9 * leaf_bytes));
}

TEST_CASE("hostile arguments are refused without work") {
  Rng rng(18);
  Case drawn(random_bytes(rng, 3 * leaf_bytes), 1, 1);
  const auto holds = [&](std::uint64_t size, std::uint64_t first, std::uint64_t count) {
    return check_range(drawn.root, size, first, count, drawn.bytes, drawn.proof, sha256);
  };
  const std::uint64_t size = drawn.blob.size();
  CHECK(holds(size, 1, 1));
  CHECK_FALSE(holds(size, 1, 0));
  CHECK_FALSE(holds(size, 3, 1));
  CHECK_FALSE(holds(size, 1, UINT64_MAX));
  CHECK_FALSE(holds(size, UINT64_MAX, 1));
  CHECK_FALSE(holds(size, UINT64_MAX, 2));
  CHECK_FALSE(holds(size, 1ULL << 63, 1ULL << 63));
  CHECK_FALSE(holds(UINT64_MAX, 1, 1));
  CHECK_FALSE(holds(limits::blob_bytes_max + 1, 1, 1));
  CHECK_FALSE(holds(limits::blob_bytes_max, 1, 1));
  CHECK_FALSE(holds(0, 0, 1));
  CHECK_FALSE(check_range(drawn.root, size, 1, 1, {}, drawn.proof, sha256));
  drawn.proof.resize(limits::proof_nodes_max + 1);
  CHECK_FALSE(drawn.holds());
}

TEST_CASE("missing, extra and swapped proof nodes are refused") {
  Rng rng(19);
  const Case sound(random_bytes(rng, 7 * leaf_bytes), 2, 3);
  REQUIRE(sound.proof.size() >= 2);
  Case changed = sound;
  changed.proof.pop_back();
  CHECK_FALSE(changed.holds());
  changed = sound;
  changed.proof.push_back({});
  CHECK_FALSE(changed.holds());
  changed = sound;
  std::swap(changed.proof.front(), changed.proof.back());
  CHECK_FALSE(changed.holds());
}

TEST_CASE("what one check teaches proves every range inside it") {
  Rng rng(20);
  const Case wide(random_bytes(rng, 11 * leaf_bytes + 5), 2, 6);
  std::vector<std::pair<NodePosition, Digest>> learned;
  REQUIRE(check_range(wide.root, wide.blob.size(), wide.first, wide.count, wide.bytes, wide.proof, sha256,
                      [&](NodePosition at, const Digest& value) { learned.emplace_back(at, value); }));
  for (std::uint64_t first = 2; first < 8; ++first) {
    const Case narrow(wide.blob, first, 1);
    const auto positions = proof_positions(12, first, 1);
    REQUIRE(positions.size() == narrow.proof.size());
    for (std::size_t i = 0; i < positions.size(); ++i)
      CHECK(std::ranges::find(learned, std::pair(positions[i], narrow.proof[i])) != learned.end());
  }
}

TEST_CASE("range_bytes knows the last leaf's length and refuses what is outside") {
  CHECK(range_bytes(0, 0, 1) == 0);
  CHECK(range_bytes(10, 0, 1) == 10);
  CHECK(range_bytes(leaf_bytes + 10, 1, 1) == 10);
  CHECK(range_bytes(leaf_bytes + 10, 0, 2) == leaf_bytes + 10);
  CHECK_FALSE(range_bytes(leaf_bytes, 0, 2));
  CHECK_FALSE(range_bytes(leaf_bytes, 0, 0));
  CHECK(leaf_count(UINT64_MAX) == UINT64_MAX / leaf_bytes + 1);
}

}  // namespace
}  // namespace starling::base
