// Unsent bytes per peer. A reservation travels with its frame through our queue and ZeroMQ's and gives its bytes back when
// ZeroMQ has encrypted and written the frame, or dropped it, whichever thread that happens on.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::net {

class Reservation {
 public:
  Reservation(std::shared_ptr<std::atomic<std::size_t>> unsent, std::size_t bytes)
      : unsent_(std::move(unsent)), bytes_(bytes) {}
  Reservation(Reservation&& other) noexcept = default;
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(unsent_, other.unsent_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Reservation() {
    if (unsent_) unsent_->fetch_sub(bytes_);
  }

 private:
  std::shared_ptr<std::atomic<std::size_t>> unsent_;
  std::size_t bytes_;
};

struct QueuedFrame {
  std::shared_ptr<const base::Bytes> bytes;
  Reservation reservation;
};

// Thread-safe. A peer has a budget while it is linked.
class SendBudgets {
 public:
  enum class Refusal : std::uint8_t { none, not_linked, over_budget };

  explicit SendBudgets(std::size_t bytes_per_peer) : bytes_per_peer_(bytes_per_peer) {}
  void open(const base::PeerId& peer);
  void close(const base::PeerId& peer);
  // Each frame costs its size and a fixed sum for what the queues keep about it.
  std::pair<std::optional<Reservation>, Refusal> reserve(const base::PeerId& peer, std::size_t frame_bytes);

 private:
  std::size_t bytes_per_peer_;
  std::mutex mutex_;
  std::map<base::PeerId, std::shared_ptr<std::atomic<std::size_t>>> unsent_;
};

}  // namespace starling::net
