#include "coordinator-less/storage/file_blob_store.hpp"

#include <fcntl.h>

#include <system_error>

#include "coordinator-less/base/check.hpp"

namespace starling::storage {

bool FileBlobStore::has(const Digest& name) const {
  const std::scoped_lock table(table_lock_);
  const auto found = table_.find(name);
  return found != table_.end() && found->second.whole;
}

std::optional<std::uint64_t> FileBlobStore::size_of(const Digest& name) const {
  const std::scoped_lock table(table_lock_);
  const auto found = table_.find(name);
  return found == table_.end() ? std::nullopt : std::optional(found->second.map.size_bytes);
}

std::vector<Digest> FileBlobStore::whole() const {
  const std::scoped_lock table(table_lock_);
  std::vector<Digest> out;
  for (const auto& [name, held] : table_)
    if (held.whole) out.push_back(name);
  return out;
}

bool FileBlobStore::has_range(const Digest& name, std::uint64_t first_leaf, std::uint64_t count) const {
  const std::scoped_lock table(table_lock_);
  const auto found = table_.find(name);
  return found != table_.end() && found->second.has_range(first_leaf, count);
}

std::vector<bool> FileBlobStore::leaves(const Digest& name) const {
  const std::scoped_lock table(table_lock_);
  const auto found = table_.find(name);
  if (found == table_.end()) return {};
  if (found->second.whole) return std::vector<bool>(base::leaf_count(found->second.map.size_bytes), true);
  return found->second.map.have;
}

void FileBlobStore::remove(const Digest& name) {
  const std::unique_lock files(lock_of(name));
  erase(name);
}

std::uint64_t FileBlobStore::evict(const std::function<bool(const Digest&)>& keep, std::uint64_t bytes) {
  std::uint64_t freed = 0;
  for (const auto& name : by_age()) {
    if (freed >= bytes) break;
    if (keep(name)) continue;
    const std::unique_lock files(lock_of(name));
    freed += erase(name);
  }
  return freed;
}

void FileBlobStore::check_invariants() const {
  const std::scoped_lock table(table_lock_);
  std::uint64_t charge = 0;
  std::size_t parts = 0;
  std::uint64_t part_leaves = 0;
  for (const auto& [name, held] : table_) {
    charge += held.charge();
    parts += held.whole ? 0 : 1;
    part_leaves += held.map.have.size();
    STARLING_ENSURE(fs::exists(path_of(name, ".blob")) == held.whole);
    STARLING_ENSURE(fs::exists(path_of(name, ".part")) != held.whole &&
                    fs::exists(path_of(name, ".map")) != held.whole);
    STARLING_ENSURE(fs::file_size(path_of(name, held.whole ? ".blob" : ".part")) == held.map.size_bytes);
    if (!held.whole) check_part(name, held);
  }
  STARLING_ENSURE(charge == used_bytes_ && parts == parts_ && part_leaves == part_leaves_);
  STARLING_ENSURE(fs::is_empty(folder_ / "tmp"));
}

std::unexpected<base::Error> FileBlobStore::damaged(const Digest& name) const {
  return base::fail(ErrorCode::not_found,
                    "blob " + name.brief() + " was damaged on disk in " + folder_.string() + " and dropped",
                    "it can be fetched again from its other holders; check that disk");
}

void FileBlobStore::touch(const Digest& name) const {
  const std::scoped_lock table(table_lock_);
  if (const auto found = table_.find(name); found != table_.end()) found->second.used_at = ++uses_;
}

std::vector<Digest> FileBlobStore::by_age() const {
  const std::scoped_lock table(table_lock_);
  std::vector<std::pair<std::uint64_t, Digest>> aged;
  for (const auto& [name, held] : table_) aged.emplace_back(held.used_at, name);
  std::ranges::sort(aged);
  std::vector<Digest> names;
  for (const auto& [used_at, name] : aged) names.push_back(name);
  return names;
}

Expected<Reservation> FileBlobStore::reserve(std::uint64_t bytes) {
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

std::optional<Held> FileBlobStore::copy_of(const Digest& name) const {
  const std::scoped_lock table(table_lock_);
  const auto found = table_.find(name);
  return found == table_.end() ? std::nullopt : std::optional(found->second);
}

void FileBlobStore::forget_part(const Held& held) {
  used_bytes_ -= held.charge();
  --parts_;
  part_leaves_ -= held.map.have.size();
}

std::uint64_t FileBlobStore::erase(const Digest& name) const {
  for (const char* extension : {".blob", ".part", ".map", ".tree"}) ::unlink(path_of(name, extension).c_str());
  const std::scoped_lock table(table_lock_);
  const auto found = table_.find(name);
  if (found == table_.end()) return 0;
  const std::uint64_t charge = found->second.charge();
  used_bytes_ -= charge;
  parts_ -= found->second.whole ? 0 : 1;
  part_leaves_ -= found->second.map.have.size();
  table_.erase(found);
  return charge;
}

void FileBlobStore::check_part(const Digest& name, const Held& held) const {
  const auto file = open_file(path_of(name, ".map"), O_RDONLY);
  const auto map = file ? read_map(*file, path_of(name, ".map")) : std::nullopt;
  STARLING_ENSURE(map && map->size_bytes == held.map.size_bytes && map->have == held.map.have);
  STARLING_ENSURE(held.have_count == static_cast<std::uint64_t>(std::ranges::count(held.map.have, true)));
  const auto part = open_file(path_of(name, ".part"), O_RDONLY);
  LeafMap sound = held.map;
  STARLING_ENSURE(part && !keep_sound_leaves(name, *part, sound));
}

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
