#include "coordinator-less/net/outbound.hpp"

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/net/hello.hpp"
#include "coordinator-less/net/link_sockets.hpp"

namespace starling::net {
namespace {

constexpr int reads_per_turn = 64;  // per link
constexpr int watched_events = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
constexpr const char* timed_out = "timeout: the peer does not answer";

}  // namespace

Outbound::Dialled::Dialled(void* context, std::uint64_t number, base::PeerId id, std::string at, base::Instant until)
    : peer(id),
      address(std::move(at)),
      socket(open_socket(context, ZMQ_DEALER)),
      monitor(context, socket.get(), "dial-" + std::to_string(number), watched_events),
      deadline(until) {}

Outbound::Outbound(void* context, const TransportConfig& config, Authenticator& auth, Links& links, Counters& counters)
    : context_(context), config_(config), auth_(auth), links_(links), counters_(counters) {}

void Outbound::dial(const base::PeerId& peer, const std::string& address, base::Instant now) {
  if (links_.linked(peer) || dialled_.contains(peer)) return;
  const auto fail = [&](const char* reason) { links_.on_dial_failed(peer, address, reason); };
  if (peer == config_.self) return fail("wrong key: that is our own id");
  const auto numeric = parse_address(address);
  if (!numeric) return fail("not a numeric address with a port");
  const auto key = auth_.curve_key_of(peer);
  if (!key) return fail("wrong key: the id is no proper key");
  if (dialled_.size() >= limits::outbound_links_max) return fail("too many links dialled by us already");
  auto dialled = std::make_unique<Dialled>(context_, ++dials_, peer, address, now + config_.dial_timeout);
  start(*dialled, *key, numeric->endpoint(), numeric->is_v6);
  dialled_.emplace(peer, std::move(dialled));
  sweep();
}

void Outbound::start(Dialled& dialled, const CurveKey& server_key, const std::string& endpoint, bool is_v6) {
  auto* socket = dialled.socket.get();
  harden(socket, config_, outbound_io_thread);
  set_bytes(socket, ZMQ_CURVE_SERVERKEY, server_key);
  set_bytes(socket, ZMQ_CURVE_PUBLICKEY, config_.curve_public);
  set_bytes(socket, ZMQ_CURVE_SECRETKEY, config_.curve_secret);
  set_int(socket, ZMQ_RECONNECT_IVL, -1);
  set_int(socket, ZMQ_IMMEDIATE, 1);
  set_int(socket, ZMQ_CONNECT_TIMEOUT, static_cast<int>(config_.dial_timeout.ms));
  set_int(socket, ZMQ_IPV6, is_v6 ? 1 : 0);
  if (zmq_connect(socket, endpoint.c_str()) != 0) dialled.end = std::string("cannot dial: ") + zmq_strerror(zmq_errno());
}

void Outbound::on_monitors(base::Instant now) {
  for (auto& [peer, dialled] : dialled_) {
    while (const auto event = dialled->monitor.next()) {
      if (dialled->end.empty()) on_event(*dialled, *event, now);
    }
  }
  sweep();
}

void Outbound::on_event(Dialled& dialled, const Monitor::Event& event, base::Instant now) {
  switch (event.type) {
    case ZMQ_EVENT_CONNECTED:
      dialled.connection = Connection::of(event.value);
      dialled.state = State::greeting;
      dialled.deadline = std::min(dialled.deadline, now + config_.hello_timeout);
      break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      on_greeted(dialled, now);
      break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      dialled.end = "refused: the peer has no room for us";
      break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
      dialled.end = now >= dialled.deadline ? timed_out : "wrong key, or not a Starling peer";
      break;
    case ZMQ_EVENT_CLOSED:  // of an attempt; a link ends with DISCONNECTED
      if (dialled.state != State::connecting) break;
      dialled.end = now >= dialled.deadline ? timed_out : "connection refused, or the address cannot be reached";
      break;
    default:
      dialled.end = dialled.state == State::up ? "the connection closed"
                    : dialled.state == State::asking
                        ? "refused hello: another network, another secret, or it was closed meanwhile"
                        : "wrong key, or not a Starling peer";
  }
}

void Outbound::on_greeted(Dialled& dialled, base::Instant now) {
  dialled.state = State::asking;
  dialled.deadline = now + config_.hello_timeout;
  const auto hello = encode_hello(make_hello(auth_, config_.network, config_.role, Side::dialler,
                                             {.dialler = config_.self, .acceptor = dialled.peer}));
  if (!send_copy(dialled.socket.get(), {}, hello)) dialled.end = "the connection closed during Hello";
}

void Outbound::read() {
  for (auto& [peer, dialled] : dialled_) {
    dialled->drained = false;
    for (int i = 0; i < reads_per_turn && dialled->end.empty() && !links_.blocked(); ++i) {
      dialled->drained = !read_one(*dialled);
      if (dialled->drained) break;
    }
  }
  sweep();
}

bool Outbound::read_one(Dialled& dialled) {
  Message message;
  if (!message.receive(dialled.socket.get())) return false;
  const bool single = !message.more();
  if (!single) skip_parts(dialled.socket.get());
  on_message(dialled, message.bytes(), single);
  return true;
}

void Outbound::on_message(Dialled& dialled, base::ByteView bytes, bool single) {
  if (!single) {
    dialled.end = "a message of several parts";
  } else if (dialled.state != State::up) {
    on_hello(dialled, bytes);
  } else if (bytes.size() > limits::frame_bytes_max) {
    dialled.end = "a frame over the limit";
  } else {
    dialled.watch.on_frame(bytes.size());
    links_.on_frame(dialled.peer, bytes);
  }
}

void Outbound::on_hello(Dialled& dialled, base::ByteView bytes) {
  const auto hello =
      check_acceptor(auth_, config_.network, {.dialler = config_.self, .acceptor = dialled.peer}, bytes);
  if (dialled.state != State::asking || !hello) {
    counters_.refused_hellos += 1;
    dialled.end = "refused hello: " + (hello ? std::string("it spoke first") : hello.error().message);
    return;
  }
  dialled.state = State::up;
  dialled.watch.on_frame(bytes.size());
  dialled.watch.on_hello();
  links_.on_up(dialled.peer, hello->role, Direction::outbound);
}

void Outbound::check(base::Instant now) {
  for (auto& [peer, dialled] : dialled_) check_one(*dialled, now);
  sweep();
}

void Outbound::check_one(Dialled& dialled, base::Instant now) {
  const bool reading = !links_.blocked();
  const auto bytes_read = dialled.connection ? dialled.connection->bytes_read() : std::nullopt;
  if (bytes_read && dialled.watch.on_check(*bytes_read, dialled.drained && reading)) {
    counters_.kicked_unfinished += 1;
    dialled.end = std::to_string(dialled.watch.bytes_ahead()) + " bytes of an unfinished message";
  } else if (dialled.state != State::up && reading && now >= dialled.deadline) {
    dialled.end = dialled.state == State::asking ? "refused hello: no answer in time" : timed_out;
  }
}

void Outbound::add_to(std::vector<zmq_pollitem_t>& items) const {
  for (const auto& [peer, dialled] : dialled_) {
    items.push_back({dialled->monitor.pair(), 0, ZMQ_POLLIN, 0});
    items.push_back({dialled->socket.get(), 0, static_cast<short>(links_.blocked() ? 0 : ZMQ_POLLIN), 0});
  }
}

bool Outbound::send(const base::PeerId& peer, QueuedFrame& frame) {
  return send_frame(dialled_.at(peer)->socket.get(), {}, frame);
}

void Outbound::close(const base::PeerId& peer, const std::string& reason) {
  const auto found = dialled_.find(peer);
  if (found == dialled_.end()) return;
  found->second->end = reason.empty() ? "closed" : reason;
  sweep();
}

void Outbound::sweep() {
  for (auto next = dialled_.begin(); next != dialled_.end();) {
    const auto current = next++;
    if (current->second->end.empty()) continue;
    const auto ended = std::move(current->second);
    dialled_.erase(current);
    if (ended->state == State::up) {
      links_.on_down(ended->peer, Direction::outbound, ended->end);
    } else {
      links_.on_dial_failed(ended->peer, ended->address, ended->end);
    }
  }
}

}  // namespace starling::net
