// Who holds the archives of a job's accepted units, and which of them this peer must fetch or make again (DESIGN section 9),
// so that no full disk and no absent owner loses a result.
//
// Tracked: for each unit whether the accepted archive is in the local store; for each neighbour what it said it holds; since
// when a unit has had no live holder. Rules: an accepted unit's archive is kept by the three live workers with the lowest
// H(job | unit | id); authors whose answer was accepted hold it too, without saying so. A unit without a live holder for
// limits::lost_archive_patience is executed again by its keepers. What neighbours say is a hint: a wrong one costs a
// failed request. Inputs are kept whole by the three live workers with the lowest H(job | id).
// Cost: O(neighbours) per accepted unit once, and a bounded sweep per tick after links changed.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/evidence.hpp"
#include "coordinator-less/protocol/notary.hpp"
#include "coordinator-less/protocol/verdict.hpp"

namespace starling::protocol {

class Custody {
 public:
  using Neighbours = std::map<PeerId, bool>;  // peer -> light

  Custody(const JobId& job, const PeerId& self, bool light, const JobEvidence& evidence, const Verdict& verdict, Notary& notary);

  void on_unit_changed(UnitIndex unit, const std::set<Digest>& here, const Neighbours& neighbours);  // verdict or evidence of it
  void on_blob_here(const Digest& blob, const Neighbours& neighbours);
  void on_blob_lost(const Digest& blob, const Neighbours& neighbours);
  void on_holdings(const PeerId& peer, const Holdings& holdings, const Neighbours& neighbours);
  void on_links_changed(const Neighbours& neighbours);
  void set_inputs_whole(bool whole);

  std::uint32_t safe_count() const { return safe_count_; }  // accepted units with a live holder, this peer included
  std::uint32_t input_holders(const Neighbours& neighbours) const;
  bool keeps_inputs(const Neighbours& neighbours) const;    // is this peer one of the three
  bool keeps(const Digest& archive) const;                  // an accepted archive that is here
  std::vector<PeerId> input_sources(const Neighbours& neighbours) const;
  std::vector<PeerId> archive_sources(const Digest& archive, const Neighbours& neighbours) const;

  struct Duties {
    std::vector<BlobRef> pull;            // accepted archives to fetch
    std::vector<UnitIndex> execute_again;
  };
  Duties poll_duties(base::Instant now, const Neighbours& neighbours, std::size_t pulls_max);

  bool has_news() const { return !news_.empty() || inputs_news_; }
  Holdings poll_news();            // since the last call
  Holdings everything() const;

  void check_invariants(const Neighbours& neighbours) const;

 private:
  struct Held {
    std::vector<bool> units;
    bool inputs_whole = false;
  };
  bool accepted(UnitIndex unit) const { return verdict_.unit(unit).accepted; }
  bool held_by(UnitIndex unit, const PeerId& peer) const;
  bool compute_safe(UnitIndex unit, const Neighbours& neighbours) const;
  void refresh_safe(UnitIndex unit, const Neighbours& neighbours);
  bool among_lowest(const Bytes& prefix, std::size_t wanted, const Neighbours& neighbours) const;

  JobId job_;
  PeerId self_;
  bool light_;
  const JobEvidence& evidence_;
  const Verdict& verdict_;
  Notary& notary_;
  std::vector<bool> here_;                        // accepted archive is in the local store
  std::vector<bool> safe_;
  std::uint32_t safe_count_ = 0;
  std::map<PeerId, Held> held_;
  std::map<Digest, std::set<UnitIndex>> units_of_;  // accepted archive -> its units
  std::vector<std::optional<Digest>> archive_of_;   // the index's inverse
  std::map<UnitIndex, base::Instant> orphaned_since_;
  std::set<UnitIndex> news_;
  bool inputs_whole_ = false;
  bool inputs_news_ = false;
  UnitIndex sweep_at_ = 0;
  std::uint32_t sweep_left_ = 0;
  std::set<UnitIndex> fresh_;                     // accepted since the last duties
};

}  // namespace starling::protocol
