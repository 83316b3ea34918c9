#include "coordinator-less/storage/file_blob_store.hpp"

#include <fcntl.h>

#include <chrono>
#include <set>
#include <system_error>

#include "coordinator-less/base/check.hpp"

namespace starling::storage {

namespace {

constexpr auto file_time_grain = std::chrono::seconds(2);  // of the coarsest file systems

}  // namespace

Expected<void> FileBlobStore::load() {
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

Expected<std::vector<fs::path>> FileBlobStore::files_in(const fs::path& folder) {
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

void FileBlobStore::load_whole(const fs::path& path, fs::file_time_type synced_at) {
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

fs::file_time_type FileBlobStore::last_sync() const {
  std::error_code error;
  const auto at = fs::last_write_time(folder_ / "synced", error);
  return error ? fs::file_time_type::min() : at - file_time_grain;
}

bool FileBlobStore::is_sound_leaf(const fs::path& path, const Digest& name) const {
  const auto file = open_file(path, O_RDONLY);
  base::Bytes bytes(static_cast<std::size_t>(base::leaf_bytes));
  const auto got = file ? read_at(*file, 0, bytes, path) : Expected<std::size_t>(0);
  return file && got && base::blob_name(base::ByteView(bytes).first(*got), hash_) == name;
}

void FileBlobStore::load_part(const fs::path& path) {
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
  part_leaves_ += held.map.have.size();
  table_.emplace(*name, std::move(held));
}

bool FileBlobStore::keep_sound_leaves(const Digest& name, const File& part, LeafMap& map) const {
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

void FileBlobStore::drop_if_stray(const fs::path& path) const {
  const auto name = name_in(path);
  if (!name) return;
  static const std::set<fs::path> ours = {".blob", ".part", ".map", ".tree"};
  const auto found = table_.find(*name);
  const fs::path extension = path.extension();
  const bool part_file = extension == ".part" || extension == ".map";
  if (ours.contains(extension) && (found == table_.end() || (part_file && found->second.whole)))
    ::unlink(path.c_str());
}

void FileBlobStore::finish_complete_parts() {
  for (const auto& name : by_age()) {
    const std::unique_lock files(lock_of(name));
    const auto held = copy_of(name);
    if (held && !held->whole && held->is_complete())
      static_cast<void>(finish(name, *held));  // tried again by the next write
  }
}

}  // namespace starling::storage
