// The 64 bytes of a filestat. Device, owner and times are the same on every machine.
#pragma once

#include <array>

#include "worker/execution/wasi/abi.hpp"
#include "worker/execution/wasi/files.hpp"
#include "worker/execution/wasi/guest_memory.hpp"

namespace starling::execution::wasi {

inline FileType type_of(const Node& node) {
  if (node.is_directory()) return FileType::directory;
  return node.is_link() ? FileType::symbolic_link : FileType::regular_file;
}

inline bool write_filestat(const GuestMemory& memory, std::uint64_t at, const Node* node) {  // null: a stream
  std::array<std::byte, 64> out{};
  const auto put = [&out](std::size_t offset, std::uint64_t value) { std::memcpy(out.data() + offset, &value, 8); };
  const FileTimes times = node ? node->times() : FileTimes{};
  put(0, 1);
  put(8, node ? node->inode() : 0);
  out[16] = static_cast<std::byte>(node ? type_of(*node) : FileType::unknown);
  put(24, node ? node->names() : 1);
  put(32, node && !node->is_directory() ? node->size_bytes() : 0);
  put(40, times.access);
  put(48, times.modification);
  put(56, static_cast<std::uint64_t>(epoch_ns));
  return memory.write(at, out);
}

// What fd_ and path_filestat_set_times share.
inline bool are_time_flags(std::uint64_t flags) {
  return flags <= time_flags::all && (flags & 3) != 3 && (flags & 12) != 12;
}
inline Errno set_times(Node& node, std::uint64_t access, std::uint64_t modification, std::uint64_t flags, std::uint64_t now) {
  if (!node.is_writable()) return Errno::rofs;
  if ((flags & time_flags::access) != 0) node.times().access = access;
  if ((flags & time_flags::access_now) != 0) node.times().access = now;
  if ((flags & time_flags::modification) != 0) node.times().modification = modification;
  if ((flags & time_flags::modification_now) != 0) node.times().modification = now;
  return Errno::success;
}

}  // namespace starling::execution::wasi
