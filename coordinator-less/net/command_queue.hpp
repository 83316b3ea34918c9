// Commands from any thread to the socket thread: a bounded queue and an eventfd to poll on.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <variant>

#include "coordinator-less/net/send_budget.hpp"

namespace starling::net {

struct DialCommand {
  base::PeerId peer;
  std::string address;
};
struct SendCommand {
  base::PeerId peer;
  QueuedFrame frame;
};
struct KickCommand {
  base::PeerId peer;
  std::string reason;
};
using Command = std::variant<DialCommand, SendCommand, KickCommand>;

class CommandQueue {
 public:
  explicit CommandQueue(std::size_t commands_max);
  ~CommandQueue();
  CommandQueue(const CommandQueue&) = delete;
  CommandQueue& operator=(const CommandQueue&) = delete;

  bool try_push(Command&& command);  // false: full
  void push(Command&& command);      // waits for room: the socket thread never waits for us, so that is short
  void stop();                       // wakes everybody; what is pushed from now on is dropped

  // For the socket thread.
  std::deque<Command> take_all();
  bool stopped() const;
  int wake_fd() const { return wake_fd_; }

 private:
  void add(Command&& command);
  void wake() const;

  std::size_t commands_max_;
  int wake_fd_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::deque<Command> commands_;
  bool stopped_ = false;
};

}  // namespace starling::net
