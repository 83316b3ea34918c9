// Which accepted units of one job this peer executes again, picked by a coin that nobody else knows (decision 0019). An audit is
// published among the peer's results, marked: it may contradict what was accepted, and never supports it.
//
// Draw: a key at random, all alike however much each has stated, so that every one is hit (below four verified units in proportion, so that keys
// must work before they draw audits upon themselves); then one of its accepted units, if possible one that nobody has audited. Not what the
// peer has answered itself.
// Share: as the manifest asks, of the executions for that job; with nothing else to do closing_audit_share_percent more. Class trusted: none.
// Attack: who audits only what he chose could confirm or contradict at will; so audits confirm nothing, and evaluation.hpp bounds
// how many of a key's may contradict.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/judgement/evidence.hpp"
#include "coordinator-less/protocol/judgement/verdict.hpp"

namespace starling::protocol {

class AuditPlan {
 public:
  AuditPlan(const PeerId& self, const JobEvidence& evidence, const Verdict& verdict, std::uint32_t share_percent)
      : self_(self), evidence_(evidence), verdict_(verdict), share_percent_(share_percent) {}

  void on_results(const PeerId& author, const Results& results);  // the peer's own included
  void on_started() { ++running_; }
  void on_ended() { --running_; }  // stated, or given back
  bool due(std::uint64_t executions, bool idle) const;
  std::optional<UnitIndex> draw(base::Rng& rng) const;  // none found is no fault: try again later

 private:
  PeerId self_;
  const JobEvidence& evidence_;
  const Verdict& verdict_;
  std::uint32_t share_percent_;  // 0: none, not even closing ones
  std::uint64_t stated_ = 0, running_ = 0;  // of the peer's own
  std::map<PeerId, std::size_t> index_;
  std::vector<std::vector<UnitIndex>> results_;  // per key
  std::vector<PeerId> keys_;
};

}  // namespace starling::protocol
