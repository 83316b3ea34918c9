// One key's log: its entries by chain, then index, and what follows from it and from judges' replays of it alone, whatever others say: forks,
// work, faults and their reach, probation, bans, repetitions, audits that no work stands behind. The rules are those under "Static" in
// evaluation.hpp.
// Of a log without trouble an entry at its end, or among others, changes little and is entered at once. So is what is void by itself and
// leaves all else as it was: an answer said again behind the first time, and, at the end of its log, anything of a key that is banned or took all back, or behind a fork
// of the same chain. For anything else the whole log is looked at again.
// Cost: O(1) at the end, O(later entries) among others, O(n log n) for a whole log, whatever is repeated in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <span>
#include <vector>

#include "coordinator-less/protocol/judgement/entries.hpp"

namespace starling::protocol {

struct KeyLog {
  std::vector<EntryIndex> log;        // ordered by place, then content
  std::vector<ReplayedFact> replays;  // of judges, as the accused; tiers agree
  std::vector<LogPlace> forks;        // that were told: the first of each chain, ascending
  std::uint32_t credit_from = 0;      // k counts entries from this rank on, if
  std::uint32_t probation_end = 0;    // so much work stands before them
  std::uint32_t faulty_units = 0;
  std::uint32_t audits = 0;           // entries that are audits
  std::uint32_t work = 0;             // entries that are work
  std::optional<LogPlace> forked_at;  // the first fork of the latest chain with one
  bool troubled = false;              // faults or forks
  bool withdrawn = false;             // told: its author took all of it back
  bool banned = false;

  bool silent() const { return banned || withdrawn; }
  bool earns(const Entry& entry) const { return entry.rank >= credit_from && entry.work >= probation_end; }
};

// What follows from an entry that comes in.
enum class WayIn : std::uint8_t {
  plain,     // its own standing, and numbers of what stands behind it
  repeated,  // numbers only: it is an answer said before
  shielded,  // nothing: it is void, and so is what it could have touched
  held,      // perhaps more: the log is to be looked at as a whole
};

// Calling order for an entry that is stored: ask way_in(); hold() what is held, and restand() the log before anything else is asked; enter the others.
class LogStanding {
 public:
  LogStanding(Entries& entries, const EvaluationParameters& parameters, Chains* chains) : entries_(entries), parameters_(parameters), chains_(chains) {}

  // Where it belongs; nothing when the very same is there.
  std::optional<std::size_t> place_for(const KeyLog& log, const EntryFact& fact) const;
  const Entry* find(const KeyLog& log, LogPlace at) const;  // the first one at this place
  bool behind_all(const KeyLog& log, LogPlace at) const { return log.log.empty() || entries_[log.log.back()].at < at; }
  bool same_input(UnitIndex unit, OutcomeIndex one, OutcomeIndex other) const {
    return one == other || !parameters_.chained(unit) || chains_->same_input(unit, one, other);
  }

  // Of a log that was looked at since something was held. O(answers of the unit), O(later entries) among others.
  WayIn way_in(const KeyLog& log, EntryIndex e, std::size_t place) const;
  void enter_at_end(KeyLog& log, EntryIndex e, WayIn way);
  void enter_among(KeyLog& log, EntryIndex e, std::size_t place, WayIn way);
  // True: it follows from what is known of the log already, and nothing changes.
  bool add_fork(KeyLog& log, LogPlace at) const;
  void hold(KeyLog& log, EntryIndex e, std::size_t place);
  void restand(KeyLog& log);

 private:
  std::uint32_t work_at(const KeyLog& log, std::size_t rank) const { return rank < log.log.size() ? entries_[log.log[rank]].work : log.work; }
  // Of the n-th audit of a log, with so much work before it.
  bool idle_talk(std::uint32_t n, std::uint32_t work) const { return n > audits_free && work < parameters_.work_per_audit * (n - audits_free); }
  auto others_of(EntryIndex e) const;  // of the same author to the same unit
  static bool replayed(const KeyLog& log, UnitIndex unit);
  WayIn way_in_at_end(const KeyLog& log, EntryIndex e) const;
  bool behind_fork(const KeyLog& log, LogPlace at) const;
  bool shielded(EntryIndex e) const;
  bool only_repeats(const KeyLog& log, EntryIndex e) const;
  bool audits_stand(const KeyLog& log, EntryIndex e, std::size_t place, WayIn way) const;
  std::vector<LogPlace> find_forks(const KeyLog& log);
  void stand_inputs(std::span<const EntryIndex> answers, std::vector<LogPlace>& forks);
  void stand_forks(KeyLog& log);
  void stand_work(KeyLog& log);
  struct Fault {
    UnitIndex unit;
    std::uint32_t rank, head_rank;
  };
  std::optional<Fault> fault_of(KeyLog& log, const ReplayedFact& replay);
  std::vector<Fault> find_faults(KeyLog& log);
  void drop_around(const KeyLog& log, std::size_t head_rank);
  void stand_faults(KeyLog& log);
  void stand_repetitions();
  void stand_audits(KeyLog& log);

  Entries& entries_;
  const EvaluationParameters& parameters_;
  Chains* chains_;
  std::vector<EntryIndex> own_;  // scratch: a log by unit, then rank
};

}  // namespace starling::protocol
