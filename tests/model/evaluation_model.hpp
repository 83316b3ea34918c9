// The rules of evaluation.hpp once more, as plainly as they can be said: all facts in one list, every question a loop over it.
// Credibility itself comes from credibility.hpp, which has tests of its own against the formulas.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "coordinator-less/protocol/judgement/evaluation.hpp"  // for the plain structs and constants only

namespace starling::model {

using protocol::EntryFact;
using protocol::OutcomeIndex;
using protocol::PeerIndex;
using protocol::ReplayedFact;

struct EvaluationModel {
  protocol::EvaluationParameters parameters;
  protocol::OwnOrders* orders = nullptr;
  protocol::Chains* chains = nullptr;
  std::vector<EntryFact> entries;
  std::vector<ReplayedFact> replays;
  std::vector<protocol::ForkedFact> forks;
  std::map<PeerIndex, std::uint32_t> earned_elsewhere;
  std::set<PeerIndex> withdrawn = {};

  struct Accepted {
    OutcomeIndex outcome;
    std::uint32_t stage;
    bool operator==(const Accepted&) const = default;
  };
  struct Conclusion {
    std::map<protocol::UnitIndex, Accepted> accepted;
    std::map<protocol::UnitIndex, std::uint32_t> skipped;  // -> stage
    std::map<PeerIndex, std::uint32_t> k;
    std::set<PeerIndex> banned;
    std::map<PeerIndex, std::uint32_t> faulty_units;
    bool quarantined = false;
    std::map<PeerIndex, std::vector<EntryFact>> verified;  // results and audits in the order of the log
    std::map<protocol::UnitIndex, std::vector<EntryFact>> voices;  // what counts now; of accepted units, what may count
  };
  Conclusion conclude() const;
  protocol::Standings standings(const Conclusion& now, protocol::UnitIndex unit) const;
  bool would_accept(const Conclusion& now, protocol::UnitIndex unit, const std::set<PeerIndex>& more) const;
  bool is_final(const Conclusion& now, protocol::UnitIndex unit) const;
};

}  // namespace starling::model
