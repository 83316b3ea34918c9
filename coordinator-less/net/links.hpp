// Peers as the user sees them: one link each, over up to two physical ones. LinkUp with the first, LinkDown with the last.
// Frames wait in the peer's outbox while ZeroMQ's queue is full; the byte budget bounds them. Socket thread only.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <set>

#include "coordinator-less/net/event_outlet.hpp"
#include "coordinator-less/net/send_budget.hpp"

namespace starling::net {

enum class Direction : std::uint8_t { inbound, outbound };

// One way to reach peers: the ROUTER or the DEALERs.
class Carrier {
 public:
  virtual ~Carrier() = default;
  virtual bool send(const base::PeerId& peer, QueuedFrame& frame) = 0;  // false: no room now, the frame is untouched
  virtual void close(const base::PeerId& peer, const std::string& reason) = 0;  // reports on_down
};

struct Counters;

class Links {
 public:
  Links(EventOutlet& outlet, SendBudgets& budgets, Counters& counters);
  void set_carrier(Direction direction, Carrier& carrier) { carriers_[index(direction)] = &carrier; }

  void on_up(const base::PeerId& peer, Role role, Direction direction);
  void on_down(const base::PeerId& peer, Direction direction, const std::string& reason);
  void on_frame(const base::PeerId& peer, base::ByteView bytes);
  void on_dial_failed(const base::PeerId& peer, const std::string& address, const std::string& reason);

  void send(const base::PeerId& peer, QueuedFrame frame);
  void kick(const base::PeerId& peer, const std::string& reason);
  void flush_stalled();  // tries again what ZeroMQ had no room for
  bool stalled() const { return !stalled_.empty(); }
  bool linked(const base::PeerId& peer) const { return peers_.contains(peer); }
  bool blocked() const { return outlet_.blocked(); }
  void check_invariants() const;

 private:
  struct Peer {
    std::array<bool, 2> up{};  // by direction
    std::deque<QueuedFrame> outbox;
  };
  static std::size_t index(Direction direction) { return static_cast<std::size_t>(direction); }
  bool flush(Peer& peer, const base::PeerId& id);
  void count_links();

  EventOutlet& outlet_;
  SendBudgets& budgets_;
  Counters& counters_;
  std::array<Carrier*, 2> carriers_{};
  std::map<base::PeerId, Peer> peers_;
  std::set<base::PeerId> stalled_;  // linked peers with a non-empty outbox
};

}  // namespace starling::net
