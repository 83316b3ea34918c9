#include "coordinator-less/protocol/finality.hpp"

#include <algorithm>
#include <ranges>
#include <set>

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {
namespace {

// It agrees with what is accepted, and neither a fault nor a fork nor a repetition took it back.
bool verified(const Verdict& verdict, const Outcome& accepted, const ResultFact& fact) {
  if (fact.outcome != accepted) return false;
  switch (verdict.hearing(fact)) {
    case Hearing::unknown:
    case Hearing::banned:
    case Hearing::proven_wrong:
    case Hearing::void_:
    case Hearing::probation: return false;
    default: return true;
  }
}

bool stated_by(const JobEvidence& evidence, const Verdict& verdict, const PeerId& judge, UnitIndex number, const Outcome& accepted) {
  bool said = false;
  if (verdict.banned(judge) || verdict.withdrawn(judge)) return false;
  for (const ResultFact& fact : std::ranges::equal_range(evidence.results(number), judge, {}, &ResultFact::author)) {
    if (fact.outcome.input != accepted.input) continue;
    if (fact.outcome != accepted) return false;
    said = true;
  }
  return said;
}

bool confirms(const ReplayFact& replay, const Verdict& verdict) {
  const bool tiers_agree = replay.compiled == replay.interpreted && replay.fingerprint == replay.interpreted_fingerprint;
  const Outcome* accepted = verdict.accepted_outcome(replay.unit);
  return tiers_agree && accepted != nullptr && replay.compiled == *accepted && verdict.judges().contains(replay.judge) && !verdict.banned(replay.judge) &&
         !verdict.withdrawn(replay.judge);
}

std::set<UnitIndex> replayed_by_judges(const JobEvidence& evidence, const Verdict& verdict) {
  std::set<UnitIndex> out;
  for (const ReplayFact& replay : evidence.replays())
    if (confirms(replay, verdict)) out.insert(replay.unit);
  return out;
}

// Of accepted units; the lower one of two.
std::uint64_t median_fuel(const JobEvidence& evidence, const Verdict& verdict) {
  std::vector<std::uint64_t> fuels;
  for (UnitIndex number = 0; number < evidence.unit_count(); ++number)
    if (const Outcome* accepted = verdict.accepted_outcome(number)) fuels.push_back(accepted->fuel);
  if (fuels.empty()) return 0;
  const auto middle = fuels.begin() + static_cast<std::ptrdiff_t>((fuels.size() - 1) / 2);
  std::ranges::nth_element(fuels, middle);
  return *middle;
}

template <class Replayed>
std::optional<FinalBecause> why_final(const JobEvidence& evidence, const Verdict& verdict, UnitIndex number, const Replayed& replayed) {
  const Outcome* accepted = verdict.accepted_outcome(number);
  if (accepted == nullptr) return std::nullopt;
  if (verdict.parameters().verification == VerificationClass::trusted) return FinalBecause::believed;
  const bool stated = std::ranges::any_of(verdict.judges(), [&](const PeerId& judge) { return stated_by(evidence, verdict, judge, number, *accepted); });
  if (stated || replayed(number)) return FinalBecause::checked;
  return verdict.is_final(number) ? std::optional(FinalBecause::passed) : std::nullopt;
}

}  // namespace

std::optional<FinalBecause> why_final(const JobEvidence& evidence, const Verdict& verdict, UnitIndex number) {
  STARLING_ENSURE(number < evidence.unit_count());
  return why_final(evidence, verdict, number, [&](UnitIndex unit) {
    return std::ranges::any_of(evidence.replays_about(unit), [&](const ReplayFact* replay) { return confirms(*replay, verdict); });
  });
}

FinalUnits final_units(const JobEvidence& evidence, const Verdict& verdict, std::uint32_t unit_count) {
  FinalUnits out;
  const auto replayed = replayed_by_judges(evidence, verdict);
  std::vector<bool> final(evidence.unit_count());  // and everything it goes on from
  std::vector<bool> waits(unit_count);
  for (UnitIndex number = 0; number < evidence.unit_count(); ++number) {
    if (!verdict.accepted(number)) continue;
    const bool alone = why_final(evidence, verdict, number, [&](UnitIndex unit) { return replayed.contains(unit); }).has_value();
    if (!alone) {
      out.waiting.push_back(number);
      waits[number % unit_count] = true;
    }
    const auto before = verdict.previous(number);
    final[number] = alone && (!before || final[*before]);
    if (final[number] && verdict.ends(number)) ++out.count;
  }
  out.waiting_units = static_cast<std::uint32_t>(std::ranges::count(waits, true));
  STARLING_ENSURE(out.count <= unit_count);
  return out;
}

std::uint64_t unit_fuel_max_of(const Manifest& manifest) {
  const std::uint64_t of_item = manifest.limits.fuel, items = std::max<std::uint64_t>(manifest.items_per_unit, 1);
  return of_item == 0 || of_item > UINT64_MAX / items ? UINT64_MAX : of_item * items;
}

std::map<PeerId, VerifiedWork> verified_work(const JobEvidence& evidence, const Verdict& verdict, std::uint64_t unit_fuel_max) {
  std::map<PeerId, VerifiedWork> out;
  const std::uint64_t median = median_fuel(evidence, verdict);
  const std::uint64_t most = std::min(unit_fuel_max, median > UINT64_MAX / favour_medians_max ? UINT64_MAX : median * favour_medians_max);
  for (UnitIndex number = 0; number < evidence.unit_count(); ++number) {
    const Outcome* accepted = verdict.accepted_outcome(number);
    if (accepted == nullptr) continue;
    for (const ResultFact& fact : evidence.results(number)) {
      if (fact.audit || !verified(verdict, *accepted, fact)) continue;
      VerifiedWork& sum = out[fact.author];
      ++sum.units;
      sum.fuel += std::min({accepted->fuel, most, UINT64_MAX - sum.fuel});
    }
  }
  return out;
}

std::vector<SupporterPassed> supporters_passed(const JobEvidence& evidence, const Verdict& verdict, UnitIndex number) {
  struct Supporter {
    SupporterPassed passed;
    LogPlace at;
  };
  std::vector<Supporter> supporters;
  const Outcome* accepted = verdict.accepted_outcome(number);
  if (accepted == nullptr) return {};
  for (const ResultFact& fact : evidence.results(number))
    if (!fact.audit && verified(verdict, *accepted, fact)) supporters.push_back({{fact.author, 0, 0}, fact.at});
  for (UnitIndex other = 0; other < evidence.unit_count(); ++other) {
    const Outcome* found = verdict.accepted_outcome(other);
    if (found == nullptr) continue;
    const auto& facts = evidence.results(other);
    const bool audited = std::ranges::any_of(facts, [&](const ResultFact& fact) { return fact.audit && verified(verdict, *found, fact) && verdict.vouches(fact); });
    for (Supporter& supporter : supporters) {
      for (const ResultFact& fact : std::ranges::equal_range(facts, supporter.passed.peer, {}, &ResultFact::author)) {
        if (fact.audit || fact.at <= supporter.at || !verified(verdict, *found, fact)) continue;
        ++supporter.passed.units;
        supporter.passed.audits += audited ? 1U : 0U;
      }
    }
  }
  std::vector<SupporterPassed> out;
  for (const Supporter& supporter : supporters) out.push_back(supporter.passed);
  return out;
}

}  // namespace starling::protocol
