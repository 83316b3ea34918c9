// What both kinds of socket share: the hardening options, and sending a frame without copying it.
#pragma once

#include <cstdint>
#include <string>

#include "coordinator-less/net/send_budget.hpp"
#include "coordinator-less/net/transport.hpp"
#include "coordinator-less/net/zmq_handles.hpp"

namespace starling::net {

// ZeroMQ's threads: one for what strangers can reach, so that their events come in one order and cannot slow the other.
inline constexpr int io_threads = 2;
inline constexpr std::uint64_t inbound_io_thread = 1;  // bit masks for ZMQ_AFFINITY
inline constexpr std::uint64_t outbound_io_thread = 2;

void harden(void* socket, const TransportConfig& config, std::uint64_t io_thread);

// Hands one frame to ZeroMQ, which drops the shared bytes and the reservation when it has written them. False: no room (or
// nobody there), the frame is untouched. The routing id, when not empty, goes first.
bool send_frame(void* socket, base::ByteView routing_id, QueuedFrame& frame);
bool send_copy(void* socket, base::ByteView routing_id, base::ByteView bytes);  // for Hello

struct NumericAddress {
  std::string host;  // as ZeroMQ wants it: version 6 in brackets
  std::uint16_t port = 0;
  bool is_v6 = false;
  std::string endpoint() const { return "tcp://" + host + ":" + std::to_string(port); }
};
std::optional<NumericAddress> parse_host(const std::string& host, std::uint16_t port);
std::optional<NumericAddress> parse_address(const std::string& address);  // "1.2.3.4:5", "[::1]:5"; port above 0

}  // namespace starling::net
