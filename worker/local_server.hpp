// The worker's side of the local door: a UNIX socket of mode 0600 that answers the local API (sdk/client/peer_service.hpp).
// Only processes of the same user, or root, are answered. One thread per connection, limits::local_connections_max of them;
// hostile bytes, oversized frames and readers that do not read cost their own connection and nothing else. A connection may
// idle between requests, but a request that has begun must be whole soon: else a few begun ones would hold every place.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "sdk/client/local_socket.hpp"
#include "sdk/client/peer_service.hpp"

namespace starling::worker {

struct Patience {
  std::chrono::milliseconds idle = std::chrono::minutes(10);    // between requests
  std::chrono::milliseconds request = std::chrono::seconds(10); // from its first byte to its last: the sender is on this machine
};

class LocalServer {
 public:
  // `service` must outlive the server.
  static base::Expected<std::unique_ptr<LocalServer>> start(const std::filesystem::path& socket, client::PeerService& service,
                                                            Patience patience = {});
  ~LocalServer();  // closes every connection and waits for its thread
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

 private:
  struct Connection {
    int fd = -1;
    std::atomic<bool> ended = false;
    std::thread thread;
  };

  LocalServer(std::filesystem::path path, client::Descriptor listener, client::Descriptor stop, client::PeerService& service,
              Patience patience);
  void accept_loop();
  void accept_one();
  void serve(Connection& connection, client::Descriptor fd);
  void join_ended();

  std::filesystem::path path_;
  client::Descriptor listener_;
  client::Descriptor stop_;  // an eventfd: written once, at the end
  client::PeerService& service_;
  const Patience patience_;
  std::mutex mutex_;  // guards connections_ and their fd
  std::list<Connection> connections_;
  std::thread thread_;
};

}  // namespace starling::worker
