#include "coordinator-less/net/inbound.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/net/hello.hpp"
#include "coordinator-less/net/link_sockets.hpp"
#include "coordinator-less/net/zap.hpp"

namespace starling::net {
namespace {

constexpr int reads_per_turn = 256;

base::Expected<void> bind(void* router, const std::string& host, const NumericAddress& address) {
  const auto endpoint = address.port == 0 ? "tcp://" + address.host + ":*" : address.endpoint();
  if (zmq_bind(router, endpoint.c_str()) == 0) return {};
  const int error = zmq_errno();
  const auto where = "port " + std::to_string(address.port) + " on " + host;
  if (error == EADDRINUSE) {
    return base::fail(base::ErrorCode::temporary, where + " is in use",
                      "stop the program that holds it, or choose another port (0 takes any free one)");
  }
  if (error == EACCES) return base::fail(base::ErrorCode::refused, where + " needs rights we lack", "choose a port above 1023");
  if (error == EADDRNOTAVAIL || error == ENODEV) {
    return base::fail(base::ErrorCode::bad_input, host + " is not an address of this machine", "listen on 0.0.0.0 or on one of its addresses");
  }
  return base::fail(base::ErrorCode::internal, "cannot listen on " + where + ": " + zmq_strerror(error));
}

std::uint16_t bound_port(void* router) {
  std::array<char, 128> endpoint{};
  std::size_t size = endpoint.size();
  STARLING_ENSURE(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint.data(), &size) == 0);
  const std::string_view text(endpoint.data());
  std::uint16_t port = 0;
  std::from_chars(text.data() + text.rfind(':') + 1, text.data() + text.size(), port);
  return port;
}

std::string property_of(Message& message, const char* name) {
  const char* value = zmq_msg_gets(message.get(), name);
  return value == nullptr ? std::string() : std::string(value);
}

std::uint64_t admission_of(Message& message) {
  const auto text = property_of(message, admission_property);
  std::uint64_t serial = 0;
  std::from_chars(text.data(), text.data() + text.size(), serial);
  return serial;
}

std::optional<CurveKey> key_from_user_id(const std::string& user_id) {
  const auto raw = base::from_hex(user_id);
  CurveKey key;
  if (!raw || raw->size() != key.size()) return std::nullopt;
  std::ranges::copy(*raw, key.begin());
  return key;
}

// ZeroMQ's own ids: a zero byte and a counter. Our peers never choose theirs.
bool is_generated(base::ByteView routing_id) { return routing_id.size() == 5 && routing_id[0] == std::byte{0}; }

}  // namespace

base::Expected<std::unique_ptr<Inbound>> Inbound::listen(void* context, const TransportConfig& config, Authenticator& auth,
                                                         Links& links, Counters& counters) {
  const auto address = parse_host(config.bind_host, config.bind_port);
  if (!address) {
    return base::fail(base::ErrorCode::bad_input, "'" + config.bind_host + "' is not a numeric address",
                      "give an address such as 0.0.0.0 or ::");
  }
  auto router = open_socket(context, ZMQ_ROUTER);
  harden(router.get(), config, inbound_io_thread);
  require_zap(router.get(), config.curve_secret);
  set_int(router.get(), ZMQ_ROUTER_MANDATORY, 1);
  set_int(router.get(), ZMQ_BACKLOG, limits::listen_backlog);
  set_int(router.get(), ZMQ_IPV6, address->is_v6 ? 1 : 0);
  // The monitor comes before the port, else the first connections would go unseen.
  std::unique_ptr<Inbound> inbound(new Inbound(context, std::move(router), 0, config, auth, links, counters));
  if (auto bound = bind(inbound->socket(), config.bind_host, *address); !bound) return std::unexpected(bound.error());
  inbound->port_ = bound_port(inbound->socket());
  return inbound;
}

Inbound::Inbound(void* context, Socket router, std::uint16_t port, const TransportConfig& config, Authenticator& auth,
                 Links& links, Counters& counters)
    : config_(config),
      auth_(auth),
      links_(links),
      counters_(counters),
      router_(std::move(router)),
      monitor_(context, router_.get(), "inbound", ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED),
      port_(port) {}

std::optional<std::uint64_t> Inbound::admit(const CurveKey&, const std::string& address, base::Instant now) {
  on_monitor(now);  // the connection that asks must be numbered before its admission
  std::erase_if(pending_, [now](const auto& admission) { return admission.second.expires <= now; });
  const auto group = address_group(address);
  const auto in_group = [&](const auto& entry) { return entry.second.group == group; };
  const auto of_group = std::ranges::count_if(pending_, in_group) +
                        std::ranges::count_if(linked_, [&](const auto& link) { return entries_.at(link.second).group == group; });
  if (linked_.size() + pending_.size() >= config_.inbound_links_max) return std::nullopt;
  if (static_cast<std::size_t>(of_group) >= config_.inbound_links_per_address_max) return std::nullopt;
  pending_.emplace(++order_, Admission{group, now + config_.hello_timeout});
  return order_;
}

void Inbound::on_monitor(base::Instant now) {
  while (const auto event = monitor_.next()) {
    if (event->type == ZMQ_EVENT_ACCEPTED) on_accepted(event->value, now);
    if (event->type == ZMQ_EVENT_DISCONNECTED) on_disconnected(event->value);
  }
}

// If the number belongs to a stranger already, its DISCONNECTED event waits behind this one and removes the entry.
void Inbound::on_accepted(int fd, base::Instant now) {
  const auto connection = Connection::of(fd);
  if (!connection) return;
  on_disconnected(fd);  // never needed so far: ZeroMQ says DISCONNECTED before it closes
  const auto group = address_group(connection->address());
  const auto half_open = [&](const auto& entry) { return !entry.second.peer; };
  const auto half_open_here = [&](const auto& entry) { return !entry.second.peer && entry.second.group == group; };
  const bool crowded =
      static_cast<std::size_t>(std::ranges::count_if(entries_, half_open)) >= limits::half_open_links_max ||
      static_cast<std::size_t>(std::ranges::count_if(entries_, half_open_here)) >= limits::half_open_links_per_address_max;
  auto& entry = entries_.emplace(fd, Entry{*connection, group, ++order_, now}).first->second;
  if (crowded) cut(entry, "too many connections without Hello");
}

void Inbound::on_disconnected(int fd) {
  const auto found = entries_.find(fd);
  if (found == entries_.end()) return;
  const auto entry = std::move(found->second);
  entries_.erase(found);
  pending_.erase(entry.admission);
  if (!entry.peer) return;
  linked_.erase(*entry.peer);
  links_.on_down(*entry.peer, Direction::inbound, "the connection closed");
}

void Inbound::read(base::Instant now) {
  drained_ = false;
  for (int i = 0; i < reads_per_turn && !links_.blocked(); ++i) {
    if (!read_one(now)) {
      drained_ = true;
      return;
    }
  }
}

bool Inbound::read_one(base::Instant now) {
  Message routing_id, payload;
  if (!routing_id.receive(router_.get())) return false;
  if (!routing_id.more() || !payload.receive(router_.get())) return true;
  const bool single = !payload.more();
  if (!single) skip_parts(router_.get());
  auto* entry = find(zmq_msg_get(payload.get(), ZMQ_SRCFD), admission_of(payload), now);
  if (entry != nullptr && !entry->closing) on_message(*entry, routing_id.bytes(), payload, single);
  return true;
}

// Nullptr: the connection is gone. A connection is tied to its admission at its first message, and only after the monitor
// was drained: what happened to the descriptor before that message is known then.
Inbound::Entry* Inbound::find(int fd, std::uint64_t admission, base::Instant now) {
  if (const auto known = entries_.find(fd); known != entries_.end() && admission != 0 && known->second.admission == admission) {
    return &known->second;
  }
  on_monitor(now);
  const auto found = entries_.find(fd);
  if (admission == 0 || found == entries_.end()) return nullptr;
  auto& entry = found->second;
  if (entry.admission != 0 || admission < entry.accepted_order) return nullptr;
  entry.admission = admission;
  return &entry;
}

void Inbound::on_message(Entry& entry, base::ByteView routing_id, Message& message, bool single) {
  const auto bytes = message.bytes();
  if (!single) return refuse(entry, "a message of several parts");
  if (!is_generated(routing_id)) return refuse(entry, "a routing id of its own choice");
  if (!entry.peer) {
    entry.routing_id = base::copy(routing_id);
    return on_hello(entry, property_of(message, "User-Id"), bytes);
  }
  if (bytes.size() > limits::frame_bytes_max) return refuse(entry, "a frame over the limit");
  entry.watch.on_frame(bytes.size());
  links_.on_frame(*entry.peer, bytes);
}

void Inbound::on_hello(Entry& entry, const std::string& user_id, base::ByteView bytes) {
  const auto key = key_from_user_id(user_id);
  if (!key) return refuse(entry, "no User-Id");
  const auto hello = check_dialler(auth_, config_.network, config_.self, *key, bytes);
  if (!hello) return refuse(entry, hello.error().message);
  const auto answer = encode_hello(make_hello(auth_, config_.network, config_.role, Side::acceptor,
                                              {.dialler = hello->peer, .acceptor = config_.self}));
  if (!send_copy(router_.get(), entry.routing_id, answer)) return cut(entry, "gone during Hello");
  pending_.erase(entry.admission);
  if (const auto old = linked_.find(hello->peer); old != linked_.end()) {
    auto& replaced = entries_.at(old->second);
    replaced.peer.reset();  // the user's link goes on over the new connection
    cut(replaced, "replaced");
  }
  entry.peer = hello->peer;
  entry.watch.on_frame(bytes.size());
  entry.watch.on_hello();
  linked_[hello->peer] = entry.connection.fd();
  links_.on_up(hello->peer, hello->role, Direction::inbound);
}

void Inbound::check(base::Instant now) {
  const bool reading = !links_.blocked();
  for (auto& [fd, entry] : entries_) {
    if (entry.closing) continue;
    const auto bytes_read = entry.connection.bytes_read();
    if (bytes_read && entry.watch.on_check(*bytes_read, drained_ && reading)) {
      counters_.kicked_unfinished += 1;
      cut(entry, std::to_string(entry.watch.bytes_ahead()) + " bytes of an unfinished message");
    } else if (!entry.peer && reading && now - entry.accepted >= config_.hello_timeout) {
      cut(entry, "no Hello in time");
    }
  }
}

bool Inbound::send(const base::PeerId& peer, QueuedFrame& frame) {
  return send_frame(router_.get(), entries_.at(linked_.at(peer)).routing_id, frame);
}

void Inbound::close(const base::PeerId& peer, const std::string& reason) {
  if (const auto link = linked_.find(peer); link != linked_.end()) cut(entries_.at(link->second), reason);
}

// The entry itself stays until ZeroMQ says DISCONNECTED.
void Inbound::cut(Entry& entry, const std::string& reason) {
  entry.connection.shut();
  entry.closing = true;
  pending_.erase(entry.admission);
  const auto peer = std::exchange(entry.peer, std::nullopt);
  if (!peer) return;
  linked_.erase(*peer);
  links_.on_down(*peer, Direction::inbound, reason);
}

void Inbound::refuse(Entry& entry, const std::string& reason) {
  if (!entry.peer) counters_.refused_hellos += 1;
  cut(entry, reason);
}

void Inbound::check_invariants() const {
  for (const auto& [peer, fd] : linked_) {
    const auto entry = entries_.find(fd);
    STARLING_ENSURE(entry != entries_.end() && entry->second.peer == peer && !entry->second.closing);
    STARLING_ENSURE(!pending_.contains(entry->second.admission));
  }
  const auto past_hello = std::ranges::count_if(entries_, [](const auto& entry) { return entry.second.peer.has_value(); });
  STARLING_ENSURE(static_cast<std::size_t>(past_hello) == linked_.size());
}

}  // namespace starling::net
