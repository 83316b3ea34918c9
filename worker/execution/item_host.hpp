// What the imports of one instrumented item mean, free of any engine: its fuel, its fingerprints, its WASI calls, how it ended.
// Every engine that is to give the same results goes through this code; an engine's adapter only moves values.
//
//   fuel     dealt in slices, at most to the limit; a wish to be asked at some point of it only cuts a slice in pieces: where slices
//            end, and which check finds the limit spent, does not depend on who wants fingerprints.
//   a call of the host costs host_call_fuel and an eighth for each byte that it looked at or moved.
//   a trap   ends with the fuel that its last slice's end showed: native code may have moved a charge past it.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>

#include "coordinator-less/base/limits.hpp"
#include "worker/execution/archive.hpp"
#include "worker/execution/fingerprint.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::execution {

inline constexpr std::uint64_t unlimited_fuel = UINT64_MAX;

struct ItemEnd {
  OutcomeKind kind = OutcomeKind::ok;
  std::int32_t code = 0;
  std::uint64_t fuel = 0;  // used; of a trapped item, up to the end of its last slice
};

// What was dealt, and where slices end. The balance itself is the guest's.
class FuelMeter {
 public:
  explicit FuelMeter(std::uint64_t limit = unlimited_fuel, std::int64_t slice = limits::fuel_slice)
      : slice_(slice), limit_(static_cast<std::int64_t>(std::min<std::uint64_t>(limit, INT64_MAX / 2))) {}

  std::uint64_t used(std::int64_t balance) const { return static_cast<std::uint64_t>(dealt_ - balance); }
  std::uint64_t used_at_slice() const { return used_at_slice_; }
  // The new balance; nothing when the limit is spent. It is asked again beyond `point` of fuel at the latest.
  std::optional<std::int64_t> deal(std::int64_t balance, std::uint64_t point);

 private:
  std::int64_t slice_;
  std::int64_t limit_;
  std::int64_t dealt_ = 0;
  std::int64_t slice_end_ = 0;  // not below dealt_
  std::uint64_t used_at_slice_ = 0;
};

// Lives as long as the run of one item. One thread.
class ItemHost {
 public:
  ItemHost(wasi::State& state, FuelMeter meter, std::span<Fingerprint> fingerprints)
      : state_(state), meter_(meter), fingerprints_(fingerprints) {}

  // The balance fell below zero at a check. Gives the new one, or nothing: the item has ended. `look` gives the guest's state (its
  // fuel is filled in here) and is asked only when a fingerprint is due.
  std::optional<std::int64_t> slice(std::int64_t balance, std::invocable auto look) {
    const std::uint64_t used = meter_.used(balance);
    if (used > next_point()) take(used, look());
    return deal(balance);
  }
  // Lowers the balance by what the call costs.
  wasi::Errno call(const wasi::Function& function, std::span<std::byte> memory, wasi::Args args, std::int64_t& balance);
  void fail(std::int32_t reason);  // instrument::Failure
  bool ended() const { return trap_ || state_.ending() != wasi::Ending::none; }

  // `trap`: what the engine says, if it does. TrapClass::other is an end that no guest can cause: this machine's fault, never signed.
  ItemEnd end(std::optional<TrapClass> trap, std::int64_t balance);

 private:
  std::uint64_t next_point() const;
  void take(std::uint64_t used, Moment moment);
  std::optional<std::int64_t> deal(std::int64_t balance);

  wasi::State& state_;
  FuelMeter meter_;
  std::span<Fingerprint> fingerprints_;
  std::optional<TrapClass> trap_;  // what our own functions ended the item with
};

}  // namespace starling::execution
