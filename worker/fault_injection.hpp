// The lying executor of development swarms (`starling worker start --inject-faults`): runs every unit for real, then adds to
// each item's standard output a signal that is not there. Wrong in every unit, and with bytes of its own: two liars with
// different marks never agree by accident. It must never run in a swarm where somebody wants answers: it lies only once
// armed, and the worker arms it after it has seen that the swarm is a development one.
#pragma once

#include <atomic>

#include "coordinator-less/protocol/swarm.hpp"
#include "coordinator-less/runtime/unit_executor.hpp"

namespace starling::worker {

// "8420.<digits>,1.000000,99.000000,<channel>\n": a row as tasks/dedoppler writes them, digits and channel drawn from the mark.
std::string false_signal(const base::Digest& mark);

// The archive with the false signal in every item. Items that trapped claim to have succeeded.
runtime::UnitDone falsify(const runtime::UnitDone& honest, const base::Digest& mark);

// refused, in any swarm that is not a development one.
base::Expected<void> check_fault_injection(protocol::SwarmKind kind);

class FaultInjector final : public runtime::UnitExecutor {
 public:
  // `real` must outlive every run.
  FaultInjector(runtime::UnitExecutor& real, const base::Digest& mark) : real_(real), mark_(mark) {}

  void arm() { armed_ = true; }
  void attach(runtime::UnitInputs& inputs) override { real_.attach(inputs); }
  void run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) override;
  void stop(std::uint64_t token) override { real_.stop(token); }

 private:
  runtime::UnitExecutor& real_;
  base::Digest mark_;
  std::atomic<bool> armed_ = false;
};

}  // namespace starling::worker
