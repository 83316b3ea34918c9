// What V is told (evaluation.hpp), over dense numbers, and what it asks its reader about them.
#pragma once

#include <algorithm>
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

using PeerIndex = std::uint32_t;
using OutcomeIndex = std::uint32_t;  // below 2^31
using Stage = std::uint32_t;

struct EntryFact {
  PeerIndex peer = 0;
  LogPlace at;
  UnitIndex unit = 0;
  std::uint32_t position = 0;  // in the author's own order, counted from the block's start; of results only
  OutcomeIndex outcome = 0;
  bool audit = false;
  auto operator<=>(const EntryFact&) const = default;
};

struct ReplayedFact {
  PeerIndex judge = 0, accused = 0;
  UnitIndex unit = 0;
  OutcomeIndex compiled = 0, interpreted = 0;
  LogPlace head;                    // the accused's last entry that the judge had seen
  bool fingerprint_wrong = false;   // no execution gives the fingerprint that the accused signed
  auto operator<=>(const ReplayedFact&) const = default;
};

// What the reader saw of a contradiction in a key's log beside its entries: this place follows what another place follows.
struct ForkedFact {
  PeerIndex peer = 0;
  LogPlace at;  // the later one
  auto operator<=>(const ForkedFact&) const = default;
};

// A key has taken back all that it said, and says, in this job.
struct WithdrawnFact {
  PeerIndex peer = 0;
};

// The reader's view of other keys' own orders (order.hpp): the units of a block as this peer must take them.
class OwnOrders {
 public:
  virtual ~OwnOrders() = default;
  virtual std::span<const UnitIndex> own_order(PeerIndex peer, std::uint32_t block) = 0;
};

// What the outcomes of a chain (segments.hpp) have to do with each other; asked only about units from the stride on, but for goes_on.
class Chains {
 public:
  virtual ~Chains() = default;
  virtual bool goes_on(UnitIndex unit, OutcomeIndex outcome) = 0;                         // it is a checkpoint
  virtual bool follows(UnitIndex unit, OutcomeIndex outcome, OutcomeIndex before) = 0;    // its input is what `before` left of unit - stride
  virtual bool same_input(UnitIndex unit, OutcomeIndex one, OutcomeIndex other) = 0;    // an equivalence
};

struct EvaluationParameters {
  VerificationClass verification = VerificationClass::standard;
  std::uint32_t epsilon_ppm = 1000;
  std::uint32_t unit_count = 0;
  std::uint32_t block_units = 16;
  std::uint32_t fault_reach = 100;  // measured: less leaves errors, more asks for executions (decision 0018)
  std::vector<PeerIndex> judges;
  std::uint32_t stride = 0;         // unit n goes on from n - stride; 0: none does
  std::uint32_t audits_until_final = 5;
  std::uint32_t units_until_final = 200;
  std::uint32_t work_per_audit = 8; // a key's audits contradict only behind so much work each

  std::uint32_t block_of(UnitIndex unit) const { return unit / block_units; }
  std::uint32_t block_count() const { return (unit_count + block_units - 1) / block_units; }
  UnitIndex first_of(std::uint32_t block) const { return block * block_units; }
  UnitIndex end_of(std::uint32_t block) const { return unit_count - first_of(block) < block_units ? unit_count : first_of(block) + block_units; }
  bool chained(UnitIndex unit) const { return stride != 0 && unit >= stride; }
  std::optional<UnitIndex> next(UnitIndex unit) const {
    return stride == 0 || unit_count - unit <= stride ? std::nullopt : std::optional(unit + stride);
  }
};

inline constexpr std::uint32_t window_min = 16;            // five fresh peers fill a block of the least size
inline constexpr std::uint32_t window_max = 64;            // what one key can make undone at a time
inline constexpr std::uint32_t units_per_window_step = 4;  // verified units that widen it by one
inline constexpr std::uint32_t probation_work = 64;        // after a fault; a full window
inline constexpr std::uint32_t fault_span_work = 1000;     // honest hardware does not err as often as bans in it
// Earlier positions that may stay open: 5 % of a block, but hardly more in a large one, where 5 % would leave so much to choose from
// that a coalition which hunts within it holds as many units alone as with free choice (decision 0027).
constexpr std::uint32_t order_slack(std::uint32_t block_units) {
  return std::max(4U, std::min(block_units / 20, 3 + static_cast<std::uint32_t>(std::bit_width(block_units))));
}
inline constexpr std::uint32_t audits_free = 4;
inline constexpr std::uint32_t work_per_vouching_audit = 8;  // verified; for finality, however many audits a job asks for
// What to ask where so much of the executions are audits, and as much again closing ones: 8 at the usual 5 %.
constexpr std::uint32_t work_per_audit_at(std::uint32_t audit_percent) { return std::max(40 / audit_percent, 1U); }
inline constexpr std::uint32_t inputs_per_unit_max = 8;    // of one key; each further one takes a chain that was reopened
inline constexpr std::uint32_t fresh_members_max = 20;     // as many fresh peers are asked for; what they cannot settle, replays do

}  // namespace starling::protocol
