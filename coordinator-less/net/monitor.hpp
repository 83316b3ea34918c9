// The life of a socket's connections, as ZeroMQ tells it on a PAIR. It must always be drained and must be stopped before it
// is closed, else it blocks ZeroMQ's own thread; the socket must outlive its monitor. Names are never used twice in a context:
// ZeroMQ frees one some time after the monitor is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "coordinator-less/net/zmq_handles.hpp"

namespace starling::net {

class Monitor {
 public:
  struct Event {
    std::uint16_t type = 0;  // ZMQ_EVENT_...
    std::int32_t value = 0;  // a descriptor, or a status code
  };

  Monitor(void* context, void* socket, const std::string& name, int event_types);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  std::optional<Event> next();  // nullopt: nothing more now
  void* pair() const { return pair_.get(); }

 private:
  void* watched_;
  Socket pair_;
};

}  // namespace starling::net
