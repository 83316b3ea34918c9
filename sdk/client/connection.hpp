// The way to a peer: its worker's socket, or a light peer inside this process. Both answer the local API (peer_service.hpp).
#pragma once

#include <chrono>
#include <memory>
#include <optional>

#include "sdk/client/client.hpp"
#include "sdk/client/local_frame.hpp"
#include "sdk/client/status_json.hpp"

namespace starling::client {

struct Answer {
  Json json;
  base::Bytes payload;
};

class Connection {
 public:
  virtual ~Connection() = default;
  virtual base::Expected<Frame> exchange(const Frame& request) = 0;
  // An error reply becomes that error.
  base::Expected<Answer> call(const Json& request, base::Bytes payload = {});
};

base::Expected<std::unique_ptr<Connection>> connect_to_worker(const std::filesystem::path& state_folder);
// Starts a light peer and waits for its first link. temporary when no peer answers.
base::Expected<std::unique_ptr<Connection>> embed_light_peer(const ConnectOptions& options);

// The first link of a peer that has just started: true, or false at the timeout.
bool wait_for_link(runtime::Peer& peer, std::chrono::milliseconds timeout);

}  // namespace starling::client
