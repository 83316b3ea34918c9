// The WASI host without an engine: calls made straight into the handlers, against a piece of memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "coordinator-less/base/limits.hpp"
#include "tests/support/wasi_guest.hpp"

using namespace starling;
using namespace starling::execution::wasi;
using Guest = starling::testing::WasiGuest;

TEST_CASE("wasi: all 46 functions of preview 1 are there, once") {
  std::vector<std::string_view> names;
  for (const auto& function : functions()) names.push_back(function.name);
  std::ranges::sort(names);
  CHECK(names.size() == 46);
  CHECK(std::ranges::adjacent_find(names) == names.end());
}

TEST_CASE("wasi: random numbers depend on the seed alone") {
  Guest a(1 << 20, 1), same(1 << 20, 1), other(1 << 20, 2);
  for (Guest* guest : {&a, &same, &other}) CHECK(guest->call("random_get", {Guest::out_at, 16}) == Errno::success);
  CHECK(a.get<std::uint64_t>(Guest::out_at) == same.get<std::uint64_t>(Guest::out_at));
  CHECK(a.get<std::uint64_t>(Guest::out_at) != other.get<std::uint64_t>(Guest::out_at));
}

TEST_CASE("wasi: the clock shows the fuel used and jumps when it is polled") {
  Guest guest;
  REQUIRE(guest.call("clock_time_get", {0, 0, Guest::out_at}) == Errno::success);
  const auto first = guest.get<std::uint64_t>(Guest::out_at);
  CHECK(first == static_cast<std::uint64_t>(epoch_ns) + Guest::call_fuel);
  guest.set<std::uint64_t>(2048, 77);             // userdata
  guest.set<std::uint32_t>(2048 + 16, 1);         // monotonic
  guest.set<std::uint64_t>(2048 + 24, 5'000'000'000);
  REQUIRE(guest.call("poll_oneoff", {2048, 3072, 1, Guest::size_at}) == Errno::success);
  CHECK(guest.get<std::uint32_t>(Guest::size_at) == 1);
  CHECK(guest.get<std::uint64_t>(3072) == 77);
  REQUIRE(guest.call("clock_time_get", {0, 0, Guest::out_at}) == Errno::success);
  CHECK(guest.get<std::uint64_t>(Guest::out_at) - first >= 5'000'000'000);
}

TEST_CASE("wasi: /in is read-only, paths cannot leave their directory") {
  Guest guest;
  CHECK(guest.open(4, "f", 0, rights::fd_read) == Errno::success);
  CHECK(guest.write(guest.fd(), "x") == Errno::notcapable);
  CHECK(guest.open(4, "f", 0, rights::fd_write) == Errno::rofs);
  CHECK(guest.open(4, "new", open_flags::create) == Errno::rofs);
  CHECK(guest.open(4, "../out", 0, rights::fd_read) == Errno::notcapable);
  CHECK(guest.open(4, "/f", 0, rights::fd_read) == Errno::notcapable);
  CHECK(guest.open(3, "in/../in/./f", 0, rights::fd_read) == Errno::success);
  CHECK(guest.open(3, "nowhere", open_flags::create) == Errno::rofs);
  CHECK(guest.call("path_unlink_file", {4, "f"}) == Errno::rofs);
}

TEST_CASE("wasi: directories, rename and unlink") {
  Guest guest;
  CHECK(guest.call("path_create_directory", {5, "d"}) == Errno::success);
  CHECK(guest.call("path_create_directory", {5, "d"}) == Errno::exist);
  CHECK(guest.open(5, "d/file", open_flags::create, rights::fd_write) == Errno::success);
  CHECK(guest.write(guest.fd(), "hello") == Errno::success);
  CHECK(guest.call("path_remove_directory", {5, "d"}) == Errno::notempty);
  CHECK(guest.call("path_rename", {5, "d", 5, "d/e"}) == Errno::inval);
  CHECK(guest.call("path_rename", {5, "d/file", 6, "file"}) == Errno::xdev);
  CHECK(guest.call("path_rename", {5, "d/file", 5, "z"}) == Errno::success);
  CHECK(guest.call("path_remove_directory", {5, "d"}) == Errno::success);
  CHECK(guest.state().out()->children().size() == 1);
  CHECK(guest.call("path_unlink_file", {5, "z"}) == Errno::success);
  CHECK(guest.write(guest.fd(), " still open") == Errno::success);
}

TEST_CASE("wasi: output beyond the limit ends the item, /tmp beyond its quota is ENOSPC") {
  Guest guest(1000);
  CHECK(guest.write(1, std::string(900, 'x')) == Errno::success);
  CHECK(guest.open(6, "t", open_flags::create, rights::fd_write | rights::fd_filestat_set_size) == Errno::success);
  CHECK(guest.call("fd_filestat_set_size", {guest.fd(), 1ULL << 40}) == Errno::nospc);
  CHECK(guest.state().ending() == Ending::none);
  CHECK(guest.write(1, std::string(101, 'x')) == Errno::nospc);
  CHECK(guest.state().ending() == Ending::output_limit);

  Guest sparse(10'000);
  CHECK(sparse.open(5, "s", open_flags::create, rights::fd_write | rights::fd_seek) == Errno::success);
  CHECK(sparse.call("fd_seek", {sparse.fd(), 10ULL << 30, 0, Guest::out_at}) == Errno::success);
  CHECK(sparse.write(sparse.fd(), "x") != Errno::success);
  CHECK(sparse.state().ending() == Ending::output_limit);
}

TEST_CASE("wasi: unlinked and truncated files give their bytes back") {
  Guest guest(3000);
  for (int round = 0; round < 50; ++round) {
    CHECK(guest.open(5, "f", open_flags::create | open_flags::truncate, rights::fd_write) == Errno::success);
    CHECK(guest.write(guest.fd(), std::string(1500, 'x')) == Errno::success);
    CHECK(guest.call("fd_close", {guest.fd()}) == Errno::success);
    if (round % 2 == 0) CHECK(guest.call("path_unlink_file", {5, "f"}) == Errno::success);
    if (round % 8 == 7) guest = Guest(3000);
  }
  CHECK(guest.state().ending() == Ending::none);
}

TEST_CASE("wasi: nesting is bounded") {
  Guest guest;
  std::string path = "d";
  Errno last = Errno::success;
  for (int depth = 0; depth < 100 && last == Errno::success; ++depth, path += "/d") {
    Guest* one = &guest;
    one->set<std::uint32_t>(0, 0);
    last = one->call("path_create_directory", {5, path});
  }
  CHECK(last == Errno::nametoolong);
}

TEST_CASE("wasi: readdir goes on after its last cookie, in byte order, while entries vanish") {
  Guest guest;
  for (const char* name : {"b", "a", "B", "c"})
    REQUIRE(guest.call("path_create_directory", {5, std::string_view(name)}) == Errno::success);
  std::string seen;
  std::uint64_t cookie = 0;
  while (true) {
    REQUIRE(guest.call("fd_readdir", {5, Guest::out_at, 25, cookie, Guest::size_at}) == Errno::success);
    if (guest.get<std::uint32_t>(Guest::size_at) < 25) break;
    cookie = guest.get<std::uint64_t>(Guest::out_at);
    const char name = static_cast<char>(guest.get<std::uint8_t>(Guest::out_at + 24));
    seen += name;
    if (name != '.') REQUIRE(guest.call("path_remove_directory", {5, std::string(1, name)}) == Errno::success);
  }
  CHECK(seen == "..Babc");
}

TEST_CASE("wasi: what makes the host work is charged, however little memory it touches") {
  Guest guest(1 << 20);
  const auto cost_of = [&guest](std::string_view name, const std::vector<std::uint64_t>& args, Errno expected = Errno::success) {
    const GuestMemory memory(guest.memory());
    CHECK(testing::wasi_function(name).handler(guest.state(), memory, args) == expected);
    return memory.bytes_moved();
  };
  constexpr std::uint64_t out = 5, name_bytes = limits::guest_name_work_bytes, entries = 100;
  REQUIRE(guest.call("path_create_directory", {out, "d"}) == Errno::success);
  for (std::uint64_t i = 0; i < entries; ++i) REQUIRE(guest.call("path_create_directory", {out, "d/" + std::to_string(i)}) == Errno::success);
  REQUIRE(guest.open(out, "d", open_flags::directory) == Errno::success);
  const std::uint64_t directory = guest.fd();

  // A directory is listed at each cookie 0, and looked through when it moves: how deep is it?
  guest.set(Guest::out_at, std::uint64_t{0});
  CHECK(cost_of("fd_readdir", {directory, Guest::out_at, 0, 0, Guest::size_at}) >= entries * name_bytes);
  CHECK(cost_of("fd_readdir", {directory, Guest::out_at, 0, 1, Guest::size_at}) < name_bytes);
  const std::uint64_t d = guest.put("d"), e = guest.put("e");
  CHECK(cost_of("path_rename", {out, d, 1, out, e, 1}) >= entries * name_bytes);

  // A path is as long as its links make it.
  std::string target;
  while (target.size() < 4000) target += "./";
  for (const char* name : {"e/0/l", "e/0/m"}) REQUIRE(guest.call("path_symlink", {target, out, name}) == Errno::success);
  const std::string path = "e/0/l/m/l/m/l/m/l/m";
  const std::uint64_t at = guest.put(path);
  CHECK(cost_of("path_filestat_get", {out, 1, at, path.size(), Guest::out_at}) >= 8 * 2000 * name_bytes);

  // A file's new room is filled with zeros, by whatever call.
  REQUIRE(guest.open(out, "f", open_flags::create) == Errno::success);
  const std::uint64_t file = guest.fd();
  guest.aim(guest.put("x"), 1);
  CHECK(cost_of("fd_pwrite", {file, Guest::iovec_at, 1, 99'999, Guest::size_at}) >= 100'000);
  CHECK(cost_of("fd_filestat_set_size", {file, 0}) == 0);
  CHECK(cost_of("fd_filestat_set_size", {file, 100'000}) >= 100'000);
  CHECK(cost_of("fd_allocate", {file, 100'000, 100'000}) >= 100'000);
  CHECK(cost_of("fd_allocate", {file, 0, 100'000}) == 0);
}
