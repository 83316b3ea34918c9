#include "worker/pacer.hpp"

#include <doctest/doctest.h>

#include <future>

using namespace starling;
using namespace std::chrono_literals;

namespace {

// Ends each run at once with what it was given.
class QuickExecutor final : public runtime::UnitExecutor {
 public:
  void attach(runtime::UnitInputs&) override {}
  void run(std::uint64_t, runtime::UnitWork, std::function<void(runtime::UnitEnd)> done) override { done(next); }
  void stop(std::uint64_t token) override { stopped = token; }
  runtime::UnitEnd next = runtime::UnitDone{.archive = {}, .stderr_tail = {}};
  std::uint64_t stopped = 0;
};

std::future<runtime::UnitEnd> run(runtime::UnitExecutor& executor, std::uint64_t token, runtime::Tier tier = runtime::Tier::compiled) {
  auto promise = std::make_shared<std::promise<runtime::UnitEnd>>();
  auto future = promise->get_future();
  runtime::UnitWork work;
  work.tier = tier;
  executor.run(token, std::move(work), [promise](runtime::UnitEnd end) { promise->set_value(std::move(end)); });
  return future;
}

}  // namespace

TEST_CASE("a paced unit lasts its time and says so, an interpreted one five times that") {
  QuickExecutor real;
  worker::Pacer pacer(real, 20ms);
  for (const auto& [tier, least] : {std::pair(runtime::Tier::compiled, 16ms), std::pair(runtime::Tier::interpreted, 80ms)}) {
    const auto begun = std::chrono::steady_clock::now();
    const auto end = run(pacer, 1, tier).get();
    CHECK(std::chrono::steady_clock::now() - begun >= least);
    CHECK(std::get<runtime::UnitDone>(end).wall_us >= std::chrono::microseconds(least).count());
  }
}

TEST_CASE("a stopped unit ends at once, whether its program still runs or waits for its time") {
  QuickExecutor real;
  worker::Pacer pacer(real, 1h);
  auto held = run(pacer, 5);
  CHECK(held.wait_for(10ms) == std::future_status::timeout);
  pacer.stop(5);
  CHECK(std::holds_alternative<runtime::UnitDropped>(held.get()));
  CHECK(real.stopped == 5);
}

TEST_CASE("what did not come to its end is not held back, and nothing is without a pace") {
  QuickExecutor real;
  worker::Pacer none(real, 0ms);
  CHECK(std::holds_alternative<runtime::UnitDone>(run(none, 1).get()));
  worker::Pacer pacer(real, 1h);
  real.next = runtime::UnitDropped{"no time"};
  CHECK(std::holds_alternative<runtime::UnitDropped>(run(pacer, 1).get()));
}

TEST_CASE("a pacer that goes gives what it holds") {
  QuickExecutor real;
  std::future<runtime::UnitEnd> held;
  {
    worker::Pacer pacer(real, 1h);
    held = run(pacer, 1);
  }
  CHECK(std::holds_alternative<runtime::UnitDone>(held.get()));
}
