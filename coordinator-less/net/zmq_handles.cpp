#include "coordinator-less/net/zmq_handles.hpp"

namespace starling::net {

Socket open_socket(void* context, int type) {
  Socket socket(zmq_socket(context, type));
  STARLING_ENSURE(socket != nullptr);
  set_int(socket.get(), ZMQ_LINGER, 0);
  return socket;
}

void set_int(void* socket, int option, int value) {
  STARLING_ENSURE(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

void set_bytes(void* socket, int option, base::ByteView value) {
  STARLING_ENSURE(zmq_setsockopt(socket, option, value.data(), value.size()) == 0);
}

}  // namespace starling::net
