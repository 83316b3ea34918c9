#include "coordinator-less/net/zap.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "coordinator-less/net/monitor.hpp"

namespace starling::net {
namespace {

// Behaves as documented in every build of libzmq 4.3, but its header names it only where draft options are built in.
constexpr int zmq_zap_enforce_domain = 93;

struct Request {
  base::Bytes id;
  std::string domain, address, mechanism;
  base::Bytes credentials;
};

std::vector<base::Bytes> receive_parts(void* socket) {
  std::vector<base::Bytes> parts;
  for (;;) {
    Message part;
    if (!part.receive(socket)) break;
    if (parts.size() < 16) parts.push_back(base::copy(part.bytes()));
    if (!part.more()) break;
  }
  return parts;
}

// version | request id | domain | address | routing id | mechanism | credentials...
std::optional<Request> parse(const std::vector<base::Bytes>& parts) {
  if (parts.size() != 7 || base::text(parts[0]) != "1.0") return std::nullopt;
  return Request{parts[1], std::string(base::text(parts[2])), std::string(base::text(parts[3])),
                 std::string(base::text(parts[5])), parts[6]};
}

std::optional<CurveKey> key_of(const Request& request) {
  CurveKey key;
  if (request.domain != zap_domain || request.mechanism != "CURVE" || request.credentials.size() != key.size()) {
    return std::nullopt;
  }
  std::ranges::copy(request.credentials, key.begin());
  return key;
}

base::Bytes property(std::string_view name, std::string_view value) {
  base::Bytes out;
  out.push_back(static_cast<std::byte>(name.size()));
  base::append(out, base::view(name));
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(value.size() >> shift));
  base::append(out, base::view(value));
  return out;
}

void reply(void* socket, const base::Bytes& request_id, const std::optional<std::uint64_t>& serial, const CurveKey& key) {
  const auto user = serial ? base::to_hex(key) : std::string();
  const auto metadata = serial ? property(admission_property, std::to_string(*serial)) : base::Bytes();
  const std::array<base::ByteView, 6> parts = {
      base::view("1.0"),        request_id,       base::view(serial ? "200" : "400"), base::view(serial ? "OK" : "no room"),
      base::view(user), base::ByteView(metadata)};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    zmq_send(socket, parts[i].data(), parts[i].size(), ZMQ_DONTWAIT | (i + 1 < parts.size() ? ZMQ_SNDMORE : 0));
  }
}

}  // namespace

ZapHandler::ZapHandler(void* context) : socket_(open_socket(context, ZMQ_REP)) {
  STARLING_ENSURE(zmq_bind(socket_.get(), "inproc://zeromq.zap.01") == 0);
}

void ZapHandler::serve() {
  while (answer_one()) {
  }
}

bool ZapHandler::answer_one() {
  const auto parts = receive_parts(socket_.get());
  if (parts.empty()) return false;
  ++requests_;
  const auto request = parse(parts);
  const auto key = request ? key_of(*request) : std::nullopt;
  const auto serial = key && policy_ ? policy_(*key, request->address) : std::nullopt;
  reply(socket_.get(), parts.size() > 1 ? parts[1] : base::Bytes(), serial, key.value_or(CurveKey{}));
  return true;
}

void require_zap(void* socket, const CurveKey& curve_secret) {
  set_bytes(socket, ZMQ_ZAP_DOMAIN, base::view(zap_domain));
  set_int(socket, zmq_zap_enforce_domain, 1);
  set_int(socket, ZMQ_CURVE_SERVER, 1);
  set_bytes(socket, ZMQ_CURVE_SECRETKEY, curve_secret);
}

bool zap_refuses_strangers(void* context, ZapHandler& handler, const CurveKey& server_public, const CurveKey& server_secret) {
  const auto server = open_socket(context, ZMQ_ROUTER);
  require_zap(server.get(), server_secret);
  std::array<char, 64> endpoint{};
  std::size_t size = endpoint.size();
  if (zmq_bind(server.get(), "tcp://127.0.0.1:*") != 0) return false;
  STARLING_ENSURE(zmq_getsockopt(server.get(), ZMQ_LAST_ENDPOINT, endpoint.data(), &size) == 0);

  std::array<char, 41> stranger_public{}, stranger_secret{};
  STARLING_ENSURE(zmq_curve_keypair(stranger_public.data(), stranger_secret.data()) == 0);
  const auto client = open_socket(context, ZMQ_DEALER);
  set_int(client.get(), ZMQ_RECONNECT_IVL, -1);
  set_bytes(client.get(), ZMQ_CURVE_SERVERKEY, server_public);
  set_bytes(client.get(), ZMQ_CURVE_PUBLICKEY, std::as_bytes(std::span(stranger_public)));
  set_bytes(client.get(), ZMQ_CURVE_SECRETKEY, std::as_bytes(std::span(stranger_secret)));
  const auto name = "self-test-" + base::to_hex(std::as_bytes(std::span(stranger_public)));
  Monitor monitor(context, client.get(), name, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH);
  if (zmq_connect(client.get(), endpoint.data()) != 0) return false;

  const auto asked_before = handler.requests();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (std::chrono::steady_clock::now() < deadline) {
    std::array<zmq_pollitem_t, 2> items{{{handler.socket(), 0, ZMQ_POLLIN, 0}, {monitor.pair(), 0, ZMQ_POLLIN, 0}}};
    zmq_poll(items.data(), static_cast<int>(items.size()), 100);
    handler.serve();
    if (const auto event = monitor.next()) {
      return event->type == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && event->value == 400 && handler.requests() > asked_before;
    }
  }
  return false;
}

}  // namespace starling::net
