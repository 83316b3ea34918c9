#include "tests/model/verdict_model.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace starling::model {

std::set<Outcome> VerdictModel::outcomes_of(const PeerId& author, UnitIndex unit) const {
  std::set<Outcome> outcomes;
  for (const Answer& answer : answers_) {
    if (answer.author == author && answer.unit == unit) outcomes.insert(answer.outcome);
  }
  return outcomes;
}

std::set<PeerId> VerdictModel::authors_of(UnitIndex unit) const {
  std::set<PeerId> authors;
  for (const Answer& answer : answers_) {
    if (answer.unit == unit) authors.insert(answer.author);
  }
  return authors;
}

std::vector<Answer> VerdictModel::kept(const PeerId& author, UnitIndex unit) const {
  std::vector<Answer> kept;
  for (const Outcome& outcome : outcomes_of(author, unit)) {
    if (kept.size() == 2) break;
    std::optional<Answer> lowest;
    for (const Answer& answer : answers_) {
      if (answer.author != author || answer.unit != unit || answer.outcome != outcome) continue;
      if (!lowest || std::tie(answer.statement, answer.entry) < std::tie(lowest->statement, lowest->entry)) lowest = answer;
    }
    kept.push_back(*lowest);
  }
  return kept;
}

bool VerdictModel::proven_wrong(const PeerId& author, UnitIndex unit, const Outcome& outcome) const {
  for (const Proof& proof : proofs_) {
    if (!judges_.contains(proof.judge) || proof.accused != author || proof.unit != unit) continue;
    if (proof.compiled == proof.interpreted && proof.compiled != outcome) return true;
  }
  return false;
}

std::set<UnitIndex> VerdictModel::faults(const PeerId& peer) const {
  std::set<UnitIndex> faulty;
  for (const Answer& answer : answers_) {
    if (answer.author == peer && proven_wrong(peer, answer.unit, answer.outcome)) faulty.insert(answer.unit);
  }
  return faulty;
}

bool VerdictModel::quarantined() const {
  for (const Proof& proof : proofs_) {
    if (judges_.contains(proof.judge) && proof.compiled != proof.interpreted) return true;
  }
  return false;
}

// The formula as published, in floating point: exact for the few members that a model has.
bool VerdictModel::enough(std::uint32_t members, const std::map<Outcome, std::uint32_t>& groups, const Outcome& leader) const {
  const std::uint32_t required[] = {1, 1, 2, 3};
  if (members < required[static_cast<unsigned>(parameters_.verification)]) return false;
  if (parameters_.verification == protocol::VerificationClass::trusted) return true;
  long double sum = 1 + std::pow(4.0L, members);
  for (const auto& [outcome, size] : groups) {
    if (outcome != leader) sum += std::pow(4.0L, size);
  }
  return std::pow(4.0L, members) * 1'000'000 >= static_cast<long double>(1'000'000 - parameters_.epsilon_ppm) * sum;
}

protocol::UnitVerdict VerdictModel::unit(UnitIndex unit) const {
  protocol::UnitVerdict verdict;
  std::set<Outcome> seen;
  std::map<Outcome, std::uint32_t> groups;
  std::uint32_t counting = 0;
  for (const PeerId& author : authors_of(unit)) {
    if (banned(author)) continue;
    const auto outcomes = outcomes_of(author, unit);
    seen.insert(outcomes.begin(), outcomes.end());
    if (outcomes.size() > 1 || proven_wrong(author, unit, *outcomes.begin())) continue;
    ++groups[*outcomes.begin()];
    ++counting;
  }
  verdict.contested = seen.size() > 1;
  for (const auto& [outcome, size] : groups) {
    if (size > verdict.supporters) {
      verdict.supporters = size;
      verdict.outcome = outcome;
    }
  }
  verdict.dissenters = counting - verdict.supporters;
  const Outcome leader = verdict.outcome.value_or(Outcome{});
  verdict.accepted = verdict.outcome && enough(verdict.supporters, groups, leader);
  if (!verdict.accepted) {
    while (!enough(verdict.supporters + verdict.missing, groups, leader)) ++verdict.missing;
  }
  return verdict;
}

}  // namespace starling::model
