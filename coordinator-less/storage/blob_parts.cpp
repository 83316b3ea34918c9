#include "coordinator-less/storage/file_blob_store.hpp"

#include <fcntl.h>

#include "coordinator-less/base/check.hpp"

namespace starling::storage {

Expected<void> FileBlobStore::begin(const Digest& name, std::uint64_t size_bytes) {
  if (size_bytes > limits::blob_bytes_max)
    return base::fail(ErrorCode::malformed, "a blob of " + std::to_string(size_bytes) + " bytes");
  const std::unique_lock files(lock_of(name));
  if (const auto known = size_of(name)) {
    if (*known == size_bytes) return {};
    return base::fail(ErrorCode::malformed, "blob " + name.brief() + " has " + std::to_string(*known) +
                                                " bytes here, not " + std::to_string(size_bytes));
  }
  if (parts_ >= limits::blob_parts_max || part_leaves_ + base::leaf_count(size_bytes) > limits::part_leaves_max)
    return base::fail(ErrorCode::temporary, "too many unfinished blobs in " + folder_.string(),
                      "wait until some are complete");
  return make_part(name, size_bytes);
}

Expected<void> FileBlobStore::write_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count,
                                          base::ByteView bytes, const std::vector<Digest>& proof) {
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

Expected<void> FileBlobStore::make_part(const Digest& name, std::uint64_t size_bytes) {
  Held held{false, {size_bytes, std::vector<bool>(base::leaf_count(size_bytes))}, 0, ++uses_};
  const fs::path part = path_of(name, ".part");
  auto made = make_part_files(name, part, held.map);
  if (!made) {
    drop_part_files(name);
    return made;
  }
  const std::scoped_lock table(table_lock_);
  part_leaves_ += held.map.have.size();
  table_.emplace(name, std::move(held));
  ++parts_;
  return {};
}

Expected<void> FileBlobStore::make_part_files(const Digest& name, const fs::path& part, const LeafMap& map) const {
  STARLING_TRY(const File data, open_file(part, O_RDWR | O_CREAT | O_TRUNC));
  if (::ftruncate(data.descriptor(), static_cast<off_t>(map.size_bytes)) != 0) return fail_errno("make", part);
  if (map.have.size() > 1) {
    STARLING_TRY(const File tree, open_file(path_of(name, ".tree"), O_RDWR | O_CREAT | O_TRUNC));
  }
  STARLING_TRY(Draft draft, make_draft());
  if (auto done = write_map(draft.file(), map, draft.path()); !done) return done;
  return draft.name_as(path_of(name, ".map"));
}

Expected<void> FileBlobStore::store_range(const Digest& name, std::uint64_t size_bytes, std::uint64_t first,
                                          std::uint64_t count, base::ByteView bytes, const Nodes& nodes) {
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

Expected<void> FileBlobStore::write_leaves(const Digest& name, const LeafMap& map, std::uint64_t first, std::uint64_t
                                           count, base::ByteView bytes, const Nodes& nodes) const {
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

Expected<void> FileBlobStore::finish(const Digest& name, const Held& held) {
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
    part_leaves_ -= held.map.have.size();
  }
  return sync_folder(folder_);
}

void FileBlobStore::drop_part_files(const Digest& name) const {
  ::unlink(path_of(name, ".part").c_str());
  ::unlink(path_of(name, ".map").c_str());
}

}  // namespace starling::storage
