// Functions on paths below an open directory.
#include "coordinator-less/base/limits.hpp"
#include "worker/execution/wasi/filestat.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::execution::wasi {
namespace {

std::expected<Place, Errno> place_of(State& state, const GuestMemory& memory, std::uint64_t fd, std::uint64_t right,
                                     std::uint64_t path, std::uint64_t size) {
  const auto file = state.find(fd, right);
  if (!file) return std::unexpected(file.error());
  if (!(*file)->node) return std::unexpected(Errno::notdir);
  const auto text = memory.text(path, size);
  if (!text) return std::unexpected(Errno::fault);
  return resolve((*file)->node, *text);
}

std::expected<NodePtr, Errno> create(State& state, const Place& place, Node::Kind kind) {
  if (!place.parent) return std::unexpected(Errno::exist);
  if (!place.parent->is_writable()) return std::unexpected(Errno::rofs);
  auto node = place.parent->create(place.name, kind, state.next_inode());
  if (!node) state.full(*place.parent, node.error());
  return node;
}

Errno path_create_directory(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_create_directory, args[1], args[2]);
  if (!place) return place.error();
  if (place->node) return Errno::exist;
  const auto made = create(state, *place, Node::Kind::directory);
  return made ? Errno::success : made.error();
}

Errno path_filestat_get(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_filestat_get, args[2], args[3]);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  return write_filestat(memory, args[4], place->node.get()) ? Errno::success : Errno::fault;
}

Errno path_filestat_set_times(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_filestat_set_times, args[2], args[3]);
  if (!place) return place.error();
  return place->node ? Errno::success : Errno::noent;
}

// Checks what open asks for against what is there; creates the file when it should.
std::expected<NodePtr, Errno> open_node(State& state, const Place& place, std::uint64_t flags, bool writes) {
  NodePtr node = place.node;
  if (node && (flags & open_flags::create) != 0 && (flags & open_flags::exclusive) != 0) return std::unexpected(Errno::exist);
  if (!node) {
    if ((flags & open_flags::create) == 0) return std::unexpected(Errno::noent);
    if ((flags & open_flags::directory) != 0) return std::unexpected(Errno::inval);
    if (place.wants_directory) return std::unexpected(Errno::isdir);
    return create(state, place, Node::Kind::file);
  }
  if ((flags & open_flags::directory) != 0 && !node->is_directory()) return std::unexpected(Errno::notdir);
  const bool truncates = (flags & open_flags::truncate) != 0;
  if (node->is_directory()) return writes || truncates ? std::expected<NodePtr, Errno>(std::unexpected(Errno::isdir)) : node;
  if ((writes || truncates) && !node->is_writable()) return std::unexpected(Errno::rofs);
  if (truncates) node->resize(0);
  return node;
}

Errno path_open(State& state, const GuestMemory& memory, Args args) {
  const auto directory = state.find(args[0], rights::path_open);
  if (!directory) return directory.error();
  const std::uint64_t inheriting = (*directory)->inheriting;
  const std::uint64_t flags = args[4];
  if (flags > 15 || args[7] > fd_flags::all) return Errno::inval;
  if ((args[5] & ~inheriting & rights::all) != 0) return Errno::notcapable;
  if (!memory.range(args[8], 4)) return Errno::fault;
  const auto place = place_of(state, memory, args[0], rights::path_open, args[2], args[3]);
  if (!place) return place.error();
  // Libraries ask for every right they might need; only writing for certain (not a directory) is refused on /in.
  const bool writes = (args[5] & rights::fd_write) != 0 && (args[5] & rights::fd_readdir) == 0;
  const auto node = open_node(state, *place, flags, writes);
  if (!node) return node.error();
  OpenFile file;
  file.node = *node;
  file.flags = static_cast<std::uint16_t>(args[7]);
  const std::uint64_t possible = (*node)->is_directory() ? rights::directory
                                 : (*node)->is_writable() ? rights::file
                                                          : rights::file & ~rights::writing;
  file.rights = args[5] & possible;
  file.inheriting = (*node)->is_directory() ? args[6] & inheriting : 0;
  const auto fd = state.insert(std::move(file));
  if (!fd) return fd.error();
  memory.store(args[8], *fd);
  return Errno::success;
}

Errno path_readlink(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_readlink, args[1], args[2]);
  if (!place) return place.error();
  return place->node ? Errno::inval : Errno::noent;  // there are no symbolic links
}

Errno path_remove_directory(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_remove_directory, args[1], args[2]);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  if (!place->node->is_directory()) return Errno::notdir;
  if (!place->parent) return Errno::inval;
  if (!place->parent->is_writable()) return Errno::rofs;
  if (!place->node->children().empty()) return Errno::notempty;
  return place->parent->remove(place->name);
}

Errno path_unlink_file(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_unlink_file, args[1], args[2]);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  if (place->node->is_directory()) return Errno::isdir;
  if (!place->parent->is_writable()) return Errno::rofs;
  return place->parent->remove(place->name);
}

Errno path_rename(State& state, const GuestMemory& memory, Args args) {
  const auto from = place_of(state, memory, args[0], rights::path_rename_source, args[1], args[2]);
  if (!from) return from.error();
  const auto to = place_of(state, memory, args[3], rights::path_rename_target, args[4], args[5]);
  if (!to) return to.error();
  if (!from->node) return Errno::noent;
  if (!from->parent || !to->parent) return Errno::busy;
  if (!from->parent->is_writable() || !to->parent->is_writable()) return Errno::rofs;
  if (to->wants_directory && !from->node->is_directory()) return Errno::notdir;
  return state.full(*to->parent, rename(*from->parent, from->name, *to->parent, to->name));
}

Errno no_links(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0]);
  return file ? Errno::notsup : file.error();
}

Errno path_symlink(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[2]);
  return file ? Errno::notsup : file.error();
}

constexpr Function table[] = {
    {"path_create_directory", "iii", true, path_create_directory},
    {"path_filestat_get", "iiiii", true, path_filestat_get},
    {"path_filestat_set_times", "iiiiIIi", true, path_filestat_set_times},
    {"path_link", "iiiiiii", true, no_links},
    {"path_open", "iiiiiIIii", true, path_open},
    {"path_readlink", "iiiiii", true, path_readlink},
    {"path_remove_directory", "iii", true, path_remove_directory},
    {"path_rename", "iiiiii", true, path_rename},
    {"path_symlink", "iiiii", true, path_symlink},
    {"path_unlink_file", "iii", true, path_unlink_file},
};

}  // namespace

std::span<const Function> path_functions() { return table; }

}  // namespace starling::execution::wasi
