#include "coordinator-less/storage/file_blob_store.hpp"

#include <fcntl.h>

#include "coordinator-less/base/check.hpp"

namespace starling::storage {

namespace {

constexpr std::size_t files_synced_singly_max = 4;
constexpr std::size_t chunk_bytes = 64 * base::leaf_bytes;  // 1 MiB a read and write when whole files stream through

}  // namespace

Expected<Digest> FileBlobStore::put(base::ByteView bytes) {
  const Digest name = base::blob_name(bytes, hash_);
  if (has(name)) return name;
  return take_in(bytes.size(), "a blob",
                 [bytes](std::uint64_t offset, std::span<std::byte> out) -> Expected<std::size_t> {
                   const auto part = bytes.subspan(offset, std::min<std::size_t>(out.size(), bytes.size() - offset));
                   std::ranges::copy(part, out.begin());
                   return part.size();
                 });
}

Expected<Digest> FileBlobStore::put_batched(base::ByteView bytes) {
  if (bytes.size() > base::leaf_bytes) return put(bytes);
  const Digest name = base::blob_name(bytes, hash_);
  if (has(name)) return name;
  STARLING_TRY(Reservation reservation, reserve(charge_of(bytes.size())));
  STARLING_TRY(Draft data, make_draft());
  if (auto done = write_at(data.file(), 0, bytes, data.path()); !done) return error_of(done);
  if (auto done = install_unsynced({name, bytes.size()}, data, reservation); !done) return error_of(done);
  return name;
}

Expected<void> FileBlobStore::sync() {
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

Expected<Digest> FileBlobStore::import_file(const fs::path& source) {
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

Expected<Draft> FileBlobStore::make_draft() const {
  const fs::path path = folder_ / "tmp" / std::to_string(++drafts_);
  STARLING_TRY(File file, open_file(path, O_RDWR | O_CREAT | O_TRUNC));
  return Draft(path, std::move(file));
}

Expected<Digest> FileBlobStore::take_in(std::uint64_t size_bytes, const std::string& what, const ReadChunk& read_chunk) {
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

Expected<Copied> FileBlobStore::copy_and_hash(std::uint64_t size_bytes, const ReadChunk& read_chunk, const Draft* data,
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

Expected<void> FileBlobStore::install(const Copied& copied, Draft& data, Draft& tree, Reservation& reservation) {
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

Expected<void> FileBlobStore::install_unsynced(const Copied& copied, Draft& data, Reservation& reservation) {
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

Expected<void> FileBlobStore::sync_blobs(const std::vector<Digest>& names) const {
  for (const auto& name : names) {
    const auto file = open_file(path_of(name, ".blob"), O_RDONLY);
    if (!file && file.error().code == ErrorCode::not_found) continue;  // removed meanwhile
    if (!file) return std::unexpected(file.error());
    if (auto done = sync_file(*file, path_of(name, ".blob")); !done) return done;
  }
  return sync_folder(folder_);
}

}  // namespace starling::storage
