// Which contested answers of one job this peer executes again, as proof for those who name it a judge (DESIGN section 7).
//
// A candidate is an answer in a contested unit that differs from this peer's own answer to it; where it has none, one
// outside the group that was accepted (a unit that is still open is better answered than replayed). Banned authors and
// answers already proven wrong are none, nor are answers that do not count because they went on from another archive (verdict.hpp).
// Order: H(self | statement | unit), so that peers do not all replay the same. Bounds: at most
// limits::replays_per_accused_max per accused key and job; while the peer has open work at most
// limits::replay_share_percent of its executions; when idle only the first bound holds, also after the job finished.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"
#include "coordinator-less/protocol/notary.hpp"

namespace starling::protocol {

struct ReplayTarget {
  MessageId statement;
  PeerId accused;
  UnitIndex unit = 0;
  auto operator<=>(const ReplayTarget&) const = default;
};

class ReplayPlan {
 public:
  ReplayPlan(const PeerId& self, const JobEvidence& evidence, const Verdict& verdict, Notary& notary);

  void on_unit_changed(UnitIndex unit);
  std::optional<ReplayTarget> next();  // the caller tells on_started
  void on_started(const ReplayTarget& target);
  void on_published(const ReplayTarget& target);  // now, or restored from disk
  void set_aside(const ReplayTarget& target);     // cannot be made now; a candidate again when something new comes about its unit
  void on_given_up(const ReplayTarget& target);   // a tier was released here; limits::replays_given_up_max of them end it

  std::uint32_t pending() const;  // replays this peer still means to do, running ones included
  bool any_pending() { return !running_.empty() || next().has_value(); }
  std::uint32_t own_replays() const { return own_replays_; }
  std::size_t running_count() const { return running_.size(); }
  std::optional<ReplayTarget> running(const MessageId& statement, UnitIndex unit) const;

 private:
  std::uint32_t spent_on(const PeerId& accused) const;
  bool wanted(const ReplayTarget& target) const;

  PeerId self_;
  const JobEvidence& evidence_;
  const Verdict& verdict_;
  Notary& notary_;
  std::map<Digest, ReplayTarget> queue_;               // by H(self | statement | unit)
  std::map<UnitIndex, std::vector<Digest>> queued_of_;
  std::set<ReplayTarget> running_;
  std::set<ReplayTarget> done_;
  std::map<PeerId, std::uint32_t> spent_, given_up_;
  std::uint32_t own_replays_ = 0;
};

// May a replay start now? Pure.
bool replay_allowed(bool open_work, std::uint64_t executions, std::uint64_t replays_started);

}  // namespace starling::protocol
