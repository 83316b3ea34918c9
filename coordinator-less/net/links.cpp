#include "coordinator-less/net/links.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/net/counters.hpp"

namespace starling::net {

Links::Links(EventOutlet& outlet, SendBudgets& budgets, Counters& counters)
    : outlet_(outlet), budgets_(budgets), counters_(counters) {}

void Links::on_up(const base::PeerId& peer, Role role, Direction direction) {
  const auto [entry, first] = peers_.try_emplace(peer);
  entry->second.up[index(direction)] = true;
  count_links();
  if (!first) return;
  budgets_.open(peer);
  outlet_.emit(LinkUp{peer, role, direction == Direction::outbound});
}

void Links::on_down(const base::PeerId& peer, Direction direction, const std::string& reason) {
  const auto entry = peers_.find(peer);
  STARLING_ENSURE(entry != peers_.end() && entry->second.up[index(direction)]);
  entry->second.up[index(direction)] = false;
  if (!std::ranges::contains(entry->second.up, true)) {
    budgets_.close(peer);
    stalled_.erase(peer);
    peers_.erase(entry);
    outlet_.emit(LinkDown{peer, reason});
  }
  count_links();
}

void Links::on_frame(const base::PeerId& peer, base::ByteView bytes) {
  counters_.frames_received += 1;
  counters_.bytes_received += bytes.size();
  outlet_.emit(FrameReceived{peer, base::copy(bytes)});
}

void Links::on_dial_failed(const base::PeerId& peer, const std::string& address, const std::string& reason) {
  outlet_.emit(DialFailed{peer, address, reason});
}

void Links::send(const base::PeerId& peer, QueuedFrame frame) {
  const auto entry = peers_.find(peer);
  if (entry == peers_.end()) return;  // the link died while the command waited
  entry->second.outbox.push_back(std::move(frame));
  if (!stalled_.contains(peer) && !flush(entry->second, peer)) stalled_.insert(peer);
}

void Links::kick(const base::PeerId& peer, const std::string& reason) {
  for (auto* carrier : carriers_) {
    if (carrier != nullptr) carrier->close(peer, reason);
  }
}

void Links::flush_stalled() {
  std::erase_if(stalled_, [this](const base::PeerId& id) { return flush(peers_.at(id), id); });
}

// Our own dialled link first: it carries to the address that we chose.
bool Links::flush(Peer& peer, const base::PeerId& id) {
  auto* carrier = carriers_[index(peer.up[index(Direction::outbound)] ? Direction::outbound : Direction::inbound)];
  while (!peer.outbox.empty()) {
    const auto size = peer.outbox.front().bytes->size();
    if (!carrier->send(id, peer.outbox.front())) return false;
    counters_.frames_sent += 1;
    counters_.bytes_sent += size;
    peer.outbox.pop_front();
  }
  return true;
}

void Links::count_links() {
  const auto count = [this](Direction direction) {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(peers_, [=](const auto& entry) { return entry.second.up[index(direction)]; }));
  };
  counters_.inbound_links = count(Direction::inbound);
  counters_.outbound_links = count(Direction::outbound);
}

void Links::check_invariants() const {
  for (const auto& [id, peer] : peers_) {
    STARLING_ENSURE(std::ranges::contains(peer.up, true));
    STARLING_ENSURE(peer.outbox.empty() != stalled_.contains(id));
  }
  for (const auto& id : stalled_) STARLING_ENSURE(peers_.contains(id));
}

}  // namespace starling::net
