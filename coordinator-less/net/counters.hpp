// TransportCounters while they are being counted: written by the socket thread and senders, read by anybody.
#pragma once

#include <atomic>

#include "coordinator-less/net/transport.hpp"

namespace starling::net {

struct Counters {
  std::atomic<std::uint64_t> bytes_sent = 0, bytes_received = 0, frames_sent = 0, frames_received = 0;
  std::atomic<std::uint64_t> dropped_over_budget = 0, kicked_unfinished = 0, refused_hellos = 0;
  std::atomic<std::uint64_t> inbound_links = 0, outbound_links = 0;  // now

  TransportCounters snapshot() const {
    return {.bytes_sent = bytes_sent,
            .bytes_received = bytes_received,
            .frames_sent = frames_sent,
            .frames_received = frames_received,
            .dropped_over_budget = dropped_over_budget,
            .kicked_unfinished = kicked_unfinished,
            .refused_hellos = refused_hellos,
            .inbound_links = inbound_links,
            .outbound_links = outbound_links};
  }
};

}  // namespace starling::net
