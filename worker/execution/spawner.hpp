// A tiny helper process that starts the executor and compiler processes. It is forked by main before any ZeroMQ context,
// thread or secret exists, so nothing of the daemon leaks into them: a child gets one end of a socket pair as standard
// input and output, /dev/null as standard error, no other descriptor and an empty environment. Children die with the helper,
// the helper dies with the daemon. Thread-safe.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/channel.hpp"

namespace starling::execution {

// A started process. Killed when this value goes away; signals go through a pidfd, so they never hit a stranger.
class Child {
 public:
  Child(pid_t pid, Fd socket, Fd pidfd, Fd exit_notice);
  Child(Child&&) noexcept = default;
  ~Child();

  pid_t pid() const { return pid_; }
  int socket() const { return socket_.get(); }
  int exit_notice() const { return exit_notice_.get(); }  // readable once the process has ended
  void kill() const;
  void stop() const;   // until go_on(), or kill()
  void go_on() const;
  // How it ended ("signal 9", "exit code 2"); waits for the end at most `patience`.
  std::string ending(base::Duration patience) const;
  std::optional<int> wait_status(base::Duration patience) const;  // as waitpid gives it
  struct Usage {
    std::uint64_t resident_bytes = 0;
    std::uint64_t threads = 0;
    std::int64_t processor_ms = 0;
  };
  std::uint64_t peak_resident_bytes() const;  // 0 once it has ended
  Usage usage() const;                                            // zeros once it has ended

 private:
  void send_signal(int signal) const;
  bool is_alive() const;

  pid_t pid_;
  Fd socket_;
  Fd pidfd_;
  Fd exit_notice_;
};

// Stops a process while that is wanted, and knows for how long it has stood still.
class Pauses {
 public:
  Pauses(const Child& child, const std::atomic<bool>* wanted) : child_(child), wanted_(wanted) {}
  bool follow();  // call it often; true while the process stands still
  std::int64_t elapsed_ms() const;

 private:
  const Child& child_;
  const std::atomic<bool>* wanted_;  // may be null
  bool stopped_ = false;
  std::int64_t since_ms_ = 0;
  std::int64_t total_ms_ = 0;
};

class Spawner {
 public:
  // Forks. Call it first thing in main.
  static base::Expected<std::unique_ptr<Spawner>> start();
  ~Spawner();
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  base::Expected<Child> spawn(const std::string& binary, const std::vector<std::string>& arguments);
  pid_t helper_pid() const { return helper_; }

 private:
  Spawner(pid_t helper, Fd socket) : helper_(helper), socket_(std::move(socket)) {}
  std::mutex mutex_;
  pid_t helper_;
  Fd socket_;
};

struct ProcessBounds {
  base::Duration time_max;                      // by the clock
  std::size_t output_bytes_max = 4096;          // of what it writes to standard output; the rest is dropped
  int cancel_fd = -1;
  base::Duration processor_time_max{0};         // 0: none
  std::uint64_t resident_bytes_max = 0;         // 0: none
  const std::atomic<bool>* paused = nullptr;    // it stands still while true, and its time with it
};
struct ProcessOutput {
  int exit_code = 0;
  std::string text;
};
// Runs a process to its end and returns what it wrote to standard output. Errors: temporary when it cannot start, timeout,
// refused when it took too much memory, interrupted, internal when it was killed or crashed (the message says how).
base::Expected<ProcessOutput> run_process(Spawner& spawner, const std::string& binary, const std::vector<std::string>& arguments,
                                          const ProcessBounds& bounds);
inline base::Expected<ProcessOutput> run_process(Spawner& spawner, const std::string& binary, const std::vector<std::string>& arguments,
                                                 base::Duration time_max, std::size_t output_bytes_max, int cancel_fd = -1) {
  return run_process(spawner, binary, arguments, ProcessBounds{.time_max = time_max, .output_bytes_max = output_bytes_max, .cancel_fd = cancel_fd});
}

}  // namespace starling::execution
