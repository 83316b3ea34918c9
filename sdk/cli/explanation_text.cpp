#include "sdk/cli/explanation_text.hpp"

#include <algorithm>
#include <cstdio>
#include <set>
#include <tuple>
#include <utility>

#include "coordinator-less/protocol/judgement/segments.hpp"
#include "sdk/cli/output.hpp"
#include "sdk/cli/quantities.hpp"
#include "sdk/client/explanation_json.hpp"

namespace starling::cli {

namespace {

constexpr std::size_t judges_shown = 3;  // in one line

using protocol::AnswerStanding;
using protocol::FinalBecause;
using protocol::OutcomeKind;
using protocol::ReplayFinding;
using protocol::UnitExplanation;
using protocol::UnitState;

// Before acceptance the most credible answer only leads.
std::string standing_text(AnswerStanding standing, bool accepted) {
  switch (standing) {
    case AnswerStanding::agrees: return accepted ? "agrees" : "leads";
    case AnswerStanding::differs: return "differs";
    case AnswerStanding::audit_agrees: return "audit: agrees";
    case AnswerStanding::audit_differs: return "audit: differs";
    case AnswerStanding::before_turn: return "no weight: before its turn";
    case AnswerStanding::waits_for_blocks: return "no weight: waits for earlier blocks";
    case AnswerStanding::out_of_window: return "no weight: too many of its author's answers are unverified";
    case AnswerStanding::probation: return "no weight: on probation for a proven fault";
    case AnswerStanding::repeats: return "void: repeats an answer";
    case AnswerStanding::contradicts_log: return "void: contradicts its author's log";
    case AnswerStanding::audit_void: return "audit, void: too little work behind it, or contradicts its author's log";
    case AnswerStanding::contradicts_itself: return "void: contradicts itself";
    case AnswerStanding::other_beginning: return "no weight: other beginning";
    case AnswerStanding::unasked: return "no weight: not asked for";
    case AnswerStanding::proven_wrong: return "proven wrong";
    case AnswerStanding::taken_back: return "void: its author took back all answers to this job";
    case AnswerStanding::banned: return "void: author banned";
  }
  return "";
}

std::string brief_or_dash(const base::Digest& digest) { return digest == base::Digest{} ? "-" : digest.brief(); }

std::vector<std::string> answer_row(const protocol::AnswerExplanation& answer, const UnitExplanation& unit, const WhoIsWho& who) {
  std::vector<std::string> row{name_of(answer.author, who),         outcome_text(answer.outcome),
                               count_text(answer.outcome.fuel),     standing_text(answer.standing, unit.state == UnitState::accepted),
                               answer.position ? std::to_string(*answer.position) : "-", answer.fingerprint ? "yes" : "none"};
  if (unit.segments_max > 1) row.push_back(brief_or_dash(answer.outcome.input));
  return row;
}

std::string answers_text(const UnitExplanation& unit, const WhoIsWho& who) {
  if (unit.answers.empty()) return {};
  std::vector<std::vector<std::string>> rows{{"ANSWER BY", "OUTCOME", "FUEL", "HOW IT STANDS", "POSITION", "FINGERPRINT"}};
  if (unit.segments_max > 1) rows.front().push_back("GOES ON FROM");
  for (const auto& answer : unit.answers) rows.push_back(answer_row(answer, unit, who));
  return table(rows) + (unit.answers_more > 0 ? more_text(unit.answers_more) + "\n" : "");
}

std::string replays_text(const UnitExplanation& unit, const WhoIsWho& who) {
  if (unit.replays.empty()) return {};
  std::vector<std::vector<std::string>> rows{{"REPLAY BY", "COUNTS", "ABOUT", "COMPILED", "INTERPRETED", "WHAT IT SHOWS"}};
  for (const auto& replay : unit.replays)
    rows.push_back({name_of(replay.fact.judge, who), replay.counts ? "yes" : "no", name_of(replay.fact.accused, who), outcome_text(replay.fact.compiled),
                    outcome_text(replay.fact.interpreted), finding_text(replay.finding)});
  std::string out = "\n" + table(rows) + (unit.replays_more > 0 ? more_text(unit.replays_more) + "\n" : "");
  if (std::ranges::any_of(unit.replays, [](const auto& replay) { return !replay.counts; }))
    out += "A replay counts if its author is this peer, one of its roots, or the job's owner.\n";
  return out;
}

std::string agreement_text(const UnitExplanation& unit) {
  const std::string others = unit.dissenters == 0 ? "nobody differs" : count_of(unit.dissenters, "differs", "differ");
  if (unit.supporters == 0) return "only audits gave the leading answer and " + others;
  return (unit.supporters == 1 ? "1 peer gave this answer" : count_of(unit.supporters, "peer agrees", "peers agree")) + " and " + others;
}

std::string accepted_text(const UnitExplanation& unit) {
  std::string out = "Accepted: " + agreement_text(unit) + "; ";
  if (unit.dissenters > 0)
    out += "those that agree outweighed what counted against them.";
  else if (unit.supporters >= unit.fresh_target)
    out += "the job asks for " + std::to_string(unit.fresh_target) + ".";
  else
    out += "the job asks for " + std::to_string(unit.fresh_target) + " of newcomers, and fewer of peers with verified work.";
  if (unit.outcome->kind == OutcomeKind::checkpoint && !unit.ends) out += " The next segment goes on from it.";
  if (unit.outcome->kind != OutcomeKind::ok && unit.ends) out += " What they agree on is a failure.";
  return out;
}

std::string open_text(const UnitExplanation& unit) {
  const std::string settled_by_replay = "a replay that proves one of them wrong";
  if (!unit.needed) return "Open: " + agreement_text(unit) + ", too many for " + std::to_string(unit.missing) + " newcomers' answers; it takes peers with verified work, or " + settled_by_replay + ".";
  const std::string more = "at most " + count_of(unit.missing, "more answer", "more answers");
  if (unit.dissenters == 0) return "Open: " + agreement_text(unit) + "; " + more + " like it " + (unit.missing == 1 ? "is" : "are") + " needed.";
  return "Open, contested: " + agreement_text(unit) + "; it takes " + more + " like the leading one, or " + settled_by_replay + ".";
}

std::string unanswered_text(const UnitExplanation& unit) {
  const std::string needs = unit.fresh_target == 1 ? "1 answer is needed." : "at most " + std::to_string(unit.fresh_target) + " answers that agree are needed.";
  return (unit.answers.empty() ? "Open: nobody has answered yet; " : "Open: none of its answers counts now; ") + needs;
}

std::string state_reason(const UnitExplanation& unit) {
  switch (unit.state) {
    case UnitState::waits: return "Waits: it goes on from segment " + std::to_string(unit.segment - 1) + " of this unit, which is not accepted yet.";
    case UnitState::skipped: return "Nothing to do: an earlier segment ended this unit.";
    case UnitState::unanswered: return unanswered_text(unit);
    case UnitState::open: return open_text(unit);
    case UnitState::accepted: return accepted_text(unit);
  }
  return {};
}

std::string circumstances_text(const UnitExplanation& unit) {
  if (!unit.here) return {};
  std::string out;
  if (unit.state == UnitState::accepted && unit.ends)
    out += unit.here->archive_holders > 0 ? " Its result is held by at least " + count_of(unit.here->archive_holders, "live peer.", "live peers.")
                                          : " No live peer holds its result: the job waits until one of its holders is back, or it is computed again.";
  if (unit.state != UnitState::accepted && unit.here->running_here) out += " It is running here.";
  if (unit.state != UnitState::accepted && unit.here->claims > 0)
    out += " " + count_of(unit.here->claims, "other peer says that it works on it.", "other peers say that they work on it.");
  return out;
}

// Of an accepted one alone.
std::string finality_reason(const UnitExplanation& unit) {
  if (unit.state != UnitState::accepted) return {};
  const bool cut = unit.segments_max > 1;
  const std::string final = cut ? "This segment is final here: " : "Final here: ";
  if (unit.final == FinalBecause::believed) return final + "the class trusted believes any answer.";
  if (unit.final == FinalBecause::checked) return final + "a judge executed it and found the same.";
  if (unit.final == FinalBecause::passed) return final + "enough of those that agree have passed " + finality_rule_text() + ".";
  std::string out = std::string(cut ? "This segment is not final here yet" : "Not final here yet") + ": those that agree must pass " + finality_rule_text() + " in this job, or a judge execute it.";
  for (std::size_t i = 0; i < unit.passed.size() && i < rows_shown; ++i) {
    const auto& supporter = unit.passed[i];
    out += (i == 0 ? " So far: " : ", ") + supporter.peer.brief() + " " + std::to_string(supporter.audits) + " and " + std::to_string(supporter.units);
  }
  return out + (unit.passed.empty() ? "" : ".");
}

std::string probability_text(std::uint32_t ppm) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(ppm) / 1e6);
  return text;
}

std::string open_units_text(const protocol::JobExplanation& job, bool chained) {
  const std::uint64_t open = std::uint64_t{job.open} + job.unanswered;
  if (open == 0) return "none";
  std::string out = std::to_string(open) + (job.unanswered == open ? ", not answered yet" : job.unanswered > 0 ? ", " + std::to_string(job.unanswered) + " of them not answered yet" : "");
  const std::size_t shown = std::min(job.open_units.size(), rows_shown);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& unit = job.open_units[i];
    out += (i == 0 ? ": " : ", ") + std::to_string(unit.unit) + (chained ? "." + std::to_string(unit.segment) : "") + (unit.contested ? " (contested)" : "");
  }
  return out + (open > shown ? " " + more_text(open - shown) : "");
}

std::string judges_text(const protocol::JobExplanation& job, const WhoIsWho& who) {
  std::string out;
  for (std::size_t i = 0; i < job.judges.size() && i < rows_shown; ++i) out += (i == 0 ? "" : ", ") + name_of(job.judges[i], who);
  if (job.judges.size() > rows_shown) out += " " + more_text(job.judges.size() - rows_shown);
  std::uint64_t others = 0;
  for (const auto& peer : job.peers)
    if (std::ranges::find(job.judges, peer.peer) == job.judges.end()) others += peer.replays;
  return out + ": their replays count" + (others > 0 ? ", " + std::to_string(others) + " of others do not" : "");
}

// Of the jobs that ban alone.
std::string by_replays_text(const std::vector<protocol::PeerStanding>& jobs) {
  std::set<base::PeerId> judges;
  for (const auto& job : jobs)
    if (job.banned) judges.insert(job.proven_by.begin(), job.proven_by.end());
  std::string out;
  std::size_t shown = 0;
  for (const auto& judge : judges) {
    if (shown == judges_shown) return out + " " + more_text(judges.size() - shown);
    out += (shown++ == 0 ? ", by replays of " : ", ") + judge.brief();
  }
  return out;
}

}  // namespace

std::string name_of(const base::PeerId& key, const WhoIsWho& who) {
  const auto known = who.find(key);
  return key.brief() + (known == who.end() ? "" : " (" + known->second + ")");
}

std::string more_text(std::uint64_t more) { return more == 0 ? std::string() : "and " + std::to_string(more) + " more"; }

std::string outcome_text(const protocol::Outcome& outcome) {
  const std::string digest = " " + outcome.digest.brief();
  switch (outcome.kind) {
    case OutcomeKind::ok: return "ok" + digest;
    case OutcomeKind::exit_code: return "exit code " + std::to_string(outcome.code) + digest;
    case OutcomeKind::trap: return "trap " + std::to_string(outcome.code) + digest;
    case OutcomeKind::memory_limit: return "memory limit" + digest;
    case OutcomeKind::output_limit: return "output limit" + digest;
    case OutcomeKind::checkpoint: return "checkpoint" + digest;
  }
  return digest;
}

std::string finality_rule_text() {
  return std::to_string(protocol::audits_until_final) + " later audits or " + std::to_string(protocol::units_until_final) + " further units";
}

std::string assumed_error_text(const protocol::PeerStanding& peer) {
  if (peer.banned || peer.withdrawn) return "-";
  char text[32];
  std::snprintf(text, sizeof text, "%.2g %%", 100 * client::assumed_error(peer.verified_units));
  return text;
}

std::string faults_text(const std::vector<protocol::PeerStanding>& jobs) {
  std::uint64_t units = 0;
  for (const auto& job : jobs) units += job.faulty_units;
  const auto in = std::ranges::count_if(jobs, [](const auto& job) { return job.faulty_units > 0; });
  return count_of(units, "unit", "units") + (in > 1 ? " in " + std::to_string(in) + " jobs" : "");
}

std::string ban_text(const std::vector<protocol::PeerStanding>& jobs) {
  const auto count = [&](auto&& holds) { return static_cast<std::uint64_t>(std::ranges::count_if(jobs, holds)); };
  const auto banned = count([](const auto& job) { return job.banned; });
  const auto withdrawn = count([](const auto& job) { return job.withdrawn && !job.banned; });
  const auto merely_faulty = count([](const auto& job) { return job.faulty_units > 0 && !job.withdrawn && !job.banned; });
  std::string out = banned == 0 ? "no" : "in " + count_of(banned, "job", "jobs") + by_replays_text(jobs);
  const char* separator = banned == 0 ? ": " : "; ";
  if (withdrawn > 0) out += std::exchange(separator, "; ") + ("it took back all its answers in " + count_of(withdrawn, "job", "jobs"));
  if (banned == 0 && merely_faulty > 0) out += std::string(separator) + "three faulty units among 1,000 answers in one job ban, or one answer that no execution gives";
  return out;
}

std::string finding_text(ReplayFinding finding) {
  switch (finding) {
    case ReplayFinding::wrong_answer: return "the answer is wrong";
    case ReplayFinding::copied_answer: return "the answer is a copy: its fingerprint is not of an execution";
    case ReplayFinding::right_answer: return "the answer is right";
    case ReplayFinding::other_beginning: return "nothing: it went on from another archive";
    case ReplayFinding::tiers_differ: return "the program is at fault: compiled and interpreted it differs";
    case ReplayFinding::no_such_answer: return "nothing: no such answer is known here";
  }
  return {};
}

std::string target_text(std::uint32_t fresh_target, const protocol::Manifest& manifest) {
  return std::string(client::name_of(manifest.verification)) + ", epsilon " + probability_text(manifest.epsilon_ppm) + ": " +
         (fresh_target == 1 ? "one answer is enough" : "at most " + std::to_string(fresh_target) + " answers that agree, when nobody differs");
}

std::string reason_text(const UnitExplanation& unit, bool canceled) {
  std::string out = state_reason(unit) + circumstances_text(unit);
  if (unit.quarantined) out += " The job is aborted: a replay found that its program gives different answers compiled and interpreted.";
  if (canceled) out += " The job is canceled, so nobody works on it any more.";
  return out;
}

std::string fingerprints_text(const UnitExplanation& unit) {
  if (unit.answers.empty()) return {};
  const auto with = static_cast<std::size_t>(std::ranges::count_if(unit.answers, &protocol::AnswerExplanation::fingerprint));
  if (with == 0) return "Fingerprints: none. This unit's items are too short to have one, so a copied answer cannot be told from a computed one.";
  if (with == unit.answers.size()) return "Fingerprints: every answer carries one, so a copied answer can be proven.";
  return "Fingerprints: " + std::to_string(with) + " of " + std::to_string(unit.answers.size()) +
         " answers carry one. The items are hardly long enough: where the first is taken is drawn for each peer.";
}

std::string unit_text(const UnitExplanation& unit, bool canceled, const WhoIsWho& who) {
  std::string out = "unit " + std::to_string(unit.unit);
  if (unit.segments_max > 1) out += ", segment " + std::to_string(unit.segment) + " of at most " + std::to_string(unit.segments_max);
  out += "\n\n" + answers_text(unit, who) + replays_text(unit, who);
  if (!unit.answers.empty() || !unit.replays.empty()) out += "\n";
  out += reason_text(unit, canceled) + "\n";
  if (const std::string final = finality_reason(unit); !final.empty()) out += final + "\n";
  const std::string fingerprints = fingerprints_text(unit);
  return out + (fingerprints.empty() ? "" : fingerprints + "\n");
}

std::vector<std::vector<std::string>> job_rows(const protocol::JobExplanation& job, const protocol::Manifest& manifest, const WhoIsWho& who) {
  const bool chained = job.segments > job.units;
  std::vector<std::vector<std::string>> rows{{"class", target_text(job.fresh_target, manifest)}};
  rows.push_back({"units", std::to_string(job.ended) + " of " + std::to_string(job.units) + " verified" +
                               (job.ended_failed > 0 ? ", " + std::to_string(job.ended_failed) + " of them failed" : "")});
  rows.push_back({"final here", std::to_string(job.final) + " of these"});
  if (chained)
    rows.push_back({"segments", std::to_string(job.accepted) + " accepted, " + std::to_string(job.waits) + " wait for the one before, " +
                                    std::to_string(job.skipped) + " not needed"});
  rows.push_back({"open", open_units_text(job, chained)});
  rows.push_back({"contested", job.contested == 0 ? "none" : std::to_string(job.contested) + " got different answers of peers that are not banned, verified ones included"});
  rows.push_back({"answers", std::to_string(job.answers) + " by all peers, and " + count_of(job.replays, "replay", "replays")});
  rows.push_back({"judges", judges_text(job, who)});
  if (job.quarantined) rows.push_back({"quarantined", "the program gives different answers compiled and interpreted"});
  rows.push_back({"verdicts", job.digest.base32()});
  return rows;
}

std::string peers_text(std::vector<protocol::PeerStanding> peers, const WhoIsWho& who, std::size_t rows_max) {
  if (peers.empty()) return {};
  std::ranges::sort(peers, {}, [](const auto& peer) { return std::tuple(!peer.banned, peer.faulty_units == 0, ~peer.verified_fuel, ~peer.stated, peer.peer); });
  std::vector<std::vector<std::string>> rows{{"PEER", "K", "ASSUMED ERROR", "ANSWERS", "AGREED", "CONTRADICTED", "UNDECIDED", "AUDITS", "NO WEIGHT", "FAULTS", "BANNED", "REPLAYS", "VERIFIED FUEL"}};
  for (std::size_t i = 0; i < peers.size() && i < rows_max; ++i) {
    const auto& peer = peers[i];
    rows.push_back({name_of(peer.peer, who), std::to_string(peer.verified_units), assumed_error_text(peer), std::to_string(peer.stated), std::to_string(peer.verified), std::to_string(peer.contradicted),
                    std::to_string(peer.undecided), std::to_string(peer.audits), std::to_string(peer.without_weight), std::to_string(peer.faulty_units), peer.banned ? "yes" : peer.withdrawn ? "took back" : "-",
                    std::to_string(peer.replays), count_text(peer.verified_fuel)});
  }
  return "\n" + table(rows) + (peers.size() > rows_max ? more_text(peers.size() - rows_max) + " (--all shows them)\n" : "") + meaning_of_k;
}

}  // namespace starling::cli
