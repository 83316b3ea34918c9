// The ZAP handler (ZeroMQ RFC 27): decides which CURVE keys may finish a handshake. Without a handler ZeroMQ would let
// everybody in, so it is bound before anything else and tested with a forbidden key at every start.
//
// An admitted connection carries two properties that its peer cannot choose: User-Id, the hex of its CURVE key, and
// X-Starling-Admission, a serial number. The serial ties a message to one connection for ever, which descriptor numbers and
// routing ids do not.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "coordinator-less/net/zmq_handles.hpp"

namespace starling::net {

inline constexpr const char* zap_domain = "starling";
inline constexpr const char* admission_property = "X-Starling-Admission";

class ZapHandler {
 public:
  // The admission's serial number (above 0), or nullopt: answer 400.
  using Policy = std::function<std::optional<std::uint64_t>(const CurveKey& key, const std::string& address)>;

  explicit ZapHandler(void* context);
  void set_policy(Policy policy) { policy_ = std::move(policy); }  // before the first one, nobody enters
  void serve();                                                    // answers all waiting requests
  void* socket() const { return socket_.get(); }
  std::uint64_t requests() const { return requests_; }

 private:
  bool answer_one();

  Socket socket_;
  Policy policy_;
  std::uint64_t requests_ = 0;
};

// Makes a ROUTER or DEALER a CURVE server that asks the handler and cannot do without.
void require_zap(void* socket, const CurveKey& curve_secret);

// Runs one handshake with a key that the handler does not admit; false when it was not refused within two seconds.
bool zap_refuses_strangers(void* context, ZapHandler& handler, const CurveKey& server_public, const CurveKey& server_secret);

}  // namespace starling::net
