#include "worker/execution/checkpoint_store.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "worker/execution/codec.hpp"

namespace starling::execution {
namespace {

base::Bytes bytes_of(const StoredCheckpoint& checkpoint) {
  Encoder out;
  out.u32(checkpoint.round);
  out.u64(checkpoint.clock_ns);
  out.u64(checkpoint.fuel);
  out.bytes(checkpoint.bytes);
  out.u32(static_cast<std::uint32_t>(checkpoint.fingerprints.size()));
  for (const auto& one : checkpoint.fingerprints) out.digest(one);
  base::Bytes bytes = out.take();
  base::append(bytes, crypto::sha256(bytes).view());
  return bytes;
}

StoredCheckpoint parse(base::ByteView bytes) {
  if (bytes.size() < base::Digest::size) return {};
  const auto content = bytes.first(bytes.size() - base::Digest::size);
  if (!std::ranges::equal(crypto::sha256(content).view(), bytes.last(base::Digest::size))) return {};
  Decoder in(content);
  StoredCheckpoint out;
  out.round = in.u32();
  out.clock_ns = in.u64();
  out.fuel = in.u64();
  out.bytes = base::copy(in.bytes(content.size()));
  out.fingerprints.resize(in.count(limits::fingerprint_seeds_max, base::Digest::size));
  for (auto& one : out.fingerprints) one = in.digest();
  return in.finished() ? out : StoredCheckpoint{};
}

base::Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  return base::copy(base::view(text));
}

bool write_file(const std::filesystem::path& path, base::ByteView bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(out.flush());
}

struct Kept {
  std::filesystem::path path;
  std::uint64_t size_bytes = 0;
  std::filesystem::file_time_type written;
};

std::vector<Kept> files_below(const std::filesystem::path& folder) {
  std::vector<Kept> out;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(folder, error); !error && it != std::filesystem::end(it); it.increment(error))
    if (it->is_regular_file(error)) out.push_back({it->path(), it->file_size(error), it->last_write_time(error)});
  return out;
}

}  // namespace

CheckpointStore::CheckpointStore(std::filesystem::path folder, std::uint64_t bytes_max) : folder_(std::move(folder)), bytes_max_(bytes_max) {}

std::filesystem::path CheckpointStore::file_of(const base::Digest& unit, std::uint32_t item) const {
  return folder_ / unit.hex() / std::to_string(item);
}

StoredCheckpoint CheckpointStore::load(const base::Digest& unit, std::uint32_t item, std::uint32_t rounds_max) const {
  if (folder_.empty()) return {};
  StoredCheckpoint out = parse(read_file(file_of(unit, item)));
  return out.round < rounds_max ? out : StoredCheckpoint{};
}

void CheckpointStore::save(const base::Digest& unit, std::uint32_t item, const StoredCheckpoint& checkpoint) {
  const base::Bytes bytes = bytes_of(checkpoint);
  if (folder_.empty() || bytes.size() > bytes_max_) return;
  const std::scoped_lock lock(mutex_);
  make_room(bytes.size());
  const auto path = file_of(unit, item);
  auto fresh = path;
  fresh += ".new";
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (!write_file(fresh, bytes)) std::filesystem::remove(fresh, error);
  else std::filesystem::rename(fresh, path, error);
}

void CheckpointStore::forget(const base::Digest& unit) {
  if (folder_.empty()) return;
  const std::scoped_lock lock(mutex_);
  std::error_code error;
  std::filesystem::remove_all(folder_ / unit.hex(), error);
}

void CheckpointStore::make_room(std::uint64_t bytes) {
  auto kept = files_below(folder_);
  std::uint64_t total = bytes;
  for (const auto& one : kept) total += one.size_bytes;
  std::ranges::sort(kept, {}, &Kept::written);
  std::error_code error;
  for (auto it = kept.begin(); it != kept.end() && total > bytes_max_; ++it) {
    total -= it->size_bytes;
    std::filesystem::remove(it->path, error);
  }
}

}  // namespace starling::execution
