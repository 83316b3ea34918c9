// The WASI host without an engine: calls made straight into the handlers, against a piece of memory.
#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <string>

#include "coordinator-less/base/rng.hpp"
#include "worker/execution/wasi/functions.hpp"

using namespace starling;
using namespace starling::execution::wasi;

namespace {

class Guest {
 public:
  explicit Guest(std::uint64_t output_bytes_max = 1 << 20, std::uint64_t seed = 1) : bytes_(65536), state_(options(output_bytes_max, seed)) {}

  Errno call(std::string_view name, std::initializer_list<std::uint64_t> args) {
    const auto all = functions();
    const auto found = std::ranges::find(all, name, &Function::name);
    REQUIRE(found != all.end());
    REQUIRE(found->parameters.size() == args.size());
    return found->handler(state_, GuestMemory(bytes_), Args(args.begin(), args.size()));
  }
  std::uint64_t put(std::string_view text) {  // at a fresh address
    std::ranges::copy(base::view(text), bytes_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ += (text.size() + 15) / 8 * 8;
    return at_ - (text.size() + 15) / 8 * 8;
  }
  template <class T>
  T get(std::uint64_t at) { return *GuestMemory(bytes_).load<T>(at); }
  template <class T>
  void set(std::uint64_t at, T value) { GuestMemory(bytes_).store(at, value); }

  Errno open(std::uint64_t directory, std::string_view path, std::uint64_t flags = 0, std::uint64_t wanted = rights::all) {
    return call("path_open", {directory, 1, put(path), path.size(), flags, wanted, rights::all, 0, fd_at});
  }
  std::uint32_t fd() { return get<std::uint32_t>(fd_at); }
  Errno write(std::uint64_t file, std::string_view text) {
    const std::uint64_t at = put(text);
    set(iovec_at, static_cast<std::uint32_t>(at));
    set(iovec_at + 4, static_cast<std::uint32_t>(text.size()));
    return call("fd_write", {file, iovec_at, 1, size_at});
  }
  State& state() { return state_; }

  static constexpr std::uint64_t fd_at = 8, iovec_at = 16, size_at = 32, out_at = 1024;

 private:
  static ItemOptions options(std::uint64_t output_bytes_max, std::uint64_t seed) {
    ItemOptions out;
    out.arguments = {"program", "x"};
    out.environment = {"A=b"};
    out.standard_input = base::view("line\n");
    out.seed.bytes.fill(static_cast<std::byte>(seed));
    out.in = Node::read_only_directory(1);
    out.in->adopt("f", std::make_shared<Node>(Node::Kind::file, nullptr, 2));
    out.first_inode = 3;
    out.output_bytes_max = output_bytes_max;
    out.temporary_bytes_max = 4096;
    return out;
  }

  base::Bytes bytes_;
  State state_;
  std::uint64_t at_ = 4096;
};

}  // namespace

TEST_CASE("wasi: all 46 functions of preview 1 are there, once") {
  std::vector<std::string_view> names;
  for (const auto& function : functions()) names.push_back(function.name);
  std::ranges::sort(names);
  CHECK(names.size() == 46);
  CHECK(std::ranges::adjacent_find(names) == names.end());
}

TEST_CASE("wasi: a bad pointer in any argument is an errno, never an access") {
  base::Rng rng(3);
  for (const auto& function : functions()) {
    if (function.name == "proc_exit") continue;
    for (int round = 0; round < 300; ++round) {
      Guest guest;
      guest.set<std::uint32_t>(Guest::iovec_at, 0xffffff00);
      guest.set<std::uint32_t>(Guest::iovec_at + 4, 0xffffff00);
      std::vector<std::uint64_t> args;
      for (const char type : function.parameters) {
        const std::uint64_t interesting[] = {0, 1, 3, 4, 5, 6, 16, 65528, 65535, 65536, 0xfffffff0, 0xffffffff};
        std::uint64_t value = interesting[rng.below(std::size(interesting))];
        if (type == 'I' && rng.chance(0.3)) value = rng.next();
        args.push_back(value);
      }
      base::Bytes memory(65536, std::byte{0xff});
      (void)function.handler(guest.state(), GuestMemory(memory), args);
    }
  }
}

TEST_CASE("wasi: random numbers depend on the seed alone") {
  Guest a(1 << 20, 1), same(1 << 20, 1), other(1 << 20, 2);
  for (Guest* guest : {&a, &same, &other}) CHECK(guest->call("random_get", {Guest::out_at, 16}) == Errno::success);
  CHECK(a.get<std::uint64_t>(Guest::out_at) == same.get<std::uint64_t>(Guest::out_at));
  CHECK(a.get<std::uint64_t>(Guest::out_at) != other.get<std::uint64_t>(Guest::out_at));
}

TEST_CASE("wasi: the clock moves when it is read and jumps when it is polled") {
  Guest guest;
  REQUIRE(guest.call("clock_time_get", {0, 0, Guest::out_at}) == Errno::success);
  const auto first = guest.get<std::uint64_t>(Guest::out_at);
  CHECK(first == static_cast<std::uint64_t>(epoch_ns) + clock_step_ns);
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
  CHECK(guest.call("path_unlink_file", {4, guest.put("f"), 1}) == Errno::rofs);
}

TEST_CASE("wasi: directories, rename and unlink") {
  Guest guest;
  CHECK(guest.call("path_create_directory", {5, guest.put("d"), 1}) == Errno::success);
  CHECK(guest.call("path_create_directory", {5, guest.put("d"), 1}) == Errno::exist);
  CHECK(guest.open(5, "d/file", open_flags::create, rights::fd_write) == Errno::success);
  CHECK(guest.write(guest.fd(), "hello") == Errno::success);
  CHECK(guest.call("path_remove_directory", {5, guest.put("d"), 1}) == Errno::notempty);
  CHECK(guest.call("path_rename", {5, guest.put("d"), 1, 5, guest.put("d/e"), 3}) == Errno::inval);
  CHECK(guest.call("path_rename", {5, guest.put("d/file"), 6, 6, guest.put("file"), 4}) == Errno::xdev);
  CHECK(guest.call("path_rename", {5, guest.put("d/file"), 6, 5, guest.put("z"), 1}) == Errno::success);
  CHECK(guest.call("path_remove_directory", {5, guest.put("d"), 1}) == Errno::success);
  CHECK(guest.state().out()->children().size() == 1);
  CHECK(guest.call("path_unlink_file", {5, guest.put("z"), 1}) == Errno::success);
  CHECK(guest.write(guest.fd(), " still open") == Errno::success);
  CHECK(guest.call("path_symlink", {guest.put("a"), 1, 5, guest.put("b"), 1}) == Errno::notsup);
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
    if (round % 2 == 0) CHECK(guest.call("path_unlink_file", {5, guest.put("f"), 1}) == Errno::success);
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
    last = one->call("path_create_directory", {5, one->put(path), path.size()});
  }
  CHECK(last == Errno::nametoolong);
}

TEST_CASE("wasi: readdir goes on after its last cookie, in byte order, while entries vanish") {
  Guest guest;
  for (const char* name : {"b", "a", "B", "c"})
    REQUIRE(guest.call("path_create_directory", {5, guest.put(name), 1}) == Errno::success);
  std::string seen;
  std::uint64_t cookie = 0;
  while (true) {
    REQUIRE(guest.call("fd_readdir", {5, Guest::out_at, 25, cookie, Guest::size_at}) == Errno::success);
    if (guest.get<std::uint32_t>(Guest::size_at) < 25) break;
    cookie = guest.get<std::uint64_t>(Guest::out_at);
    const char name = static_cast<char>(guest.get<std::uint8_t>(Guest::out_at + 24));
    seen += name;
    if (name != '.') REQUIRE(guest.call("path_remove_directory", {5, guest.put(std::string(1, name)), 1}) == Errno::success);
  }
  CHECK(seen == "..Babc");
}
