#include "coordinator-less/net/send_budget.hpp"

namespace starling::net {
namespace {
constexpr std::size_t bookkeeping_bytes = 256;  // command, outbox entry, ZeroMQ message and hint
}

void SendBudgets::open(const base::PeerId& peer) {
  const std::scoped_lock lock(mutex_);
  unsent_.emplace(peer, std::make_shared<std::atomic<std::size_t>>(0));
}

void SendBudgets::close(const base::PeerId& peer) {
  const std::scoped_lock lock(mutex_);
  unsent_.erase(peer);
}

std::pair<std::optional<Reservation>, SendBudgets::Refusal> SendBudgets::reserve(const base::PeerId& peer,
                                                                                 std::size_t frame_bytes) {
  const auto cost = frame_bytes + bookkeeping_bytes;
  const std::scoped_lock lock(mutex_);
  const auto found = unsent_.find(peer);
  if (found == unsent_.end()) return {std::nullopt, Refusal::not_linked};
  auto& unsent = found->second;
  if (unsent->fetch_add(cost) + cost > bytes_per_peer_) {
    unsent->fetch_sub(cost);
    return {std::nullopt, Refusal::over_budget};
  }
  return {Reservation(unsent, cost), Refusal::none};
}

}  // namespace starling::net
