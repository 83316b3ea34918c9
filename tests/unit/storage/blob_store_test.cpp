#include "coordinator-less/storage/blob_store.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <thread>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/storage/file.hpp"
#include "tests/unit/storage/support.hpp"

namespace starling::storage {
namespace {

namespace fs = std::filesystem;
using base::Bytes;
using base::ByteView;
using base::Digest;
using base::ErrorCode;
using base::leaf_bytes;

constexpr std::uint64_t plenty = 1ULL << 30;

std::unique_ptr<BlobStore> opened(const fs::path& folder, std::uint64_t quota = plenty) {
  auto store = BlobStore::open(folder, quota, crypto::sha256);
  if (!store) FAIL(store.error().message);
  (*store)->check_invariants();
  return *std::move(store);
}

// A blob as its holder would serve it.
struct Source {
  explicit Source(Bytes bytes) : blob(std::move(bytes)), tree(leaves_of(blob), crypto::sha256) {}

  static std::vector<Digest> leaves_of(ByteView bytes) {
    std::vector<Digest> leaves;
    for (std::uint64_t leaf = 0; leaf < base::leaf_count(bytes.size()); ++leaf)
      leaves.push_back(crypto::sha256(bytes.subspan(leaf * leaf_bytes, *base::range_bytes(bytes.size(), leaf, 1))));
    return leaves;
  }
  Digest name() const { return tree.root(); }
  std::uint64_t leaves() const { return base::leaf_count(blob.size()); }
  ByteView range(std::uint64_t first, std::uint64_t count) const {
    return ByteView(blob).subspan(first * leaf_bytes, *base::range_bytes(blob.size(), first, count));
  }
  base::Expected<void> give(BlobStore& store, std::uint64_t first, std::uint64_t count) const {
    return store.write_range(name(), first, count, range(first, count), tree.proof(first, count));
  }
  Bytes blob;
  base::MerkleTree tree;
};

Source random_source(unsigned seed, std::size_t size) {
  base::Rng rng(seed);
  return Source(random_bytes(rng, size));
}

fs::path only_file(const testing::ScratchFolder& scratch, const char* extension) {
  for (const auto& entry : fs::directory_iterator(scratch / "blobs"))
    if (entry.path().extension() == extension) return entry.path();
  FAIL("no such file");
  return {};
}

void overwrite(const fs::path& path, std::uint64_t offset, ByteView bytes) {
  fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(offset));
  file << base::text(bytes);
}

constexpr std::size_t sizes[] = {
    0, 1, leaf_bytes - 1, leaf_bytes, leaf_bytes + 1, 2 * leaf_bytes, 5 * leaf_bytes + 77, 200 * leaf_bytes};

TEST_CASE("what is put comes back under its BitTorrent v2 name, also after a restart") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  for (const bool restarted : {false, true}) {
    for (const auto size : sizes) {
      const Source source = random_source(1, size);
      if (!restarted) CHECK(*store->put(source.blob) == source.name());
      CHECK(store->has(source.name()));
      CHECK(store->size_of(source.name()) == size);
      CHECK(*store->read(source.name(), size) == source.blob);
      CHECK(store->leaves(source.name()) == std::vector<bool>(source.leaves(), true));
    }
    CHECK(store->whole().size() == std::size(sizes));
    store->check_invariants();
    store.reset();
    store = opened(scratch / "blobs");
  }
}

TEST_CASE("a blob put or imported twice is kept once") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const Source source = random_source(2, 3 * leaf_bytes);
  write_file(scratch / "file", source.blob);
  CHECK(*store->put(source.blob) == source.name());
  const auto used = store->used_bytes();
  CHECK(*store->put(source.blob) == source.name());
  CHECK(*store->import_file(scratch / "file") == source.name());
  CHECK(store->used_bytes() == used);
  CHECK(used == source.blob.size());
  store->check_invariants();
}

TEST_CASE("whole blobs are read-only files and tmp is emptied at the start") {
  const testing::ScratchFolder scratch;
  REQUIRE(opened(scratch / "blobs")->put(base::view("x")));
  struct stat status {};
  REQUIRE(::stat(only_file(scratch, ".blob").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0400);
  write_file(scratch / "blobs/tmp/17", base::view("left by a crash"));
  opened(scratch / "blobs");
  CHECK(fs::is_empty(scratch / "blobs/tmp"));
}

TEST_CASE("what cannot be imported is said, and leaves nothing behind") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  CHECK(store->import_file(scratch / "absent").error().code == ErrorCode::not_found);
  CHECK(store->import_file(scratch.path()).error().code == ErrorCode::bad_input);
  REQUIRE(::mkfifo((scratch / "pipe").c_str(), 0600) == 0);
  CHECK(store->import_file(scratch / "pipe").error().code == ErrorCode::bad_input);
  CHECK(store->used_bytes() == 0);
  store->check_invariants();
}

TEST_CASE("a second opener is told that the store is in use") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const auto second = BlobStore::open(scratch / "blobs", plenty, crypto::sha256);
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::temporary);
  CHECK(second.error().message.find("in use") != std::string::npos);
}

TEST_CASE("files that are no blobs are left alone or dropped, and never believed") {
  const testing::ScratchFolder scratch;
  const Source source = random_source(3, 3 * leaf_bytes);
  {
    auto store = opened(scratch / "blobs");
    REQUIRE(store->put(source.blob));
  }
  const std::string stray = random_source(4, 1).name().base32();
  write_file(scratch / "blobs/notes.txt", base::view("mine"));
  write_file(scratch / "blobs/short.blob", base::view("mine"));
  for (const char* extension : {".part", ".map", ".tree"}) {
    write_file(scratch / ("blobs/" + stray + extension), base::view("strlmap1"));
    if (std::string(extension) != ".tree")
      write_file(scratch / ("blobs/" + source.name().base32() + extension), base::view("old"));
  }
  auto store = opened(scratch / "blobs");
  CHECK(store->whole() == std::vector{source.name()});
  CHECK(*store->read(source.name(), plenty) == source.blob);
  CHECK(fs::exists(scratch / "blobs/notes.txt"));
  CHECK(fs::exists(scratch / "blobs/short.blob"));
  for (const char* extension : {".part", ".map", ".tree"})
    CHECK_FALSE(fs::exists(scratch / ("blobs/" + stray + extension)));
}

TEST_CASE("a blob grows from ranges in any order, over restarts, until it is whole") {
  for (const auto size : sizes) {
    const testing::ScratchFolder scratch;
    const Source source = random_source(5, size);
    auto store = opened(scratch / "blobs");
    REQUIRE(store->begin(source.name(), size));
    std::vector<std::uint64_t> order(source.leaves());
    std::iota(order.begin(), order.end(), 0U);
    base::Rng rng(6);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
    std::vector<bool> expected(source.leaves());
    for (std::size_t i = 0; i < order.size(); ++i) {
      CHECK_FALSE(store->has(source.name()));
      REQUIRE(source.give(*store, order[i], 1));
      expected[order[i]] = true;
      REQUIRE(store->leaves(source.name()) == expected);
      if (i % 50 != 1) continue;
      store.reset();
      store = opened(scratch / "blobs");
      REQUIRE(store->leaves(source.name()) == expected);
      REQUIRE(store->begin(source.name(), size));
    }
    REQUIRE(store->has(source.name()));
    CHECK(*store->read(source.name(), size) == source.blob);
    CHECK_FALSE(fs::exists(scratch / ("blobs/" + source.name().base32() + ".map")));
    store->check_invariants();
  }
}

TEST_CASE("ranges that are not the blob's are malformed and write nothing") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const Source source = random_source(7, 6 * leaf_bytes + 9);
  const Source other = random_source(8, 6 * leaf_bytes + 9);
  const auto code = [&](std::uint64_t first, std::uint64_t count, ByteView bytes, const std::vector<Digest>& proof) {
    const auto written = store->write_range(source.name(), first, count, bytes, proof);
    return written ? ErrorCode::internal : written.error().code;
  };
  CHECK(code(0, 1, source.range(0, 1), source.tree.proof(0, 1)) == ErrorCode::not_found);
  REQUIRE(store->begin(source.name(), source.blob.size()));
  CHECK(code(0, 1, other.range(0, 1), source.tree.proof(0, 1)) == ErrorCode::malformed);
  CHECK(code(0, 1, source.range(0, 1), other.tree.proof(0, 1)) == ErrorCode::malformed);
  CHECK(code(1, 1, source.range(0, 1), source.tree.proof(0, 1)) == ErrorCode::malformed);
  CHECK(code(0, 0, {}, {}) == ErrorCode::malformed);
  CHECK(code(UINT64_MAX, 2, source.range(0, 1), source.tree.proof(0, 1)) == ErrorCode::malformed);
  CHECK(code(0, UINT64_MAX, source.range(0, 1), source.tree.proof(0, 1)) == ErrorCode::malformed);
  Bytes long_tail = base::copy(source.range(6, 1));
  long_tail.push_back({});
  CHECK(code(6, 1, long_tail, source.tree.proof(6, 1)) == ErrorCode::malformed);
  CHECK(store->leaves(source.name()) == std::vector<bool>(7));
  CHECK(store->used_bytes() == 0);
  store->check_invariants();
}

TEST_CASE("a begun blob keeps its size, and hostile sizes are refused") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const Source source = random_source(9, 2 * leaf_bytes);
  CHECK(store->begin(source.name(), limits::blob_bytes_max + 1).error().code == ErrorCode::malformed);
  CHECK(store->begin(source.name(), UINT64_MAX).error().code == ErrorCode::malformed);
  REQUIRE(store->begin(source.name(), limits::blob_bytes_max));  // sparse: costs no disk
  CHECK(store->used_bytes() == 0);
  CHECK(store->begin(source.name(), source.blob.size()).error().code == ErrorCode::malformed);
  store->remove(source.name());
  CHECK_FALSE(store->size_of(source.name()));
  REQUIRE(store->put(source.blob));
  CHECK(store->begin(source.name(), source.blob.size()));
  CHECK(store->begin(source.name(), source.blob.size() - 1).error().code == ErrorCode::malformed);
  store->check_invariants();
}

TEST_CASE("begun blobs of hearsay sizes take a bounded amount of memory together") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  std::vector<base::Digest> begun;
  for (std::uint64_t n = 0; n < 8; ++n) {
    const auto name = random_source(40 + static_cast<unsigned>(n), 100).name();
    const auto done = store->begin(name, limits::blob_bytes_max);
    if (done) begun.push_back(name);
    else CHECK(done.error().code == ErrorCode::temporary);
  }
  CHECK(begun.size() == limits::part_leaves_max / (limits::blob_bytes_max / leaf_bytes));
  store->remove(begun.front());
  CHECK(store->begin(begun.front(), limits::blob_bytes_max));
  store->check_invariants();
}

TEST_CASE("whole and partial blobs are served with proofs that hold") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const Source source = random_source(10, 21 * leaf_bytes + 300);
  SUBCASE("whole") {
    REQUIRE(store->put(source.blob));
  }
  SUBCASE("partial") {
    REQUIRE(store->begin(source.name(), source.blob.size()));
    for (const auto& [first, count] : {std::pair{2U, 5U}, {7U, 1U}, {13U, 8U}, {21U, 1U}})
      REQUIRE(source.give(*store, first, count));
  }
  SUBCASE("partial, after a restart") {
    REQUIRE(store->begin(source.name(), source.blob.size()));
    for (const auto& [first, count] : {std::pair{0U, 8U}, {16U, 6U}}) REQUIRE(source.give(*store, first, count));
    store.reset();
    store = opened(scratch / "blobs");
  }
  std::size_t served = 0;
  for (std::uint64_t first = 0; first < 22; ++first)
    for (std::uint64_t count = 1; count <= std::min<std::uint64_t>(8, 22 - first); ++count) {
      const auto range = store->read_range(source.name(), first, count);
      REQUIRE(range.has_value() == store->has_range(source.name(), first, count));
      if (!range) {
        REQUIRE(range.error().code == ErrorCode::not_found);
        continue;
      }
      ++served;
      REQUIRE(range->bytes == base::copy(source.range(first, count)));
      REQUIRE(range->proof == source.tree.proof(first, count));
    }
  CHECK(served > 20);
  CHECK(store->read_range(source.name(), 21, 2).error().code == ErrorCode::malformed);
  CHECK(store->read_range(source.name(), 0, limits::leaves_per_range_max + 1).error().code == ErrorCode::malformed);
  CHECK(store->read_range(source.name(), UINT64_MAX, 1).error().code == ErrorCode::malformed);
  CHECK(store->read_range(random_source(11, 5).name(), 0, 1).error().code == ErrorCode::not_found);
}

TEST_CASE("read bounds what it brings into memory") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const auto name = *store->put(base::view("hello"));
  CHECK(store->read(name, 4).error().code == ErrorCode::bad_input);
  CHECK(store->read(random_source(11, 5).name(), 10).error().code == ErrorCode::not_found);
}

TEST_CASE("a descriptor reads the file, whole or partial, and outlives its removal") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const Source source = random_source(12, 3 * leaf_bytes + 1);
  CHECK(store->open_descriptor(source.name()).error().code == ErrorCode::not_found);
  REQUIRE(store->begin(source.name(), source.blob.size()));
  REQUIRE(source.give(*store, 1, 1));
  const File descriptor(*store->open_descriptor(source.name()));
  Bytes leaf(leaf_bytes);
  CHECK(*read_at(descriptor, leaf_bytes, leaf, "part") == leaf_bytes);
  CHECK(leaf == base::copy(source.range(1, 1)));
  CHECK(*size_of_file(descriptor, "part") == source.blob.size());
  REQUIRE(source.give(*store, 0, 4));
  store->remove(source.name());
  CHECK(*read_at(descriptor, 2 * leaf_bytes, leaf, "part") == leaf_bytes);
  CHECK(leaf == base::copy(source.range(2, 1)));
  CHECK(::pwrite(descriptor.descriptor(), "x", 1, 0) < 0);
}

TEST_CASE("the quota holds for all ways in, and known blobs need none of it") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs", 8 * leaf_bytes);
  const Source kept = random_source(13, 5 * leaf_bytes);
  REQUIRE(store->put(kept.blob));
  const Source big = random_source(14, 4 * leaf_bytes);
  write_file(scratch / "file", big.blob);
  write_file(scratch / "known", kept.blob);
  CHECK(store->put(big.blob).error().code == ErrorCode::temporary);
  CHECK(store->import_file(scratch / "file").error().code == ErrorCode::temporary);
  CHECK(*store->import_file(scratch / "known") == kept.name());
  REQUIRE(store->begin(big.name(), big.blob.size()));
  REQUIRE(big.give(*store, 0, 3));
  const auto full = big.give(*store, 3, 1);
  REQUIRE_FALSE(full);
  CHECK(full.error().code == ErrorCode::temporary);
  CHECK_FALSE(full.error().hint.empty());
  CHECK(store->used_bytes() == 8 * leaf_bytes);
  store->check_invariants();
  store->remove(kept.name());
  CHECK(big.give(*store, 3, 1));
  CHECK(store->has(big.name()));
  CHECK(store->used_bytes() == 4 * leaf_bytes);
  store->check_invariants();
}

TEST_CASE("small blobs cost a block each") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs", 8192);
  CHECK(store->put(base::view("a")));
  CHECK(store->put({}));
  CHECK(store->used_bytes() == 8192);
  CHECK_FALSE(store->put(base::view("b")));
}

TEST_CASE("eviction takes what is longest unused and nothing that is kept") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  std::vector<Source> sources;
  for (unsigned n = 0; n < 4; ++n) sources.push_back(random_source(20 + n, leaf_bytes));
  for (const auto& source : sources) REQUIRE(store->put(source.blob));
  REQUIRE(store->read(sources[0].name(), leaf_bytes));
  const auto keep = [&](const Digest& name) { return name == sources[1].name(); };
  CHECK(store->evict(keep, 1) == leaf_bytes);
  CHECK_FALSE(store->has(sources[2].name()));
  CHECK(store->evict(keep, plenty) == 2 * leaf_bytes);
  CHECK(store->whole() == std::vector{sources[1].name()});
  CHECK(store->evict(keep, 1) == 0);
  store->check_invariants();
}

TEST_CASE("a damaged whole blob is never served: it is dropped and said to be gone") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const Source source = random_source(30, 20 * leaf_bytes);
  REQUIRE(store->put(source.blob));
  overwrite(only_file(scratch, ".blob"), 5 * leaf_bytes + 7, base::view("rotten"));
  CHECK(store->read_range(source.name(), 0, 4));
  SUBCASE("by ranges") {
    CHECK(store->read_range(source.name(), 4, 4).error().code == ErrorCode::not_found);
  }
  SUBCASE("by reading all") {
    CHECK(store->read(source.name(), plenty).error().code == ErrorCode::not_found);
  }
  CHECK_FALSE(store->has(source.name()));
  CHECK(store->used_bytes() == 0);
  store->check_invariants();
}

TEST_CASE("a lost or damaged tree of a sound blob is made again") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  const Source source = random_source(31, 20 * leaf_bytes);
  REQUIRE(store->put(source.blob));
  const auto tree = only_file(scratch, ".tree");
  SUBCASE("lost") {
    fs::remove(tree);
  }
  SUBCASE("cut off") {
    fs::resize_file(tree, 40);
  }
  SUBCASE("damaged") {
    overwrite(tree, 100, base::view("rotten"));
  }
  const auto range = store->read_range(source.name(), 8, 3);
  REQUIRE(range);
  CHECK(range->proof == source.tree.proof(8, 3));
  store->check_invariants();
}

TEST_CASE("a part keeps only the leaves whose bytes are there") {
  const testing::ScratchFolder scratch;
  const Source source = random_source(32, 10 * leaf_bytes);
  {
    auto store = opened(scratch / "blobs");
    REQUIRE(store->begin(source.name(), source.blob.size()));
    REQUIRE(source.give(*store, 2, 6));
    overwrite(only_file(scratch, ".part"), 3 * leaf_bytes, Bytes(leaf_bytes));  // as after a power cut
    SUBCASE("found when read") {
      CHECK(store->read_range(source.name(), 2, 1));
      CHECK(store->read_range(source.name(), 3, 1).error().code == ErrorCode::not_found);
      CHECK_FALSE(store->has_range(source.name(), 3, 1));
      store->check_invariants();
    }
    SUBCASE("found at the next start") {}
  }
  auto store = opened(scratch / "blobs");
  CHECK(store->leaves(source.name()) ==
        std::vector<bool>{false, false, true, false, true, true, true, true, false, false});
  CHECK(store->used_bytes() == 5 * leaf_bytes);
  for (std::uint64_t leaf = 0; leaf < 10; ++leaf) REQUIRE(source.give(*store, leaf, 1));
  CHECK(*store->read(source.name(), plenty) == source.blob);
}

TEST_CASE("a part whose last step was cut off becomes whole at the next start") {
  const testing::ScratchFolder scratch;
  const Source source = random_source(33, 2 * leaf_bytes);
  {
    auto store = opened(scratch / "blobs");
    REQUIRE(store->begin(source.name(), source.blob.size()));
    REQUIRE(source.give(*store, 0, 1));
    fs::copy(scratch / "blobs", scratch / "before", fs::copy_options::recursive);
    REQUIRE(source.give(*store, 1, 1));
  }
  // The folder as it was, with the second leaf's bytes, node and bit, but not yet renamed.
  overwrite(scratch / ("before/" + source.name().base32() + ".part"), leaf_bytes, source.range(1, 1));
  overwrite(scratch / ("before/" + source.name().base32() + ".map"), 16, base::view("\x03"));
  auto store = opened(scratch / "before");
  CHECK(store->has(source.name()));
  CHECK(*store->read(source.name(), plenty) == source.blob);
}

TEST_CASE("a store under random work equals a naive model at every step") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  base::Rng rng(40);
  std::vector<Source> sources;
  for (unsigned n = 0; n < 6; ++n) sources.push_back(random_source(50 + n, rng.below(12 * leaf_bytes)));
  std::map<std::size_t, std::vector<bool>> model;  // leaves of what was put or begun
  for (int step = 0; step < 400; ++step) {
    const std::size_t n = rng.below(sources.size());
    const Source& source = sources[n];
    const auto choice = rng.below(16);
    if (choice == 0) {
      CHECK(store->put(source.blob));
      model[n].assign(source.leaves(), true);
    } else if (choice == 1) {
      store->remove(source.name());
      model.erase(n);
    } else if (choice == 2) {
      store.reset();
      store = opened(scratch / "blobs");
    } else if (choice < 6) {
      CHECK(store->begin(source.name(), source.blob.size()));
      model[n].resize(source.leaves());
    } else {
      const std::uint64_t first = rng.below(source.leaves());
      const std::uint64_t count = 1 + rng.below(std::min<std::uint64_t>(8, source.leaves() - first));
      CHECK(source.give(*store, first, count).has_value() == model.contains(n));
      if (model.contains(n)) std::fill_n(model[n].begin() + static_cast<std::ptrdiff_t>(first), count, true);
    }
    store->check_invariants();
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const bool known = model.contains(i);
      REQUIRE(store->leaves(sources[i].name()) == (known ? model[i] : std::vector<bool>{}));
      REQUIRE(store->has(sources[i].name()) == (known && std::ranges::count(model[i], false) == 0));
    }
  }
}

// Fills a part and imports until there is no room; makes room; sees that both go on.
std::string fill_up(const fs::path& folder, const fs::path& file, const std::function<void()>& take_room,
                    const std::function<void()>& make_room) {
  const Source source = random_source(60, 60 * leaf_bytes);
  auto store = BlobStore::open(folder, plenty, crypto::sha256);
  if (!store) return store.error().message;
  BlobStore& blobs = **store;
  if (!blobs.begin(source.name(), source.blob.size()) || !source.give(blobs, 0, 4)) return "no room at the start";
  take_room();
  const auto imported = blobs.import_file(file);
  if (imported) return "imported without room";
  if (imported.error().code != ErrorCode::temporary || imported.error().hint.empty())
    return "import: " + imported.error().message;
  std::uint64_t leaf = 4;
  base::Expected<void> written;
  while (leaf < 60 && (written = source.give(blobs, leaf, 1))) ++leaf;
  if (written) return "the disk never filled up";
  if (written.error().code != ErrorCode::temporary || written.error().hint.empty())
    return "part: " + written.error().message;
  if (!blobs.has_range(source.name(), 0, leaf) || blobs.has_range(source.name(), leaf, 1))
    return "the part is not what was written";
  blobs.check_invariants();
  make_room();
  for (; leaf < 60; ++leaf)
    if (auto again = source.give(blobs, leaf, 1); !again) return "does not go on: " + again.error().message;
  if (!blobs.has(source.name()) || !blobs.read(source.name(), plenty)) return "not whole";
  if (auto again = blobs.import_file(file); !again) return "import does not go on: " + again.error().message;
  blobs.check_invariants();
  return "";
}

TEST_CASE("a full disk is a temporary error, and parts and imports go on once there is room") {
  const testing::ScratchFolder scratch;
  base::Rng rng(61);
  write_file(scratch / "file", random_bytes(rng, 50 * leaf_bytes));
  SUBCASE("by a limit on file size") {
    CHECK(in_child([&] {
            return fill_up(
                scratch / "blobs", scratch / "file", [] { limit_file_bytes(20 * leaf_bytes + 5); },
                [] { limit_file_bytes(RLIM_INFINITY); });
          }) == "");
  }
  SUBCASE("by a small disk") {
    CHECK(in_child([&]() -> std::string {
            if (!mount_small_disk(scratch / "disk", "3m")) return "";  // no rights here: the other case stands for it
            return fill_up(
                scratch / "disk/blobs", scratch / "file",
                [&] { write_file(scratch / "disk/ballast", Bytes(2'300'000)); },
                [&] { fs::remove(scratch / "disk/ballast"); });
          }) == "");
  }
}

TEST_CASE("verified leaves survive kill -9 at any moment, and the part goes on to be whole") {
  const testing::ScratchFolder scratch;
  const Source source = random_source(62, 300 * leaf_bytes + 11);
  base::Rng rng(63);
  std::set<std::uint32_t> reported;
  for (int round = 0; round < 6; ++round) {
    const auto steps = kill_after(1 + rng.below(45), [&](const auto& report) {
      auto store = BlobStore::open(scratch / "blobs", plenty, crypto::sha256);
      if (!store || !(*store)->begin(source.name(), source.blob.size())) return;
      for (std::uint32_t leaf = 0; leaf < source.leaves(); ++leaf) {
        if ((*store)->has_range(source.name(), leaf, 1)) continue;
        if (!source.give(**store, leaf, 1)) return;
        report(leaf);
      }
    });
    reported.insert(steps.begin(), steps.end());
    auto store = opened(scratch / "blobs");
    for (const auto leaf : reported) REQUIRE(store->has_range(source.name(), leaf, 1));
    REQUIRE(store->read_range(source.name(), *reported.begin(), 1));
  }
  auto store = opened(scratch / "blobs");
  for (std::uint64_t leaf = 0; leaf < source.leaves(); ++leaf) REQUIRE(source.give(*store, leaf, 1));
  CHECK(*store->read(source.name(), plenty) == source.blob);
}

TEST_CASE("put blobs survive kill -9 at any moment, and nothing half-made is believed") {
  const testing::ScratchFolder scratch;
  base::Rng rng(64);
  const auto blob_of = [](std::uint32_t n) { return random_source(1000 + n, 10 + n * 3'000 % 100'000).blob; };
  std::set<std::uint32_t> reported;
  for (std::uint32_t round = 0; round < 5; ++round) {
    const auto steps = kill_after(1 + rng.below(25), [&](const auto& report) {
      auto store = BlobStore::open(scratch / "blobs", plenty, crypto::sha256);
      if (!store) return;
      for (std::uint32_t n = round * 1000;; ++n) {
        if (!(*store)->put(blob_of(n))) return;
        report(n);
      }
    });
    reported.insert(steps.begin(), steps.end());
    auto store = opened(scratch / "blobs");
    for (const auto n : reported) REQUIRE(store->has(base::blob_name(blob_of(n), crypto::sha256)));
    for (const auto& name : store->whole()) REQUIRE(store->read(name, plenty));
  }
}

std::uint64_t status_kib(const std::string& field) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(field + ":")) return std::stoull(line.substr(field.size() + 1));
  return 0;
}

TEST_CASE("a batch of small blobs is whole at once, and stamped when it is on the disk") {
  testing::ScratchFolder scratch;
  base::Rng rng(21);
  std::set<Digest> names;
  {
    const auto store = opened(scratch / "blobs");
    CHECK(store->sync());  // nothing to do
    CHECK_FALSE(fs::exists(scratch / "blobs" / "synced"));
    for (const std::size_t size : {0UL, 1UL, 100UL, 200UL, 300UL, 16384UL, 40000UL}) {
      const Bytes bytes = random_bytes(rng, size);
      const auto name = store->put_batched(bytes);
      REQUIRE(name);
      CHECK(*name == base::blob_name(bytes, crypto::sha256));
      CHECK(*store->read(*name, 1 << 20) == bytes);
      CHECK(store->put_batched(bytes) == *name);  // known: nothing is written
      names.insert(*name);
    }
    CHECK_FALSE(fs::exists(scratch / "blobs" / "synced"));
    CHECK(store->sync());
    CHECK(fs::exists(scratch / "blobs" / "synced"));
    store->check_invariants();
    CHECK(fs::is_empty(scratch / "blobs" / "tmp"));
  }
  const auto again = opened(scratch / "blobs");
  for (const auto& name : names) CHECK(again->has(name));
}

TEST_CASE("what a power cut took of an unsynced batch is dropped at the next start, and can be put again") {
  testing::ScratchFolder scratch;
  base::Rng rng(22);
  const Bytes lost = random_bytes(rng, 500), kept = random_bytes(rng, 500);
  Digest lost_name;
  {
    const auto store = opened(scratch / "blobs");
    lost_name = *store->put_batched(lost);
    REQUIRE(store->put_batched(kept));
  }
  fs::remove(scratch / "blobs" / "synced");  // as if the sync had not come
  const fs::path file = scratch / "blobs" / (lost_name.base32() + ".blob");
  fs::permissions(file, fs::perms::owner_all);
  SUBCASE("its length") { fs::resize_file(file, 0); }
  SUBCASE("its bytes") { write_file(file, Bytes(500)); }
  const auto store = opened(scratch / "blobs");
  CHECK_FALSE(store->has(lost_name));
  CHECK(store->has(base::blob_name(kept, crypto::sha256)));
  CHECK(store->put_batched(lost) == lost_name);
  CHECK(*store->read(lost_name, 1 << 20) == lost);
}

TEST_CASE("importing 64 MiB takes little memory") {
  const testing::ScratchFolder scratch;
  write_file(scratch / "file", base::view("start"));
  fs::resize_file(scratch / "file", 64 << 20);
  CHECK(in_child([&]() -> std::string {
          auto store = BlobStore::open(scratch / "blobs", plenty, crypto::sha256);
          if (!store) return store.error().message;
          std::ofstream("/proc/self/clear_refs") << 5;  // the peak counts from here
          const auto before = status_kib("VmRSS");
          if (auto imported = (*store)->import_file(scratch / "file"); !imported) return imported.error().message;
          const auto grown = status_kib("VmHWM") - before;
          return grown < 16 * 1024 ? "" : "grew by " + std::to_string(grown) + " KiB";
        }) == "");
}

TEST_CASE("threads may put, read, fetch and remove the same blobs at once") {
  const testing::ScratchFolder scratch;
  auto store = opened(scratch / "blobs");
  std::vector<Source> sources;
  for (unsigned n = 0; n < 5; ++n) sources.push_back(random_source(70 + n, (n * 4 + 1) * leaf_bytes / 2));
  std::vector<int> wrong(4);
  {
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        base::Rng rng(80 + t);
        for (int step = 0; step < 120; ++step) {
          const Source& source = sources[rng.below(sources.size())];
          const std::uint64_t leaf = rng.below(source.leaves());
          switch (rng.below(8)) {
            case 0:
              wrong[t] += store->put(source.blob) == source.name() ? 0 : 1;
              break;
            case 1:
              store->remove(source.name());
              break;
            case 2:
              static_cast<void>(store->begin(source.name(), source.blob.size()));
              break;
            case 3:
              static_cast<void>(store->evict([&](const Digest& name) { return name != source.name(); }, 1));
              break;
            case 4: {
              const auto whole = store->read(source.name(), plenty);
              wrong[t] += whole ? *whole != source.blob : whole.error().code != ErrorCode::not_found;
              break;
            }
            case 5: {
              const auto range = store->read_range(source.name(), leaf, 1);
              wrong[t] += range ? range->bytes != base::copy(source.range(leaf, 1))
                                : range.error().code != ErrorCode::not_found;
              break;
            }
            default: {
              const auto given = source.give(*store, leaf, 1);
              wrong[t] += given || given.error().code == ErrorCode::not_found ? 0 : 1;
            }
          }
        }
      });
  }
  CHECK(wrong == std::vector<int>(4));
  store->check_invariants();
}

}  // namespace
}  // namespace starling::storage
