#include "coordinator-less/protocol/judgement/tally.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/protocol/judgement/verification_class.hpp"

namespace starling::protocol {

AcceptanceRule::AcceptanceRule(const EvaluationParameters& parameters)
    : members_min(answers_required(parameters.verification)),
      alone_min(credible_alone(parameters.epsilon_ppm)),
      any_counts(parameters.verification == VerificationClass::trusted),
      epsilon_ppm(parameters.epsilon_ppm) {}

bool AcceptanceRule::accepts(std::uint32_t members, LogOdds group, Odds others) const {
  if (members < members_min) return false;
  if (any_counts) return true;
  return others == 0 ? group >= alone_min : credible(group, others, epsilon_ppm);
}

void Tally::add(const Entry& entry, LogOdds weight) {
  auto group = std::ranges::find(groups_, OutcomeIndex{entry.outcome}, &Group::outcome);
  if (group == groups_.end()) group = groups_.insert(group, {.outcome = entry.outcome});
  group->all += weight;
  ++group->voices;
  if (entry.audit()) return;
  group->results += weight;
  ++group->members;
}

bool Tally::wins(const Group& group) const {
  Odds others = 0;
  for (const Group& other : groups_) {
    if (other.outcome == group.outcome) continue;
    if (other.members > 0 && other.results >= group.results) return false;
    others = sum_of_odds(others, odds(other.all));
  }
  return rule_.accepts(group.members, group.results, others);
}

std::optional<OutcomeIndex> Tally::accepted() const {
  const auto most = std::ranges::max_element(groups_, {}, &Group::results);
  if (most == groups_.end() || most->members < rule_.members_min || !wins(*most)) return std::nullopt;
  return most->outcome;
}

bool Tally::accepted_undisputed() const {
  return std::ranges::any_of(groups_, [&](const Group& group) { return rule_.accepts(group.members, group.results, 0); });
}

const Group* Tally::leader(const Lower& lower) const {
  const Group* leader = nullptr;
  for (const Group& group : groups_) {
    const auto strength = [](const Group& of) { return std::pair(of.results, of.all); };
    const bool tie = leader != nullptr && strength(group) == strength(*leader);
    if (leader == nullptr || strength(group) > strength(*leader) || (tie && lower(group.outcome, leader->outcome))) leader = &group;
  }
  return leader;
}

std::uint32_t Tally::voices_beside(OutcomeIndex outcome) const {
  std::uint32_t voices = 0;
  for (const Group& group : groups_) voices += group.outcome == outcome ? 0 : group.voices;
  return voices;
}

}  // namespace starling::protocol
