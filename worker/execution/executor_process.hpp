// The host's view of one executor: started, fed one unit at a time, and killed at the first thing that is not right.
// All bytes from it are hostile: a guest may have taken it over.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/channel.hpp"
#include "worker/execution/executor_pool.hpp"
#include "worker/execution/messages.hpp"
#include "worker/execution/spawner.hpp"

namespace starling::execution {

// Runs a blocking task elsewhere (fetching leaves).
using Elsewhere = std::function<void(std::function<void()>)>;

// What becomes of one order.
struct Interrupted {
  std::string reason;  // the process has been killed
  bool crashed = false;  // by what its code did, not by us or the system
};
struct Reported {
  base::Bytes frame;  // of the report
  UnitReport report;
  Archive archive;    // parsed and complete; views into frame
};
using OrderEnd = std::variant<Reported, UnitFailure, Interrupted>;

struct OrderLimits {
  base::Duration time_max;
  std::uint64_t resident_bytes_max = 0;
  int cancel_fd = -1;
  std::function<void(const Checkpoint&)> on_checkpoint = {};  // of an item, each for a later round; may be empty
  const std::atomic<bool>* paused = nullptr;  // the process stands still while it is true
  int pause_fd = -1;                          // readable when it has changed
  std::function<void(const Progress&)> on_progress = {};  // may be empty
};

struct StartOptions {
  std::string binary;
  std::string cache;  // the one folder that it may read
  bool background = true;
  bool require_cage = false;
  bool caged = true;
};

class ExecutorProcess {
 public:
  static base::Expected<std::shared_ptr<ExecutorProcess>> start(Spawner& spawner, const StartOptions& options, int cancel_fd);
  explicit ExecutorProcess(Child child);  // for a process that has not said Hello yet

  // `descriptors` as UnitOrder wants them; `inputs[i]` is asked for leaves of input i. After Interrupted this is useless.
  OrderEnd execute(const std::shared_ptr<ExecutorProcess>& self, const UnitOrder& order, std::span<const int> descriptors,
                   const std::vector<InputFile>& inputs, InputSource& source, const Elsewhere& elsewhere, const OrderLimits& limits);

  // Stopped until the next order: whoever took it over gets no time of his own.
  void rest() const { child_.stop(); }

  std::uint64_t peak_resident_bytes() const { return child_.peak_resident_bytes(); }
  std::uint64_t resident_bytes() const { return child_.usage().resident_bytes; }
  const std::string& engine() const { return engine_; }
  pid_t pid() const { return child_.pid(); }

 private:
  struct Waiting;  // time that the unit spent waiting for leaves

  base::Expected<void> read_hello(int cancel_fd);
  OrderEnd interrupt(std::string reason);
  std::optional<std::string> on_need(const std::shared_ptr<ExecutorProcess>& self, const Need& need, const UnitOrder& order,
                                     const std::vector<InputFile>& inputs, InputSource& source, const Elsewhere& elsewhere,
                                     const std::shared_ptr<Waiting>& waiting);
  OrderEnd on_report(base::Bytes frame, const UnitReport& report, const UnitOrder& order);

  Child child_;
  FrameReader reader_;
  std::mutex send_mutex_;
  std::string engine_;
};

}  // namespace starling::execution
