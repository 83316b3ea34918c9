// Owners of ZeroMQ's handles, and its options checked: a refused option is our own bug, except where a caller says otherwise.
#pragma once

#include <zmq.h>

#include <array>
#include <cstddef>
#include <memory>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/check.hpp"

namespace starling::net {

using CurveKey = std::array<std::byte, 32>;

struct CloseSocket {
  void operator()(void* socket) const { zmq_close(socket); }
};
using Socket = std::unique_ptr<void, CloseSocket>;

struct TerminateContext {
  void operator()(void* context) const {
    while (zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
    }
  }
};
using Context = std::unique_ptr<void, TerminateContext>;

class Message {
 public:
  Message() { zmq_msg_init(&message_); }
  ~Message() { zmq_msg_close(&message_); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  bool receive(void* socket) { return zmq_msg_recv(&message_, socket, ZMQ_DONTWAIT) >= 0; }
  bool more() const { return zmq_msg_more(&message_) != 0; }
  base::ByteView bytes() const {
    auto* message = const_cast<zmq_msg_t*>(&message_);  // ZeroMQ's getter is not const
    return {static_cast<const std::byte*>(zmq_msg_data(message)), zmq_msg_size(message)};
  }
  zmq_msg_t* get() { return &message_; }

 private:
  zmq_msg_t message_;
};

// Takes and throws away the rest of a multipart message.
inline void skip_parts(void* socket) {
  for (Message part; part.receive(socket) && part.more();) {
  }
}

Socket open_socket(void* context, int type);
void set_int(void* socket, int option, int value);
void set_bytes(void* socket, int option, base::ByteView value);

}  // namespace starling::net
