#include "tests/model/verdict_model.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace starling::model {

VerdictModel::Start VerdictModel::start(UnitIndex unit) const {
  if (parameters_.stride == 0 || unit < parameters_.stride) return {false, base::Digest{}};
  const auto before = this->unit(unit - parameters_.stride);
  if (before.skipped) return {true, std::nullopt};
  if (!before.accepted) return {false, std::nullopt};
  if (before.outcome->kind != protocol::OutcomeKind::checkpoint) return {true, std::nullopt};
  return {false, before.outcome->digest};
}

std::set<Said> VerdictModel::said_by(const PeerId& author, UnitIndex unit, const base::Digest& input) const {
  std::set<Said> said;
  for (const Answer& answer : answers_) {
    if (answer.author == author && answer.unit == unit && answer.outcome.input == input) said.insert({answer.outcome, answer.fingerprint});
  }
  return said;
}

std::set<PeerId> VerdictModel::authors_of(UnitIndex unit) const {
  std::set<PeerId> authors;
  for (const Answer& answer : answers_) {
    if (answer.unit == unit) authors.insert(answer.author);
  }
  return authors;
}

std::vector<Answer> VerdictModel::kept(const PeerId& author, UnitIndex unit) const {
  std::vector<Answer> found;
  std::set<base::Digest> inputs;
  for (const Answer& answer : answers_) {
    if (answer.author == author && answer.unit == unit) inputs.insert(answer.outcome.input);
  }
  for (const base::Digest& input : inputs) {
    const auto some = kept(author, unit, input);
    found.insert(found.end(), some.begin(), some.end());
  }
  return found;
}

std::vector<Answer> VerdictModel::kept(const PeerId& author, UnitIndex unit, const base::Digest& input) const {
  std::vector<Answer> found;
  for (const Said& said : said_by(author, unit, input)) {
    if (found.size() == 2) break;
    std::optional<Answer> lowest;
    for (const Answer& answer : answers_) {
      if (answer.author != author || answer.unit != unit || Said{answer.outcome, answer.fingerprint} != said) continue;
      if (!lowest || std::tie(answer.statement, answer.entry) < std::tie(lowest->statement, lowest->entry)) lowest = answer;
    }
    found.push_back(*lowest);
  }
  return found;
}

bool VerdictModel::proven_wrong(const PeerId& author, UnitIndex unit, const Said& said) const {
  for (const Proof& proof : proofs_) {
    if (!judges_.contains(proof.judge) || proof.accused != author || proof.unit != unit) continue;
    if (proof.tiers_agree() && proof.compiled.input == said.first.input && Said{proof.compiled, proof.fingerprint} != said) return true;
  }
  return false;
}

std::set<UnitIndex> VerdictModel::faults(const PeerId& peer) const {
  std::set<UnitIndex> faulty;
  for (const Answer& answer : answers_) {
    if (answer.author == peer && proven_wrong(peer, answer.unit, {answer.outcome, answer.fingerprint})) faulty.insert(answer.unit);
  }
  return faulty;
}

// Of all that it ever said, also of what evidence no longer keeps.
bool VerdictModel::without_error(const PeerId& peer) const {
  for (const Answer& answer : answers_) {
    if (answer.author != peer || !proven_wrong(peer, answer.unit, {answer.outcome, answer.fingerprint})) continue;
    if (said_by(peer, answer.unit, answer.outcome.input).size() > 1) return true;
    for (const Proof& proof : proofs_) {
      const bool counts = judges_.contains(proof.judge) && proof.accused == peer && proof.unit == answer.unit && proof.tiers_agree();
      if (counts && proof.compiled == answer.outcome && proof.fingerprint != answer.fingerprint) return true;
    }
  }
  return false;
}

bool VerdictModel::quarantined() const {
  for (const Proof& proof : proofs_) {
    if (judges_.contains(proof.judge) && !proof.tiers_agree()) return true;
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
  const auto [skipped, from] = start(unit);
  verdict.skipped = skipped;
  verdict.open = from.has_value();
  if (!verdict.open) {
    if (!verdict.skipped) while (!enough(verdict.missing, {}, {})) ++verdict.missing;
    return verdict;
  }
  std::set<Outcome> seen;
  std::map<Outcome, std::uint32_t> groups;
  std::uint32_t counting = 0;
  for (const PeerId& author : authors_of(unit)) {
    if (banned(author)) continue;
    const auto said = kept(author, unit, *from);
    if (said.empty()) continue;
    for (const Answer& answer : said) seen.insert(answer.outcome);
    if (said.size() > 1 || proven_wrong(author, unit, {said[0].outcome, said[0].fingerprint})) continue;
    ++groups[said[0].outcome];
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
