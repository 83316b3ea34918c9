// Functions on open files and directories.
#include <algorithm>
#include <optional>

#include "coordinator-less/base/limits.hpp"
#include "worker/execution/wasi/filestat.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::execution::wasi {
namespace {

using Buffers = std::vector<std::span<std::byte>>;

std::expected<Buffers, Errno> buffers_of(const GuestMemory& memory, std::uint64_t at, std::uint64_t count) {
  if (count > limits::guest_iovecs_max) return std::unexpected(Errno::inval);
  Buffers out;
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto pointer = memory.load<std::uint32_t>(at + i * 8);
    const auto size = memory.load<std::uint32_t>(at + i * 8 + 4);
    if (!pointer || !size) return std::unexpected(Errno::fault);
    const auto range = memory.range(*pointer, *size);
    if (!range) return std::unexpected(Errno::fault);
    total += *size;
    if (total > UINT32_MAX) return std::unexpected(Errno::inval);
    out.push_back(*range);
  }
  return out;
}

std::uint64_t read_input(State& state, OpenFile& file, std::span<std::byte> out) {
  const auto rest = state.options().standard_input.subspan(static_cast<std::size_t>(file.offset));
  const auto part = rest.first(std::min(rest.size(), out.size()));
  std::ranges::copy(part, out.begin());
  file.offset += part.size();
  return part.size();
}

Errno finish(const GuestMemory& memory, std::uint64_t at, std::uint64_t bytes) {
  return memory.store(at, static_cast<std::uint32_t>(bytes)) ? Errno::success : Errno::fault;
}

// Reads at `offset`; the number of bytes, which is short only at the end of the file.
std::expected<std::uint64_t, Errno> read_node(State& state, const Node& node, std::uint64_t offset, const Buffers& buffers) {
  std::uint64_t total = 0;
  for (const auto buffer : buffers) {
    if (offset > UINT64_MAX - total) break;
    const auto got = node.read(offset + total, buffer);
    if (!got) {
      state.end(Ending::input_missing);
      return got;
    }
    total += *got;
    if (*got < buffer.size()) break;
  }
  return total;
}

std::expected<std::uint64_t, Errno> write_node(State& state, const GuestMemory& memory, Node& node, std::uint64_t offset, const Buffers& buffers) {
  std::uint64_t total = 0;
  for (const auto buffer : buffers) {
    if (offset > UINT64_MAX - total) return std::unexpected(Errno::fbig);
    const std::uint64_t size = node.size_bytes();
    const Errno error = state.full(node, node.write(offset + total, buffer));
    if (node.size_bytes() > size) memory.also_moved(node.size_bytes() - size);  // zeros before the buffer's bytes, and its new room
    if (error != Errno::success) {
      if (total > 0 && state.ending() == Ending::none) break;
      return std::unexpected(error);
    }
    total += buffer.size();
  }
  return total;
}

Errno resize_node(State& state, const GuestMemory& memory, Node& node, std::uint64_t size_bytes) {
  const std::uint64_t before = node.size_bytes();
  const Errno error = state.full(node, node.resize(size_bytes));
  if (node.size_bytes() > before) memory.also_moved(node.size_bytes() - before);
  return error;
}

// Open files have the right that a call needs; what kind of thing it is comes first, since that tells a program more.
Errno refuse_io(const OpenFile& open, std::uint64_t needed, Errno directory) {
  if (open.node && open.node->is_directory()) return directory;
  return (open.rights & needed) == needed ? Errno::success : Errno::notcapable;
}

bool is_offset(std::uint64_t value) { return value <= static_cast<std::uint64_t>(INT64_MAX); }

Errno fd_read(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  OpenFile& open = **file;
  if (const Errno error = refuse_io(open, rights::fd_read, Errno::isdir); error != Errno::success) return error;
  const auto buffers = buffers_of(memory, args[1], args[2]);
  if (!buffers) return buffers.error();
  if (!memory.range(args[3], 4)) return Errno::fault;
  if (!open.node) {
    std::uint64_t total = 0;
    for (const auto buffer : *buffers) total += read_input(state, open, buffer);
    return finish(memory, args[3], total);
  }
  const auto got = read_node(state, *open.node, open.offset, *buffers);
  if (!got) return got.error();
  open.offset += *got;
  return finish(memory, args[3], *got);
}

Errno fd_pread(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  OpenFile& open = **file;
  if (!open.node) return Errno::spipe;
  if (const Errno error = refuse_io(open, rights::fd_read | rights::fd_seek, Errno::isdir); error != Errno::success) return error;
  if (!is_offset(args[3])) return Errno::inval;
  const auto buffers = buffers_of(memory, args[1], args[2]);
  if (!buffers) return buffers.error();
  if (!memory.range(args[4], 4)) return Errno::fault;
  const auto got = read_node(state, *open.node, args[3], *buffers);
  return got ? finish(memory, args[4], *got) : got.error();
}

Errno fd_write(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  OpenFile& open = **file;
  if (const Errno error = refuse_io(open, rights::fd_write, Errno::badf); error != Errno::success) return error;
  const auto buffers = buffers_of(memory, args[1], args[2]);
  if (!buffers) return buffers.error();
  if (!memory.range(args[3], 4)) return Errno::fault;
  if (!open.node) {
    std::uint64_t total = 0;
    for (const auto buffer : *buffers) {
      if (const Errno error = state.write_stream(open, buffer); error != Errno::success) return error;
      total += buffer.size();
    }
    return finish(memory, args[3], total);
  }
  if ((open.flags & fd_flags::append) != 0) open.offset = open.node->size_bytes();
  const auto put = write_node(state, memory, *open.node, open.offset, *buffers);
  if (!put) return put.error();
  open.offset += *put;
  return finish(memory, args[3], *put);
}

Errno fd_pwrite(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  OpenFile& open = **file;
  if (!open.node) return Errno::spipe;
  if (const Errno error = refuse_io(open, rights::fd_write | rights::fd_seek, Errno::badf); error != Errno::success) return error;
  if (!is_offset(args[3])) return Errno::inval;
  const auto buffers = buffers_of(memory, args[1], args[2]);
  if (!buffers) return buffers.error();
  if (!memory.range(args[4], 4)) return Errno::fault;
  const auto put = write_node(state, memory, *open.node, args[3], *buffers);
  return put ? finish(memory, args[4], *put) : put.error();
}

// fd_tell allows what changes nothing; fd_seek implies it.
Errno refuse_seek(const OpenFile& open, bool moves) {
  if (!open.node) return Errno::spipe;
  if (open.node->is_directory()) return Errno::isdir;
  const std::uint64_t enough = moves ? rights::fd_seek : rights::fd_seek | rights::fd_tell;
  return (open.rights & enough) != 0 ? Errno::success : Errno::notcapable;
}

Errno fd_seek(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  OpenFile& open = **file;
  if (const Errno error = refuse_seek(open, args[1] != 0 || args[2] != 1); error != Errno::success) return error;
  const auto delta = static_cast<std::int64_t>(args[1]);
  std::int64_t from = 0;
  switch (args[2]) {
    case 0: break;
    case 1: from = static_cast<std::int64_t>(open.offset); break;
    case 2: from = static_cast<std::int64_t>(open.node->size_bytes()); break;
    default: return Errno::inval;
  }
  std::int64_t to = 0;
  if (__builtin_add_overflow(from, delta, &to)) return Errno::overflow;
  if (to < 0) return Errno::inval;
  if (!memory.store(args[3], static_cast<std::uint64_t>(to))) return Errno::fault;
  open.offset = static_cast<std::uint64_t>(to);
  return Errno::success;
}

Errno fd_tell(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  if (const Errno error = refuse_seek(**file, false); error != Errno::success) return error;
  return memory.store(args[1], (*file)->offset) ? Errno::success : Errno::fault;
}

Errno fd_close(State& state, const GuestMemory&, Args args) { return state.close(args[0]); }
Errno fd_renumber(State& state, const GuestMemory&, Args args) { return state.renumber(args[0], args[1]); }

// There is no disk to wait for.
Errno fd_datasync(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0], rights::fd_datasync);
  return file ? Errno::success : file.error();
}
Errno fd_sync(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0], rights::fd_sync);
  return file ? Errno::success : file.error();
}

Errno fd_advise(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  if (!(*file)->node) return Errno::spipe;
  if (((*file)->rights & rights::fd_advise) == 0) return Errno::notcapable;
  return args[3] <= 5 ? Errno::success : Errno::inval;
}

Errno fd_allocate(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  if (!(*file)->node) return Errno::spipe;
  if (const Errno error = refuse_io(**file, rights::fd_allocate, Errno::badf); error != Errno::success) return error;
  Node& node = *(*file)->node;
  if (args[2] == 0) return Errno::inval;
  if (!is_offset(args[1]) || !is_offset(args[2]) || !is_offset(args[1] + args[2])) return Errno::fbig;
  const std::uint64_t end = args[1] + args[2];
  return end <= node.size_bytes() ? Errno::success : resize_node(state, memory, node, end);
}

Errno fd_fdstat_get(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  const OpenFile& open = **file;
  const FileType type = open.node ? type_of(*open.node) : FileType::unknown;
  const auto to = memory.range(args[1], 24);
  if (!to) return Errno::fault;
  std::ranges::fill(*to, std::byte{0});
  std::memcpy(to->data(), &type, 1);
  std::memcpy(to->data() + 2, &open.flags, 2);
  std::memcpy(to->data() + 8, &open.rights, 8);
  std::memcpy(to->data() + 16, &open.inheriting, 8);
  return Errno::success;
}

Errno fd_fdstat_set_flags(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0], rights::fd_fdstat_set_flags);
  if (!file) return file.error();
  if (args[1] > fd_flags::all) return Errno::inval;
  (*file)->flags = static_cast<std::uint16_t>(args[1]);
  return Errno::success;
}

Errno fd_fdstat_set_rights(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  OpenFile& open = **file;
  if ((args[1] & ~open.rights) != 0 || (args[2] & ~open.inheriting) != 0) return Errno::notcapable;
  open.rights = args[1];
  open.inheriting = args[2];
  return Errno::success;
}

Errno fd_filestat_get(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0], rights::fd_filestat_get);
  if (!file) return file.error();
  return write_filestat(memory, args[1], (*file)->node.get()) ? Errno::success : Errno::fault;
}

Errno fd_filestat_set_size(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0], rights::fd_filestat_set_size);
  if (!file) return file.error();
  if (!is_offset(args[1])) return Errno::inval;
  return resize_node(state, memory, *(*file)->node, args[1]);
}

Errno fd_filestat_set_times(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0], rights::fd_filestat_set_times);
  if (!file) return file.error();
  if (!are_time_flags(args[3])) return Errno::inval;
  return set_times(*(*file)->node, args[1], args[2], args[3], static_cast<std::uint64_t>(epoch_ns) + state.clock_ns());
}

Errno fd_prestat_get(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  if ((*file)->preopen.empty()) return Errno::badf;
  const auto size = static_cast<std::uint32_t>((*file)->preopen.size());
  if (!memory.range(args[1], 8)) return Errno::fault;
  memory.store(args[1], std::uint32_t{0});  // a directory
  memory.store(args[1] + 4, size);
  return Errno::success;
}

Errno fd_prestat_dir_name(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  const std::string& name = (*file)->preopen;
  if (name.empty()) return Errno::badf;
  if (!memory.range(args[1], args[2])) return Errno::fault;
  if (args[2] < name.size()) return Errno::nametoolong;
  return memory.write(args[1], base::view(name)) ? Errno::success : Errno::fault;
}

// Cookies are positions in the listing. The first call, and cookie 0, take a new one.
Errno fd_readdir(State& state, const GuestMemory& memory, Args args) {
  const auto file = state.find(args[0]);
  if (!file) return file.error();
  OpenFile& open = **file;
  if (!open.node || !open.node->is_directory()) return Errno::notdir;
  if ((open.rights & rights::fd_readdir) == 0) return Errno::notcapable;
  const auto out = memory.range(args[1], args[2]);
  if (!out || !memory.range(args[4], 4)) return Errno::fault;
  if (args[3] == 0 || !open.listing) {
    memory.also_moved(open.node->children().size() * limits::guest_name_work_bytes);
    if (const Errno error = state.list(open); error != Errno::success) return error;
  }
  const auto& entries = open.listing->entries();
  std::size_t used = 0;
  const auto put = [&](base::ByteView bytes) {  // a cut last entry tells the guest that there is more
    const auto part = bytes.first(std::min(bytes.size(), out->size() - used));
    std::ranges::copy(part, out->begin() + static_cast<std::ptrdiff_t>(used));
    used += part.size();
  };
  for (std::uint64_t i = args[3]; i < entries.size() && used < out->size(); ++i) {
    std::array<std::byte, 24> head{};
    const std::uint64_t next = i + 1;
    const auto size = static_cast<std::uint32_t>(entries[i].name.size());
    std::memcpy(head.data(), &next, 8);
    std::memcpy(head.data() + 8, &entries[i].inode, 8);
    std::memcpy(head.data() + 16, &size, 4);
    head[20] = static_cast<std::byte>(entries[i].type);
    put(head);
    put(base::view(entries[i].name));
  }
  return finish(memory, args[4], used);
}

constexpr Function table[] = {
    {"fd_advise", "iIIi", true, fd_advise},
    {"fd_allocate", "iII", true, fd_allocate},
    {"fd_close", "i", true, fd_close},
    {"fd_datasync", "i", true, fd_datasync},
    {"fd_fdstat_get", "ii", true, fd_fdstat_get},
    {"fd_fdstat_set_flags", "ii", true, fd_fdstat_set_flags},
    {"fd_fdstat_set_rights", "iII", true, fd_fdstat_set_rights},
    {"fd_filestat_get", "ii", true, fd_filestat_get},
    {"fd_filestat_set_size", "iI", true, fd_filestat_set_size},
    {"fd_filestat_set_times", "iIIi", true, fd_filestat_set_times},
    {"fd_pread", "iiiIi", true, fd_pread},
    {"fd_prestat_get", "ii", true, fd_prestat_get},
    {"fd_prestat_dir_name", "iii", true, fd_prestat_dir_name},
    {"fd_pwrite", "iiiIi", true, fd_pwrite},
    {"fd_read", "iiii", true, fd_read},
    {"fd_readdir", "iiiIi", true, fd_readdir},
    {"fd_renumber", "ii", true, fd_renumber},
    {"fd_seek", "iIii", true, fd_seek},
    {"fd_sync", "i", true, fd_sync},
    {"fd_tell", "ii", true, fd_tell},
    {"fd_write", "iiii", true, fd_write},
};

}  // namespace

std::span<const Function> descriptor_functions() { return table; }

}  // namespace starling::execution::wasi
