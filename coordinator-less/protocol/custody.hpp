// Who holds the archives of a job's accepted units, and which of them this peer must fetch or make again (DESIGN section 9),
// so that no full disk and no absent owner loses a result.
//
// Tracked: for each unit whether the accepted archive is in the local store; for each neighbour what it said it holds; since
// when a unit has had no live holder. Rules: an accepted unit's archive is kept by the three live workers with the lowest
// H(job | unit | id), of those that are not told the job by folds alone (fold.hpp); authors whose answer was accepted count as holders without saying so, until they deny it: a complete
// listing that leaves out a unit denies it for its sender, if the unit was accepted and answered by him here longer ago than
// limits::news_patience (before, listing and acceptance may have crossed). Being told clears a denial; so does another
// accepted archive. Whoever loses an archive says so by a complete listing. A unit without a live holder for
// limits::lost_archive_patience is executed again by its keepers. What neighbours say is a hint: a wrong "I have it" costs
// failed requests, and bytes that look safe while the liar is linked. Inputs are kept whole by the three live workers with
// the lowest H(job | id).
// In a chain (verdict.hpp) an archive that the next segment has taken over is not missed as long as that one's has a holder: it is
// not pulled, may be evicted, and is made again only for the sake of the next.
// Cost: each safe unit has one witness, this peer or a neighbour; only a witness that leaves makes its units be looked at
// again, and a new link only those without one. O(neighbours) per accepted unit once, and a bounded sweep per tick after a
// worker left. A listing equal to the last one, with nothing changed since, costs its ranges.
#pragma once

#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/protocol/local_blobs.hpp"
#include "coordinator-less/protocol/notary.hpp"
#include "coordinator-less/protocol/sleeping_custody.hpp"

namespace starling::protocol {

class Custody {
 public:
  using Neighbours = std::map<PeerId, bool>;  // peer -> light

  Custody(const Custody&) = delete;
  Custody& operator=(const Custody&) = delete;
  Custody(const JobId& job, const PeerId& self, bool light, const JobEvidence& evidence, const Verdict& verdict, Notary& notary);

  // All of these: true when it changed what job() would tell.
  bool on_unit_changed(UnitIndex unit, const LocalBlobs& here, base::Instant now, const Neighbours& neighbours);  // verdict or evidence of it
  bool on_blob_here(const Digest& blob, const Neighbours& neighbours);
  bool on_blob_lost(const Digest& blob, const Neighbours& neighbours);
  bool on_holdings(const PeerId& peer, const Holdings& holdings, base::Instant now, const Neighbours& neighbours);
  bool on_link_up(const PeerId& peer, const Neighbours& neighbours);     // `neighbours` has it already
  bool on_link_down(const PeerId& peer, const Neighbours& neighbours);   // `neighbours` has it no more
  void look_again();  // others pass: this peer may be a keeper of more
  void set_inputs_whole(bool whole);

  std::uint32_t safe_count() const { return safe_count_; }  // accepted units with a live holder, this peer included
  std::uint32_t ends_safe_count() const { return ends_safe_count_; }  // ... from which nothing goes on: what the owner waits for
  std::uint32_t here_count() const { return here_count_; }  // accepted units whose archive is in the local store
  std::uint32_t input_holders(const Neighbours& neighbours) const;
  bool keeps_inputs(const Neighbours& neighbours) const;    // is this peer one of the three
  bool keeps(const Digest& archive) const;  // is an accepted one that is not taken over
  bool lost(UnitIndex unit) const { return orphaned(unit) && !taken_over(unit); }  // accepted, needed, and no live holder
  bool quiet() const { return fresh_.empty() && sweep_left_ == 0 && orphaned_since_.empty() && !has_news(); }
  std::vector<PeerId> input_sources(const Neighbours& neighbours) const;
  std::vector<PeerId> archive_sources(const Digest& archive, const Neighbours& neighbours) const;

  struct Duties {
    std::vector<BlobRef> pull;            // accepted archives to fetch
    std::vector<UnitIndex> execute_again;
  };
  // sweep_budget: how many units may still be looked at; what was used is taken from it.
  Duties poll_duties(base::Instant now, const Neighbours& neighbours, std::size_t pulls_max, std::size_t& sweep_budget);

  // A job that falls asleep, and one that wakes: before it is told of its units, and when it was. Until `listens_until` no archive counts as lost: who
  // holds it may not have said so again.
  SleepingCustody asleep() const;
  std::vector<Digest> kept_here() const;  // archives that keeps() says, each once, ascending
  void wake(const SleepingCustody& asleep, base::Instant listens_until, const Neighbours& neighbours);
  void listen_until(base::Instant until) { listens_until_ = until; }  // the same for a job whose evidence comes only now
  void forget_news();  // it was told before

  bool has_news() const { return !news_.empty() || inputs_news_ || lost_news_; }
  Holdings poll_news();            // since the last call
  Holdings everything() const;

  void check_invariants(const Neighbours& neighbours) const;

 private:
  using Slot = std::uint16_t;  // of a witness
  static constexpr Slot nobody = 0, this_peer = 1;
  struct Held {
    std::vector<bool> units, denied;
    bool inputs_whole = false;
    std::vector<std::pair<UnitIndex, UnitIndex>> listed;  // by its last complete listing,
    std::uint64_t listed_at_change = 0;                   // which need not be read again while nothing changed
  };
  struct ByArchive {  // the index of accepted archives, without a second copy of their names
    using is_transparent = void;
    const std::vector<std::optional<Digest>>* archive_of;
    const Digest& name(UnitIndex unit) const { return *(*archive_of)[unit]; }
    bool operator()(UnitIndex a, UnitIndex b) const { return name(a) != name(b) ? name(a) < name(b) : a < b; }
    bool operator()(UnitIndex a, const Digest& b) const { return name(a) < b; }
    bool operator()(const Digest& a, UnitIndex b) const { return a < name(b); }
  };
  auto units_of(const Digest& archive) const {
    const auto [first, last] = units_by_archive_.equal_range(archive);
    return std::ranges::subrange(first, last);
  }
  bool orphaned(UnitIndex unit) const { return archive_of_[unit] && witness_[unit] == nobody; }
  bool taken_over(UnitIndex unit) const {
    const auto next = verdict_.next(unit);
    return next && archive_of_[*next] && witness_[*next] != nobody;
  }
  bool accepted(UnitIndex unit) const { return verdict_.accepted(unit); }
  bool held_by(UnitIndex unit, const PeerId& peer) const;
  bool denied(UnitIndex unit, const PeerId& peer) const;
  Slot find_witness(UnitIndex unit, const Neighbours& neighbours);
  void refresh_witness(UnitIndex unit, const Neighbours& neighbours);
  Slot slot_of(const PeerId& peer);
  void forget_young(base::Instant now);
  void set_here(UnitIndex unit, bool here);
  void leave_out(UnitIndex unit, const PeerId& peer, Held& held, const Neighbours& neighbours);
  bool answered_so(UnitIndex unit, const PeerId& peer) const;
  bool among_lowest(const Bytes& prefix, std::size_t wanted, const Neighbours& neighbours) const;

  JobId job_;
  PeerId self_;
  bool light_;
  const JobEvidence& evidence_;
  const Verdict& verdict_;
  Notary& notary_;
  std::vector<bool> here_;                        // accepted archive is in the local store
  std::uint32_t here_count_ = 0;
  std::vector<Slot> witness_;                     // of each unit: who holds it, one of those who do
  std::map<PeerId, Slot> slots_;                  // of linked witnesses
  std::uint32_t safe_count_ = 0;
  std::vector<bool> end_safe_;                    // safe, and nothing goes on from it
  std::uint32_t ends_safe_count_ = 0;
  std::map<PeerId, Held> held_;
  std::vector<std::optional<Digest>> archive_of_;      // accepted archive of each unit
  std::set<UnitIndex, ByArchive> units_by_archive_{ByArchive{&archive_of_}};
  std::map<UnitIndex, base::Instant> young_;      // about which something new came lately
  std::uint64_t changes_ = 0;
  std::map<UnitIndex, base::Instant> orphaned_since_;
  base::Instant listens_until_;
  std::set<UnitIndex> news_;
  bool inputs_whole_ = false;
  bool inputs_news_ = false;
  bool lost_news_ = false;                        // the next news is a complete listing
  UnitIndex sweep_at_ = 0;
  std::uint32_t sweep_left_ = 0;
  std::set<UnitIndex> fresh_;                     // accepted since the last duties
};

}  // namespace starling::protocol
