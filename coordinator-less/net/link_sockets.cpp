#include "coordinator-less/net/link_sockets.hpp"

#include <arpa/inet.h>

#include <atomic>
#include <charconv>

#include "coordinator-less/base/limits.hpp"

namespace starling::net {
namespace {

template <class T>
void set(void* socket, int option, T value) {
  STARLING_ENSURE(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

int to_ms(base::Duration duration) { return static_cast<int>(duration.ms); }

// ZeroMQ passes it between threads; the atomic says so in words that a race detector understands as well.
struct HeldFrame {
  QueuedFrame frame;
  std::atomic<bool> handed_over = false;
};

void release_frame(void*, void* hint) {
  auto* held = static_cast<HeldFrame*>(hint);
  STARLING_ENSURE(held->handed_over.load(std::memory_order_acquire));
  delete held;
}

bool send_routing_id(void* socket, base::ByteView id) {
  return id.empty() || zmq_send(socket, id.data(), id.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0;
}

}  // namespace

void harden(void* socket, const TransportConfig& config, std::uint64_t io_thread) {
  set<std::uint64_t>(socket, ZMQ_AFFINITY, io_thread);
  set<std::int64_t>(socket, ZMQ_MAXMSGSIZE, limits::message_bytes_max);
  set_int(socket, ZMQ_HANDSHAKE_IVL, to_ms(config.hello_timeout));
  set_int(socket, ZMQ_SNDHWM, limits::frames_queued_max);
  set_int(socket, ZMQ_RCVHWM, limits::frames_received_ahead_max);
  set_int(socket, ZMQ_SNDTIMEO, 0);
  set_int(socket, ZMQ_HEARTBEAT_IVL, to_ms(config.heartbeat_interval));
  set_int(socket, ZMQ_HEARTBEAT_TIMEOUT, to_ms(config.heartbeat_timeout));
  set_int(socket, ZMQ_HEARTBEAT_TTL, to_ms(config.heartbeat_timeout * 2));
}

bool send_frame(void* socket, base::ByteView routing_id, QueuedFrame& frame) {
  auto* held = new HeldFrame{std::move(frame)};
  auto* data = const_cast<std::byte*>(held->frame.bytes->data());  // ZeroMQ only reads it
  zmq_msg_t message;
  STARLING_ENSURE(zmq_msg_init_data(&message, data, held->frame.bytes->size(), release_frame, held) == 0);
  held->handed_over.store(true, std::memory_order_release);
  if (send_routing_id(socket, routing_id) && zmq_msg_send(&message, socket, ZMQ_DONTWAIT) >= 0) return true;
  frame = std::move(held->frame);
  zmq_msg_close(&message);
  return false;
}

bool send_copy(void* socket, base::ByteView routing_id, base::ByteView bytes) {
  return send_routing_id(socket, routing_id) && zmq_send(socket, bytes.data(), bytes.size(), ZMQ_DONTWAIT) >= 0;
}

std::optional<NumericAddress> parse_host(const std::string& host, std::uint16_t port) {
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return NumericAddress{host, port, false};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return NumericAddress{"[" + host + "]", port, true};
  return std::nullopt;
}

std::optional<NumericAddress> parse_address(const std::string& address) {
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || address.size() > limits::name_bytes_max) return std::nullopt;
  std::uint16_t port = 0;
  const auto* end = address.data() + address.size();
  const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
  if (error != std::errc() || stop != end || port == 0) return std::nullopt;
  auto host = address.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto parsed = parse_host(host, port);
  if (!parsed || parsed->is_v6 != bracketed) return std::nullopt;
  return parsed;
}

}  // namespace starling::net
