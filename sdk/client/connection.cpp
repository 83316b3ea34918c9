#include "sdk/client/connection.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "sdk/client/folders.hpp"
#include "sdk/client/local_socket.hpp"
#include "sdk/client/peer_service.hpp"

namespace starling::client {

namespace {

using base::ErrorCode;

// Longer than any request may take: a long poll, or the import of a large file on a slow disk.
constexpr std::chrono::minutes reply_timeout{30};

class SocketConnection final : public Connection {
 public:
  explicit SocketConnection(LocalSocket socket) : socket_(std::move(socket)) {}
  base::Expected<Frame> exchange(const Frame& request) override {
    if (const auto sent = socket_.send(request); !sent) return std::unexpected(sent.error());
    return socket_.receive(reply_bounds, reply_timeout);
  }

 private:
  LocalSocket socket_;
};

class EmbeddedConnection final : public Connection {
 public:
  EmbeddedConnection(Descriptor lock, std::unique_ptr<runtime::Peer> peer)
      : lock_(std::move(lock)), peer_(std::move(peer)), service_(*peer_) {}
  base::Expected<Frame> exchange(const Frame& request) override { return service_.answer(request); }

 private:
  Descriptor lock_;
  std::unique_ptr<runtime::Peer> peer_;
  PeerService service_;
};

bool any_link(runtime::Peer& peer) {
  const auto peers = peer.peers();
  return std::ranges::any_of(peers, [](const auto& other) { return other.linked; });
}

// What the first neighbour tells about jobs arrives within moments of the link; a quiet second means it has been told.
void wait_for_news(runtime::Peer& peer) {
  using std::chrono::milliseconds;
  std::uint64_t seen = 0;
  for (int looks = 0; looks < 20; ++looks) {
    const std::uint64_t now = peer.wait_change(seen, milliseconds(500));
    if (now == seen) return;
    seen = now;
  }
}

}  // namespace

base::Expected<Answer> Connection::call(const Json& request, base::Bytes payload) {
  STARLING_TRY(Frame reply, exchange(Frame{.json = dump(request), .payload = std::move(payload)}));
  Json json = parse_json(reply.json);
  if (!json.is_object()) return base::fail(ErrorCode::internal, "the worker's answer does not parse", "is it of another version?");
  if (json.contains("error")) return std::unexpected(error_from(json["error"]));
  return Answer{.json = std::move(json), .payload = std::move(reply.payload)};
}

base::Expected<std::unique_ptr<Connection>> connect_to_worker(const std::filesystem::path& state_folder) {
  auto socket = LocalSocket::connect(socket_of(state_folder));
  if (!socket && socket.error().code == ErrorCode::not_found)
    return base::fail(ErrorCode::not_found, "no worker runs for " + state_folder.string(), "start one: starling worker start");
  if (!socket) return std::unexpected(socket.error());
  return std::make_unique<SocketConnection>(*std::move(socket));
}

bool wait_for_link(runtime::Peer& peer, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::uint64_t seen = 0;
  while (!any_link(peer)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    seen = peer.wait_change(seen, std::min(left, std::chrono::milliseconds(100)));
  }
  return true;
}

namespace {

// This machine executes nothing, so it can prove nobody wrong itself. In a swarm that one is invited to it believes the replays
// of the peer that invited it (the first in the ticket); in a public swarm it waits for agreement alone.
base::Expected<std::vector<base::PeerId>> inviter_of(const ConnectOptions& options) {
  const auto file = options.state_folder / "inviter";
  if (options.join) {
    if (options.join->swarm.kind == protocol::SwarmKind::public_swarm || options.join->peers.empty()) return std::vector<base::PeerId>{};
    const auto& inviter = options.join->peers.front().id;
    if (const auto written = write_file(file, base::view(inviter.base32())); !written) return std::unexpected(written.error());
    return std::vector{inviter};
  }
  const auto stored = read_file(file, 1024);
  const auto inviter = stored ? base::PeerId::from_base32_text(base::text(*stored)) : std::nullopt;
  return inviter ? std::vector{*inviter} : std::vector<base::PeerId>{};
}

}  // namespace

base::Expected<std::unique_ptr<Connection>> embed_light_peer(const ConnectOptions& options) {
  if (!options.join && !has_stored_swarm(options.state_folder))
    return base::fail(ErrorCode::not_found, "no worker runs for " + options.state_folder.string() + ", and no swarm is known there",
                      "join one: --join TICKET; or start a worker: starling worker start");
  if (const auto made = make_private_folder(options.state_folder); !made) return std::unexpected(made.error());
  STARLING_TRY(Descriptor lock, lock_state_folder(options.state_folder));
  runtime::PeerOptions peer_options;
  peer_options.state_folder = options.state_folder;
  peer_options.join = options.join;
  peer_options.light = true;
  STARLING_TRY(peer_options.roots, inviter_of(options));
  STARLING_TRY(auto peer, runtime::Peer::start(std::move(peer_options), nullptr));
  if (!wait_for_link(*peer, options.first_link_timeout))
    return base::fail(ErrorCode::temporary, "no peer of the swarm answered within " + std::to_string(options.first_link_timeout.count() / 1000) + " s",
                      "check the network, or ask a member for a new ticket: starling swarm invite");
  wait_for_news(*peer);
  return std::make_unique<EmbeddedConnection>(std::move(lock), std::move(peer));
}

}  // namespace starling::client
