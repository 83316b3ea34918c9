#include "coordinator-less/protocol/swarm.hpp"

namespace starling::protocol {

Bytes network_id_bytes(const SwarmParameters& parameters) {
  Bytes out = base::copy(base::view("starling/v1/network"));
  out.push_back(std::byte{0});
  out.push_back(static_cast<std::byte>(parameters.kind));
  out.push_back(static_cast<std::byte>(parameters.puzzle_difficulty_bits));
  base::append(out, parameters.salt);
  base::append(out, base::view(parameters.name));
  return out;
}

}  // namespace starling::protocol
