// Which contested answers of one job this peer executes again, as proof for those who name it a judge (DESIGN section 7).
//
// A candidate is an answer in a contested unit that differs from this peer's own answer to it; where it has none, one
// outside the group that was accepted (a unit that is still open is better answered than replayed). Banned authors and
// answers already proven wrong are none, nor are answers that do not count because they went on from another archive (verdict.hpp).
// Order: H(self | statement | unit), so that peers do not all replay the same. Bounds: at most
// limits::replays_per_accused_max per accused key and job; while the peer has open work at most
// limits::replay_share_percent of its executions; when idle only the first bound holds, also after the job finished.
//
// One execution speaks of all: a replay or an audit makes the fingerprints of others who answered the unit on the way (decision 0029). Whoever
// answered otherwise than a replay found is named in one of his own, from the same execution; so of a unit one runs at a time. Whoever gave the same answer with another fingerprint
// is suspected of a copy: from the second such answer on they are candidates, contested or not. (One may be a flipped bit that no answer shows.)
// So are answers of which anybody's replay says that they were copied; but saying so costs nothing, so these come after all others, and those found
// right count against a bound of their own.
//
// Own answers come before all others: a result that what is accepted contradicts, or any answer that a judge's proof does, is executed again
// on two tiers, a result before this peer starts anything else of the job, at most limits::replays_per_accused_max of them. This is told to
// nobody. (An audit contradicts by trade; the replay of the others' answers tells whether it was right.)
// Tiers that differ: it computes no more of this job here, and takes back all that it said in it (Results without entries), also what was right, since it
// cannot tell which. Another outcome than the stated one is an error; from the second on it states only what two of its executions agree on; from the
// third on, within as much work as bans, it takes all back as well. So a machine at fault stops, or becomes right, and no number of answers that judges prove
// wrong, before or after, bans its key. Only what its own second looks found decides: false replays of any number silence no sound machine.
// Accepted, since mere dissent costs a stranger nothing and two tiers may take a hundred times as long as a unit. Looks are known until the peer ends; what
// is taken back stays so after a restart: nothing more of this job is computed or judged here.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "coordinator-less/base/limits.hpp"
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
  // What it has done and found, which statements tell in part only: of a job that sleeps it is kept.
  struct Past {
    std::set<ReplayTarget> done;
    std::map<PeerId, std::uint32_t> spent, given_up, cleared;
    std::map<PeerId, std::set<ReplayTarget>> suspects;  // agree with an execution here in all but the fingerprint
    std::uint32_t own_replays = 0;
    std::set<UnitIndex> own_errors;
    std::set<ReplayTarget> differed;  // once, on two tiers here
    bool tiers_differ = false;
  };

  ReplayPlan(const PeerId& self, const JobEvidence& evidence, const Verdict& verdict, Notary& notary, bool doubts = true);

  const Past& past() const { return past_; }
  void resume(Past past) { past_ = std::move(past); }  // before anything else
  void on_unit_changed(UnitIndex unit);
  std::optional<ReplayTarget> next();  // the caller tells on_started
  void on_started(const ReplayTarget& target);
  void on_ended(const ReplayTarget& target);      // its run here
  // In a statement of this key: made here, restored from disk, or made by another machine with it. What still runs here runs on.
  void on_published(const Replay& replay);
  bool published(const ReplayTarget& target) const { return past_.done.contains(target); }
  void set_aside(const ReplayTarget& target);     // cannot be made now; a candidate again when something new comes about its unit
  // Its tiers differed here. False: for the first time, and the replay is made once more before anybody hears of it, since one flipped bit would
  // quarantine the program for all who believe this peer.
  bool on_tiers_differed(const ReplayTarget& target);
  void on_given_up(const ReplayTarget& target);   // a tier was released here; limits::replays_given_up_max of them end it
  void on_own_replayed(const ReplayTarget& target, const Execution& compiled, const Execution& interpreted);  // of an own answer
  void on_suspect(const ReplayTarget& target);    // an execution here gave this answer and another fingerprint
  bool may_prove(const ReplayTarget& target) const;  // what another's replay found on the way: is one of this target wanted too?
  void on_found(const ReplayTarget& target, const Outcome& right);  // by a replay of another's answer whose tiers agree
  void on_contradicts_itself(UnitIndex unit);  // two executions here agree on another answer than it stated

  bool doubts_itself() const;  // a contradicted result of its own waits for its second look: nothing else of the job is to start
  bool tiers_differ() const { return past_.tiers_differ; }
  bool errs() const { return past_.own_errors.size() >= limits::errors_until_twice; }
  bool judges_nobody() const { return past_.tiers_differ || verdict_.withdrawn(self_); }
  bool takes_back() const;     // all that it said is to be taken back now

  std::uint32_t pending() const;  // replays this peer still means to do, running ones included
  bool any_pending() { return !running_.empty() || next().has_value(); }
  std::uint32_t own_replays() const { return past_.own_replays; }
  std::size_t running_count() const { return running_.size(); }
  std::optional<ReplayTarget> running(const MessageId& statement, UnitIndex unit) const;

 private:
  std::uint32_t proofs_left(const PeerId& accused) const;
  std::uint32_t running_against(const PeerId& accused) const;
  bool wanted(const ReplayTarget& target) const;
  bool suspected(const ReplayTarget& target) const;
  bool accused_of_copying(UnitIndex unit, const ResultFact& fact) const;
  void enqueue(const ResultFact& fact, UnitIndex unit, bool only_accused);
  bool own_contradicted(UnitIndex unit, const ResultFact& mine) const;
  std::optional<ReplayTarget> next_own() const;
  bool errs_as_often_as_bans() const;

  PeerId self_;
  const JobEvidence& evidence_;
  const Verdict& verdict_;
  Notary& notary_;
  bool doubts_;
  using Rank = std::pair<bool, Digest>;                // only accused of copying; H(self | statement | unit)
  std::map<Rank, ReplayTarget> queue_;
  std::map<UnitIndex, std::vector<Rank>> queued_of_;
  std::set<ReplayTarget> running_;
  std::map<UnitIndex, ReplayTarget> own_;              // contradicted own answers
  Past past_;
};

// May a replay start now? Pure.
bool replay_allowed(bool open_work, std::uint64_t executions, std::uint64_t replays_started);

}  // namespace starling::protocol
