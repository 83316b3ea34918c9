#include "tests/model/evaluation_model.hpp"

#include <algorithm>
#include <optional>

namespace starling::model {
namespace {

using namespace protocol;

struct Line {  // one entry of a log
  EntryFact fact;
  enum { counts, dropped, void_ } standing = counts;
  bool work = false;
};
using Log = std::vector<Line>;

struct Case {
  const EvaluationModel& said;
  std::map<PeerIndex, Log> logs;
  std::map<PeerIndex, std::size_t> credit_from, probation_end;  // ranks; work
  EvaluationModel::Conclusion result;
  std::set<PeerIndex> forked = {};

  bool judge(PeerIndex peer) const { return std::ranges::count(said.parameters.judges, peer) > 0; }
  std::uint32_t block(UnitIndex unit) const { return unit / said.parameters.block_units; }
  bool closed(UnitIndex unit) const { return result.accepted.contains(unit) || result.skipped.contains(unit); }
  bool begins(UnitIndex unit) const { return said.parameters.stride == 0 || unit < said.parameters.stride; }
  bool one_input(UnitIndex unit, OutcomeIndex a, OutcomeIndex b) const { return begins(unit) || said.chains->same_input(unit, a, b); }
  bool may_go_on(const EntryFact& fact) const {
    if (begins(fact.unit)) return true;
    const UnitIndex before = fact.unit - said.parameters.stride;
    const auto found = result.accepted.find(before);
    return found != result.accepted.end() && said.chains->goes_on(before, found->second.outcome) &&
           said.chains->follows(fact.unit, fact.outcome, found->second.outcome);
  }
  std::uint32_t k(PeerIndex peer) const {
    const auto found = result.k.find(peer);
    return found == result.k.end() ? 0 : found->second;
  }

  void forks(PeerIndex peer) {
    Log& log = logs[peer];
    std::vector<LogPlace> places;
    for (const ForkedFact& fork : said.forks) {
      if (fork.peer == peer) places.push_back(fork.at);
    }
    std::set<std::size_t> contradictory, one_too_many;
    std::map<UnitIndex, std::vector<OutcomeIndex>> inputs;  // the first answer from each
    for (std::size_t i = 0; i < log.size(); ++i) {
      auto& known = inputs[log[i].fact.unit];
      if (std::ranges::any_of(known, [&](OutcomeIndex first) { return one_input(log[i].fact.unit, log[i].fact.outcome, first); })) continue;
      if (known.size() < inputs_per_unit_max) known.push_back(log[i].fact.outcome);
      else one_too_many.insert(i);
    }
    for (std::size_t i = 0; i < log.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const bool one_place = log[i].fact.at == log[j].fact.at;
        const bool two_answers = log[i].fact.unit == log[j].fact.unit && log[i].fact.outcome != log[j].fact.outcome &&
                                 !one_too_many.contains(i) && !one_too_many.contains(j) &&
                                 one_input(log[i].fact.unit, log[i].fact.outcome, log[j].fact.outcome);
        if (one_place || two_answers) places.push_back(log[i].fact.at);
        if (two_answers) contradictory.insert({i, j});
      }
    }
    for (const std::size_t i : contradictory) log[i].standing = Line::void_;
    for (const std::size_t i : one_too_many) log[i].standing = Line::void_;
    if (!places.empty()) forked.insert(peer);
    for (std::size_t i = 0; i < log.size(); ++i) {
      for (const LogPlace& place : places) {
        if (log[i].fact.at.chain != place.chain || log[i].fact.at.index < place.index) continue;
        log[i].standing = Line::void_;
        credit_from[peer] = std::max(credit_from[peer], i + 1);
      }
    }
  }

  bool at_position(const EntryFact& fact) const {
    if (said.orders == nullptr || said.parameters.verification == VerificationClass::trusted) return true;
    const auto order = said.orders->own_order(fact.peer, block(fact.unit));
    return fact.position < order.size() && order[fact.position] == fact.unit;
  }

  void work(PeerIndex peer) {
    std::set<UnitIndex> done;
    for (Line& line : logs[peer]) {
      if (line.fact.audit || line.standing == Line::void_ || !at_position(line.fact)) continue;
      line.work = done.insert(line.fact.unit).second;
    }
  }

  static std::size_t work_before(const Log& log, std::size_t rank) {
    std::size_t before = 0;
    for (std::size_t i = 0; i < rank; ++i) before += log[i].work ? 1U : 0U;
    return before;
  }

  void faults(PeerIndex peer) {
    Log& log = logs[peer];
    std::map<UnitIndex, std::pair<std::size_t, std::size_t>> faulty;  // -> first rank, least head rank
    std::vector<std::size_t> wrong;
    for (const ReplayedFact& replay : said.replays) {
      if (replay.accused != peer || !judge(replay.judge) || replay.compiled != replay.interpreted) continue;
      std::optional<std::size_t> first;
      std::size_t head = 0;
      for (std::size_t i = 0; i < log.size(); ++i) {
        if (log[i].fact.at <= replay.head) head = i + 1;
        if (log[i].fact.unit != replay.unit || !one_input(replay.unit, log[i].fact.outcome, replay.compiled)) continue;
        if (replay.fingerprint_wrong) result.banned.insert(peer);
        if (log[i].fact.outcome == replay.compiled) continue;
        wrong.push_back(i);
        if (!first) first = i;
      }
      if (!first) continue;
      head = std::max(head, *first + 1);
      const auto [place, fresh] = faulty.try_emplace(replay.unit, *first, head);
      if (!fresh) place->second = {std::min(place->second.first, *first), std::min(place->second.second, head)};
    }
    for (const auto& [unit, fault] : faulty) {
      const std::size_t head = work_before(log, fault.second), first = work_before(log, fault.first);
      for (std::size_t i = 0; i < log.size(); ++i) {
        const std::size_t before = work_before(log, i);
        const bool reached = i < fault.second && before + said.parameters.fault_reach >= head;
        const bool on_probation = i >= fault.second && before < head + probation_work;
        if ((reached || on_probation) && log[i].standing == Line::counts) log[i].standing = Line::dropped;
      }
      probation_end[peer] = std::max(probation_end[peer], head + probation_work);
      std::size_t near = 0;  // faulty units within so much work from this one
      for (const auto& [other, its] : faulty) {
        const std::size_t then = work_before(log, its.first);
        near += its.first >= fault.first && then < first + fault_span_work ? 1U : 0U;
      }
      if (near >= 3 && !said.withdrawn.contains(peer)) result.banned.insert(peer);
    }
    for (const std::size_t i : wrong) {
      if (log[i].standing == Line::counts) log[i].standing = Line::dropped;
    }
    if (!faulty.empty()) result.faulty_units[peer] = static_cast<std::uint32_t>(faulty.size());
    if (!result.banned.contains(peer) && !said.withdrawn.contains(peer)) return;
    for (Line& line : log) line.standing = Line::void_;
  }

  void repetitions(PeerIndex peer) {
    Log& log = logs[peer];
    std::map<std::pair<UnitIndex, OutcomeIndex>, std::vector<std::size_t>> answers;  // results first, then audits
    for (const bool audits : {false, true}) {
      for (std::size_t i = 0; i < log.size(); ++i) {
        if (log[i].standing == Line::counts && log[i].fact.audit == audits) answers[{log[i].fact.unit, log[i].fact.outcome}].push_back(i);
      }
    }
    for (const auto& [answer, ranks] : answers) {
      for (std::size_t n = 1; n < ranks.size(); ++n) log[ranks[n]].standing = Line::void_;
    }
  }

  void audits(PeerIndex peer) {
    std::uint32_t work = 0, audits = 0;
    for (Line& line : logs[peer]) {
      if (line.work) ++work;
      if (!line.fact.audit || ++audits <= audits_free || work >= said.parameters.work_per_audit * (audits - audits_free)) continue;
      if (line.standing == Line::counts) line.standing = Line::void_;
    }
  }

  std::uint32_t oldest_open() const {
    for (UnitIndex unit = 0; unit < said.parameters.unit_count; ++unit) {
      if (!closed(unit)) return block(unit);
    }
    return block(said.parameters.unit_count - 1) + 1;
  }

  // The first block of which less than half is accepted.
  std::uint32_t reached() const {
    std::map<std::uint32_t, std::uint32_t> closed_units, all_units;
    for (UnitIndex unit = 0; unit < said.parameters.unit_count; ++unit) {
      ++all_units[block(unit)];
      closed_units[block(unit)] += closed(unit) ? 1U : 0U;
    }
    for (const auto& [number, units] : all_units) {
      if (2 * closed_units[number] < units) return number;
    }
    return block(said.parameters.unit_count - 1) + 1;
  }

  bool excused(UnitIndex unit) const {
    if (!begins(unit)) return true;
    std::set<PeerIndex> keys;
    for (const auto& [peer, log] : logs) {
      for (const Line& line : log) {
        if (line.fact.unit == unit && !line.fact.audit && line.standing != Line::void_ && at_position(line.fact)) keys.insert(peer);
      }
    }
    return keys.size() >= members_min();
  }

  std::uint32_t members_min() const {
    const auto kind = said.parameters.verification;
    return kind == VerificationClass::strict ? 3 : kind == VerificationClass::standard ? 2 : 1;
  }

  bool is_verified(const Line& line) const {
    const auto found = result.accepted.find(line.fact.unit);
    return line.standing == Line::counts && found != result.accepted.end() && found->second.outcome == line.fact.outcome;
  }

  bool in_window(PeerIndex peer, std::size_t rank) const {
    const Log& log = logs.at(peer);
    std::uint32_t before = 0;
    for (std::size_t i = 0; i < rank; ++i) {
      before += !log[i].fact.audit && log[i].standing == Line::counts && !is_verified(log[i]) ? 1U : 0U;
    }
    return before < std::min(window_max, window_min + k(peer) / units_per_window_step);
  }

  bool in_order(PeerIndex peer, const EntryFact& fact) const {
    if (said.orders == nullptr) return true;
    const auto order = said.orders->own_order(peer, block(fact.unit));
    if (!at_position(fact)) return false;
    std::size_t open = 0;
    for (std::size_t i = 0; i < fact.position; ++i) {
      const bool answered = std::ranges::any_of(logs.at(peer), [&](const Line& line) { return line.fact.unit == order[i] && !line.fact.audit; });
      open += !answered && !excused(order[i]) ? 1U : 0U;
    }
    return open <= order_slack(static_cast<std::uint32_t>(order.size()));
  }

  bool counting(PeerIndex peer, std::size_t rank) const {
    const Line& line = logs.at(peer)[rank];
    if (line.standing != Line::counts || !may_go_on(line.fact)) return false;
    if (line.fact.audit || said.parameters.verification == VerificationClass::trusted) return true;
    const std::uint32_t oldest = oldest_open(), mine = block(line.fact.unit);
    return mine <= reached() + 1 && (mine == oldest || in_window(peer, rank)) && in_order(peer, line.fact);
  }

  std::optional<OutcomeIndex> judged(UnitIndex unit) const {
    std::map<OutcomeIndex, LogOdds> results, all;
    std::map<OutcomeIndex, std::uint32_t> members;
    for (const auto& [peer, log] : logs) {
      for (std::size_t rank = 0; rank < log.size(); ++rank) {
        if (log[rank].fact.unit != unit || !counting(peer, rank)) continue;
        const OutcomeIndex outcome = log[rank].fact.outcome;
        all[outcome] += log_odds(k(peer));
        if (log[rank].fact.audit) continue;
        results[outcome] += log_odds(k(peer));
        ++members[outcome];
      }
    }
    LogOdds best = -1;
    for (const auto& [outcome, sum] : results) best = std::max(best, sum);
    std::vector<OutcomeIndex> leaders;
    for (const auto& [outcome, sum] : results) {
      if (sum == best) leaders.push_back(outcome);
    }
    if (leaders.size() != 1) return std::nullopt;
    Odds others = 0;
    for (const auto& [outcome, sum] : all) {
      if (outcome != leaders.front()) others = sum_of_odds(others, odds(sum));
    }
    const auto kind = said.parameters.verification;
    if (members[leaders.front()] < members_min()) return std::nullopt;
    if (kind != VerificationClass::trusted && !credible(best, others, said.parameters.epsilon_ppm)) return std::nullopt;
    return leaders.front();
  }

  void hear() {
    for (const auto& [peer, log] : logs) {
      for (std::size_t rank = 0; rank < log.size(); ++rank) {
        const Line& line = log[rank];
        if (is_verified(line)) result.verified[peer].push_back(line.fact);
        const bool may_count = line.standing == Line::counts && may_go_on(line.fact);
        const bool heard = result.accepted.contains(line.fact.unit) ? may_count : !closed(line.fact.unit) && counting(peer, rank);
        if (heard) result.voices[line.fact.unit].push_back(line.fact);
      }
    }
  }

  bool stage(std::uint32_t number) {
    std::map<UnitIndex, EvaluationModel::Accepted> closing;
    for (UnitIndex unit = 0; unit < said.parameters.unit_count; ++unit) {
      if (closed(unit)) continue;
      if (const auto outcome = judged(unit)) closing[unit] = {*outcome, number};
    }
    result.accepted.insert(closing.begin(), closing.end());
    const std::uint32_t stride = said.parameters.stride;
    for (const auto& [unit, its] : closing) {
      if (stride == 0 || said.chains->goes_on(unit, its.outcome)) continue;
      for (UnitIndex after = unit + stride; after < said.parameters.unit_count; after += stride) result.skipped[after] = number;
    }
    count_k();
    return !closing.empty();
  }

  void count_k() {
    for (const auto& [peer, log] : logs) {
      const bool anew = result.banned.contains(peer) || said.withdrawn.contains(peer) || result.faulty_units.contains(peer) || forked.contains(peer);
      const auto elsewhere = said.earned_elsewhere.find(peer);
      result.k[peer] = anew || elsewhere == said.earned_elsewhere.end() ? 0 : elsewhere->second;
      for (std::size_t rank = 0; rank < log.size(); ++rank) {
        const bool earns = rank >= credit_from[peer] && work_before(log, rank) >= probation_end[peer];
        if (!log[rank].fact.audit && is_verified(log[rank]) && earns) ++result.k[peer];
      }
    }
  }
};

}  // namespace

EvaluationModel::Conclusion EvaluationModel::conclude() const {
  Case now{*this, {}, {}, {}, {}};
  const std::set<EntryFact> distinct(entries.begin(), entries.end());  // ordered by peer, then place in its log
  for (const EntryFact& fact : distinct) now.logs[fact.peer].push_back({fact});
  for (const auto& [peer, units] : earned_elsewhere) now.logs[peer];
  for (const PeerIndex peer : withdrawn) now.logs[peer];
  for (auto& [peer, log] : now.logs) {
    now.forks(peer);
    now.work(peer);
    now.faults(peer);
    now.repetitions(peer);
    now.audits(peer);
  }
  for (const ReplayedFact& replay : replays) {
    now.result.quarantined = now.result.quarantined || (now.judge(replay.judge) && replay.compiled != replay.interpreted);
  }
  now.count_k();
  for (std::uint32_t number = 0; now.stage(number); ++number) {
  }
  now.hear();
  return now.result;
}

namespace {

using Voices = std::vector<EntryFact>;

LogOdds weight_of(const EvaluationModel::Conclusion& now, PeerIndex peer) {
  const auto found = now.k.find(peer);
  return log_odds(found == now.k.end() ? 0 : found->second);
}

LogOdds results_for(const EvaluationModel::Conclusion& now, const Voices& voices, OutcomeIndex outcome, bool audits_too) {
  LogOdds sum = 0;
  for (const EntryFact& voice : voices) sum += voice.outcome == outcome && (audits_too || !voice.audit) ? weight_of(now, voice.peer) : 0;
  return sum;
}

std::optional<OutcomeIndex> leading(const EvaluationModel::Conclusion& now, const Voices& voices) {
  std::optional<OutcomeIndex> leader;
  const auto rank = [&](OutcomeIndex outcome) { return std::pair(results_for(now, voices, outcome, false), results_for(now, voices, outcome, true)); };
  for (const EntryFact& voice : voices) {
    if (!leader || rank(voice.outcome) > rank(*leader) || (rank(voice.outcome) == rank(*leader) && voice.outcome < *leader)) leader = voice.outcome;
  }
  return leader;
}

// With these further results for the leader.
bool enough(const EvaluationModel& said, const EvaluationModel::Conclusion& now, const Voices& voices, std::size_t more, LogOdds their_weight) {
  const auto leader = leading(now, voices);
  std::set<OutcomeIndex> outcomes;
  for (const EntryFact& voice : voices) outcomes.insert(voice.outcome);
  const LogOdds sum = their_weight + (leader ? results_for(now, voices, *leader, false) : 0);
  Odds others = 0;
  for (const OutcomeIndex outcome : outcomes) {
    if (outcome == leader) continue;
    if (results_for(now, voices, outcome, false) >= sum) return false;
    others = sum_of_odds(others, odds(results_for(now, voices, outcome, true)));
  }
  const auto kind = said.parameters.verification;
  const auto members = more + static_cast<std::size_t>(std::ranges::count_if(voices, [&](const EntryFact& v) { return v.outcome == leader && !v.audit; }));
  const std::size_t asked = kind == VerificationClass::strict ? 3 : kind == VerificationClass::standard ? 2 : 1;
  return members >= asked && (kind == VerificationClass::trusted || credible(sum, others, said.parameters.epsilon_ppm));
}

Voices voices_of(const EvaluationModel::Conclusion& now, UnitIndex unit) {
  const auto found = now.voices.find(unit);
  return found == now.voices.end() ? Voices{} : found->second;
}

}  // namespace

Standings EvaluationModel::standings(const Conclusion& now, UnitIndex unit) const {
  const Voices voices = voices_of(now, unit);
  const auto accepted = now.accepted.find(unit);
  Standings standings;
  if (now.skipped.contains(unit)) return standings;
  standings.leader = accepted != now.accepted.end() ? std::optional(accepted->second.outcome) : leading(now, voices);
  for (const EntryFact& voice : voices) {
    if (voice.outcome != standings.leader) ++standings.dissenters;
    else if (!voice.audit) ++standings.supporters;
  }
  if (accepted != now.accepted.end()) return standings;
  standings.missing.reset();
  for (std::uint32_t more = 20; more > 0; --more) {
    if (enough(*this, now, voices, more, more * log_odds(0))) standings.missing = more;
  }
  return standings;
}

bool EvaluationModel::would_accept(const Conclusion& now, UnitIndex unit, const std::set<PeerIndex>& more) const {
  if (now.accepted.contains(unit) || now.skipped.contains(unit)) return true;
  const Voices voices = voices_of(now, unit);
  const auto leader = leading(now, voices);
  std::size_t further = 0;
  LogOdds sum = 0;
  for (const PeerIndex peer : more) {
    if (std::ranges::any_of(voices, [&](const EntryFact& v) { return v.peer == peer && v.outcome == leader && !v.audit; })) continue;
    ++further;
    sum += weight_of(now, peer);
  }
  return enough(*this, now, voices, further, sum);
}

// By the definition: walks the log of each supporter behind its answer.
bool EvaluationModel::is_final(const Conclusion& now, UnitIndex unit) const {
  const auto vouches = [&](const EntryFact& audit) {
    if (std::ranges::contains(parameters.judges, audit.peer)) return true;
    const auto& log = now.verified.at(audit.peer);
    const auto k = now.k.find(audit.peer);
    const auto nth = std::ranges::count_if(log, [&](const EntryFact& fact) { return fact.audit && fact.at <= audit.at; });
    return k != now.k.end() && k->second >= work_per_vouching_audit * static_cast<std::uint32_t>(nth);
  };
  const auto is_audited = [&](UnitIndex other) {
    return std::ranges::any_of(now.verified, [&](const auto& one) {
      return std::ranges::any_of(one.second, [&](const EntryFact& fact) { return fact.unit == other && fact.audit && vouches(fact); });
    });
  };
  std::uint32_t passed = 0;
  for (const auto& [peer, facts] : now.verified) {
    const auto mine = std::ranges::find_if(facts, [&](const EntryFact& fact) { return fact.unit == unit && !fact.audit; });
    if (mine == facts.end()) continue;
    std::uint32_t audits = 0, units = 0;
    for (auto later = mine + 1; later != facts.end(); ++later) {
      units += later->audit ? 0U : 1U;
      audits += !later->audit && is_audited(later->unit) ? 1U : 0U;
    }
    if (audits >= parameters.audits_until_final || units >= parameters.units_until_final) ++passed;
  }
  const auto kind = parameters.verification;
  return now.accepted.contains(unit) && passed >= (kind == VerificationClass::strict ? 3U : kind == VerificationClass::standard ? 2U : 1U);
}

}  // namespace starling::model
