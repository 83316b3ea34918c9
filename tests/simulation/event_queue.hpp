// Virtual time: actions ordered by (time, sequence). Two actions of one instant run in the order in which they were planned,
// so a run has no freedom but its seed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "coordinator-less/base/check.hpp"

namespace starling::simulation {

class EventQueue {
 public:
  using Action = std::move_only_function<void()>;

  std::uint64_t now_ms() const { return now_ms_; }
  bool empty() const { return heap_.empty(); }
  std::uint64_t next_ms() const { return heap_.front().at_ms; }  // REQUIRES: not empty
  std::uint64_t executed() const { return executed_; }

  void at(std::uint64_t at_ms, Action action) {
    heap_.push_back({std::max(at_ms, now_ms_), sequence_++, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(std::uint64_t delay_ms, Action action) { at(now_ms_ + delay_ms, std::move(action)); }

  void run_one() {
    STARLING_ENSURE(!heap_.empty());
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ms_ = event.at_ms;
    ++executed_;
    event.action();
  }

 private:
  struct Event {
    std::uint64_t at_ms;
    std::uint64_t sequence;
    Action action;
  };
  static bool later(const Event& a, const Event& b) {
    return std::pair(a.at_ms, a.sequence) > std::pair(b.at_ms, b.sequence);
  }

  std::vector<Event> heap_;
  std::uint64_t now_ms_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t executed_ = 0;
};

}  // namespace starling::simulation
