// Random sequences of WASI calls against one item's State. An input is a script: a byte picks the function, then one byte or
// more picks each argument, mostly from what makes sense (open descriptors, paths that exist, buffers), at times from what
// does not. Promises: no crash and no access outside the guest's memory (which has exactly its size, for a sanitizer); after
// each call both accounts hold exactly what is there; the trees are trees, and only calls that are meant to add or take a
// name do so; a script gives the same memory, names and output when it runs again.
#include <set>

#include "coordinator-less/base/bytes.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/support/wasi_guest.hpp"

namespace starling::fuzz {
namespace {

using namespace execution::wasi;
using testing::WasiGuest;

constexpr std::size_t calls_max = 400;
constexpr std::uint64_t path_at = 2048, path_stride = 32;
constexpr std::string_view paths[] = {"a", "b", "c", "a/b", "a/c", "b/a", "a/b/c", "c/a", "l", "l/a", "k", "k/b", "a/l", "../a", "a/../b", "a/", "l/",
                                      ".", "..", "f", "out/a", "tmp/b", "in/f", "out/l/a", "/a", "", "../../x", "a/../..", "b/.", "c/..", "out", "tmp/c"};

class Script {
 public:
  explicit Script(base::ByteView bytes) : rest_(bytes) {}
  bool ended() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(rest_.front());
    rest_ = rest_.subspan(1);
    return value;
  }
  std::uint64_t number(unsigned bytes) {
    std::uint64_t out = 0;
    for (unsigned i = 0; i < bytes; ++i) out = out << 8 | byte();
    return out;
  }

 private:
  base::ByteView rest_;
};

std::uint64_t draw_number(Script& script, bool wide) {
  const std::uint8_t choice = script.byte();
  if (choice < 96) return choice % 16;
  if (choice < 128) return ~0ULL;
  if (choice < 160) return rights::all;
  if (choice < 192) return script.number(2);
  if (choice < 224) return 1ULL << (choice % (wide ? 64 : 32));
  return script.number(wide ? 8 : 4);
}

std::uint64_t draw_pointer(Script& script) {
  const std::uint8_t choice = script.byte();
  if (choice < 224) return WasiGuest::out_at + choice * 4U;
  if (choice < 240) return WasiGuest::memory_bytes - 64 + (choice - 224) * 8U;
  return script.number(4);
}

std::vector<std::uint64_t> draw_arguments(const testing::CallShape& shape, const Function& function, Script& script) {
  std::vector<std::uint64_t> args;
  std::size_t path = 0;
  for (std::size_t i = 0; i < shape.parameters.size(); ++i) {
    std::uint64_t value = 0;
    switch (shape.parameters[i]) {
      case 'f': value = script.byte() % 16; break;
      case 'p':
        path = script.byte() % std::size(paths);
        value = path_at + path * path_stride;
        break;
      case 'n': value = paths[path].size(); break;
      case 'v': value = WasiGuest::iovec_at; break;
      case 'c': value = script.byte() % 4; break;
      case 'l': value = script.byte() < 240 ? script.byte() * 2U : script.number(4); break;
      case 'i':
      case 'I': value = draw_number(script, function.parameters[i] == 'I'); break;
      default: value = draw_pointer(script);
    }
    args.push_back(function.parameters[i] == 'i' ? value & 0xffffffff : value);
  }
  return args;
}

// The names in /out and /tmp, and how many of them a call may add or take.
struct Names {
  static void walk(const Node& node, const std::string& prefix, std::set<std::string>& out, unsigned depth) {
    require(depth <= 64, "a tree is deeper than allowed, or a ring");
    for (const auto& [name, child] : node.children()) {
      require(!name.empty() && name.size() <= 255 && name != "." && name != ".." && !name.contains('/'), "a name that is none");
      require(child->names() > 0, "a name without a link count");
      require(!child->is_directory() || (child->names() == 1 && child->parent_inode() == node.inode()), "a directory with two parents");
      out.insert(prefix + name);
      if (child->is_directory()) walk(*child, prefix + name + "/", out, depth + 1);
    }
  }
  static int change_of(std::string_view function) {
    if (function == "path_create_directory" || function == "path_symlink" || function == "path_link") return 1;
    if (function == "path_remove_directory" || function == "path_unlink_file") return -1;
    return 0;
  }
  static void check(const State& state, const Function& function, Errno error, std::uint64_t before, std::uint64_t after) {
    if (function.name == "path_open" || function.name == "path_rename") return;
    const int change = error == Errno::success ? change_of(function.name) : 0;
    if (state.ending() == Ending::none)
      require(after == before + static_cast<std::uint64_t>(static_cast<std::int64_t>(change)), "a call changed names that it should not");
  }
};

std::uint64_t count_names(const NodePtr& out, const NodePtr& temporary) {
  std::set<std::string> names;
  Names::walk(*out, "out/", names, 0);
  if (temporary) Names::walk(*temporary, "tmp/", names, 0);
  return names.size();
}

struct Run {
  base::Bytes memory;
  std::set<std::string> names;
  base::Bytes output;
  std::uint64_t succeeded = 0;
  bool operator==(const Run&) const = default;
};

void furnish(WasiGuest& guest) {
  for (std::size_t i = 0; i < std::size(paths); ++i)
    GuestMemory(guest.memory()).write(path_at + i * path_stride, base::view(paths[i]));
  for (std::uint64_t i = 0; i < 3; ++i) {
    guest.set(WasiGuest::iovec_at + i * 8, static_cast<std::uint32_t>(4096 + i * 64));
    guest.set(WasiGuest::iovec_at + i * 8 + 4, static_cast<std::uint32_t>(64 - i * 20));
  }
}

Run run(base::ByteView input) {
  WasiGuest guest(6000);
  const NodePtr temporary = (*guest.state().find(6))->node;
  Run out;
  Script script(input);
  std::uint64_t names = 0;
  for (std::size_t i = 0; i < calls_max && !script.ended() && guest.state().ending() == Ending::none; ++i) {
    furnish(guest);
    const auto& shape = testing::wasi_calls[script.byte() % std::size(testing::wasi_calls)];
    const auto& function = testing::wasi_function(shape.name);
    const auto args = draw_arguments(shape, function, script);
    if (shape.name == "random_get" && args[1] > 4096) continue;
    const Errno error = function.handler(guest.state(), GuestMemory(guest.memory()), args);
    guest.state().check_invariants();
    const std::uint64_t now = count_names(guest.state().out(), temporary);
    Names::check(guest.state(), function, error, names, now);
    names = now;
    if (error == Errno::success) ++out.succeeded;
  }
  out.memory = guest.memory();
  Names::walk(*guest.state().out(), "out/", out.names, 0);
  out.output = guest.state().standard_output();
  return out;
}

}  // namespace

bool fuzz_one(base::ByteView input) {
  const Run first = run(input);
  require(run(input) == first, "a script gave other bytes when it ran again");
  return first.succeeded > 3;
}

// Mostly the calls that build trees.
base::Bytes draw_seed(base::Rng& rng) {
  base::Bytes out;
  const std::uint64_t calls = 10 + rng.below(150);
  for (std::uint64_t i = 0; i < calls; ++i) {
    const std::uint64_t function = rng.chance(0.7) ? 36 + rng.below(10) : rng.below(std::size(testing::wasi_calls));
    out.push_back(static_cast<std::byte>(function));
    for (const char kind : testing::wasi_calls[function].parameters) {
      if (kind == 'n' || kind == 'v') continue;
      const bool descriptor = kind == 'f' && rng.chance(0.8);
      const std::uint64_t number = kind == 'i' ? rng.below(20) : rng.below(256);
      out.push_back(static_cast<std::byte>(descriptor ? (rng.chance(0.6) ? 5 : 3 + rng.below(10)) : number));
      if (kind == 'l') out.push_back(static_cast<std::byte>(rng.below(256)));
    }
  }
  return out;
}

}  // namespace starling::fuzz
