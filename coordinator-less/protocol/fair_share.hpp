// Which job this peer works for next: the donor's choice, then fair shares among owners, then an owner's own priorities. Never a
// stranger's say: a manifest's priority orders the jobs of its owner and no others (decision 0022). No clock, no chance, no notary.
//
// Account  what shares are kept for: a chosen job, else the job's chosen owner, else any other owner. Chosen accounts come before all
//          others; those are served while no chosen one has work here.
// Weights  of a chosen account as the donor says; 0 is never served. Of the others, who are many: half of the time is dealt out
//          equally, half by favours: verified fuel that an owner's peers (those whose records name him) earned in the jobs of this
//          donor's own owner, as this peer's verdict has it. Without favours all is dealt out equally. So an owner with no peer and no past
//          gets at least half of an equal share, and any number of new keys together no more than half of what those have earned
//          who helped. What peers earn in the jobs of strangers, their owner's own among them, counts nowhere: it can be farmed.
//          New keys are cheap: accounts that were never served share one tag until they are, so that all of them together advance like one.
// Shares   start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) over fuel, not over units, which owners may cut as they like: an
//          account's next start tag is the greater of its last finish tag and the tag in service; the least is served; a unit adds
//          its fuel / weight. So an account that was away or is new gets its share from now on, and nothing for the time before.
//          A unit is charged what its job's units took here on average until its own fuel is known; one that is given back stays charged so.
// Attack   many owner keys take many equal shares of the half that is dealt out equally. Keys are free; donors choose and favours do not care.
// Cost: order() O(jobs log jobs); charges O(log units running). Bounds: accounts without a candidate are forgotten once their tag is
// in the past, so there are no more than jobs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "coordinator-less/protocol/message.hpp"

namespace starling::protocol {

struct ProjectChoice {
  Digest key;                // of an owner, or a job's id
  std::uint32_t weight = 1;  // at most limits::project_weight_max; 0: never
  bool operator==(const ProjectChoice&) const = default;
};

struct ShareCandidate {
  JobId job;
  PeerId owner;
  std::uint8_t priority = 0;
  std::int64_t created_unix_s = 0;
};

class FairShare {
 public:
  FairShare(std::vector<ProjectChoice> choices, bool only_chosen) : choices_(std::move(choices)), only_chosen_(only_chosen) {}

  bool serves(const JobId& job, const PeerId& owner) const;
  void set_favours(std::map<PeerId, std::uint64_t> fuel_by_owner) { favours_ = std::move(fuel_by_owner); }
  const std::map<PeerId, std::uint64_t>& favours() const { return favours_; }

  // Places in `candidates` of those that are served at all, in the order in which they are to be asked for work. Candidates have work,
  // as far as is known. Forgets accounts that have none.
  std::vector<std::size_t> order(std::span<const ShareCandidate> candidates);
  // The one of that order that had a unit to start; one that is not served is not charged.
  void on_started(const JobId& job, const PeerId& owner, UnitIndex unit);
  void on_finished(const JobId& job, UnitIndex unit, std::uint64_t fuel);
  void on_ended(const JobId& job, UnitIndex unit);  // without an answer, or its job is forgotten
  void on_job_gone(const JobId& job);

  // Share of an account among the others in 2^-20, when `candidates` all have work. Pure; for tests and people.
  static constexpr std::uint64_t whole = 1U << 20;
  static std::uint64_t share_of(std::uint64_t favour, std::uint64_t favours, std::size_t owners);

  void check_invariants() const;

 private:
  using Tag = std::uint64_t;  // fuel units over weight
  struct Account {
    Tag finish = 0;
    std::uint64_t weight = whole;
    bool chosen = false;
    bool served = false;
    bool has_candidate = false;
  };
  struct Charge {
    Digest account;
    std::uint64_t cost = 0, weight = 1;
    bool of_newcomer = false;
  };
  struct Mean {
    std::uint64_t cost = 0, count = 0;
  };
  const ProjectChoice* choice_for(const JobId& job, const PeerId& owner) const;
  Digest account_of(const JobId& job, const PeerId& owner) const;
  Tag start_of(const Account& account) const {
    const Tag least = account.served || account.chosen ? account.finish : newcomers_;
    return std::max(least, in_service_[account.chosen ? 1 : 0]);
  }
  std::uint64_t expected_cost(const JobId& job) const;
  void weigh();

  std::vector<ProjectChoice> choices_;
  bool only_chosen_;
  std::map<PeerId, std::uint64_t> favours_;
  std::map<Digest, Account> accounts_;
  Tag in_service_[2] = {0, 0};  // of the others, of the chosen
  Tag newcomers_ = 0;  // what the first services of accounts nobody chose have come to, one after the other
  std::map<std::pair<JobId, UnitIndex>, Charge> charges_;  // of what runs here
  std::map<JobId, Mean> means_;
};

}  // namespace starling::protocol
