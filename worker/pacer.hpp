// Makes units last as long as an ordinary machine's do, so that many workers of a development swarm on one machine behave like as
// many machines: the end of a run is held back until its time is over. An execution takes 0.8 to 1.2 times the pace, an interpreted one
// five times that, as in the simulator (tests/simulation). (`starling worker start --pace TIME`, refused outside development swarms.)
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "coordinator-less/runtime/unit_executor.hpp"

namespace starling::worker {

class Pacer final : public runtime::UnitExecutor {
 public:
  // `real` must outlive every run. A pace of 0 holds nothing back.
  Pacer(runtime::UnitExecutor& real, std::chrono::milliseconds pace);
  ~Pacer() override;  // gives what it holds

  void attach(runtime::UnitInputs& inputs) override { real_.attach(inputs); }
  void run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) override;
  void stop(std::uint64_t token) override;

 private:
  using Clock = std::chrono::steady_clock;
  struct Held {
    Clock::time_point due;
    runtime::UnitEnd end;
    std::function<void(runtime::UnitEnd)> done;
  };
  std::chrono::microseconds time_of(std::uint64_t token, const runtime::UnitWork& work) const;
  void hold(std::uint64_t token, Held held);
  void give_what_is_due();

  runtime::UnitExecutor& real_;
  std::chrono::milliseconds pace_;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::map<std::uint64_t, Held> held_;  // by token; as many as the worker has slots
  std::map<std::uint64_t, bool> stopped_;  // of the tokens that run
  bool closing_ = false;
  std::thread thread_;
};

}  // namespace starling::worker
