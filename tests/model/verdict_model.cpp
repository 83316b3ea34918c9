#include "tests/model/verdict_model.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace starling::model {

VerdictModel::Start VerdictModel::start(UnitIndex unit, const Conclusion& conclusion) const {
  if (parameters_.stride == 0 || unit < parameters_.stride) return {false, base::Digest{}};
  const auto before = conclusion.accepted.find(unit - parameters_.stride);
  if (conclusion.skipped.contains(unit - parameters_.stride)) return {true, std::nullopt};
  if (before == conclusion.accepted.end()) return {false, std::nullopt};
  if (before->second.kind != protocol::OutcomeKind::checkpoint) return {true, std::nullopt};
  return {false, before->second.digest};
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
      if (!lowest || std::tie(answer.audit, answer.at, answer.statement, answer.entry) < std::tie(lowest->audit, lowest->at, lowest->statement, lowest->entry)) lowest = answer;
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
  return std::ranges::any_of(proofs_, [&](const Proof& proof) { return proof.accused == peer && judges_.contains(proof.judge) && without_error(peer, proof); });
}

bool VerdictModel::without_error(const PeerId& peer, const Proof& proof) const {
  const std::set<Said> said = said_by(peer, proof.unit, proof.compiled.input);
  for (const Said& answer : said) {
    if (!proof.tiers_agree() || answer == Said{proof.compiled, proof.fingerprint}) continue;
    if (said.size() > 1 || answer.first == proof.compiled) return true;
  }
  return false;
}

bool VerdictModel::quarantined() const {
  for (const Proof& proof : proofs_) {
    if (judges_.contains(proof.judge) && !proof.tiers_agree()) return true;
  }
  return false;
}

std::set<Outcome> VerdictModel::outcomes_of(UnitIndex unit) const {
  std::set<Outcome> outcomes;
  for (const Answer& answer : answers_) {
    if (answer.unit == unit) outcomes.insert(answer.outcome);
  }
  for (const Proof& proof : proofs_) {
    if (proof.unit == unit) outcomes.insert({proof.compiled, proof.interpreted});
  }
  return outcomes;
}

bool VerdictModel::contested(UnitIndex unit, const Conclusion& conclusion) const {
  const auto from = start(unit, conclusion).input;
  std::set<Outcome> seen;
  for (const PeerId& author : authors_of(unit)) {
    if (!from || conclusion.banned.contains(author) || withdrawn_.contains(author)) continue;
    for (const Answer& answer : kept(author, unit, *from)) seen.insert(answer.outcome);
  }
  return seen.size() > 1;
}

namespace {

template <class Value>
std::uint32_t number_of(const std::set<Value>& values, const Value& value) {
  return static_cast<std::uint32_t>(std::distance(values.begin(), values.find(value)));
}

struct NaiveChains : protocol::Chains {
  const Outcome& outcome(UnitIndex unit, protocol::OutcomeIndex index) const { return *std::next(outcomes.at(unit).begin(), index); }
  bool goes_on(UnitIndex unit, protocol::OutcomeIndex index) override { return outcome(unit, index).kind == protocol::OutcomeKind::checkpoint; }
  bool follows(UnitIndex unit, protocol::OutcomeIndex index, protocol::OutcomeIndex before) override {
    return outcome(unit - stride, before).kind == protocol::OutcomeKind::checkpoint && outcome(unit, index).input == outcome(unit - stride, before).digest;
  }
  bool same_input(UnitIndex unit, protocol::OutcomeIndex one, protocol::OutcomeIndex other) override {
    return outcome(unit, one).input == outcome(unit, other).input;
  }
  std::uint32_t stride = 0;
  std::map<UnitIndex, std::set<Outcome>> outcomes;
};

}  // namespace

// Peers and outcomes are numbered in their own order here, which is not the order in which they were heard of.
VerdictModel::Conclusion VerdictModel::conclude() const {
  std::set<PeerId> peers = judges_;
  for (const Answer& answer : answers_) peers.insert(answer.author);
  for (const Proof& proof : proofs_) peers.insert({proof.judge, proof.accused});
  for (const Follower& follower : followers_) peers.insert(follower.author);
  peers.insert(withdrawn_.begin(), withdrawn_.end());
  NaiveChains chains;
  chains.stride = parameters_.stride;
  for (UnitIndex unit = 0; unit < unit_count_; ++unit) chains.outcomes[unit] = outcomes_of(unit);

  EvaluationModel v;
  v.chains = &chains;
  v.parameters.verification = parameters_.verification;
  v.parameters.epsilon_ppm = parameters_.epsilon_ppm;
  v.parameters.unit_count = v.parameters.block_units = unit_count_;
  v.parameters.stride = parameters_.stride;
  for (const PeerId& judge : judges_) v.parameters.judges.push_back(number_of(peers, judge));
  const auto nowhere = [&](UnitIndex unit, const Outcome& outcome) { return (parameters_.stride == 0 || unit < parameters_.stride) && outcome.input != base::Digest{}; };
  for (const Answer& answer : answers_) {
    if (nowhere(answer.unit, answer.outcome)) continue;
    v.entries.push_back({number_of(peers, answer.author), answer.at, answer.unit, 0, number_of(chains.outcomes[answer.unit], answer.outcome), answer.audit});
  }
  for (const Proof& proof : proofs_) {
    if (proof.tiers_agree() && nowhere(proof.unit, proof.compiled)) continue;
    const auto compiled = number_of(chains.outcomes[proof.unit], proof.compiled);
    v.replays.push_back({number_of(peers, proof.judge), number_of(peers, proof.accused), proof.unit, compiled,
                         proof.tiers_agree() ? compiled : compiled + 1, proof.head, without_error(proof.accused, proof)});
  }
  for (const Follower& one : followers_) {
    for (const Follower& other : followers_) {
      const bool forked = one.author == other.author && one.previous == other.previous && one.statement != other.statement;
      if (forked) v.forks.push_back({number_of(peers, one.author), std::max(one.at, other.at)});
    }
  }

  for (const PeerId& author : withdrawn_) v.withdrawn.insert(number_of(peers, author));

  const auto found = v.conclude();
  Conclusion conclusion;
  for (const auto& [unit, accepted] : found.accepted) conclusion.accepted.emplace(unit, chains.outcome(unit, accepted.outcome));
  for (const auto& [unit, stage] : found.skipped) conclusion.skipped.insert(unit);
  for (const auto peer : found.banned) conclusion.banned.insert(*std::next(peers.begin(), peer));
  return conclusion;
}

}  // namespace starling::model
