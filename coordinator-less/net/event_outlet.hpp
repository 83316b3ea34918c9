// The way out to the user's sink. While the sink has no room, events wait here in order and nothing more is read.
#pragma once

#include <deque>

#include "coordinator-less/net/transport.hpp"

namespace starling::net {

class EventOutlet {
 public:
  explicit EventOutlet(EventSink sink) : sink_(std::move(sink)) {}

  void emit(Event&& event) {
    if (blocked() || !sink_(std::move(event))) waiting_.push_back(std::move(event));  // a refused event was not moved from
  }
  void retry() {
    while (blocked() && sink_(std::move(waiting_.front()))) waiting_.pop_front();
  }
  // Readers stop at this, so at most one frame and one event per link and dial ever wait.
  bool blocked() const { return !waiting_.empty(); }

 private:
  EventSink sink_;
  std::deque<Event> waiting_;
};

}  // namespace starling::net
