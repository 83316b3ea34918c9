#include "coordinator-less/protocol/fair_share.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

constexpr std::uint64_t fuel_per_cost = 1024;
constexpr std::uint64_t cost_of_any_unit = 1024;         // a million instructions: starting, sealing, sending
constexpr std::uint64_t cost_unknown = 1'000'000;        // a billion instructions, until one unit of the job has ended here
constexpr std::uint64_t cost_max = 1ULL << 40;           // a thousand times what a unit may take in an hour
constexpr std::uint64_t tag_max = 1ULL << 63;

std::uint64_t cost_of(std::uint64_t fuel) { return std::min(fuel / fuel_per_cost, cost_max) + cost_of_any_unit; }

std::uint64_t over_weight(std::uint64_t cost, std::uint64_t weight) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(Wide{cost} * FairShare::whole / std::max<std::uint64_t>(weight, 1));
}

}  // namespace

const ProjectChoice* FairShare::choice_for(const JobId& job, const PeerId& owner) const {
  const ProjectChoice* by_owner = nullptr;
  for (const ProjectChoice& choice : choices_) {
    if (choice.key == base::retag<Digest>(job)) return &choice;
    if (choice.key == base::retag<Digest>(owner)) by_owner = &choice;
  }
  return by_owner;
}

Digest FairShare::account_of(const JobId& job, const PeerId& owner) const {
  const ProjectChoice* choice = choice_for(job, owner);
  return choice == nullptr ? base::retag<Digest>(owner) : choice->key;
}

bool FairShare::serves(const JobId& job, const PeerId& owner) const {
  const ProjectChoice* choice = choice_for(job, owner);
  return choice == nullptr ? !only_chosen_ : choice->weight > 0;
}

std::uint64_t FairShare::share_of(std::uint64_t favour, std::uint64_t favours, std::size_t owners) {
  const std::uint64_t equal = whole / std::max<std::size_t>(owners, 1);
  if (favours == 0) return std::max<std::uint64_t>(equal, 1);
  __extension__ using Wide = unsigned __int128;
  return std::max<std::uint64_t>(equal / 2 + static_cast<std::uint64_t>(Wide{favour} * (whole / 2) / favours), 1);
}

void FairShare::weigh() {
  std::uint64_t favours = 0;
  std::size_t owners = 0;
  const auto favour_of = [&](const Digest& owner) {
    const auto found = favours_.find(base::retag<PeerId>(owner));
    return found == favours_.end() ? 0 : std::min(found->second, std::numeric_limits<std::uint64_t>::max() >> 16);  // of all jobs kept
  };
  for (const auto& [key, account] : accounts_) {
    if (account.chosen || !account.has_candidate) continue;
    ++owners;
    favours += favour_of(key);
  }
  for (auto& [key, account] : accounts_)
    if (!account.chosen && account.has_candidate) account.weight = share_of(favour_of(key), favours, owners);
}

std::vector<std::size_t> FairShare::order(std::span<const ShareCandidate> candidates) {
  for (auto& [key, account] : accounts_) account.has_candidate = false;
  std::vector<std::pair<std::size_t, Digest>> served;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const ShareCandidate& candidate = candidates[i];
    if (!serves(candidate.job, candidate.owner)) continue;
    const ProjectChoice* choice = choice_for(candidate.job, candidate.owner);
    served.emplace_back(i, account_of(candidate.job, candidate.owner));
    Account& account = accounts_[served.back().second];
    account.has_candidate = true;
    account.chosen = choice != nullptr;
    if (choice != nullptr) account.weight = std::min(choice->weight, limits::project_weight_max) * (whole / limits::project_weight_max);
  }
  std::erase_if(accounts_, [&](const auto& entry) { return !entry.second.has_candidate && entry.second.finish <= in_service_[entry.second.chosen ? 1 : 0]; });
  weigh();
  const auto rank = [&](const std::pair<std::size_t, Digest>& one) {
    const Account& account = accounts_.at(one.second);
    const ShareCandidate& candidate = candidates[one.first];
    return std::tuple(!account.chosen, start_of(account), account.finish, one.second, ~candidate.priority, candidate.created_unix_s, candidate.job);
  };
  std::ranges::sort(served, {}, rank);
  std::vector<std::size_t> out;
  for (const auto& [place, account] : served) out.push_back(place);
  return out;
}

std::uint64_t FairShare::expected_cost(const JobId& job) const {
  const auto mean = means_.find(job);
  return mean == means_.end() || mean->second.count == 0 ? cost_unknown : mean->second.cost / mean->second.count;
}

void FairShare::on_started(const JobId& job, const PeerId& owner, UnitIndex unit) {
  const Digest key = account_of(job, owner);
  const auto found = accounts_.find(key);
  if (found == accounts_.end()) return;
  Account& account = found->second;
  const Charge charge{key, expected_cost(job), account.weight, !account.served && !account.chosen};
  const Tag start = start_of(account);
  in_service_[account.chosen ? 1 : 0] = start;
  account.finish = std::min(start + over_weight(charge.cost, charge.weight), tag_max);
  account.served = true;
  if (charge.of_newcomer) newcomers_ = account.finish;
  charges_[{job, unit}] = charge;
}

void FairShare::on_finished(const JobId& job, UnitIndex unit, std::uint64_t fuel) {
  const auto found = charges_.find({job, unit});
  if (found == charges_.end()) return;
  const Charge charge = found->second;
  charges_.erase(found);
  const std::uint64_t cost = cost_of(fuel);
  Mean& mean = means_[job];
  if (mean.count >= limits::fair_share_units_remembered) mean = {mean.cost / 2, mean.count / 2};
  mean.cost += cost;
  ++mean.count;
  const Tag paid = over_weight(charge.cost, charge.weight), due = over_weight(cost, charge.weight);
  const auto corrected = [&](Tag tag) { return tag > paid ? std::min(tag - paid + due, tag_max) : due; };
  if (charge.of_newcomer) newcomers_ = corrected(newcomers_);
  const auto account = accounts_.find(charge.account);
  if (account != accounts_.end()) account->second.finish = corrected(account->second.finish);
}

void FairShare::on_ended(const JobId& job, UnitIndex unit) { charges_.erase({job, unit}); }

void FairShare::on_job_gone(const JobId& job) {
  means_.erase(job);
  std::erase_if(charges_, [&](const auto& charge) { return charge.first.first == job; });
}

void FairShare::check_invariants() const {
  for (const auto& [key, account] : accounts_) STARLING_ENSURE(account.weight > 0 || account.chosen);
  for (const auto& [unit, charge] : charges_) STARLING_ENSURE(charge.cost > 0);
}

}  // namespace starling::protocol
