// The queue of values between every other thread and the protocol thread. Order of arrival is kept.
// Link events are bounded by number and bytes (a full inbox stops reading the sockets); the others are bounded by their
// makers: at most `slots` runs, one call per waiting thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <variant>

#include "coordinator-less/net/transport.hpp"
#include "coordinator-less/protocol/input.hpp"
#include "coordinator-less/runtime/unit_executor.hpp"

namespace starling::runtime {

class Driver;

struct RunEnded {
  std::uint64_t token = 0;
  UnitEnd end;                         // its archive is empty once it is in the store
  std::optional<base::Digest> digest;  // of the archive; nullopt: dropped, or the store had no room for it
  std::uint64_t archive_bytes = 0;
};
struct Call { std::move_only_function<void(Driver&)> run; };  // runs on the protocol thread

using Event = std::variant<net::Event, RunEnded, protocol::Input, Call>;

std::size_t frame_bytes(const Event& event);  // what counts against limits: inbound_bytes_max

class Inbox {
 public:
  bool offer(net::Event&& event);  // false: no room now, `event` is untouched
  void push(Event event);          // never refused
  void close();                    // offer() refuses from now on; what is queued is still given out

  // Waits until there is an event, the inbox is closed, or the time is over (nullopt: none).
  std::deque<Event> take(std::size_t count_max, std::optional<base::Duration> wait_max);
  // Only calls, and it waits for nothing else: the rest stays in its order and goes on filling the inbox.
  std::deque<Event> take_calls(std::size_t count_max, std::optional<base::Duration> wait_max);
  bool closed() const;
  bool finished() const;  // closed and empty

 private:
  void wait(std::unique_lock<std::mutex>& lock, std::optional<base::Duration> wait_max, const std::function<bool()>& over);

  mutable std::mutex mutex_;
  std::condition_variable news_;
  std::deque<Event> events_;
  std::size_t calls_ = 0;
  std::size_t link_events_ = 0;
  std::size_t link_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace starling::runtime
