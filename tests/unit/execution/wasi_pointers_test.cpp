// Every pointer argument of every function, out of bounds in every way: an errno, no access, no change of the state.
#include <doctest/doctest.h>

#include <map>

#include "tests/support/wasi_guest.hpp"

using namespace starling;
using namespace starling::execution::wasi;
using Guest = starling::testing::WasiGuest;

namespace {

constexpr std::uint64_t link_at = 512, new_at = 520, file_at = 528, dir_at = 536, poll_at = 2048;

// A call that succeeds (sockets: that fails for another reason) on what prepare() has made.
std::vector<std::uint64_t> good_arguments(const testing::CallShape& shape) {
  static const std::map<std::string_view, std::uint64_t> descriptor = {
      {"fd_prestat_get", 5}, {"fd_prestat_dir_name", 5}, {"fd_readdir", 5}, {"fd_renumber", 7}};
  static const std::map<std::string_view, std::uint64_t> path = {
      {"path_filestat_get", file_at}, {"path_filestat_set_times", file_at}, {"path_link", file_at}, {"path_open", file_at},
      {"path_readlink", link_at}, {"path_remove_directory", dir_at}, {"path_rename", file_at}, {"path_unlink_file", file_at},
      {"path_create_directory", new_at}, {"path_symlink", file_at}};
  std::vector<std::uint64_t> args;
  int paths = 0;
  for (const char kind : shape.parameters) {
    switch (kind) {
      case 'f': args.push_back(descriptor.contains(shape.name) ? descriptor.at(shape.name) : shape.name.starts_with("path") ? 5U : 7U); break;
      case 'p': args.push_back(paths++ == 0 ? path.at(shape.name) : new_at); break;
      case 'n': args.push_back(4); break;
      case 'l': args.push_back(64); break;
      case 'v': args.push_back(Guest::iovec_at); break;
      case 'c': args.push_back(1); break;
      case 'q': args.push_back(poll_at); break;
      case 'i': args.push_back(0); break;
      case 'I': args.push_back(shape.name == "fd_allocate" ? 1 : 0); break;
      default: args.push_back(Guest::out_at);
    }
  }
  return args;
}

void prepare(Guest& guest) {
  STARLING_ENSURE(guest.open(5, "file", open_flags::create, rights::file) == Errno::success);
  STARLING_ENSURE(guest.call("path_symlink", {"file", 5, "link"}) == Errno::success);
  STARLING_ENSURE(guest.call("path_create_directory", {5, "dir1"}) == Errno::success);
  for (const auto& [at, text] : {std::pair(link_at, "link"), {new_at, "new1"}, {file_at, "file"}, {dir_at, "dir1"}})
    for (std::uint64_t i = 0; i < 4; ++i) guest.set<std::uint8_t>(at + i, static_cast<std::uint8_t>(text[i]));
  guest.aim(Guest::out_at, 16);
}

std::uint64_t bytes_at(char kind) {
  switch (kind) {
    case 'r': return 24;
    case 's':
    case 'b': return 64;
    case 'p': return 4;
    case 'q': return 48;
    case 'e': return 32;
    case '4': return 4;
    default: return 8;
  }
}
bool is_pointer(char kind) { return std::string_view("48rspbvqe").contains(kind); }
bool is_socket(const testing::CallShape& shape) { return shape.name.starts_with("sock_"); }

Errno run(const testing::CallShape& shape, Guest& guest, const std::vector<std::uint64_t>& args) {
  const auto error = testing::wasi_function(shape.name).handler(guest.state(), GuestMemory(guest.memory()), args);
  guest.state().check_invariants();
  return error;
}

}  // namespace

TEST_CASE("wasi: the good calls of the pointer test are good") {
  CHECK(std::size(testing::wasi_calls) == functions().size());
  for (const auto& shape : testing::wasi_calls) {
    CHECK(shape.parameters.size() == testing::wasi_function(shape.name).parameters.size());
    Guest guest;
    prepare(guest);
    const auto error = run(shape, guest, good_arguments(shape));
    const Errno expected = is_socket(shape) ? Errno::notsock : shape.name == "proc_raise" ? Errno::nosys : Errno::success;
    CHECK_MESSAGE(static_cast<int>(error) == static_cast<int>(expected), shape.name);
  }
}

TEST_CASE("wasi: a bad pointer in any argument of any function is EFAULT and nothing more") {
  int calls = 0;
  for (const auto& shape : testing::wasi_calls) {
    for (std::size_t i = 0; i < shape.parameters.size(); ++i) {
      const char kind = shape.parameters[i];
      if (!is_pointer(kind)) continue;
      for (const std::uint64_t bad : {Guest::memory_bytes - bytes_at(kind) + 1, Guest::memory_bytes - 1, Guest::memory_bytes, Guest::memory_bytes + 1,
                                      std::uint64_t{0x7fffffff}, std::uint64_t{0x80000000}, std::uint64_t{0xffffffff} - bytes_at(kind) + 1, std::uint64_t{0xffffffff}}) {
        Guest guest;
        prepare(guest);
        const std::uint64_t inodes = guest.state().out()->children().size();
        auto args = good_arguments(shape);
        args[i] = bad;
        const auto error = run(shape, guest, args);
        CHECK_MESSAGE(static_cast<int>(error) == static_cast<int>(is_socket(shape) ? Errno::notsock : Errno::fault), shape.name << " argument " << i << " = " << bad);
        CHECK(guest.state().out()->children().size() == inodes);
        const OpenFile& file = **guest.state().find(7);
        CHECK_MESSAGE((file.offset == 0 && file.node->size_bytes() == 0), shape.name << " has moved or written");
        ++calls;
      }
    }
  }
  CHECK(calls > 400);
}

TEST_CASE("wasi: absurd lengths and counts are refused before anything is touched") {
  for (const auto& shape : testing::wasi_calls) {
    if (is_socket(shape)) continue;
    for (std::size_t i = 0; i < shape.parameters.size(); ++i) {
      const char kind = shape.parameters[i];
      if (kind != 'n' && kind != 'l' && kind != 'c') continue;
      for (const std::uint64_t bad : {std::uint64_t{0xffffffff}, std::uint64_t{0x80000000}, Guest::memory_bytes}) {
        Guest guest;
        prepare(guest);
        auto args = good_arguments(shape);
        args[i] = bad;
        const auto error = run(shape, guest, args);
        CHECK_MESSAGE((error == Errno::fault || (kind == 'c' && error == Errno::inval)), shape.name << " argument " << i << " = " << bad);
      }
    }
  }
}

TEST_CASE("wasi: iovecs that lie, overlap or run out of the memory") {
  for (const char* name : {"fd_read", "fd_write", "fd_pread", "fd_pwrite"}) {
    const auto call = [&](std::uint32_t at, std::uint32_t size, std::uint64_t vectors = Guest::iovec_at, std::uint64_t count = 1) {
      Guest guest;
      prepare(guest);
      guest.aim(at, size);
      std::vector<testing::WasiArg> args{7, vectors, count};
      if (std::string_view(name).starts_with("fd_p")) args.emplace_back(0);
      args.emplace_back(Guest::size_at);
      return guest.call(name, args);
    };
    CHECK(call(0xffffff00, 0xffffff00) == Errno::fault);
    CHECK(call(0, 65537) == Errno::fault);
    CHECK(call(65535, 2) == Errno::fault);
    CHECK(call(65536, 0) == Errno::success);
    CHECK(call(65537, 0) == Errno::fault);
    CHECK(call(0, 65536) == Errno::success);
    CHECK(call(Guest::iovec_at, 8) == Errno::success);  // over itself
    CHECK(call(0, 0, 65536 - 8 * 1023, 1024) == Errno::fault);
    CHECK(call(0, 0, 65536 - 8 * 1024, 1024) == Errno::success);
  }
}

TEST_CASE("wasi: a guest without memory gets EFAULT, never an access") {
  for (const auto& shape : testing::wasi_calls) {
    Guest guest;
    prepare(guest);
    const bool points = std::ranges::any_of(shape.parameters, is_pointer);
    const auto error = testing::wasi_function(shape.name).handler(guest.state(), GuestMemory({}), good_arguments(shape));
    if (points && !is_socket(shape)) CHECK_MESSAGE(error == Errno::fault, shape.name);
  }
}
