// The 64 bytes of a filestat. Device, owner and times are the same for every file, on every machine.
#pragma once

#include <array>

#include "worker/execution/wasi/abi.hpp"
#include "worker/execution/wasi/files.hpp"
#include "worker/execution/wasi/guest_memory.hpp"

namespace starling::execution::wasi {

inline FileType type_of(const Node& node) { return node.is_directory() ? FileType::directory : FileType::regular_file; }

inline bool write_filestat(const GuestMemory& memory, std::uint64_t at, const Node* node) {  // null: a stream
  std::array<std::byte, 64> out{};
  const auto put = [&out](std::size_t offset, std::uint64_t value) { std::memcpy(out.data() + offset, &value, 8); };
  put(0, 1);
  put(8, node ? node->inode() : 0);
  out[16] = static_cast<std::byte>(node ? type_of(*node) : FileType::unknown);
  put(24, 1);
  put(32, node && !node->is_directory() ? node->size_bytes() : 0);
  for (const std::size_t time : {40U, 48U, 56U}) put(time, static_cast<std::uint64_t>(epoch_ns));
  return memory.write(at, out);
}

}  // namespace starling::execution::wasi
