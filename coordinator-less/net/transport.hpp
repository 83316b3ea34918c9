// Links between peers over ZeroMQ with CURVE: one bound ROUTER for all inbound links, one DEALER per dialled neighbour;
// answers travel back over the link they came by. One thread owns all sockets. The first frame on a link is Hello; a peer
// appears to the user only after both Hellos passed. At most one inbound and one outbound physical link per peer are kept;
// the user sees one link per peer: LinkUp with the first, LinkDown with the last.
//
// Calling order: Transport::start, then dial/send/kick from any thread; events arrive on the sink, called on the socket
// thread, which must only push into a bounded queue and say whether there was room. A full sink stops reading (back-pressure).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/time.hpp"

namespace starling::net {

enum class Role : std::uint8_t { worker = 1, light = 2 };  // light: joins, submits and fetches, runs no units

// What the links need of cryptography; runtime provides it. Thread rule: called on the socket thread only.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  virtual base::Signature sign(base::ByteView bytes) = 0;
  virtual bool verify(const base::PeerId& author, base::ByteView bytes, const base::Signature& signature) = 0;
  virtual base::Digest mac(base::ByteView bytes) = 0;  // HMAC under the network secret; all zero in swarms without one
  virtual bool equal(base::ByteView a, base::ByteView b) = 0;  // in constant time
  virtual std::optional<std::array<std::byte, 32>> curve_key_of(const base::PeerId& id) = 0;  // nullopt: refuse the id
};

struct LinkUp { base::PeerId peer; Role role; bool dialled; };
struct LinkDown { base::PeerId peer; std::string reason; };
struct FrameReceived { base::PeerId peer; base::Bytes bytes; };
struct DialFailed { base::PeerId peer; std::string address; std::string reason; };
using Event = std::variant<LinkUp, LinkDown, FrameReceived, DialFailed>;
using EventSink = std::function<bool(Event&&)>;  // false: no room, the event was not moved from and comes again later

struct TransportConfig {
  base::PeerId self;
  std::array<std::byte, 32> curve_public;
  std::array<std::byte, 32> curve_secret;
  base::NetworkId network;
  Role role = Role::worker;
  std::string bind_host = "127.0.0.1";  // numeric; empty: do not listen (a light peer)
  std::uint16_t bind_port = 0;          // 0: any free port

  // Tests shorten these; everybody else leaves them alone.
  base::Duration hello_timeout = limits::hello_timeout;  // also the bound of the CURVE handshake
  base::Duration dial_timeout = limits::dial_timeout;
  base::Duration heartbeat_interval = limits::heartbeat_interval;
  base::Duration heartbeat_timeout = limits::heartbeat_timeout;
  base::Duration unfinished_check_interval = limits::unfinished_check_interval;
  std::size_t inbound_links_max = limits::inbound_links_max;
  std::size_t inbound_links_per_address_max = limits::inbound_links_per_address_max;
};

struct TransportCounters {
  std::uint64_t bytes_sent = 0, bytes_received = 0, frames_sent = 0, frames_received = 0;
  std::uint64_t dropped_over_budget = 0, kicked_unfinished = 0, refused_hellos = 0, inbound_links = 0, outbound_links = 0;
};

class Transport {
 public:
  // Errors: temporary (port in use: names the port and what to do), bad_input (host is not a numeric address).
  static base::Expected<std::unique_ptr<Transport>> start(TransportConfig config, std::unique_ptr<Authenticator> auth, EventSink sink);
  virtual ~Transport() = default;  // closes all links at once (LINGER 0) and joins the thread

  virtual std::uint16_t port() const = 0;  // 0 when not listening
  // Dials once, address "host:port" (numeric host, [v6]); answers with LinkUp or DialFailed. Trying again is the user's plan.
  // A peer that is linked already, or being dialled, is not dialled again: its one LinkUp answers.
  virtual void dial(const base::PeerId& peer, const std::string& address) = 0;
  // Queues one frame (at most limits: frame_bytes_max) to a linked peer; false when the peer is not linked or its byte
  // budget is used up (the frame is dropped: anti-entropy repairs). The same shared bytes may go to many peers.
  virtual bool send(const base::PeerId& peer, std::shared_ptr<const base::Bytes> frame) = 0;
  virtual void kick(const base::PeerId& peer, const std::string& reason) = 0;  // closes all its links now
  virtual TransportCounters counters() const = 0;
};

}  // namespace starling::net
