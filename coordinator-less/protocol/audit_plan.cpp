#include "coordinator-less/protocol/audit_plan.hpp"

#include <algorithm>

#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

void AuditPlan::on_results(const PeerId& author, const Results& results) {
  if (author == self_) {
    stated_ += static_cast<std::uint64_t>(std::ranges::count_if(results.entries, &ResultEntry::audit));
    return;
  }
  const auto [it, fresh] = index_.try_emplace(author, keys_.size());
  if (fresh) {
    keys_.push_back(author);
    results_.emplace_back();
  }
  for (const ResultEntry& entry : results.entries) {
    if (!entry.audit && entry.unit < evidence_.unit_count()) results_[it->second].push_back(entry.unit);
  }
}

bool AuditPlan::due(std::uint64_t executions, bool idle) const {
  if (share_percent_ == 0) return false;
  const std::uint64_t share = share_percent_ + (idle ? limits::closing_audit_share_percent : 0);
  return (stated_ + running_ + 1) * 100 <= executions * share;
}

std::optional<UnitIndex> AuditPlan::draw(base::Rng& rng) const {
  std::optional<UnitIndex> audited_before;
  for (std::size_t attempt = 0; attempt < limits::audit_draws_max && !keys_.empty(); ++attempt) {
    const std::size_t key = rng.below(keys_.size());
    const auto& units = results_[key];
    if (units.empty() || rng.below(limits::audit_verified_units_min) >= verdict_.verified_units(keys_[key])) continue;
    const UnitIndex unit = units[rng.below(units.size())];
    const ResultFact* theirs = verdict_.answer_of(keys_[key], unit);
    const Outcome* accepted = verdict_.accepted_outcome(unit);
    if (accepted == nullptr || theirs == nullptr || theirs->outcome != *accepted || evidence_.answered(self_, unit)) continue;
    if (std::ranges::none_of(evidence_.results(unit), &ResultFact::audit)) return unit;
    audited_before = unit;
  }
  return audited_before;
}

}  // namespace starling::protocol
