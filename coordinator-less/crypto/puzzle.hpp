// The price of a peer id in a public swarm: a nonce whose Argon2id value under that id starts with `difficulty_bits`
// zero bits.
//   password = "starling/v1/puzzle" 0x00 | nonce (8 bytes, little-endian)    salt = the 32 bytes of the id
//   one pass, one lane, limits::puzzle_memory_kib, 32 bytes out, Argon2 version 1.3
// Memory and not time is the cost, so that special hardware gains little. Minting takes 2^difficulty_bits tries on
// average and checking one try (about 10 ms), so checking waits until a signature under the id was good, and is never
// done on the protocol thread. Swarms with difficulty 0 do no work at all. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>

#include "coordinator-less/base/ids.hpp"

namespace starling::crypto {

// The first nonce from `first_nonce` on that passes; searchers on several threads start far apart.
// REQUIRES: difficulty_bits <= limits::puzzle_difficulty_bits_max
std::uint64_t mint(const base::PeerId& id, unsigned difficulty_bits, std::uint64_t first_nonce = 0);

// One try. nullopt: the machine has no memory for it now.
// REQUIRES: difficulty_bits <= limits::puzzle_difficulty_bits_max
std::optional<bool> try_nonce(const base::PeerId& id, std::uint64_t nonce, unsigned difficulty_bits);

// False also for difficulties above limits::puzzle_difficulty_bits_max, and when the machine has no memory for one try.
bool check(const base::PeerId& id, std::uint64_t nonce, unsigned difficulty_bits);

}  // namespace starling::crypto
