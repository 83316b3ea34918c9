#include "coordinator-less/net/monitor.hpp"

#include <cstring>

namespace starling::net {

Monitor::Monitor(void* context, void* socket, const std::string& name, int event_types)
    : watched_(socket), pair_(open_socket(context, ZMQ_PAIR)) {
  const auto endpoint = "inproc://monitor-" + name;
  set_int(pair_.get(), ZMQ_RCVHWM, 0);  // a burst of events must never block ZeroMQ's thread; we drain at every turn
  STARLING_ENSURE(zmq_socket_monitor(socket, endpoint.c_str(), event_types) == 0);
  STARLING_ENSURE(zmq_connect(pair_.get(), endpoint.c_str()) == 0);
}

Monitor::~Monitor() { zmq_socket_monitor(watched_, nullptr, 0); }

std::optional<Monitor::Event> Monitor::next() {
  Message head;
  if (!head.receive(pair_.get())) return std::nullopt;
  Event event;
  STARLING_ENSURE(head.bytes().size() == sizeof event.type + sizeof event.value);
  std::memcpy(&event.type, head.bytes().data(), sizeof event.type);
  std::memcpy(&event.value, head.bytes().data() + sizeof event.type, sizeof event.value);
  skip_parts(pair_.get());  // the endpoint's name
  return event;
}

}  // namespace starling::net
