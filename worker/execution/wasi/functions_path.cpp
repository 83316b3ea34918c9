// Functions on paths below an open directory.
#include "coordinator-less/base/limits.hpp"
#include "worker/execution/wasi/filestat.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::execution::wasi {
namespace {

std::expected<std::string_view, Errno> text_of(const GuestMemory& memory, std::uint64_t path, std::uint64_t size) {
  const auto text = memory.text(path, size);
  if (!text) return std::unexpected(Errno::fault);
  return *text;
}

std::expected<Place, Errno> place_of(State& state, const GuestMemory& memory, std::uint64_t fd, std::uint64_t right,
                                     std::uint64_t path, std::uint64_t size, FollowLast follow) {
  const auto file = state.find(fd);
  if (!file) return std::unexpected(file.error());
  if (!(*file)->node || !(*file)->node->is_directory()) return std::unexpected(Errno::notdir);
  if (((*file)->rights & right) != right) return std::unexpected(Errno::notcapable);
  const auto text = text_of(memory, path, size);
  if (!text) return std::unexpected(text.error());
  std::uint64_t work = 0;
  auto place = resolve((*file)->node, *text, follow, work);
  memory.also_moved(work);
  return place;
}

std::expected<FollowLast, Errno> follow_of(std::uint64_t flags) {
  if (flags > lookup_flags::follow) return std::unexpected(Errno::inval);
  return flags == lookup_flags::follow ? FollowLast::always : FollowLast::before_slash;
}

// Where a new name may stand.
Errno refuse_new_name(const Place& place) {
  if (place.node || !place.parent) return Errno::exist;
  return place.parent->is_writable() ? Errno::success : Errno::rofs;
}

std::expected<NodePtr, Errno> create(State& state, const Place& place, Node::Kind kind) {
  if (const Errno error = refuse_new_name(place); error != Errno::success) return std::unexpected(error);
  auto node = place.parent->create(place.name, kind, state.next_inode());
  if (!node) state.full(*place.parent, node.error());
  return node;
}

Errno path_create_directory(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_create_directory, args[1], args[2], FollowLast::never);
  if (!place) return place.error();
  const auto made = create(state, *place, Node::Kind::directory);
  return made ? Errno::success : made.error();
}

Errno path_filestat_get(State& state, const GuestMemory& memory, Args args) {
  const auto follow = follow_of(args[1]);
  if (!follow) return follow.error();
  const auto place = place_of(state, memory, args[0], rights::path_filestat_get, args[2], args[3], *follow);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  return write_filestat(memory, args[4], place->node.get()) ? Errno::success : Errno::fault;
}

Errno path_filestat_set_times(State& state, const GuestMemory& memory, Args args) {
  const auto follow = follow_of(args[1]);
  if (!follow || !are_time_flags(args[6])) return Errno::inval;
  const auto place = place_of(state, memory, args[0], rights::path_filestat_set_times, args[2], args[3], *follow);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  return set_times(*place->node, args[4], args[5], args[6], static_cast<std::uint64_t>(epoch_ns) + state.clock_ns());
}

// Checks what open asks for against what is there; creates the file when it should.
std::expected<NodePtr, Errno> open_node(State& state, const Place& place, std::uint64_t flags, bool writes) {
  const NodePtr& node = place.node;
  if (!node) {
    if ((flags & open_flags::create) == 0) return std::unexpected(Errno::noent);
    if (place.wants_directory) return std::unexpected(Errno::isdir);
    return create(state, place, Node::Kind::file);
  }
  if ((flags & open_flags::create) != 0 && (flags & open_flags::exclusive) != 0) return std::unexpected(Errno::exist);
  const bool wants_directory = (flags & open_flags::directory) != 0;
  if (wants_directory && !node->is_directory()) return std::unexpected(Errno::notdir);
  if (node->is_link()) return std::unexpected(Errno::loop);
  const bool truncates = (flags & open_flags::truncate) != 0;
  if (node->is_directory()) {
    // Who says that it opens a directory may ask for every right, and gets those of directories.
    if (truncates || (writes && !wants_directory) || (flags & open_flags::create) != 0) return std::unexpected(Errno::isdir);
    return node;
  }
  if ((writes || truncates) && !node->is_writable()) return std::unexpected(Errno::rofs);
  if (truncates) node->resize(0);
  return node;
}

// The rights that the directory must have itself, and those that it must pass on.
Errno refuse_open(const OpenFile& directory, std::uint64_t flags, std::uint64_t wanted, std::uint64_t wanted_inheriting,
                  std::uint64_t fd_flags) {
  std::uint64_t needed = rights::path_open;
  if ((flags & open_flags::create) != 0) needed |= rights::path_create_file;
  if ((flags & open_flags::truncate) != 0) needed |= rights::path_filestat_set_size;
  std::uint64_t passed_on = wanted | wanted_inheriting;
  if ((fd_flags & fd_flags::dsync) != 0) passed_on |= rights::fd_datasync;
  if ((fd_flags & (fd_flags::rsync | fd_flags::sync)) != 0) passed_on |= rights::fd_sync;
  const bool allowed = (needed & ~directory.rights) == 0 && (passed_on & ~directory.inheriting) == 0;
  return allowed ? Errno::success : Errno::notcapable;
}

Errno path_open(State& state, const GuestMemory& memory, Args args) {
  const auto directory = state.find(args[0]);
  if (!directory) return directory.error();
  const std::uint64_t flags = args[4];
  const auto follow = follow_of(args[1]);
  const bool both = (flags & open_flags::create) != 0 && (flags & open_flags::directory) != 0;
  if (!follow || flags > 15 || both || args[7] > fd_flags::all) return Errno::inval;
  if (!(*directory)->node || !(*directory)->node->is_directory()) return Errno::notdir;
  if (const Errno error = refuse_open(**directory, flags, args[5], args[6], args[7]); error != Errno::success) return error;
  if (!memory.range(args[8], 4)) return Errno::fault;
  if (!state.has_room()) return Errno::mfile;
  const bool exclusive = (flags & open_flags::create) != 0 && (flags & open_flags::exclusive) != 0;
  const auto place = place_of(state, memory, args[0], rights::path_open, args[2], args[3], exclusive ? FollowLast::never : *follow);
  if (!place) return place.error();
  const auto node = open_node(state, *place, flags, (args[5] & rights::fd_write) != 0);
  if (!node) return node.error();
  OpenFile file;
  file.node = *node;
  file.flags = static_cast<std::uint16_t>(args[7]);
  const std::uint64_t possible = (*node)->is_directory() ? rights::directory
                                 : (*node)->is_writable() ? rights::file
                                                          : rights::file & ~rights::writing;
  file.rights = args[5] & possible;
  file.inheriting = (*node)->is_directory() ? args[6] : 0;
  const auto fd = state.insert(std::move(file));
  if (!fd) return fd.error();
  memory.store(args[8], *fd);
  return Errno::success;
}

Errno path_readlink(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_readlink, args[1], args[2], FollowLast::before_slash);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  if (!place->node->is_link()) return Errno::inval;
  const std::string_view target = place->node->target().substr(0, args[4]);  // a short buffer gets a cut target
  if (!memory.range(args[3], args[4]) || !memory.range(args[5], 4)) return Errno::fault;
  memory.write(args[3], base::view(target));
  memory.store(args[5], static_cast<std::uint32_t>(target.size()));
  return Errno::success;
}

Errno path_remove_directory(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_remove_directory, args[1], args[2], FollowLast::never);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  if (!place->node->is_directory()) return Errno::notdir;
  if (!place->parent || place->ends_in_dots) return Errno::inval;
  if (!place->parent->is_writable()) return Errno::rofs;
  if (!place->node->children().empty()) return Errno::notempty;
  return place->parent->remove(place->name);
}

Errno path_unlink_file(State& state, const GuestMemory& memory, Args args) {
  const auto place = place_of(state, memory, args[0], rights::path_unlink_file, args[1], args[2], FollowLast::never);
  if (!place) return place.error();
  if (!place->node) return Errno::noent;
  if (place->node->is_directory()) return Errno::isdir;
  if (!place->parent->is_writable()) return Errno::rofs;
  return place->parent->remove(place->name);
}

Errno path_rename(State& state, const GuestMemory& memory, Args args) {
  const auto from = place_of(state, memory, args[0], rights::path_rename_source, args[1], args[2], FollowLast::never);
  if (!from) return from.error();
  const auto to = place_of(state, memory, args[3], rights::path_rename_target, args[4], args[5], FollowLast::never);
  if (!to) return to.error();
  if (!from->node) return Errno::noent;
  if (!from->parent || !to->parent || from->ends_in_dots || to->ends_in_dots) return Errno::busy;
  if (!from->parent->is_writable() || !to->parent->is_writable()) return Errno::rofs;
  if (to->wants_directory && !from->node->is_directory()) return Errno::notdir;
  std::uint64_t work = 0;
  const Errno error = rename(*from->parent, from->name, *to->parent, to->name, work);
  memory.also_moved(work);
  return state.full(*to->parent, error);
}

Errno path_link(State& state, const GuestMemory& memory, Args args) {
  const auto follow = follow_of(args[1]);
  if (!follow) return follow.error();
  const auto from = place_of(state, memory, args[0], rights::path_link_source, args[2], args[3], *follow);
  if (!from) return from.error();
  const auto to = place_of(state, memory, args[4], rights::path_link_target, args[5], args[6], FollowLast::never);
  if (!to) return to.error();
  if (!from->node) return Errno::noent;
  if (from->node->is_directory()) return Errno::perm;
  if (to->wants_directory && !to->node) return Errno::noent;
  if (const Errno error = refuse_new_name(*to); error != Errno::success) return error;
  if (!from->node->same_tree(*to->parent)) return Errno::xdev;
  return state.full(*to->parent, to->parent->add_name(to->name, from->node));
}

// Absolute targets would mean the host's root to whoever wrote them; a relative one is checked whenever it is followed.
Errno path_symlink(State& state, const GuestMemory& memory, Args args) {
  const auto target = text_of(memory, args[0], args[1]);
  if (!target) return target.error();
  const auto place = place_of(state, memory, args[2], rights::path_symlink, args[3], args[4], FollowLast::never);
  if (!place) return place.error();
  if (target->empty()) return Errno::noent;
  if (target->size() > limits::guest_path_argument_bytes_max) return Errno::nametoolong;
  if (target->find('\0') != std::string_view::npos) return Errno::inval;
  if (target->front() == '/') return Errno::notcapable;
  if (place->wants_directory && !place->node) return Errno::noent;
  auto link = create(state, *place, Node::Kind::link);
  if (!link) return link.error();
  const Errno error = (*link)->write(0, base::view(*target));
  if (error != Errno::success) place->parent->remove(place->name);
  return state.full(*place->parent, error);
}

constexpr Function table[] = {
    {"path_create_directory", "iii", true, path_create_directory},
    {"path_filestat_get", "iiiii", true, path_filestat_get},
    {"path_filestat_set_times", "iiiiIIi", true, path_filestat_set_times},
    {"path_link", "iiiiiii", true, path_link},
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
