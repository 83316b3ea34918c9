#include "coordinator-less/storage/blob_store.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <system_error>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/storage/file.hpp"
#include "coordinator-less/storage/leaf_map.hpp"
#include "coordinator-less/storage/tree_file.hpp"

namespace starling::storage {
namespace {

namespace fs = std::filesystem;
using base::Digest;
using base::ErrorCode;
using base::Expected;

constexpr std::uint64_t block_bytes = 4096;
constexpr std::size_t files_synced_singly_max = 4;
constexpr auto file_time_grain = std::chrono::seconds(2);  // of the coarsest file systems
constexpr std::size_t chunk_bytes = 64 * base::leaf_bytes;  // 1 MiB a read and write when whole files stream through

constexpr std::uint64_t charge_of(std::uint64_t bytes) {
  return std::max<std::uint64_t>(1, (bytes + block_bytes - 1) / block_bytes) * block_bytes;
}

std::uint64_t leaf_size(std::uint64_t size_bytes, std::uint64_t leaf) {
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

  Expected<void> load() {
    if (auto made = make_folder(folder_ / "tmp"); !made) return made;
    STARLING_TRY(const auto drafts, files_in(folder_ / "tmp"));
    for (const auto& path : drafts) ::unlink(path.c_str());
    STARLING_TRY(const auto files, files_in(folder_));
    const auto stamp = last_sync();
    for (const auto& path : files)
      if (path.extension() == ".blob") load_whole(path, stamp);
    for (const auto& path : files)
      if (path.extension() == ".map") load_part(path);
    for (const auto& path : files) drop_if_stray(path);
    finish_complete_parts();
    return {};
  }

  Expected<Digest> put(base::ByteView bytes) override {
    const Digest name = base::blob_name(bytes, hash_);
    if (has(name)) return name;
    return take_in(bytes.size(), "a blob",
                   [bytes](std::uint64_t offset, std::span<std::byte> out) -> Expected<std::size_t> {
                     const auto part = bytes.subspan(offset, std::min<std::size_t>(out.size(), bytes.size() - offset));
                     std::ranges::copy(part, out.begin());
                     return part.size();
                   });
  }

  Expected<Digest> put_batched(base::ByteView bytes) override {
    if (bytes.size() > base::leaf_bytes) return put(bytes);
    const Digest name = base::blob_name(bytes, hash_);
    if (has(name)) return name;
    STARLING_TRY(Reservation reservation, reserve(charge_of(bytes.size())));
    STARLING_TRY(Draft data, make_draft());
    if (auto done = write_at(data.file(), 0, bytes, data.path()); !done) return error_of(done);
    if (auto done = install_unsynced({name, bytes.size()}, data, reservation); !done) return error_of(done);
    return name;
  }

  // A few files are synced one by one; past that one syncfs is cheaper, though it waits for other programs' data too.
  Expected<void> sync() override {
    const std::scoped_lock one_at_a_time(sync_lock_);
    std::vector<Digest> names;
    {
      const std::scoped_lock table(table_lock_);
      names.swap(unsynced_);
    }
    if (names.empty()) return {};
    auto stamp = make_draft();  // its time is the file system's own, taken before what it vouches for
    auto done = names.size() > files_synced_singly_max ? sync_file_system(folder_) : sync_blobs(names);
    if (done) {
      if (stamp) static_cast<void>(stamp->name_as(folder_ / "synced"));  // may fail: with an older one more is looked at
    } else {
      const std::scoped_lock table(table_lock_);
      unsynced_.insert(unsynced_.end(), names.begin(), names.end());
    }
    return done;
  }

  Expected<Digest> import_file(const fs::path& source) override {
    STARLING_TRY(const File file,
                 open_file(source, O_RDONLY | O_NONBLOCK));  // a pipe without a writer must not hang us
    struct stat status {};
    if (::fstat(file.descriptor(), &status) != 0) return fail_errno("examine", source);
    if (!S_ISREG(status.st_mode))
      return base::fail(ErrorCode::bad_input, source.string() + " is not a regular file",
                        "give a file; archive a folder first");
    return take_in(static_cast<std::uint64_t>(status.st_size), source.string(),
                   [&](std::uint64_t offset, std::span<std::byte> out) { return read_at(file, offset, out, source); });
  }

  bool has(const Digest& name) const override {
    const std::scoped_lock table(table_lock_);
    const auto found = table_.find(name);
    return found != table_.end() && found->second.whole;
  }

  std::optional<std::uint64_t> size_of(const Digest& name) const override {
    const std::scoped_lock table(table_lock_);
    const auto found = table_.find(name);
    return found == table_.end() ? std::nullopt : std::optional(found->second.map.size_bytes);
  }

  std::vector<Digest> whole() const override {
    const std::scoped_lock table(table_lock_);
    std::vector<Digest> out;
    for (const auto& [name, held] : table_)
      if (held.whole) out.push_back(name);
    return out;
  }

  Expected<void> begin(const Digest& name, std::uint64_t size_bytes) override {
    if (size_bytes > limits::blob_bytes_max)
      return base::fail(ErrorCode::malformed, "a blob of " + std::to_string(size_bytes) + " bytes");
    const std::unique_lock files(lock_of(name));
    if (const auto known = size_of(name)) {
      if (*known == size_bytes) return {};
      return base::fail(ErrorCode::malformed, "blob " + name.brief() + " has " + std::to_string(*known) +
                                                  " bytes here, not " + std::to_string(size_bytes));
    }
    if (parts_ >= limits::blob_parts_max)
      return base::fail(ErrorCode::temporary, "too many unfinished blobs in " + folder_.string(),
                        "wait until some are complete");
    return make_part(name, size_bytes);
  }

  bool has_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count) const override {
    const std::scoped_lock table(table_lock_);
    const auto found = table_.find(name);
    return found != table_.end() && found->second.has_range(first_leaf, count);
  }

  std::vector<bool> leaves(const Digest& name) const override {
    const std::scoped_lock table(table_lock_);
    const auto found = table_.find(name);
    if (found == table_.end()) return {};
    if (found->second.whole) return std::vector<bool>(base::leaf_count(found->second.map.size_bytes), true);
    return found->second.map.have;
  }

  Expected<void> write_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count, base::ByteView bytes,
                             const std::vector<Digest>& proof) override {
    const auto size_bytes = size_of(name);
    if (!size_bytes) return unknown(name);
    Nodes nodes;
    const auto learn = [&nodes](base::NodePosition at, const Digest& value) { nodes.emplace(at, value); };
    if (!base::check_range(name, *size_bytes, first_leaf, count, bytes, proof, hash_, learn))
      return base::fail(ErrorCode::malformed, "bytes that are not leaves " + std::to_string(first_leaf) + "+" +
                                                  std::to_string(count) + " of blob " + name.brief());
    const std::unique_lock files(lock_of(name));
    return store_range(name, *size_bytes, first_leaf, count, bytes, nodes);
  }

  Expected<BlobRange> read_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count) const override {
    const auto size_bytes = size_of(name);
    if (!size_bytes) return unknown(name);
    if (count > limits::leaves_per_range_max || !base::range_bytes(*size_bytes, first_leaf, count))
      return base::fail(ErrorCode::malformed, "no range " + std::to_string(first_leaf) + "+" + std::to_string(count) +
                                                  " in blob " + name.brief());
    auto range = read_checked(name, *size_bytes, first_leaf, count);
    if (range || !means_damage(range.error()) || !has_range(name, first_leaf, count)) return range;
    if (auto mended = mend(name, *size_bytes, first_leaf, count); !mended) return error_of(mended);
    return has_range(name, first_leaf, count) ? read_checked(name, *size_bytes, first_leaf, count)
                                              : Expected<BlobRange>(damaged(name));
  }

  Expected<base::Bytes> read(const Digest& name, std::uint64_t size_bytes_max) const override {
    const auto size_bytes = size_of(name);
    if (!size_bytes || !has(name)) return unknown(name);
    if (*size_bytes > size_bytes_max)
      return base::fail(ErrorCode::bad_input, "blob " + name.brief() + " has " + std::to_string(*size_bytes) +
                                                  " bytes; at most " + std::to_string(size_bytes_max) +
                                                  " are of use here");
    auto bytes = read_whole(name, *size_bytes);
    if (bytes ? base::blob_name(*bytes, hash_) == name : !means_damage(bytes.error())) return bytes;
    if (auto mended = mend(name, *size_bytes, 0, 1); !mended) return error_of(mended);
    return has(name) ? read_whole(name, *size_bytes) : Expected<base::Bytes>(damaged(name));
  }

  Expected<int> open_descriptor(const Digest& name) const override {
    const std::shared_lock files(lock_of(name));
    touch(name);
    STARLING_TRY(File file, open_data(name, O_RDONLY));
    return file.release();
  }

  void remove(const Digest& name) override {
    const std::unique_lock files(lock_of(name));
    erase(name);
  }

  std::uint64_t evict(const std::function<bool(const Digest&)>& keep, std::uint64_t bytes) override {
    std::uint64_t freed = 0;
    for (const auto& name : by_age()) {
      if (freed >= bytes) break;
      if (keep(name)) continue;
      const std::unique_lock files(lock_of(name));
      freed += erase(name);
    }
    return freed;
  }

  std::uint64_t used_bytes() const override { return used_bytes_; }
  std::uint64_t quota_bytes() const override { return quota_bytes_; }

  void check_invariants() const override {
    const std::scoped_lock table(table_lock_);
    std::uint64_t charge = 0;
    std::size_t parts = 0;
    for (const auto& [name, held] : table_) {
      charge += held.charge();
      parts += held.whole ? 0 : 1;
      STARLING_ENSURE(fs::exists(path_of(name, ".blob")) == held.whole);
      STARLING_ENSURE(fs::exists(path_of(name, ".part")) != held.whole &&
                      fs::exists(path_of(name, ".map")) != held.whole);
      STARLING_ENSURE(fs::file_size(path_of(name, held.whole ? ".blob" : ".part")) == held.map.size_bytes);
      if (!held.whole) check_part(name, held);
    }
    STARLING_ENSURE(charge == used_bytes_ && parts == parts_);
    STARLING_ENSURE(fs::is_empty(folder_ / "tmp"));
  }

 private:
  // --- names and locks
  fs::path path_of(const Digest& name, const char* extension) const { return folder_ / (name.base32() + extension); }
  std::shared_mutex& lock_of(const Digest& name) const {
    return file_locks_[std::to_integer<std::size_t>(name.bytes[0]) % file_locks_.size()];
  }

  static std::unexpected<base::Error> unknown(const Digest& name) {
    return base::fail(ErrorCode::not_found, "blob " + name.brief() + " is not here", "ask its holders for it");
  }
  std::unexpected<base::Error> damaged(const Digest& name) const {
    return base::fail(ErrorCode::not_found,
                      "blob " + name.brief() + " was damaged on disk in " + folder_.string() + " and dropped",
                      "it can be fetched again from its other holders; check that disk");
  }

  void touch(const Digest& name) const {
    const std::scoped_lock table(table_lock_);
    if (const auto found = table_.find(name); found != table_.end()) found->second.used_at = ++uses_;
  }

  std::vector<Digest> by_age() const {
    const std::scoped_lock table(table_lock_);
    std::vector<std::pair<std::uint64_t, Digest>> aged;
    for (const auto& [name, held] : table_) aged.emplace_back(held.used_at, name);
    std::ranges::sort(aged);
    std::vector<Digest> names;
    for (const auto& [used_at, name] : aged) names.push_back(name);
    return names;
  }

  Expected<Reservation> reserve(std::uint64_t bytes) {
    std::uint64_t used = used_bytes_;
    do {
      if (bytes > quota_bytes_ || used > quota_bytes_ - bytes)
        return base::fail(
            ErrorCode::temporary,
            "the blob store " + folder_.string() + " is full (quota " + std::to_string(quota_bytes_) + " bytes)",
            "raise its quota, or wait until finished jobs are collected");
    } while (!used_bytes_.compare_exchange_weak(used, used + bytes));
    return Reservation(used_bytes_, bytes);
  }

  // --- start. Nothing that is found can make it fail: what is no sound blob or part is a stray and goes.
  // Oldest first: the table's order of use starts as the files' order of writing.
  static Expected<std::vector<fs::path>> files_in(const fs::path& folder) {
    std::vector<std::pair<fs::file_time_type, fs::path>> aged;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      std::error_code ignored;
      if (at->is_regular_file(ignored)) aged.emplace_back(at->last_write_time(ignored), at->path());
    }
    if (error) return std::unexpected(system_error(error.value(), "read", folder));
    std::ranges::sort(aged);
    std::vector<fs::path> files;
    for (auto& [time, path] : aged) files.push_back(std::move(path));
    return files;
  }

  static std::optional<Digest> name_in(const fs::path& path) { return Digest::from_base32_text(path.stem().string()); }

  void load_whole(const fs::path& path, fs::file_time_type synced_at) {
    std::error_code error;
    const auto name = name_in(path);
    const auto size_bytes = fs::file_size(path, error);
    if (!name || error || size_bytes > limits::blob_bytes_max) return;
    const bool synced = size_bytes > base::leaf_bytes || fs::last_write_time(path, error) < synced_at;
    if (!synced && !is_sound_leaf(path, *name)) return;
    if (!synced) unsynced_.push_back(*name);
    table_[*name] = {true, {size_bytes, {}}, 0, ++uses_};
    used_bytes_ += charge_of(size_bytes);
  }

  // Blobs written at or after the last stamp may have lost their bytes in a power cut. No stamp: all are looked at.
  fs::file_time_type last_sync() const {
    std::error_code error;
    const auto at = fs::last_write_time(folder_ / "synced", error);
    return error ? fs::file_time_type::min() : at - file_time_grain;
  }

  bool is_sound_leaf(const fs::path& path, const Digest& name) const {
    const auto file = open_file(path, O_RDONLY);
    base::Bytes bytes(static_cast<std::size_t>(base::leaf_bytes));
    const auto got = file ? read_at(*file, 0, bytes, path) : Expected<std::size_t>(0);
    return file && got && base::blob_name(base::ByteView(bytes).first(*got), hash_) == name;
  }

  void load_part(const fs::path& path) {
    const auto name = name_in(path);
    if (!name || table_.contains(*name)) return;
    const auto file = open_file(path, O_RDWR);
    const auto part = open_file(path_of(*name, ".part"), O_RDWR);
    auto map = file ? read_map(*file, path) : std::nullopt;
    if (!map || !part || ::ftruncate(part->descriptor(), static_cast<off_t>(map->size_bytes)) != 0) return;
    if (keep_sound_leaves(*name, *part, *map) && !write_map(*file, *map, path)) return;
    Held held{false, *std::move(map), 0, ++uses_};
    held.have_count = static_cast<std::uint64_t>(std::ranges::count(held.map.have, true));
    used_bytes_ += held.charge();
    ++parts_;
    table_.emplace(*name, std::move(held));
  }

  // Whether any leaf had to be forgotten. A map may be ahead of its part's bytes after a power cut, never after a
  // killed process.
  bool keep_sound_leaves(const Digest& name, const File& part, LeafMap& map) const {
    const TreeLayout layout(map.have.size());
    const auto tree = layout.depth() == 0 ? Expected<File>(File()) : open_file(path_of(name, ".tree"), O_RDONLY);
    base::Bytes bytes(base::leaf_bytes);
    bool forgot = false;
    for (std::size_t leaf = 0; leaf < map.have.size(); ++leaf) {
      if (!map.have[leaf]) continue;
      const auto room = std::span(bytes).first(static_cast<std::size_t>(leaf_size(map.size_bytes, leaf)));
      const auto got = read_at(part, leaf * base::leaf_bytes, room, path_of(name, ".part"));
      const auto expected = layout.depth() == 0 ? Expected<std::vector<Digest>>({name})
                            : tree              ? read_nodes(*tree, layout, {{0, leaf}}, hash_, path_of(name, ".tree"))
                                                : std::vector<Digest>{};
      map.have[leaf] = got && *got == room.size() && expected && !expected->empty() && hash_(room) == expected->front();
      forgot = forgot || !map.have[leaf];
    }
    return forgot;
  }

  void drop_if_stray(const fs::path& path) const {
    const auto name = name_in(path);
    if (!name) return;
    static const std::set<fs::path> ours = {".blob", ".part", ".map", ".tree"};
    const auto found = table_.find(*name);
    const fs::path extension = path.extension();
    const bool part_file = extension == ".part" || extension == ".map";
    if (ours.contains(extension) && (found == table_.end() || (part_file && found->second.whole)))
      ::unlink(path.c_str());
  }

  void finish_complete_parts() {
    for (const auto& name : by_age()) {
      const std::unique_lock files(lock_of(name));
      const auto held = copy_of(name);
      if (held && !held->whole && held->is_complete())
        static_cast<void>(finish(name, *held));  // tried again by the next write
    }
  }

  std::optional<Held> copy_of(const Digest& name) const {
    const std::scoped_lock table(table_lock_);
    const auto found = table_.find(name);
    return found == table_.end() ? std::nullopt : std::optional(found->second);
  }

  // --- whole blobs in
  Expected<Draft> make_draft() const {
    const fs::path path = folder_ / "tmp" / std::to_string(++drafts_);
    STARLING_TRY(File file, open_file(path, O_RDWR | O_CREAT | O_TRUNC));
    return Draft(path, std::move(file));
  }

  Expected<Digest> take_in(std::uint64_t size_bytes, const std::string& what, const ReadChunk& read_chunk) {
    if (size_bytes > limits::blob_bytes_max)
      return base::fail(ErrorCode::bad_input,
                        what + " is larger than " + std::to_string(limits::blob_bytes_max) + " bytes", "split it");
    STARLING_TRY(Draft tree, make_draft());
    auto reservation = reserve(charge_of(size_bytes));
    if (!reservation) {  // no room, but a blob that is here already needs none
      STARLING_TRY(const Copied known, copy_and_hash(size_bytes, read_chunk, nullptr, tree));
      return has(known.name) ? Expected<Digest>(known.name) : error_of(reservation);
    }
    STARLING_TRY(Draft data, make_draft());
    STARLING_TRY(const Copied copied, copy_and_hash(size_bytes, read_chunk, &data, tree));
    if (!has(copied.name))
      if (auto done = install(copied, data, tree, *reservation); !done) return error_of(done);
    return copied.name;
  }

  // Hashes what read_chunk gives, at most size_bytes (a file may shrink meanwhile); writes the tree, and the data if
  // asked to.
  Expected<Copied> copy_and_hash(std::uint64_t size_bytes, const ReadChunk& read_chunk, const Draft* data,
                                 const Draft& tree) const {
    base::Bytes buffer(static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, size_bytes)));
    base::Bytes leaf_hashes;
    std::uint64_t size = 0;
    Digest only_leaf = hash_({});
    while (size < size_bytes) {
      STARLING_TRY(const std::size_t got,
                   read_chunk(size, std::span(buffer).first(std::min<std::size_t>(buffer.size(), size_bytes - size))));
      if (got == 0) break;
      const auto chunk = base::ByteView(buffer).first(got);
      leaf_hashes.clear();
      for (std::size_t at = 0; at < got; at += base::leaf_bytes) {
        only_leaf = hash_(chunk.subspan(at, std::min<std::size_t>(base::leaf_bytes, got - at)));
        base::append(leaf_hashes, only_leaf.view());
      }
      if (auto done = write_at(tree.file(), size / base::leaf_bytes * Digest::size, leaf_hashes, tree.path()); !done)
        return error_of(done);
      if (data != nullptr)
        if (auto done = write_at(data->file(), size, chunk, data->path()); !done) return error_of(done);
      size += got;
      if (got < buffer.size()) break;  // a short read is the end: later leaves would not start where they should
    }
    const TreeLayout layout(base::leaf_count(size));
    if (layout.depth() == 0) return Copied{only_leaf, size};
    STARLING_TRY(const Digest root, build_levels(tree.file(), layout, hash_, tree.path()));
    return Copied{root, size};
  }

  Expected<void> install(const Copied& copied, Draft& data, Draft& tree, Reservation& reservation) {
    const bool has_tree = base::leaf_count(copied.size_bytes) > 1;
    if (auto done = sync_file(data.file(), data.path()); !done) return done;
    if (has_tree)
      if (auto done = sync_file(tree.file(), tree.path()); !done) return done;
    const std::unique_lock files(lock_of(copied.name));
    const auto before = copy_of(copied.name);
    if (before && before->whole) return {};
    if (has_tree)
      if (auto done = tree.name_as(path_of(copied.name, ".tree")); !done) return done;
    static_cast<void>(::fchmod(data.file().descriptor(), 0400));
    if (auto done = data.name_as(path_of(copied.name, ".blob")); !done) return done;
    drop_part_files(copied.name);
    {
      const std::scoped_lock table(table_lock_);
      if (before) forget_part(*before);
      table_[copied.name] = {true, {copied.size_bytes, {}}, 0, ++uses_};
      reservation.keep(charge_of(copied.size_bytes));
    }
    return sync_folder(folder_);
  }

  Expected<void> install_unsynced(const Copied& copied, Draft& data, Reservation& reservation) {
    const std::unique_lock files(lock_of(copied.name));
    const auto before = copy_of(copied.name);
    if (before && before->whole) return {};
    static_cast<void>(::fchmod(data.file().descriptor(), 0400));
    if (auto done = data.name_as(path_of(copied.name, ".blob")); !done) return done;
    if (before) drop_part_files(copied.name);
    const std::scoped_lock table(table_lock_);
    if (before) forget_part(*before);
    table_[copied.name] = {true, {copied.size_bytes, {}}, 0, ++uses_};
    reservation.keep(charge_of(copied.size_bytes));
    unsynced_.push_back(copied.name);
    return {};
  }

  Expected<void> sync_blobs(const std::vector<Digest>& names) const {
    for (const auto& name : names) {
      const auto file = open_file(path_of(name, ".blob"), O_RDONLY);
      if (!file && file.error().code == ErrorCode::not_found) continue;  // removed meanwhile
      if (!file) return std::unexpected(file.error());
      if (auto done = sync_file(*file, path_of(name, ".blob")); !done) return done;
    }
    return sync_folder(folder_);
  }

  // --- parts
  Expected<void> make_part(const Digest& name, std::uint64_t size_bytes) {
    Held held{false, {size_bytes, std::vector<bool>(base::leaf_count(size_bytes))}, 0, ++uses_};
    const fs::path part = path_of(name, ".part");
    auto made = make_part_files(name, part, held.map);
    if (!made) {
      drop_part_files(name);
      return made;
    }
    const std::scoped_lock table(table_lock_);
    table_.emplace(name, std::move(held));
    ++parts_;
    return {};
  }

  // The map comes last and at once: a part without one is a stray.
  Expected<void> make_part_files(const Digest& name, const fs::path& part, const LeafMap& map) const {
    STARLING_TRY(const File data, open_file(part, O_RDWR | O_CREAT | O_TRUNC));
    if (::ftruncate(data.descriptor(), static_cast<off_t>(map.size_bytes)) != 0) return fail_errno("make", part);
    if (map.have.size() > 1) {
      STARLING_TRY(const File tree, open_file(path_of(name, ".tree"), O_RDWR | O_CREAT | O_TRUNC));
    }
    STARLING_TRY(Draft draft, make_draft());
    if (auto done = write_map(draft.file(), map, draft.path()); !done) return done;
    return draft.name_as(path_of(name, ".map"));
  }

  Expected<void> store_range(const Digest& name, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count,
                             base::ByteView bytes, const Nodes& nodes) {
    auto held = copy_of(name);
    if (!held || held->map.size_bytes != size_bytes) return unknown(name);  // removed meanwhile
    if (held->whole) return {};
    if (held->has_range(first, count)) return held->is_complete() ? finish(name, *held) : Expected<void>{};

    std::uint64_t charge = 0;
    for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
      if (held->map.have[leaf]) continue;
      charge += charge_of(leaf_size(size_bytes, leaf));
      held->map.have[leaf] = true;
      ++held->have_count;
    }
    STARLING_TRY(Reservation reservation, reserve(charge));
    if (auto done = write_leaves(name, held->map, first, count, bytes, nodes); !done) return done;
    reservation.keep(charge);
    const bool complete = held->is_complete();
    {
      const std::scoped_lock table(table_lock_);
      held->used_at = ++uses_;
      table_[name] = *held;
    }
    return complete ? finish(name, *held) : Expected<void>{};
  }

  // Bytes, then the nodes that prove them, then the bits that claim them: a killed process leaves no claim without its
  // bytes.
  Expected<void> write_leaves(const Digest& name, const LeafMap& map, std::uint64_t first, std::uint64_t count,
                              base::ByteView bytes, const Nodes& nodes) const {
    const fs::path part = path_of(name, ".part");
    STARLING_TRY(const File data, open_file(part, O_RDWR));
    if (auto done = write_at(data, first * base::leaf_bytes, bytes, part); !done) return done;
    if (const TreeLayout layout(map.have.size()); layout.depth() > 0) {
      STARLING_TRY(const File tree, open_file(path_of(name, ".tree"), O_RDWR));
      if (auto done = write_nodes(tree, layout, nodes, path_of(name, ".tree")); !done) return done;
    }
    STARLING_TRY(const File bits, open_file(path_of(name, ".map"), O_RDWR));
    return write_map_range(bits, map, first, count, path_of(name, ".map"));
  }

  // REQUIRES: the name's lock is held, held is what the table says, and complete
  Expected<void> finish(const Digest& name, const Held& held) {
    const fs::path part = path_of(name, ".part");
    STARLING_TRY(const File data, open_file(part, O_RDWR));
    if (auto done = sync_file(data, part); !done) return done;
    if (held.map.have.size() > 1) {
      STARLING_TRY(const File tree, open_file(path_of(name, ".tree"), O_RDWR));
      if (auto done = sync_file(tree, path_of(name, ".tree")); !done) return done;
    }
    static_cast<void>(::fchmod(data.descriptor(), 0400));
    if (auto done = rename_file(part, path_of(name, ".blob")); !done) return done;
    ::unlink(path_of(name, ".map").c_str());
    {
      const std::scoped_lock table(table_lock_);
      table_[name] = {true, {held.map.size_bytes, {}}, 0, held.used_at};
      --parts_;
    }
    return sync_folder(folder_);
  }

  void drop_part_files(const Digest& name) const {
    ::unlink(path_of(name, ".part").c_str());
    ::unlink(path_of(name, ".map").c_str());
  }

  // REQUIRES: the table's lock is held
  void forget_part(const Held& held) {
    used_bytes_ -= held.charge();
    --parts_;
  }

  // REQUIRES: the name's lock is held. The bytes of quota that came free.
  std::uint64_t erase(const Digest& name) const {
    for (const char* extension : {".blob", ".part", ".map", ".tree"}) ::unlink(path_of(name, extension).c_str());
    const std::scoped_lock table(table_lock_);
    const auto found = table_.find(name);
    if (found == table_.end()) return 0;
    const std::uint64_t charge = found->second.charge();
    used_bytes_ -= charge;
    parts_ -= found->second.whole ? 0 : 1;
    table_.erase(found);
    return charge;
  }

  // --- out
  // REQUIRES: the name's lock is held, shared or not
  Expected<File> open_data(const Digest& name, int flags) const {
    const auto held = copy_of(name);
    if (!held) return unknown(name);
    return open_file(path_of(name, held->whole ? ".blob" : ".part"), flags);
  }

  Expected<BlobRange> read_checked(const Digest& name, std::uint64_t size_bytes, std::uint64_t first,
                                   std::uint64_t count) const {
    auto range = read_unchecked(name, size_bytes, first, count);
    if (range && !base::check_range(name, size_bytes, first, count, range->bytes, range->proof, hash_))
      return damaged(name);
    return range;
  }

  Expected<BlobRange> read_unchecked(const Digest& name, std::uint64_t size_bytes, std::uint64_t first,
                                     std::uint64_t count) const {
    const std::shared_lock files(lock_of(name));
    if (!has_range(name, first, count)) return unknown(name);
    touch(name);
    STARLING_TRY(const File data, open_data(name, O_RDONLY));
    BlobRange range;
    range.bytes.resize(static_cast<std::size_t>(base::range_bytes(size_bytes, first, count).value_or(0)));
    STARLING_TRY(const std::size_t got, read_at(data, first * base::leaf_bytes, range.bytes, path_of(name, ".blob")));
    range.bytes.resize(got);
    const TreeLayout layout(base::leaf_count(size_bytes));
    if (layout.depth() == 0) return range;
    const fs::path tree_path = path_of(name, ".tree");
    STARLING_TRY(const File tree, open_file(tree_path, O_RDONLY));
    STARLING_TRY(range.proof,
                 read_nodes(tree, layout, base::proof_positions(layout.leaves(), first, count), hash_, tree_path));
    return range;
  }

  Expected<base::Bytes> read_whole(const Digest& name, std::uint64_t size_bytes) const {
    const std::shared_lock files(lock_of(name));
    if (!has(name)) return unknown(name);  // removed meanwhile
    touch(name);
    STARLING_TRY(const File data, open_data(name, O_RDONLY));
    base::Bytes bytes(static_cast<std::size_t>(size_bytes));
    STARLING_TRY(const std::size_t got, read_at(data, 0, bytes, path_of(name, ".blob")));
    bytes.resize(got);
    return bytes;
  }

  // --- damage. A range here does not fit its name: the tree is made again; what still does not fit is dropped. A
  // machine without descriptors, memory or room proves nothing: then all stays.
  static bool means_damage(const base::Error& error) {
    return error.code != ErrorCode::temporary && error.code != ErrorCode::refused;
  }

  Expected<void> mend(const Digest& name, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count) const {
    const std::unique_lock files(lock_of(name));
    const auto held = copy_of(name);
    if (!held || held->map.size_bytes != size_bytes) return {};
    if (!held->whole) return forget_leaves(name, *held, first, count);
    const auto rebuilt = rebuild_tree(name, size_bytes);
    if (!rebuilt && !means_damage(rebuilt.error())) return std::unexpected(rebuilt.error());
    if (!rebuilt || !*rebuilt) erase(name);
    return {};
  }

  // False when the bytes are not the blob.
  Expected<bool> rebuild_tree(const Digest& name, std::uint64_t size_bytes) const {
    const fs::path path = path_of(name, ".blob");
    STARLING_TRY(const File data, open_file(path, O_RDONLY));
    STARLING_TRY(Draft tree, make_draft());
    const auto read_chunk = [&](std::uint64_t offset, std::span<std::byte> out) {
      return read_at(data, offset, out, path);
    };
    STARLING_TRY(const Copied found, copy_and_hash(size_bytes, read_chunk, nullptr, tree));
    if (found.name != name || found.size_bytes != size_bytes) return false;
    if (base::leaf_count(size_bytes) == 1) return true;
    if (auto done = tree.name_as(path_of(name, ".tree")); !done) return error_of(done);
    return true;
  }

  Expected<void> forget_leaves(const Digest& name, Held held, std::uint64_t first, std::uint64_t count) const {
    for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
      if (!held.map.have[leaf]) continue;
      held.map.have[leaf] = false;
      --held.have_count;
      used_bytes_ -= charge_of(leaf_size(held.map.size_bytes, leaf));
    }
    {
      const std::scoped_lock table(table_lock_);
      table_[name] = held;
    }
    STARLING_TRY(const File bits, open_file(path_of(name, ".map"), O_RDWR));
    return write_map_range(bits, held.map, first, count, path_of(name, ".map"));
  }

  void check_part(const Digest& name, const Held& held) const {
    const auto file = open_file(path_of(name, ".map"), O_RDONLY);
    const auto map = file ? read_map(*file, path_of(name, ".map")) : std::nullopt;
    STARLING_ENSURE(map && map->size_bytes == held.map.size_bytes && map->have == held.map.have);
    STARLING_ENSURE(held.have_count == static_cast<std::uint64_t>(std::ranges::count(held.map.have, true)));
    const auto part = open_file(path_of(name, ".part"), O_RDONLY);
    LeafMap sound = held.map;
    STARLING_ENSURE(part && !keep_sound_leaves(name, *part, sound));
  }

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
  mutable std::atomic<std::uint64_t> uses_ = 0;
  mutable std::atomic<std::uint64_t> drafts_ = 0;
};

}  // namespace

Expected<std::unique_ptr<BlobStore>> BlobStore::open(const fs::path& folder, std::uint64_t quota_bytes,
                                                     base::HashFunction hash) {
  std::error_code error;
  const auto absolute = fs::absolute(folder, error);
  if (error) return std::unexpected(system_error(error.value(), "find", folder));
  if (auto made = make_folder(absolute); !made) return error_of(made);
  STARLING_TRY(File lock, lock_file(absolute / "lock", "the blob store " + absolute.string()));
  auto store = std::make_unique<FileBlobStore>(absolute, std::move(lock), quota_bytes, hash);
  if (auto loaded = store->load(); !loaded) return error_of(loaded);
  return store;
}

}  // namespace starling::storage
