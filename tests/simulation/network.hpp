// The links between simulated peers, at the level that the core sees: one link per pair, whole messages.
//
// What is modelled and why: a link is TCP, so an established one orders its messages, and a killed peer's neighbours hear of
// it at once (RST). `loss` is messages dropped because a sender's byte budget was full; `reorder` and `duplicate` are harsher
// than TCP on purpose (several links, relays). A partition holds messages back; when it lasts longer than the heartbeat
// timeout, the links across it break and what was held is lost. Dials across it fail after the Hello timeout.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/message.hpp"
#include "tests/simulation/event_queue.hpp"

namespace starling::simulation {

using PeerIndex = std::uint32_t;
using Message = std::shared_ptr<const protocol::LinkMessage>;

struct NetworkOptions {
  std::uint64_t latency_min_ms = 5;
  std::uint64_t latency_max_ms = 60;
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;
  bool wire_real = false;  // encode and decode every message
  std::vector<bool> cut_off;  // per peer: on the far side of the partition; empty: there is none
  std::uint64_t partition_from_ms = 0;
  std::uint64_t partition_to_ms = 0;
};

// Until then these peers have links to those alone.
struct Siege {
  std::vector<bool> besieged, besiegers;  // per peer; empty: there is none
  std::uint64_t to_ms = 0;
};

// What happens at a peer; called from the event queue, never from inside a call into Network.
class NetworkUser {
 public:
  virtual ~NetworkUser() = default;
  virtual void on_link_up(PeerIndex at, PeerIndex other) = 0;
  virtual void on_link_down(PeerIndex at, PeerIndex other) = 0;
  virtual void on_dial_failed(PeerIndex at, PeerIndex other) = 0;
  virtual void on_message(PeerIndex at, PeerIndex from, const Message& message) = 0;
};

struct NetworkCounters {
  std::uint64_t messages = 0, bytes = 0, lost = 0, duplicated = 0, links_made = 0, links_broken = 0, frame_bytes_largest = 0;
};

// An estimate of a message's frame (its real size where the wire is real).
std::uint64_t frame_bytes_of(const protocol::LinkMessage& message);

class Network {
 public:
  Network(NetworkOptions options, EventQueue& queue, base::Rng rng, PeerIndex peers, NetworkUser& user);

  void besiege(Siege siege) { siege_ = std::move(siege); }  // before anybody dials
  void revive(PeerIndex peer) { alive_[peer] = true; }
  void kill(PeerIndex peer);  // its links break; neighbours hear of it within one latency
  void dial(PeerIndex from, PeerIndex to, bool reachable);
  void disconnect(PeerIndex from, PeerIndex to);
  void send(PeerIndex from, PeerIndex to, Message message);  // without a link: dropped

  bool linked(PeerIndex a, PeerIndex b) const { return link_of(a, b).state == LinkState::up; }
  const NetworkCounters& counters() const { return counters_; }

 private:
  // closing: one end knows already, the other hears of it soon; no new link before that.
  enum class LinkState : std::uint8_t { none, up, closing };
  struct Link {
    LinkState state = LinkState::none;
    std::uint32_t epoch = 0;
    std::uint64_t last_arrival_ms[2] = {0, 0};  // per direction, for order
  };

  std::size_t index_of(PeerIndex a, PeerIndex b) const { return static_cast<std::size_t>(std::min(a, b)) * alive_.size() + std::max(a, b); }
  Link& link_of(PeerIndex a, PeerIndex b) { return links_[index_of(a, b)]; }
  const Link& link_of(PeerIndex a, PeerIndex b) const { return links_[index_of(a, b)]; }
  std::uint64_t latency() { return options_.latency_min_ms + rng_.below(options_.latency_max_ms - options_.latency_min_ms + 1); }
  bool apart(PeerIndex a, PeerIndex b) const;
  bool kept_apart(PeerIndex a, PeerIndex b) const;
  bool partition_breaks_links() const;
  void break_links_across();
  void finish_dial(PeerIndex from, PeerIndex to);
  void break_link(PeerIndex a, PeerIndex b, bool tell_a, bool tell_b);
  void carry(PeerIndex from, PeerIndex to, const Message& message);

  NetworkOptions options_;
  Siege siege_;
  EventQueue& queue_;
  base::Rng rng_;
  NetworkUser& user_;
  std::vector<bool> alive_;
  std::vector<Link> links_;
  NetworkCounters counters_;
};

}  // namespace starling::simulation
