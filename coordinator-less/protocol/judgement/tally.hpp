// The answers to one unit that count, grouped by outcome, and when one group is accepted: alone at the head by its results, at least as
// many of them as the class asks, and credible (credibility.hpp) beside all that others say. `trusted` believes any single result.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "coordinator-less/protocol/judgement/entries.hpp"

namespace starling::protocol {

struct AcceptanceRule {
  explicit AcceptanceRule(const EvaluationParameters& parameters);
  bool accepts(std::uint32_t members, LogOdds group, Odds others) const;

  std::uint32_t members_min;  // agreeing results
  LogOdds alone_min;          // of a group when nobody dissents
  bool any_counts;            // trusted: blocks, windows and order do not matter
  std::uint32_t epsilon_ppm;
};

struct Group {
  OutcomeIndex outcome = 0;
  LogOdds results = 0, all = 0;
  std::uint32_t members = 0, voices = 0;  // results; audits too
};

class Tally {
 public:
  explicit Tally(const AcceptanceRule& rule) : rule_(rule) {}

  void clear() { groups_.clear(); }
  void add(const Entry& entry, LogOdds weight);

  // Would this group, one of these as it is or with more members, be accepted beside the others?
  bool wins(const Group& group) const;
  std::optional<OutcomeIndex> accepted() const;
  bool accepted_undisputed() const;  // would a group be, if all others were silent?
  // The group that further answers would most likely join, of equal ones the one that is `lower`; null when nothing counts.
  using Lower = std::function<bool(OutcomeIndex, OutcomeIndex)>;
  const Group* leader(const Lower& lower) const;
  std::uint32_t voices_beside(OutcomeIndex outcome) const;

 private:
  const AcceptanceRule& rule_;
  std::vector<Group> groups_;
};

}  // namespace starling::protocol
