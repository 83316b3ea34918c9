// BlobStore (blob_store.hpp) on files. One class, because one table and one set of locks serve all; its machines stand in
// files of their own: blob_loading.cpp (what a folder holds at start), blob_intake.cpp (whole blobs in), blob_parts.cpp
// (blobs that come leaf by leaf), blob_reading.cpp (out again, and damage), blob_store.cpp (table, quota, eviction).
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/storage/blob_store.hpp"
#include "coordinator-less/storage/file.hpp"
#include "coordinator-less/storage/leaf_map.hpp"
#include "coordinator-less/storage/tree_file.hpp"

namespace starling::storage {

namespace fs = std::filesystem;
using base::Digest;
using base::ErrorCode;
using base::Expected;

inline constexpr std::uint64_t block_bytes = 4096;

constexpr std::uint64_t charge_of(std::uint64_t bytes) {
  return std::max<std::uint64_t>(1, (bytes + block_bytes - 1) / block_bytes) * block_bytes;
}

inline std::uint64_t leaf_size(std::uint64_t size_bytes, std::uint64_t leaf) {
  return std::min(base::leaf_bytes, size_bytes - leaf * base::leaf_bytes);
}

template <class T>
std::unexpected<base::Error> error_of(Expected<T>& failed) {
  return std::unexpected(std::move(failed).error());
}

// A file under tmp/ that is gone again unless it was given a name.
class Draft {
 public:
  Draft(fs::path path, File file) : path_(std::move(path)), file_(std::move(file)) {}
  Draft(Draft&& other) noexcept : path_(std::exchange(other.path_, {})), file_(std::move(other.file_)) {}
  Draft& operator=(Draft&&) = delete;
  ~Draft() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

  const File& file() const { return file_; }
  const fs::path& path() const { return path_; }
  Expected<void> name_as(const fs::path& target) {
    auto done = rename_file(path_, target);
    if (done) path_.clear();
    return done;
  }

 private:
  fs::path path_;
  File file_;
};

// What is known of one blob. Guarded by the table's lock.
struct Held {
  bool whole = false;
  LeafMap map;  // of a whole blob only the size counts
  std::uint64_t have_count = 0;
  std::uint64_t used_at = 0;

  bool has_range(std::uint64_t first, std::uint64_t count) const {
    if (!base::range_bytes(map.size_bytes, first, count)) return false;
    const auto start = map.have.begin() + static_cast<std::ptrdiff_t>(whole ? 0 : first);
    return whole || std::all_of(start, start + static_cast<std::ptrdiff_t>(count), [](bool here) { return here; });
  }
  bool is_complete() const { return whole || have_count == map.have.size(); }
  std::uint64_t charge() const {
    if (whole) return charge_of(map.size_bytes);
    std::uint64_t sum = 0;
    for (std::size_t leaf = 0; leaf < map.have.size(); ++leaf)
      if (map.have[leaf]) sum += charge_of(leaf_size(map.size_bytes, leaf));
    return sum;
  }
};

// Part of the quota, given back unless it was kept.
class Reservation {
 public:
  Reservation(std::atomic<std::uint64_t>& used, std::uint64_t bytes) : used_(&used), bytes_(bytes) {}
  Reservation(Reservation&& other) noexcept : used_(other.used_), bytes_(std::exchange(other.bytes_, 0)) {}
  Reservation& operator=(Reservation&&) = delete;
  ~Reservation() { *used_ -= bytes_; }
  void keep(std::uint64_t bytes) { bytes_ -= bytes; }

 private:
  std::atomic<std::uint64_t>* used_;
  std::uint64_t bytes_;
};

using ReadChunk = std::function<Expected<std::size_t>(std::uint64_t offset, std::span<std::byte> out)>;

struct Copied {
  Digest name;
  std::uint64_t size_bytes;
};

class FileBlobStore final : public BlobStore {
 public:
  FileBlobStore(fs::path folder, File lock, std::uint64_t quota_bytes, base::HashFunction hash)
      : folder_(std::move(folder)), lock_(std::move(lock)), quota_bytes_(quota_bytes), hash_(hash) {}
  ~FileBlobStore() override { static_cast<void>(sync()); }
  Expected<void> load();

  Expected<Digest> put(base::ByteView bytes) override;
  Expected<Digest> put_batched(base::ByteView bytes) override;
  // A few files are synced one by one; past that one syncfs is cheaper, though it waits for other programs' data too.
  Expected<void> sync() override;
  Expected<Digest> import_file(const fs::path& source) override;

  bool has(const Digest& name) const override;
  std::optional<std::uint64_t> size_of(const Digest& name) const override;
  std::vector<Digest> whole() const override;

  Expected<void> begin(const Digest& name, std::uint64_t size_bytes) override;
  bool has_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count) const override;
  std::vector<bool> leaves(const Digest& name) const override;
  Expected<void> write_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count, base::ByteView bytes,
                             const std::vector<Digest>& proof) override;

  Expected<BlobRange> read_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count) const override;
  Expected<base::Bytes> read(const Digest& name, std::uint64_t size_bytes_max) const override;
  Expected<int> open_descriptor(const Digest& name) const override;

  void remove(const Digest& name) override;
  std::uint64_t evict(const std::function<bool(const Digest&)>& keep, std::uint64_t bytes) override;
  std::uint64_t used_bytes() const override { return used_bytes_; }
  std::uint64_t quota_bytes() const override { return quota_bytes_; }

  void check_invariants() const override;

 private:
  // --- names, locks and the table: blob_store.cpp
  fs::path path_of(const Digest& name, const char* extension) const { return folder_ / (name.base32() + extension); }
  std::shared_mutex& lock_of(const Digest& name) const {
    return file_locks_[std::to_integer<std::size_t>(name.bytes[0]) % file_locks_.size()];
  }
  static std::unexpected<base::Error> unknown(const Digest& name) {
    return base::fail(ErrorCode::not_found, "blob " + name.brief() + " is not here", "ask its holders for it");
  }
  std::unexpected<base::Error> damaged(const Digest& name) const;
  std::optional<Held> copy_of(const Digest& name) const;
  void touch(const Digest& name) const;
  std::vector<Digest> by_age() const;
  Expected<Reservation> reserve(std::uint64_t bytes);
  // REQUIRES: the table's lock is held
  void forget_part(const Held& held);
  // REQUIRES: the name's lock is held. The bytes of quota that came free.
  std::uint64_t erase(const Digest& name) const;
  void check_part(const Digest& name, const Held& held) const;

  // --- start: blob_loading.cpp. Nothing that is found can make it fail: what is no sound blob or part is a stray and
  // goes. Oldest first: the table's order of use starts as the files' order of writing.
  static Expected<std::vector<fs::path>> files_in(const fs::path& folder);
  static std::optional<Digest> name_in(const fs::path& path) { return Digest::from_base32_text(path.stem().string()); }
  void load_whole(const fs::path& path, fs::file_time_type synced_at);
  // Blobs written at or after the last stamp may have lost their bytes in a power cut. No stamp: all are looked at.
  fs::file_time_type last_sync() const;
  bool is_sound_leaf(const fs::path& path, const Digest& name) const;
  void load_part(const fs::path& path);
  // Whether any leaf had to be forgotten. A map may be ahead of its part's bytes after a power cut, never after a
  // killed process.
  bool keep_sound_leaves(const Digest& name, const File& part, LeafMap& map) const;
  void drop_if_stray(const fs::path& path) const;
  void finish_complete_parts();

  // --- whole blobs in: blob_intake.cpp
  Expected<Draft> make_draft() const;
  Expected<Digest> take_in(std::uint64_t size_bytes, const std::string& what, const ReadChunk& read_chunk);
  // Hashes what read_chunk gives, at most size_bytes (a file may shrink meanwhile); writes the tree, and the data if
  // asked to.
  Expected<Copied> copy_and_hash(std::uint64_t size_bytes, const ReadChunk& read_chunk, const Draft* data,
                                 const Draft& tree) const;
  Expected<void> install(const Copied& copied, Draft& data, Draft& tree, Reservation& reservation);
  Expected<void> install_unsynced(const Copied& copied, Draft& data, Reservation& reservation);
  Expected<void> sync_blobs(const std::vector<Digest>& names) const;

  // --- parts: blob_parts.cpp
  Expected<void> make_part(const Digest& name, std::uint64_t size_bytes);
  // The map comes last and at once: a part without one is a stray.
  Expected<void> make_part_files(const Digest& name, const fs::path& part, const LeafMap& map) const;
  Expected<void> store_range(const Digest& name, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count,
                             base::ByteView bytes, const Nodes& nodes);
  // Bytes, then the nodes that prove them, then the bits that claim them: a killed process leaves no claim without its
  // bytes.
  Expected<void> write_leaves(const Digest& name, const LeafMap& map, std::uint64_t first, std::uint64_t count,
                              base::ByteView bytes, const Nodes& nodes) const;
  // REQUIRES: the name's lock is held, held is what the table says, and complete
  Expected<void> finish(const Digest& name, const Held& held);
  void drop_part_files(const Digest& name) const;

  // --- out: blob_reading.cpp
  // REQUIRES: the name's lock is held, shared or not
  Expected<File> open_data(const Digest& name, int flags) const;
  Expected<BlobRange> read_checked(const Digest& name, std::uint64_t size_bytes, std::uint64_t first,
                                   std::uint64_t count) const;
  Expected<BlobRange> read_unchecked(const Digest& name, std::uint64_t size_bytes, std::uint64_t first,
                                     std::uint64_t count) const;
  Expected<base::Bytes> read_whole(const Digest& name, std::uint64_t size_bytes) const;

  // --- damage: blob_reading.cpp. A range here does not fit its name: the tree is made again; what still does not fit is
  // dropped. A machine without descriptors, memory or room proves nothing: then all stays.
  static bool means_damage(const base::Error& error) {
    return error.code != ErrorCode::temporary && error.code != ErrorCode::refused;
  }
  Expected<void> mend(const Digest& name, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count) const;
  // False when the bytes are not the blob.
  Expected<bool> rebuild_tree(const Digest& name, std::uint64_t size_bytes) const;
  Expected<void> forget_leaves(const Digest& name, Held held, std::uint64_t first, std::uint64_t count) const;

  const fs::path folder_;
  const File lock_;
  const std::uint64_t quota_bytes_;
  const base::HashFunction hash_;
  // Mutable: reading notes when a blob was used, and drops what turns out to be damaged.
  mutable std::array<std::shared_mutex, 64> file_locks_;
  mutable std::mutex table_lock_;                      // taken after a file lock, never before
  mutable std::map<Digest, Held> table_;               // ordered: its keys are of peers' choice
  std::vector<Digest> unsynced_;                       // guarded by the table's lock
  std::mutex sync_lock_;                               // taken before any other
  mutable std::atomic<std::uint64_t> used_bytes_ = 0;  // with reservations
  mutable std::atomic<std::size_t> parts_ = 0;
  mutable std::atomic<std::uint64_t> part_leaves_ = 0;  // of all parts
  mutable std::atomic<std::uint64_t> uses_ = 0;
  mutable std::atomic<std::uint64_t> drafts_ = 0;
};

}  // namespace starling::storage
