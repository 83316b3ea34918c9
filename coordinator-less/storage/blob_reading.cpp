#include "coordinator-less/storage/file_blob_store.hpp"

#include <fcntl.h>

#include "coordinator-less/base/check.hpp"

namespace starling::storage {

Expected<BlobRange> FileBlobStore::read_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count) const {
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

Expected<base::Bytes> FileBlobStore::read(const Digest& name, std::uint64_t size_bytes_max) const {
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

Expected<int> FileBlobStore::open_descriptor(const Digest& name) const {
  const std::shared_lock files(lock_of(name));
  touch(name);
  STARLING_TRY(File file, open_data(name, O_RDONLY));
  return file.release();
}

Expected<File> FileBlobStore::open_data(const Digest& name, int flags) const {
  const auto held = copy_of(name);
  if (!held) return unknown(name);
  return open_file(path_of(name, held->whole ? ".blob" : ".part"), flags);
}

Expected<BlobRange> FileBlobStore::read_checked(const Digest& name, std::uint64_t size_bytes, std::uint64_t first,
                                                std::uint64_t count) const {
  auto range = read_unchecked(name, size_bytes, first, count);
  if (range && !base::check_range(name, size_bytes, first, count, range->bytes, range->proof, hash_))
    return damaged(name);
  return range;
}

Expected<BlobRange> FileBlobStore::read_unchecked(const Digest& name, std::uint64_t size_bytes, std::uint64_t first,
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

Expected<base::Bytes> FileBlobStore::read_whole(const Digest& name, std::uint64_t size_bytes) const {
  const std::shared_lock files(lock_of(name));
  if (!has(name)) return unknown(name);  // removed meanwhile
  touch(name);
  STARLING_TRY(const File data, open_data(name, O_RDONLY));
  base::Bytes bytes(static_cast<std::size_t>(size_bytes));
  STARLING_TRY(const std::size_t got, read_at(data, 0, bytes, path_of(name, ".blob")));
  bytes.resize(got);
  return bytes;
}

Expected<void> FileBlobStore::mend(const Digest& name, std::uint64_t size_bytes, std::uint64_t first, std::uint64_t count) const {
  const std::unique_lock files(lock_of(name));
  const auto held = copy_of(name);
  if (!held || held->map.size_bytes != size_bytes) return {};
  if (!held->whole) return forget_leaves(name, *held, first, count);
  const auto rebuilt = rebuild_tree(name, size_bytes);
  if (!rebuilt && !means_damage(rebuilt.error())) return std::unexpected(rebuilt.error());
  if (!rebuilt || !*rebuilt) erase(name);
  return {};
}

Expected<bool> FileBlobStore::rebuild_tree(const Digest& name, std::uint64_t size_bytes) const {
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

Expected<void> FileBlobStore::forget_leaves(const Digest& name, Held held, std::uint64_t first, std::uint64_t count) const {
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

}  // namespace starling::storage
