#include "worker/local_server.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>

#include "coordinator-less/base/check.hpp"

namespace starling::worker {

namespace {

using base::ErrorCode;
using client::Descriptor;

constexpr int send_patience_s = 30;  // a reader that takes nothing for so long is gone

bool is_allowed(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

}  // namespace

base::Expected<std::unique_ptr<LocalServer>> LocalServer::start(const std::filesystem::path& socket, client::PeerService& service,
                                                                Patience patience) {
  STARLING_TRY(Descriptor listener, client::listen_locally(socket));
  Descriptor stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return base::fail(ErrorCode::internal, "no eventfd could be made", "check this machine's limits on open files");
  return std::unique_ptr<LocalServer>(new LocalServer(socket, std::move(listener), std::move(stop), service, patience));
}

LocalServer::LocalServer(std::filesystem::path path, Descriptor listener, Descriptor stop, client::PeerService& service, Patience patience)
    : path_(std::move(path)), listener_(std::move(listener)), stop_(std::move(stop)), service_(service), patience_(patience) {
  thread_ = std::thread([this] { accept_loop(); });
}

LocalServer::~LocalServer() {
  const std::uint64_t one = 1;
  STARLING_ENSURE(::write(stop_.get(), &one, sizeof one) == sizeof one);
  thread_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& connection : connections_)
      if (connection.fd >= 0) ::shutdown(connection.fd, SHUT_RDWR);
  }
  for (auto& connection : connections_) connection.thread.join();
  std::error_code error;
  std::filesystem::remove(path_, error);
}

void LocalServer::accept_loop() {
  std::array<pollfd, 2> wanted{pollfd{listener_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
  while (true) {
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
    if (wanted[1].revents != 0) return;
    join_ended();
    if (wanted[0].revents != 0) accept_one();
  }
}

void LocalServer::accept_one() {
  Descriptor fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd) {
    // Out of descriptors, most likely: the pending connection would wake us at once again.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return;
  }
  const timeval patience{send_patience_s, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (!is_allowed(fd.get())) return;
  const std::lock_guard lock(mutex_);
  if (connections_.size() >= limits::local_connections_max) return;
  Connection& connection = connections_.emplace_back();
  connection.fd = fd.get();
  connection.thread = std::thread([this, &connection, owned = std::move(fd)]() mutable { serve(connection, std::move(owned)); });
}

void LocalServer::serve(Connection& connection, Descriptor fd) {
  client::LocalSocket socket(std::move(fd));
  while (true) {
    const auto request = socket.receive(client::request_bounds, patience_.idle, patience_.request);
    if (!request || !socket.send(service_.answer(*request))) break;
  }
  {
    // Before the descriptor closes: its number may belong to another file right after.
    const std::lock_guard lock(mutex_);
    connection.fd = -1;
  }
  connection.ended = true;
}

void LocalServer::join_ended() {
  const std::lock_guard lock(mutex_);
  std::erase_if(connections_, [](Connection& connection) {
    if (!connection.ended) return false;
    connection.thread.join();
    return true;
  });
}

}  // namespace starling::worker
