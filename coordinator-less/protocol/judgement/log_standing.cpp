#include "coordinator-less/protocol/judgement/log_standing.hpp"

#include <algorithm>
#include <ranges>
#include <tuple>
#include <utility>

#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

// ---------------------------------------------------------------- one entry

std::optional<std::size_t> LogStanding::place_for(const KeyLog& log, const EntryFact& fact) const {
  if (behind_all(log, fact.at)) return log.log.size();
  const auto key_of = [&](EntryIndex e) {
    const Entry& entry = entries_[e];
    return std::tuple(entry.at, entry.unit, entry.position, OutcomeIndex{entry.outcome}, entry.audit());
  };
  const std::tuple key(fact.at, fact.unit, fact.position, fact.outcome, fact.audit);
  const auto found = std::ranges::lower_bound(log.log, key, {}, key_of);
  if (found != log.log.end() && key_of(*found) == key) return std::nullopt;
  return static_cast<std::size_t>(found - log.log.begin());
}

const Entry* LogStanding::find(const KeyLog& log, LogPlace at) const {
  const auto found = std::ranges::lower_bound(log.log, at, {}, [&](EntryIndex e) { return entries_[e].at; });
  return found == log.log.end() || entries_[*found].at != at ? nullptr : &entries_[*found];
}

// Nothing known about the log reaches as far as an entry at its end, except that it may be on probation or banned.
bool LogStanding::plain_at_end(const KeyLog& log, const EntryFact& fact) const {
  if (!log.troubled) return true;
  return (!log.forked_chain || fact.at.chain > *log.forked_chain) &&
         std::ranges::none_of(log.replays, [&](const ReplayedFact& replay) { return replay.unit == fact.unit || fact.at <= replay.head; });
}

// Of a log without trouble nothing then changes but ranks and perhaps which audits have work behind them.
bool LogStanding::plain_among(const KeyLog& log, const Entry& entry, std::size_t place) const {
  if (log.troubled || (place < log.log.size() && entries_[log.log[place]].at == entry.at)) return false;
  return (place == 0 || entries_[log.log[place - 1]].at != entry.at) && audits_stand(log, entry, place);
}

bool LogStanding::audits_stand(const KeyLog& log, const Entry& entry, std::size_t place) const {
  if (log.audits < audits_free) return true;
  const auto is_audit = [&](EntryIndex e) { return entries_[e].audit(); };
  const auto before = std::ranges::count_if(std::span(log.log).first(place), is_audit);
  std::uint32_t audits = static_cast<std::uint32_t>(before) + (entry.audit() ? 1 : 0);
  if (entry.audit() && idle_talk(audits, work_at(log, place))) return false;
  for (const EntryIndex e : std::span(log.log).subspan(place)) {
    const Entry& later = entries_[e];
    if (later.audit() && idle_talk(++audits, later.work + (entry.at_position ? 1 : 0)) != (later.standing == EntryStanding::void_)) return false;
  }
  return true;
}

void LogStanding::enter_at_end(KeyLog& log, EntryIndex e) {
  Entry& entry = entries_[e];
  entry.rank = static_cast<std::uint32_t>(log.log.size());
  entry.work = log.work;
  entry.is_work = entry.at_position;
  if (entry.is_work) ++log.work;
  if (log.banned) entry.standing = EntryStanding::void_;
  else if (entry.work < log.probation_end) entry.standing = EntryStanding::dropped;
  log.log.push_back(e);
  if (entry.audit() && idle_talk(++log.audits, entry.work) && entry.standing == EntryStanding::counts) entry.standing = EntryStanding::void_;
}

void LogStanding::enter_among(KeyLog& log, EntryIndex e, std::size_t place) {
  Entry& entry = entries_[e];
  entry.rank = static_cast<std::uint32_t>(place);
  entry.work = work_at(log, place);
  entry.is_work = entry.at_position;
  log.log.insert(log.log.begin() + static_cast<std::ptrdiff_t>(place), e);
  for (const EntryIndex later : std::span(log.log).subspan(place + 1)) {
    ++entries_[later].rank;
    if (entry.is_work) ++entries_[later].work;
  }
  if (entry.audit()) ++log.audits;
  if (entry.is_work) ++log.work;
}

void LogStanding::hold(KeyLog& log, EntryIndex e, std::size_t place) {
  entries_[e].standing = EntryStanding::void_;
  log.log.insert(log.log.begin() + static_cast<std::ptrdiff_t>(place), e);
}

// ---------------------------------------------------------------- a whole log

void LogStanding::restand(KeyLog& log) {
  log.troubled = log.banned = false;
  log.credit_from = log.probation_end = log.faulty_units = 0;
  log.forked_chain.reset();
  for (std::uint32_t rank = 0; rank < log.log.size(); ++rank) {
    entries_[log.log[rank]].rank = rank;
    entries_[log.log[rank]].standing = EntryStanding::counts;
  }
  own_ = log.log;
  std::ranges::sort(own_, {}, [&](EntryIndex e) { return std::pair(entries_[e].unit, entries_[e].rank); });
  stand_forks(log);
  stand_work(log);
  stand_faults(log);
  stand_repetitions(log);
  stand_audits(log);
}

// Forks among one key's answers to one unit, by place; those from one input more than a key may have are void.
void LogStanding::stand_inputs(std::span<const EntryIndex> answers, std::vector<LogPlace>& forks) {
  struct Input {
    OutcomeIndex first;
    bool forked;
  };
  std::vector<Input> inputs;
  const auto input_of = [&](const Entry& entry) {
    return std::ranges::find_if(inputs, [&](const Input& input) { return same_input(entry.unit, entry.outcome, input.first); });
  };
  for (const EntryIndex e : answers) {
    Entry& entry = entries_[e];
    const auto input = input_of(entry);
    if (input == inputs.end()) {
      if (inputs.size() < inputs_per_unit_max) inputs.push_back({entry.outcome, false});
      else entry.standing = EntryStanding::void_;
      continue;
    }
    input->forked = input->forked || entry.outcome != input->first;
    if (input->forked) forks.push_back(entry.at);
  }
  for (const EntryIndex e : answers) {
    const auto input = input_of(entries_[e]);
    if (input != inputs.end() && input->forked) entries_[e].standing = EntryStanding::void_;
  }
}

std::vector<LogPlace> LogStanding::find_forks(const KeyLog& log) {
  std::vector<LogPlace> forks = log.forks;
  for (std::size_t i = 1; i < log.log.size(); ++i) {
    if (entries_[log.log[i]].at == entries_[log.log[i - 1]].at) forks.push_back(entries_[log.log[i]].at);
  }
  const auto one_unit = [&](EntryIndex one, EntryIndex other) { return entries_[one].unit == entries_[other].unit; };
  for (const auto answers : own_ | std::views::chunk_by(one_unit)) {
    if (answers.size() > 1) stand_inputs(answers, forks);
  }
  return forks;
}

void LogStanding::stand_forks(KeyLog& log) {
  std::vector<LogPlace> forks = find_forks(log);
  if (forks.empty()) return;
  log.troubled = true;
  std::ranges::sort(forks);
  log.forked_chain = forks.back().chain;
  for (const EntryIndex e : log.log) {
    Entry& entry = entries_[e];
    const auto first = std::ranges::lower_bound(forks, entry.at.chain, {}, &LogPlace::chain);
    if (first == forks.end() || first->chain != entry.at.chain || entry.at < *first) continue;
    entry.standing = EntryStanding::void_;
    log.credit_from = std::max(log.credit_from, entry.rank + 1);
  }
}

void LogStanding::stand_work(KeyLog& log) {
  std::optional<UnitIndex> worked;
  for (const EntryIndex e : own_) {
    Entry& entry = entries_[e];
    entry.is_work = entry.at_position && entry.standing == EntryStanding::counts && worked != entry.unit;
    if (entry.is_work) worked = entry.unit;
  }
  log.work = 0;
  for (const EntryIndex e : log.log) {
    entries_[e].work = log.work;
    if (entries_[e].is_work) ++log.work;
  }
}

// ---------------------------------------------------------------- faults

// Nothing when the accused never gave another answer from that input.
std::optional<LogStanding::Fault> LogStanding::fault_of(KeyLog& log, const ReplayedFact& replay) {
  constexpr auto none = std::numeric_limits<std::uint32_t>::max();
  const auto head = std::ranges::upper_bound(log.log, replay.head, {}, [&](EntryIndex e) { return entries_[e].at; });
  Fault fault{replay.unit, none, static_cast<std::uint32_t>(head - log.log.begin())};
  for (const EntryIndex e : std::ranges::equal_range(own_, replay.unit, {}, [&](EntryIndex each) { return entries_[each].unit; })) {
    Entry& entry = entries_[e];
    if (!same_input(entry.unit, entry.outcome, replay.compiled)) continue;
    if (replay.fingerprint_wrong) log.banned = true;
    if (entry.outcome == replay.compiled) continue;
    if (entry.standing == EntryStanding::counts) entry.standing = EntryStanding::wrong;
    fault.rank = std::min(fault.rank, entry.rank);
  }
  if (fault.rank == none) return std::nullopt;
  fault.head_rank = std::max(fault.head_rank, fault.rank + 1);
  return fault;
}

// One for each unit, by rank; of several judges' the one that had seen least drops least.
std::vector<LogStanding::Fault> LogStanding::find_faults(KeyLog& log) {
  std::vector<Fault> faults;
  for (const ReplayedFact& replay : log.replays) {
    const auto fault = fault_of(log, replay);
    if (!fault) continue;
    const auto same = std::ranges::find(faults, fault->unit, &Fault::unit);
    if (same == faults.end()) {
      faults.push_back(*fault);
    } else {
      same->rank = std::min(same->rank, fault->rank);
      same->head_rank = std::min(same->head_rank, fault->head_rank);
    }
  }
  std::ranges::sort(faults, {}, &Fault::rank);
  return faults;
}

// What a fault makes doubtful: the work before the head that the judge had seen, the probation behind it, and all among that.
void LogStanding::drop_around(const KeyLog& log, std::size_t head_rank) {
  const std::uint32_t head_work = work_at(log, head_rank);
  std::size_t first = head_rank, last = head_rank;
  while (first > 0 && work_at(log, first - 1) + parameters_.fault_reach >= head_work) --first;
  while (last < log.log.size() && work_at(log, last) < head_work + probation_work) ++last;
  for (; first < last; ++first) {
    Entry& entry = entries_[log.log[first]];
    if (entry.standing == EntryStanding::counts) entry.standing = EntryStanding::dropped;
  }
}

void LogStanding::stand_faults(KeyLog& log) {
  const std::vector<Fault> faults = find_faults(log);
  log.troubled = log.troubled || !log.replays.empty();
  log.faulty_units = static_cast<std::uint32_t>(faults.size());
  constexpr std::size_t others = limits::faults_to_ban - 1;
  for (std::size_t i = others; i < faults.size(); ++i) {
    if (work_at(log, faults[i].rank) - work_at(log, faults[i - others].rank) < fault_span_work) log.banned = true;
  }
  if (log.banned) {
    for (const EntryIndex e : log.log) entries_[e].standing = EntryStanding::void_;
    return;
  }
  for (const Fault& fault : faults) {
    drop_around(log, fault.head_rank);
    log.probation_end = std::max(log.probation_end, work_at(log, fault.head_rank) + probation_work);
  }
}

// ---------------------------------------------------------------- repetitions and audits

void LogStanding::stand_repetitions(KeyLog& log) {
  const auto key = [&](EntryIndex e) {
    const Entry& entry = entries_[e];
    return std::tuple(entry.unit, OutcomeIndex{entry.outcome}, entry.audit(), entry.rank);
  };
  const auto equal = [&](EntryIndex one, EntryIndex other) {
    return entries_[one].unit == entries_[other].unit && entries_[one].outcome == entries_[other].outcome;
  };
  std::ranges::sort(own_, {}, key);
  for (const auto answers : own_ | std::views::chunk_by(equal)) {
    if (answers.size() == 1) continue;
    log.troubled = true;
    bool counted = false;
    for (const EntryIndex e : answers) {
      if (entries_[e].standing != EntryStanding::counts) continue;
      if (std::exchange(counted, true)) entries_[e].standing = EntryStanding::void_;
    }
  }
}

void LogStanding::stand_audits(KeyLog& log) {
  log.audits = 0;
  for (const EntryIndex e : log.log) {
    Entry& entry = entries_[e];
    if (entry.audit() && idle_talk(++log.audits, entry.work) && entry.standing == EntryStanding::counts) entry.standing = EntryStanding::void_;
  }
}

}  // namespace starling::protocol
