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

auto LogStanding::others_of(EntryIndex e) const {
  return entries_.of(entries_[e].unit) | std::views::filter([this, e](EntryIndex other) { return other != e && entries_[other].peer == entries_[e].peer; });
}

bool LogStanding::replayed(const KeyLog& log, UnitIndex unit) { return std::ranges::contains(log.replays, unit, &ReplayedFact::unit); }

WayIn LogStanding::way_in(const KeyLog& log, EntryIndex e, std::size_t place) const {
  const Entry& entry = entries_[e];
  if (behind_all(log, entry.at)) return way_in_at_end(log, e);
  if (log.troubled || (place < log.log.size() && entries_[log.log[place]].at == entry.at)) return WayIn::held;
  if (place > 0 && entries_[log.log[place - 1]].at == entry.at) return WayIn::held;
  const auto way = others_of(e).empty() ? WayIn::plain : only_repeats(log, e) ? WayIn::repeated : WayIn::held;
  return audits_stand(log, e, place, way) ? way : WayIn::held;
}

WayIn LogStanding::way_in_at_end(const KeyLog& log, EntryIndex e) const {
  const Entry& entry = entries_[e];
  if (replayed(log, entry.unit)) return WayIn::held;
  if (log.silent()) return WayIn::shielded;  // what it voids of his can only bring his faults together
  if (std::ranges::any_of(log.replays, [&](const ReplayedFact& replay) { return entry.at <= replay.head; })) return WayIn::held;
  if (behind_fork(log, entry.at)) return shielded(e) ? WayIn::shielded : WayIn::held;
  if (log.forked_at && entry.at.chain <= log.forked_at->chain) return WayIn::held;
  if (others_of(e).empty()) return WayIn::plain;
  return only_repeats(log, e) ? WayIn::repeated : WayIn::held;
}

// All before it from the fork on is void, so that none of it earns: one more of these at the end changes nothing.
bool LogStanding::behind_fork(const KeyLog& log, LogPlace at) const {
  return log.forked_at && at.chain == log.forked_at->chain && !log.log.empty() && entries_[log.log.back()].at >= *log.forked_at;
}

// Void itself, it contradicts none that is not.
bool LogStanding::shielded(EntryIndex e) const {
  return std::ranges::all_of(others_of(e), [&](EntryIndex other) {
    const Entry &one = entries_[other], &entry = entries_[e];
    return one.standing == EntryStanding::void_ || !same_input(entry.unit, entry.outcome, one.outcome) || entry.outcome == one.outcome;
  });
}

// One before it is the answer of which it is a repetition, and stays so: it counts, or none of them is void for any other reason than too little work.
bool LogStanding::only_repeats(const KeyLog& log, EntryIndex e) const {
  const Entry& entry = entries_[e];
  auto others = others_of(e);
  const auto outranks = [&](EntryIndex other) {
    const Entry& one = entries_[other];
    return one.outcome == entry.outcome && one.at < entry.at && (!one.audit() || entry.audit());
  };
  const auto counts = [&](EntryIndex other) { return entries_[other].standing == EntryStanding::counts && outranks(other); };
  const bool alike = !log.troubled && std::ranges::all_of(others, [&](EntryIndex other) { return entries_[other].outcome == entry.outcome; });
  if (std::ranges::none_of(others, counts) && (!alike || std::ranges::none_of(others, outranks))) return false;
  return !entry.at_position || std::ranges::any_of(others, [&](EntryIndex other) { return entries_[other].is_work && entries_[other].at < entry.at; });
}

// Those behind it have as many before them, or enough work, as they had.
bool LogStanding::audits_stand(const KeyLog& log, EntryIndex e, std::size_t place, WayIn way) const {
  if (log.audits < audits_free) return true;
  const Entry& entry = entries_[e];
  const auto is_audit = [&](EntryIndex each) { return entries_[each].audit(); };
  auto audits = static_cast<std::uint32_t>(std::ranges::count_if(std::span(log.log).first(place), is_audit));
  const std::uint32_t more_audits = entry.audit() ? 1 : 0, more_work = entry.at_position && way == WayIn::plain ? 1 : 0;
  if (way == WayIn::plain && entry.audit() && idle_talk(audits + 1, work_at(log, place))) return false;
  for (const EntryIndex later : std::span(log.log).subspan(place)) {
    if (!is_audit(later)) continue;
    const std::uint32_t work = entries_[later].work;
    ++audits;
    if (idle_talk(audits, work) != idle_talk(audits + more_audits, work + more_work)) return false;
  }
  return true;
}

void LogStanding::enter_at_end(KeyLog& log, EntryIndex e, WayIn way) {
  Entry& entry = entries_[e];
  entry.rank = static_cast<std::uint32_t>(log.log.size());
  entry.work = log.work;
  entry.is_work = entry.at_position && way == WayIn::plain;
  if (entry.is_work) ++log.work;
  log.log.push_back(e);
  const bool idle = entry.audit() && idle_talk(++log.audits, entry.work);
  if (way == WayIn::shielded) {
    entry.standing = EntryStanding::void_;
    log.credit_from = log.silent() ? log.credit_from : entry.rank + 1;
  } else if (entry.work < log.probation_end) {
    entry.standing = EntryStanding::dropped;
  } else if (idle || way == WayIn::repeated) {
    entry.standing = EntryStanding::void_;
  }
}

void LogStanding::enter_among(KeyLog& log, EntryIndex e, std::size_t place, WayIn way) {
  Entry& entry = entries_[e];
  entry.rank = static_cast<std::uint32_t>(place);
  entry.work = work_at(log, place);
  entry.is_work = entry.at_position && way == WayIn::plain;
  if (way == WayIn::repeated) entry.standing = EntryStanding::void_;
  log.log.insert(log.log.begin() + static_cast<std::ptrdiff_t>(place), e);
  for (const EntryIndex later : std::span(log.log).subspan(place + 1)) {
    ++entries_[later].rank;
    if (entry.is_work) ++entries_[later].work;
  }
  if (entry.audit()) ++log.audits;
  if (entry.is_work) ++log.work;
}

bool LogStanding::add_fork(KeyLog& log, LogPlace at) const {
  const auto told = std::ranges::lower_bound(log.forks, at.chain, {}, &LogPlace::chain);
  const bool chain_told = told != log.forks.end() && told->chain == at.chain;
  if (chain_told && *told <= at) return true;
  const bool follows = log.forked_at && log.forked_at->chain == at.chain && *log.forked_at <= at;
  if (chain_told) *told = at;
  else log.forks.insert(told, at);
  return follows;
}

void LogStanding::hold(KeyLog& log, EntryIndex e, std::size_t place) {
  entries_[e].standing = EntryStanding::void_;
  log.log.insert(log.log.begin() + static_cast<std::ptrdiff_t>(place), e);
}

// ---------------------------------------------------------------- a whole log

void LogStanding::restand(KeyLog& log) {
  log.troubled = log.banned = false;
  log.credit_from = log.probation_end = log.faulty_units = 0;
  log.forked_at.reset();
  for (std::uint32_t rank = 0; rank < log.log.size(); ++rank) {
    entries_[log.log[rank]].rank = rank;
    entries_[log.log[rank]].standing = EntryStanding::counts;
  }
  own_ = log.log;
  std::ranges::sort(own_, {}, [&](EntryIndex e) { return std::pair(entries_[e].unit, entries_[e].rank); });
  stand_forks(log);
  stand_work(log);
  stand_faults(log);
  stand_repetitions();
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
  log.forked_at = *std::ranges::lower_bound(forks, forks.back().chain, {}, &LogPlace::chain);
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
  log.troubled = log.troubled || log.withdrawn || !log.replays.empty();
  log.faulty_units = static_cast<std::uint32_t>(faults.size());
  constexpr std::size_t others = limits::faults_to_ban - 1;
  for (std::size_t i = others; i < faults.size() && !log.withdrawn; ++i) {
    if (work_at(log, faults[i].rank) - work_at(log, faults[i - others].rank) < fault_span_work) log.banned = true;
  }
  if (log.silent()) {
    for (const EntryIndex e : log.log) entries_[e].standing = EntryStanding::void_;
    return;
  }
  for (const Fault& fault : faults) {
    drop_around(log, fault.head_rank);
    log.probation_end = std::max(log.probation_end, work_at(log, fault.head_rank) + probation_work);
  }
}

// ---------------------------------------------------------------- repetitions and audits

void LogStanding::stand_repetitions() {
  const auto key = [&](EntryIndex e) {
    const Entry& entry = entries_[e];
    return std::tuple(entry.unit, OutcomeIndex{entry.outcome}, entry.audit(), entry.rank);
  };
  const auto equal = [&](EntryIndex one, EntryIndex other) {
    return entries_[one].unit == entries_[other].unit && entries_[one].outcome == entries_[other].outcome;
  };
  std::ranges::sort(own_, {}, key);
  for (const auto answers : own_ | std::views::chunk_by(equal)) {
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
