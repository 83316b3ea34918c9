// Who holds which archive of a job that sleeps (sleeping_job.hpp): what Custody knows, in nine bits a unit at most.
//
// Kept: of each unit whether its archive is here, and if not, one neighbour that holds it (of those that custody.hpp would know: the others
// are forgotten, as at a restart). Which blobs here are needed stands in local_blobs.hpp.
// Rules: neighbours are told what is here as before. When a witness leaves, or lists what it holds without a unit, whoever lists that unit next
// takes its place. Two things wake the job, since only evidence names archives: a unit without a witness for longer than all neighbours
// take to list what they hold, and, where not all is here, a neighbour that left some while ago: this peer may be a keeper of more.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

class SleepingCustody {
 public:
  SleepingCustody() = default;
  SleepingCustody(const JobId& job, std::uint32_t units, bool inputs_whole);

  // Unit by unit, in order; then shrink().
  void add_here();
  void add_elsewhere(const std::optional<PeerId>& witness);  // nothing: not missed
  void shrink();
  void add_input_holder(const PeerId& peer) { input_holders_.insert(peer); }

  void on_holdings(const PeerId& peer, const Holdings& holdings, base::Instant now);
  void on_link_down(const PeerId& peer, base::Instant now);
  void set_inputs_whole(bool whole) { inputs_whole_ = whole; }

  void want_waking() { overdue_ = true; }
  // lost: how long a unit may be without a witness; left: how long after a neighbour left keepers are looked at again.
  bool wants_waking(base::Instant now, base::Duration lost, base::Duration left) const;
  std::uint32_t here_count() const { return here_count_; }
  const std::set<PeerId>& input_holders() const { return input_holders_; }
  bool inputs_whole() const { return inputs_whole_; }
  Holdings everything() const;
  // Calls use(unit, peer) for each unit that a neighbour holds.
  template <class Use>
  void for_each_witness(const Use& use) const {
    std::size_t place = 0;
    for (UnitIndex unit = 0; unit < here_.size(); ++unit) {
      if (here_[unit]) continue;
      if (const auto slot = witness_[place++]; slot >= first_slot) use(unit, peers_[slot - first_slot]);
    }
  }

  void check_invariants() const;

 private:
  using Slot = std::uint8_t;
  static constexpr Slot not_missed = 0, nobody = 1, first_slot = 2;
  static constexpr std::size_t slots_max = 256 - first_slot;
  std::optional<Slot> slot_of(const PeerId& peer);  // nothing: too many are witnesses
  std::size_t unused_place() const;
  void count_lost(base::Instant now);

  JobId job_;
  std::vector<bool> here_;
  std::uint32_t here_count_ = 0;
  std::vector<Slot> witness_;    // of the units that are not here, in order
  std::vector<PeerId> peers_;    // of slots
  bool inputs_whole_ = false;
  std::set<PeerId> input_holders_;  // linked ones
  std::optional<base::Instant> lost_since_, left_at_;
  bool overdue_ = false;
};

}  // namespace starling::protocol
