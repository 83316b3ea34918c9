// A guest without an engine: a piece of memory, a State, and calls made straight into the handlers. The memory has exactly
// the size that the guest knows, so a sanitizer sees every byte beyond.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator-less/base/check.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::testing {

namespace wasi = execution::wasi;

// What each parameter is. f descriptor, i and I plain numbers, p path and n its length, b buffer and l its length, v iovecs
// and c their count, q subscriptions and e events (their count is the c after them), and pointers to results of that many
// bytes: 4, 8, r (24), s (64).
struct CallShape {
  std::string_view name;
  std::string_view parameters;
};
inline constexpr CallShape wasi_calls[] = {
    {"args_get", "88"}, {"args_sizes_get", "44"}, {"environ_get", "44"}, {"environ_sizes_get", "44"},
    {"clock_res_get", "i8"}, {"clock_time_get", "iI8"}, {"random_get", "bl"}, {"poll_oneoff", "qec4"},
    {"proc_exit", "i"}, {"proc_raise", "i"}, {"sched_yield", ""},
    {"sock_accept", "fi4"}, {"sock_recv", "fvci44"}, {"sock_send", "fvci4"}, {"sock_shutdown", "fi"},
    {"fd_advise", "fIIi"}, {"fd_allocate", "fII"}, {"fd_close", "f"}, {"fd_datasync", "f"}, {"fd_fdstat_get", "fr"},
    {"fd_fdstat_set_flags", "fi"}, {"fd_fdstat_set_rights", "fII"}, {"fd_filestat_get", "fs"}, {"fd_filestat_set_size", "fI"},
    {"fd_filestat_set_times", "fIIi"}, {"fd_pread", "fvcI4"}, {"fd_prestat_get", "f8"}, {"fd_prestat_dir_name", "fbl"},
    {"fd_pwrite", "fvcI4"}, {"fd_read", "fvc4"}, {"fd_readdir", "fblI4"}, {"fd_renumber", "ff"}, {"fd_seek", "fIi8"},
    {"fd_sync", "f"}, {"fd_tell", "f8"}, {"fd_write", "fvc4"},
    {"path_create_directory", "fpn"}, {"path_filestat_get", "fipns"}, {"path_filestat_set_times", "fipnIIi"},
    {"path_link", "fipnfpn"}, {"path_open", "fipniIIi4"}, {"path_readlink", "fpnbl4"}, {"path_remove_directory", "fpn"},
    {"path_rename", "fpnfpn"}, {"path_symlink", "pnfpn"}, {"path_unlink_file", "fpn"},
};

inline const wasi::Function& wasi_function(std::string_view name) {
  const auto all = wasi::functions();
  const auto found = std::ranges::find(all, name, &wasi::Function::name);
  STARLING_ENSURE(found != all.end());
  return *found;
}

// A number, or a text, which becomes two arguments: where it lies and how long it is.
struct WasiArg {
  template <class T>
    requires std::is_arithmetic_v<T>
  WasiArg(T value) : number(static_cast<std::uint64_t>(value)) {}
  WasiArg(const char* chars) : text(chars), is_text(true) {}
  WasiArg(std::string_view chars) : text(chars), is_text(true) {}
  WasiArg(const std::string& chars) : text(chars), is_text(true) {}
  std::uint64_t number = 0;
  std::string_view text;
  bool is_text = false;
};

class WasiGuest {
 public:
  static constexpr std::uint64_t memory_bytes = 65536, call_fuel = 200;
  static constexpr std::uint64_t fd_at = 8, iovec_at = 16, size_at = 32, out_at = 1024, text_at = 8192;

  explicit WasiGuest(std::uint64_t output_bytes_max = 1 << 20, std::uint64_t seed = 1, std::uint32_t round = 0)
      : bytes_(memory_bytes), state_(options(output_bytes_max, seed, round)) {}

  wasi::Errno call(std::string_view name, const std::vector<WasiArg>& args) {
    const auto& function = wasi_function(name);
    std::vector<std::uint64_t> numbers;
    for (const auto& arg : args) {
      numbers.push_back(arg.is_text ? put(arg.text) : arg.number);
      if (arg.is_text) numbers.push_back(arg.text.size());
    }
    STARLING_ENSURE(numbers.size() == function.parameters.size());
    state_.set_fuel_used(fuel_ += call_fuel);  // as the engine charges it
    const auto error = function.handler(state_, wasi::GuestMemory(bytes_), numbers);
    state_.check_invariants();
    return error;
  }
  std::uint64_t put(std::string_view text) {
    if (next_ + text.size() + 8 > memory_bytes) next_ = text_at;
    const std::uint64_t at = next_;
    wasi::GuestMemory(bytes_).write(at, base::view(text));
    next_ += (text.size() + 15) / 8 * 8;
    return at;
  }
  template <class T>
  T get(std::uint64_t at) const { return *wasi::GuestMemory(const_cast<base::Bytes&>(bytes_)).load<T>(at); }
  template <class T>
  void set(std::uint64_t at, T value) { wasi::GuestMemory(bytes_).store(at, value); }
  std::string text(std::uint64_t at, std::size_t size) const { return std::string(base::text(base::ByteView(bytes_).subspan(at, size))); }

  wasi::Errno open(std::uint64_t directory, std::string_view path, std::uint64_t flags = 0, std::uint64_t wanted = wasi::rights::all,
                   std::uint64_t lookup = 1, std::uint64_t fd_flags = 0) {
    return call("path_open", {directory, lookup, path, flags, wanted, wasi::rights::all, fd_flags, fd_at});
  }
  std::uint32_t fd() const { return get<std::uint32_t>(fd_at); }
  wasi::Errno write(std::uint64_t file, std::string_view content) {
    aim(put(content), content.size());
    return call("fd_write", {file, iovec_at, 1, size_at});
  }
  std::string read(std::uint64_t file, std::size_t size = 256) {
    aim(out_at, size);
    if (call("fd_read", {file, iovec_at, 1, size_at}) != wasi::Errno::success) return "(error)";
    return text(out_at, get<std::uint32_t>(size_at));
  }
  void aim(std::uint64_t at, std::uint64_t size) {  // the one iovec
    set(iovec_at, static_cast<std::uint32_t>(at));
    set(iovec_at + 4, static_cast<std::uint32_t>(size));
  }
  wasi::State& state() { return state_; }
  base::Bytes& memory() { return bytes_; }

 private:
  std::uint64_t fuel_ = 0;
  static wasi::ItemOptions options(std::uint64_t output_bytes_max, std::uint64_t seed, std::uint32_t round) {
    wasi::ItemOptions out;
    out.arguments = {"program", "x"};
    out.environment = {"A=b"};
    out.standard_input = base::view("line\n");
    out.seed.bytes.fill(static_cast<std::byte>(seed));
    out.round = round;
    out.in = wasi::Node::read_only_directory(1);
    out.in->adopt("f", std::make_shared<wasi::Node>(wasi::Node::Kind::file, nullptr, 2));
    out.first_inode = 3;
    out.output_bytes_max = output_bytes_max;
    out.temporary_bytes_max = 8192;
    return out;
  }

  base::Bytes bytes_;
  wasi::State state_;
  std::uint64_t next_ = text_at;
};

}  // namespace starling::testing
