// What defines a swarm. Its digest is the network id that every statement and Hello covers.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/protocol/notary.hpp"

namespace starling::protocol {

// development: made by `starling dev up`; the only kind in which the fault-injecting peer exists.
enum class SwarmKind : std::uint8_t { public_swarm = 0, private_swarm = 1, development = 2 };

struct SwarmParameters {
  SwarmKind kind = SwarmKind::private_swarm;
  std::string name;
  std::uint8_t puzzle_difficulty_bits = 0;  // 0 in private and development swarms
  std::array<std::byte, 16> salt{};         // random: two swarms of one name are two
  bool operator==(const SwarmParameters&) const = default;
};

// "starling/v1/network" 0x00 | kind | difficulty | salt | name
Bytes network_id_bytes(const SwarmParameters& parameters);

struct TicketPeer {
  PeerId id;
  std::vector<std::string> addresses;
  bool operator==(const TicketPeer&) const = default;
};

// Pasted text that lets a machine join: the swarm, some peers, and in swarms with a secret that secret.
struct Ticket {
  SwarmParameters swarm;
  std::optional<std::array<std::byte, 32>> secret;
  std::vector<TicketPeer> peers;
  bool operator==(const Ticket&) const = default;
};

}  // namespace starling::protocol
