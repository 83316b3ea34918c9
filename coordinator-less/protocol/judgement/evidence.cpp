#include "coordinator-less/protocol/judgement/evidence.hpp"

#include <algorithm>
#include <tuple>

#include "coordinator-less/base/check.hpp"

namespace starling::protocol {
namespace {

constexpr std::ptrdiff_t answers_kept_max = 2;

auto identity_of(const ResultFact& fact) { return std::tie(fact.author, fact.outcome.input, fact.outcome, fact.fingerprint); }

auto carrier_of(const ResultFact& fact) { return std::tie(fact.audit, fact.at, fact.statement, fact.entry); }

bool by_identity(const ResultFact& a, const ResultFact& b) { return identity_of(a) < identity_of(b); }

bool by_author_and_input(const ResultFact& a, const ResultFact& b) {
  return std::tie(a.author, a.outcome.input) < std::tie(b.author, b.outcome.input);
}

bool same_fact(const ResultFact& a, const ResultFact& b) { return identity_of(a) == identity_of(b); }

// True when the fact is new; false when it is known (its lowest carrier is kept) or beyond what is kept of its author.
bool insert_fact(std::vector<ResultFact>& facts, const ResultFact& fact) {
  const auto place = std::lower_bound(facts.begin(), facts.end(), fact, by_identity);
  if (place != facts.end() && same_fact(*place, fact)) {
    if (carrier_of(fact) < carrier_of(*place)) *place = fact;
    return false;
  }
  const auto [first, last] = std::equal_range(facts.begin(), facts.end(), fact, by_author_and_input);
  if (last - first < answers_kept_max) {
    facts.insert(place, fact);
    return true;
  }
  if (place == last) return false;
  std::move_backward(place, last - 1, last);
  *place = fact;
  return true;
}

}  // namespace

ReplayFact fact_of(const PeerId& judge, const Replay& replay) {
  return {judge,           replay.accused_statement, replay.accused,     replay.unit,
          replay.compiled, replay.interpreted,       replay.fingerprint, replay.interpreted_fingerprint, replay.head};
}

JobEvidence::JobEvidence(std::uint32_t unit_count) : units_(unit_count) {}

std::vector<UnitIndex> JobEvidence::add_results(const PeerId& author, const MessageId& statement, const Results& results) {
  std::vector<UnitIndex> news;
  std::uint32_t number = 0;
  if (!results.entries.empty()) heads_[author] = std::max(heads_[author], results.place(results.entries.size() - 1));
  for (const ResultEntry& entry : results.entries) {
    const std::uint32_t entry_number = number++;
    if (entry.unit >= unit_count()) continue;
    auto& facts = units_[entry.unit];
    const std::size_t before = facts.size();
    const ResultFact fact{author, statement, entry_number, results.place(entry_number), entry.outcome, entry.fingerprint, entry.audit};
    if (insert_fact(facts, fact)) news.push_back(entry.unit);
    result_count_ += facts.size() - before;
  }
  std::ranges::sort(news);
  news.erase(std::ranges::unique(news).begin(), news.end());
  return news;
}

bool JobEvidence::add_replay(const PeerId& judge, const Replay& replay) {
  if (replay.unit >= unit_count()) return false;
  const auto [fact, fresh] = replays_.insert(fact_of(judge, replay));
  if (fresh) replays_about_[replay.unit].push_back(&*fact);
  return fresh;
}

std::span<const ReplayFact* const> JobEvidence::replays_about(UnitIndex unit) const {
  const auto found = replays_about_.find(unit);
  return found == replays_about_.end() ? std::span<const ReplayFact* const>() : found->second;
}

std::vector<ReplayFact> JobEvidence::replays_of(const PeerId& accused) const {
  std::vector<ReplayFact> found;
  for (const ReplayFact& replay : replays_) {
    if (replay.accused == accused) found.push_back(replay);
  }
  return found;
}

LogPlace JobEvidence::head_of(const PeerId& author) const {
  const auto found = heads_.find(author);
  return found == heads_.end() ? LogPlace{} : found->second;
}

bool JobEvidence::answered(const PeerId& author, UnitIndex unit) const {
  return std::ranges::binary_search(units_[unit], author, {}, &ResultFact::author);
}

const ResultFact* JobEvidence::answer_of(const PeerId& author, UnitIndex unit, const Digest& input) const {
  const auto& facts = units_[unit];
  const auto place = std::ranges::lower_bound(facts, std::tie(author, input), {}, [](const ResultFact& fact) { return std::tie(fact.author, fact.outcome.input); });
  return place != facts.end() && place->author == author && place->outcome.input == input ? &*place : nullptr;
}

std::map<PeerId, std::uint64_t> JobEvidence::results_by_author() const {
  std::map<PeerId, std::uint64_t> counts;
  for (const auto& facts : units_) {
    for (const ResultFact& fact : facts) ++counts[fact.author];
  }
  return counts;
}

void JobEvidence::check_invariants() const {
  std::uint64_t count = 0;
  for (const auto& facts : units_) {
    count += facts.size();
    for (std::size_t i = 1; i < facts.size(); ++i) STARLING_ENSURE(by_identity(facts[i - 1], facts[i]));
    for (std::size_t i = 2; i < facts.size(); ++i) STARLING_ENSURE(by_author_and_input(facts[i - 2], facts[i]));
  }
  STARLING_ENSURE(count == result_count_);
  std::size_t about = 0;
  for (const ReplayFact& replay : replays_) {
    STARLING_ENSURE(replay.unit < unit_count());
    STARLING_ENSURE(std::ranges::contains(replays_about(replay.unit), &replay));
  }
  for (const auto& [unit, replays] : replays_about_) about += replays.size();
  STARLING_ENSURE(about == replays_.size());
}

}  // namespace starling::protocol
