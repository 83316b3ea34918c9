// Arguments, environment, clocks, random numbers, poll, exit, and what a work unit does not have (sockets, signals).
#include <optional>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::execution::wasi {
namespace {

Errno sizes_of(const std::vector<std::string>& texts, const GuestMemory& memory, Args args) {
  std::uint32_t bytes = 0;
  for (const auto& text : texts) bytes += static_cast<std::uint32_t>(text.size() + 1);
  if (!memory.range(args[0], 4) || !memory.range(args[1], 4)) return Errno::fault;
  memory.store(args[0], static_cast<std::uint32_t>(texts.size()));
  memory.store(args[1], bytes);
  return Errno::success;
}

Errno copy_out(const std::vector<std::string>& texts, const GuestMemory& memory, Args args) {
  std::uint64_t pointer = args[0];
  std::uint64_t to = args[1];
  for (const auto& text : texts) {
    const auto bytes = std::as_bytes(std::span(text.c_str(), text.size() + 1));
    if (!memory.store(pointer, static_cast<std::uint32_t>(to)) || !memory.write(to, bytes)) return Errno::fault;
    pointer += 4;
    to += bytes.size();
  }
  return Errno::success;
}

Errno args_sizes_get(State& state, const GuestMemory& memory, Args args) {
  return sizes_of(state.options().arguments, memory, args);
}
Errno args_get(State& state, const GuestMemory& memory, Args args) {
  return copy_out(state.options().arguments, memory, args);
}
Errno environ_sizes_get(State& state, const GuestMemory& memory, Args args) {
  return sizes_of(state.options().environment, memory, args);
}
Errno environ_get(State& state, const GuestMemory& memory, Args args) {
  return copy_out(state.options().environment, memory, args);
}

enum ClockId : std::uint64_t { realtime = 0, monotonic = 1, process_time = 2, thread_time = 3 };

std::uint64_t zero_of(std::uint64_t clock) { return clock == realtime ? static_cast<std::uint64_t>(epoch_ns) : 0; }

Errno clock_res_get(State&, const GuestMemory& memory, Args args) {
  if (args[0] > thread_time) return Errno::inval;
  return memory.store(args[1], clock_step_ns) ? Errno::success : Errno::fault;
}

Errno clock_time_get(State& state, const GuestMemory& memory, Args args) {
  if (args[0] > thread_time) return Errno::inval;
  return memory.store(args[2], zero_of(args[0]) + state.clock_ns()) ? Errno::success : Errno::fault;
}

Errno random_get(State& state, const GuestMemory& memory, Args args) {
  const auto out = memory.range(args[0], args[1]);
  if (!out) return Errno::fault;
  for (std::size_t i = 0; i < out->size(); i += 8) {
    const std::uint64_t word = state.random().next();
    std::memcpy(out->data() + i, &word, std::min<std::size_t>(8, out->size() - i));
  }
  return Errno::success;
}

Errno proc_exit(State& state, const GuestMemory&, Args args) {
  state.end(Ending::exit, static_cast<std::int32_t>(args[0]));
  return Errno::success;
}

Errno sched_yield(State&, const GuestMemory&, Args) { return Errno::success; }
Errno proc_raise(State&, const GuestMemory&, Args) { return Errno::nosys; }

Errno socket_call(State& state, const GuestMemory&, Args args) {
  const auto file = state.find(args[0]);
  return file ? Errno::notsock : file.error();
}

// Waiting for ever ends here, 146 years on: no sum with the epoch overflows.
constexpr std::uint64_t furthest_ns = 1ULL << 62;

struct Subscription {
  std::uint64_t userdata = 0;
  std::uint8_t tag = 0;  // 0 clock, 1 read, 2 write
  Errno error = Errno::success;
  std::uint64_t due_ns = 0;    // clock: on the state's own scale
  std::uint64_t readable = 0;  // descriptor: bytes
};

Subscription clock_subscription(const GuestMemory& memory, std::uint64_t at, std::uint64_t now_ns) {
  Subscription out;
  const auto id = *memory.load<std::uint32_t>(at + 16);
  const auto timeout = *memory.load<std::uint64_t>(at + 24);
  const auto flags = *memory.load<std::uint16_t>(at + 40);
  if (id > thread_time) {
    out.error = Errno::inval;
  } else if ((flags & 1) != 0) { // absolute
    out.due_ns = timeout > zero_of(id) ? timeout - zero_of(id) : 0;
  } else {
    out.due_ns = timeout > furthest_ns ? furthest_ns : now_ns + timeout;
  }
  out.due_ns = std::min(out.due_ns, furthest_ns);
  return out;
}

Subscription descriptor_subscription(State& state, const GuestMemory& memory, std::uint64_t at) {
  Subscription out;
  const auto file = state.find(*memory.load<std::uint32_t>(at + 16), rights::poll_fd_readwrite);
  if (!file) {
    out.error = file.error();
  } else {
    const std::uint64_t size = (*file)->kind == OpenFile::Kind::standard_input ? state.options().standard_input.size()
                               : (*file)->node                                 ? (*file)->node->size_bytes()
                                                                               : 0;
    out.readable = size > (*file)->offset ? size - (*file)->offset : 0;
  }
  return out;
}

std::optional<Subscription> read_subscription(State& state, const GuestMemory& memory, std::uint64_t at, std::uint64_t now_ns) {
  const auto tag = *memory.load<std::uint8_t>(at + 8);
  if (tag > 2) return std::nullopt;
  Subscription out = tag == 0 ? clock_subscription(memory, at, now_ns) : descriptor_subscription(state, memory, at);
  out.userdata = *memory.load<std::uint64_t>(at);
  out.tag = tag;
  return out;
}

void write_event(const std::span<std::byte> to, const Subscription& from) {
  std::ranges::fill(to, std::byte{0});
  std::memcpy(to.data(), &from.userdata, 8);
  std::memcpy(to.data() + 8, &from.error, 2);
  to[10] = static_cast<std::byte>(from.tag);
  if (from.tag == 1) std::memcpy(to.data() + 16, &from.readable, 8);
}

// Files and streams are always ready, so nothing ever waits: either something is ready now, or time jumps.
Errno poll_oneoff(State& state, const GuestMemory& memory, Args args) {
  constexpr std::uint64_t subscription_bytes = 48;
  constexpr std::uint64_t event_bytes = 32;
  const std::uint64_t count = args[2];
  if (count == 0 || count > limits::guest_descriptors_max) return Errno::inval;
  if (!memory.range(args[0], count * subscription_bytes) || !memory.range(args[1], count * event_bytes) ||
      !memory.range(args[3], 4))
    return Errno::fault;
  const std::uint64_t now_ns = state.clock_ns();
  std::vector<Subscription> all;
  std::uint64_t earliest_ns = UINT64_MAX;
  bool ready = false;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto one = read_subscription(state, memory, args[0] + i * subscription_bytes, now_ns);
    if (!one) return Errno::inval;
    ready = ready || one->tag != 0 || one->error != Errno::success || one->due_ns <= now_ns;
    if (one->tag == 0 && one->error == Errno::success) earliest_ns = std::min(earliest_ns, one->due_ns);
    all.push_back(*one);
  }
  if (!ready) state.advance_clock_to(earliest_ns);
  const std::uint64_t until_ns = ready ? now_ns : earliest_ns;
  std::uint32_t events = 0;
  for (const auto& one : all)
    if (one.tag != 0 || one.error != Errno::success || one.due_ns <= until_ns)
      write_event(*memory.range(args[1] + events++ * event_bytes, event_bytes), one);
  return memory.store(args[3], events) ? Errno::success : Errno::fault;
}

constexpr Function table[] = {
    {"args_get", "ii", true, args_get},
    {"args_sizes_get", "ii", true, args_sizes_get},
    {"environ_get", "ii", true, environ_get},
    {"environ_sizes_get", "ii", true, environ_sizes_get},
    {"clock_res_get", "ii", true, clock_res_get},
    {"clock_time_get", "iIi", true, clock_time_get},
    {"random_get", "ii", true, random_get},
    {"poll_oneoff", "iiii", true, poll_oneoff},
    {"proc_exit", "i", false, proc_exit},
    {"proc_raise", "i", true, proc_raise},
    {"sched_yield", "", true, sched_yield},
    {"sock_accept", "iii", true, socket_call},
    {"sock_recv", "iiiiii", true, socket_call},
    {"sock_send", "iiiii", true, socket_call},
    {"sock_shutdown", "ii", true, socket_call},
};

}  // namespace

std::span<const Function> process_functions() { return table; }

std::span<const Function> functions() {
  static const std::vector<Function> all = [] {
    std::vector<Function> out;
    for (const auto group : {process_functions(), descriptor_functions(), path_functions()})
      out.insert(out.end(), group.begin(), group.end());
    return out;
  }();
  return all;
}

}  // namespace starling::execution::wasi
