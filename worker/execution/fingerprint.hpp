// The fingerprint of an execution (DESIGN section 7): what a guest's state was at points of its work that nobody chooses.
// Who skipped the work cannot make it; who repeats the work can make anybody's. Specification, version 1, integers little-endian:
//
//   seed           = SHA-256("starling fingerprint 1" | SHA-256(peer) | SHA-256(job) | unit u32): the same for all to compute
//   item seed      = SHA-256(seed | index of the item in its job, u64)
//   draw(k)        = SHA-256(item seed | k u64); a, b = its first two u64
//   point(k)       = 2^k + a mod 2^k of fuel, one for each octave k = 24 to 62
//   taken          at the first check (instrument.hpp) at which more fuel than point(k) is used, all octaves that apply, in order
//   chain          = SHA-256(chain | k u64 | fuel used u64 | four live values u64 | globals u64, each 16 bytes |
//                    memory bytes u64 | SHA-256(stack window) | SHA-256(drawn window)), from 32 zero bytes
//   globals        the program's mutable numeric ones in order; smaller values have zeros above
//   stack window   4 KiB of memory from the stack pointer up (global 0, when it is a mutable i32), cut at the memory's end
//   drawn window   64 KiB page b mod pages of memory; none without memory
//   rounds         (exit code 85) go on with chain and fuel; a point that fell between a round's last check and its end is not taken
//   fingerprint    of a unit: SHA-256 of its items' chains; 32 zero bytes when no item has one (each shorter than its first point)
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::execution {

inline constexpr unsigned fingerprint_octave_first = 24;
inline constexpr unsigned fingerprint_octave_last = 62;
inline constexpr std::uint64_t fingerprint_stack_bytes = 4096;
inline constexpr std::uint64_t fingerprint_window_bytes = 65536;

base::Digest fingerprint_seed(base::ByteView peer, base::ByteView job, std::uint32_t unit);
base::Digest fingerprint_item_seed(const base::Digest& seed, std::uint64_t item_index);
base::Digest fingerprint_of_unit(std::span<const base::Digest> chains);

struct FingerprintDraw {
  std::uint64_t point = 0;   // of fuel
  std::uint64_t window = 0;  // modulo the pages of memory
};
FingerprintDraw fingerprint_draw(const base::Digest& item_seed, unsigned octave);

// A guest's state at a check.
struct Moment {
  std::uint64_t fuel_used = 0;  // of this round
  std::array<std::uint64_t, 4> live{};
  std::span<const std::array<std::byte, 16>> globals;
  std::optional<std::uint32_t> stack_pointer;
  base::ByteView memory;
};

// Of one item for one seed.
class Fingerprint {
 public:
  // Tests of short programs begin at an earlier octave.
  explicit Fingerprint(const base::Digest& item_seed, const base::Digest& chain = {}, std::uint64_t fuel_before = 0,
                       unsigned octave_first = fingerprint_octave_first);

  std::uint64_t next_point() const { return next_point_; }  // of this round's fuel; UINT64_MAX: no more
  void take(const Moment& moment);                          // all points that it has passed
  const base::Digest& chain() const { return chain_; }

 private:
  void draw_next();

  base::Digest item_seed_;
  base::Digest chain_;
  std::uint64_t fuel_before_;
  unsigned octave_;
  FingerprintDraw draw_;
  std::uint64_t next_point_ = UINT64_MAX;
};

}  // namespace starling::execution
