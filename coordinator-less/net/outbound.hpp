// All links that we dialled: one DEALER each, CURVE client with the key that belongs to the dialled id.
//
// A dial is one attempt: ZeroMQ never reconnects by itself, and a socket whose attempt or link ended is closed. States:
// connecting (TCP), greeting (CURVE), asking (our Hello is out), up. Each failure becomes one plain reason.
// The acceptor is held to the same rules as a dialler: one frame a message, sizes, unfinished parts.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "coordinator-less/net/connection.hpp"
#include "coordinator-less/net/counters.hpp"
#include "coordinator-less/net/links.hpp"
#include "coordinator-less/net/monitor.hpp"
#include "coordinator-less/net/unfinished_watch.hpp"

namespace starling::net {

class Outbound final : public Carrier {
 public:
  Outbound(void* context, const TransportConfig& config, Authenticator& auth, Links& links, Counters& counters);

  void dial(const base::PeerId& peer, const std::string& address, base::Instant now);
  void on_monitors(base::Instant now);
  void read();
  void check(base::Instant now);
  void add_to(std::vector<zmq_pollitem_t>& items) const;  // monitors, and sockets while the user has room
  bool idle() const { return dialled_.empty(); }

  bool send(const base::PeerId& peer, QueuedFrame& frame) override;
  void close(const base::PeerId& peer, const std::string& reason) override;

 private:
  enum class State : std::uint8_t { connecting, greeting, asking, up };

  struct Dialled {
    Dialled(void* context, std::uint64_t number, base::PeerId id, std::string address, base::Instant deadline);
    base::PeerId peer;
    std::string address;
    Socket socket;
    Monitor monitor;  // after socket: it must go first
    State state = State::connecting;
    base::Instant deadline;  // of the whole dial, then of the step
    std::optional<Connection> connection{};
    UnfinishedWatch watch{};
    bool drained = true;
    std::string end{};  // why it ended; it is closed at the end of the turn
  };

  void start(Dialled& dialled, const CurveKey& server_key, const std::string& endpoint, bool is_v6);
  void on_event(Dialled& dialled, const Monitor::Event& event, base::Instant now);
  void on_greeted(Dialled& dialled, base::Instant now);
  void on_message(Dialled& dialled, base::ByteView bytes, bool single);
  void on_hello(Dialled& dialled, base::ByteView bytes);
  bool read_one(Dialled& dialled);
  void check_one(Dialled& dialled, base::Instant now);
  void sweep();  // closes and reports what ended

  void* context_;
  const TransportConfig& config_;
  Authenticator& auth_;
  Links& links_;
  Counters& counters_;
  std::uint64_t dials_ = 0;  // so far
  std::map<base::PeerId, std::unique_ptr<Dialled>> dialled_;
};

}  // namespace starling::net
