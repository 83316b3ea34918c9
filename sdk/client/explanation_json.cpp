#include "sdk/client/explanation_json.hpp"

#include <array>
#include <cmath>

#include "coordinator-less/protocol/judgement/credibility.hpp"
#include "sdk/client/json_reading.hpp"

namespace starling::client {

using protocol::AnswerStanding;
using protocol::OutcomeKind;
using protocol::ReplayFinding;
using protocol::UnitState;

const char* name_of(AnswerStanding standing) {
  switch (standing) {
    case AnswerStanding::agrees: return "agrees";
    case AnswerStanding::differs: return "differs";
    case AnswerStanding::audit_agrees: return "audit-agrees";
    case AnswerStanding::audit_differs: return "audit-differs";
    case AnswerStanding::before_turn: return "before-turn";
    case AnswerStanding::waits_for_blocks: return "waits-for-blocks";
    case AnswerStanding::out_of_window: return "out-of-window";
    case AnswerStanding::probation: return "probation";
    case AnswerStanding::repeats: return "repeats";
    case AnswerStanding::contradicts_log: return "contradicts-log";
    case AnswerStanding::audit_void: return "audit-void";
    case AnswerStanding::contradicts_itself: return "contradicts-itself";
    case AnswerStanding::other_beginning: return "other-beginning";
    case AnswerStanding::unasked: return "unasked";
    case AnswerStanding::proven_wrong: return "proven-wrong";
    case AnswerStanding::taken_back: return "taken-back";
    case AnswerStanding::banned: return "banned";
  }
  return "unasked";
}

const char* name_of(ReplayFinding finding) {
  switch (finding) {
    case ReplayFinding::wrong_answer: return "wrong-answer";
    case ReplayFinding::copied_answer: return "copied-answer";
    case ReplayFinding::right_answer: return "right-answer";
    case ReplayFinding::other_beginning: return "other-beginning";
    case ReplayFinding::tiers_differ: return "tiers-differ";
    case ReplayFinding::no_such_answer: return "no-such-answer";
  }
  return "no-such-answer";
}

const char* name_of(UnitState state) {
  switch (state) {
    case UnitState::waits: return "waits";
    case UnitState::skipped: return "skipped";
    case UnitState::unanswered: return "unanswered";
    case UnitState::open: return "open";
    case UnitState::accepted: return "accepted";
  }
  return "open";
}

const char* name_of(protocol::FinalBecause reason) {
  switch (reason) {
    case protocol::FinalBecause::believed: return "believed";
    case protocol::FinalBecause::checked: return "checked";
    case protocol::FinalBecause::passed: return "passed";
  }
  return "passed";
}

namespace {

constexpr std::array reasons{protocol::FinalBecause::believed, protocol::FinalBecause::checked, protocol::FinalBecause::passed};
constexpr std::array standings{AnswerStanding::agrees,           AnswerStanding::differs,       AnswerStanding::audit_agrees,       AnswerStanding::audit_differs,
                               AnswerStanding::before_turn,      AnswerStanding::waits_for_blocks, AnswerStanding::out_of_window,      AnswerStanding::probation,
                               AnswerStanding::repeats,          AnswerStanding::contradicts_log, AnswerStanding::audit_void,         AnswerStanding::contradicts_itself,
                               AnswerStanding::other_beginning,  AnswerStanding::unasked,       AnswerStanding::proven_wrong,       AnswerStanding::taken_back,
                               AnswerStanding::banned};
constexpr std::array findings{ReplayFinding::wrong_answer,    ReplayFinding::copied_answer, ReplayFinding::right_answer,
                              ReplayFinding::other_beginning, ReplayFinding::tiers_differ,  ReplayFinding::no_such_answer};
constexpr std::array unit_states{UnitState::waits, UnitState::skipped, UnitState::unanswered, UnitState::open, UnitState::accepted};
constexpr std::array outcome_kinds{OutcomeKind::ok,           OutcomeKind::exit_code,    OutcomeKind::trap,
                                   OutcomeKind::memory_limit, OutcomeKind::output_limit, OutcomeKind::checkpoint};

template <class Id>
Json id_or_null(const std::optional<Id>& id) {
  return id ? Json(id->base32()) : Json();
}

template <class Rows, class Write>
Json list_of(const Rows& rows, Write write) {
  Json list = Json::array();
  for (const auto& row : rows) list.push_back(write(row));
  return list;
}

protocol::Outcome outcome_from(const Json& json) {
  return {.kind = named(outcome_kinds, json.at("kind").get<std::string>()).value(),
          .code = json.at("code").get<std::int32_t>(),
          .digest = id_at<base::Digest>(json, "digest"),
          .archive_bytes = json.at("archive_bytes").get<std::uint64_t>(),
          .fuel = json.at("fuel").get<std::uint64_t>(),
          .input = optional_id_at<base::Digest>(json, "input").value_or(base::Digest{})};
}

Json answer_json(const protocol::AnswerExplanation& answer) {
  return {{"author", answer.author.base32()},
          {"statement", answer.statement.base32()},
          {"entry", answer.entry},
          {"chain", answer.at.chain},
          {"log_index", answer.at.index},
          {"position", answer.position ? Json(*answer.position) : Json()},
          {"outcome", to_json(answer.outcome)},
          {"fingerprint", answer.fingerprint},
          {"standing", name_of(answer.standing)}};
}

protocol::AnswerExplanation answer_from(const Json& json) {
  protocol::AnswerExplanation out;
  out.author = id_at<base::PeerId>(json, "author");
  out.statement = id_at<base::MessageId>(json, "statement");
  out.entry = json.at("entry").get<std::uint32_t>();
  out.at = {json.at("chain").get<std::uint32_t>(), json.at("log_index").get<std::uint32_t>()};
  if (!json.at("position").is_null()) out.position = json.at("position").get<std::uint32_t>();
  out.outcome = outcome_from(json.at("outcome"));
  out.fingerprint = json.at("fingerprint").get<bool>();
  out.standing = named(standings, json.at("standing").get<std::string>()).value();
  return out;
}

Json circumstances_json(const protocol::UnitExplanation::Circumstances& here) {
  return {{"archive_holders", here.archive_holders}, {"claims", here.claims}, {"running_here", here.running_here}};
}

Json passed_json(const protocol::SupporterPassed& supporter) {
  return {{"peer", supporter.peer.base32()}, {"audits", supporter.audits}, {"units", supporter.units}};
}

Json open_unit_json(const protocol::JobExplanation::OpenUnit& unit) {
  return {{"unit", unit.unit}, {"segment", unit.segment}, {"contested", unit.contested}, {"missing", unit.missing}};
}

protocol::PeerStanding standing_from(const Json& json) {
  protocol::PeerStanding out;
  out.peer = id_at<base::PeerId>(json, "peer");
  out.stated = json.at("stated").get<std::uint64_t>();
  out.verified = json.at("verified").get<std::uint64_t>();
  out.contradicted = json.at("contradicted").get<std::uint64_t>();
  out.undecided = json.at("undecided").get<std::uint64_t>();
  out.audits = json.at("audits").get<std::uint64_t>();
  out.without_weight = json.at("without_weight").get<std::uint64_t>();
  out.verified_fuel = json.at("verified_fuel").get<std::uint64_t>();
  out.faulty_units = json.at("faulty_units").get<std::uint32_t>();
  out.banned = json.at("banned").get<bool>();
  out.withdrawn = json.at("withdrawn").get<bool>();
  for (const Json& judge : json.at("proven_by")) out.proven_by.insert(base::PeerId::from_base32_text(judge.get<std::string>()).value());
  out.replays = json.at("replays").get<std::uint64_t>();
  out.verified_units = json.at("verified_units").get<std::uint32_t>();
  return out;
}

protocol::ReplayExplanation replay_from(const Json& json) {
  protocol::ReplayExplanation out;
  out.fact.judge = id_at<base::PeerId>(json, "judge");
  out.fact.accused = id_at<base::PeerId>(json, "accused");
  out.fact.accused_statement = id_at<base::MessageId>(json, "accused_statement");
  out.fact.unit = json.at("number").get<base::UnitIndex>();
  out.fact.compiled = outcome_from(json.at("compiled"));
  out.fact.interpreted = outcome_from(json.at("interpreted"));
  out.statement = optional_id_at<base::MessageId>(json, "statement");
  out.counts = json.at("counts").get<bool>();
  out.finding = named(findings, json.at("finding").get<std::string>()).value();
  out.answered_in = optional_id_at<base::MessageId>(json, "answered_in");
  return out;
}

}  // namespace

Json to_json(const protocol::Outcome& outcome) {
  return {{"kind", name_of(outcome.kind)},
          {"code", outcome.code},
          {"digest", outcome.digest.base32()},
          {"archive_bytes", outcome.archive_bytes},
          {"fuel", outcome.fuel},
          {"input", outcome.input == base::Digest{} ? Json() : Json(outcome.input.base32())}};
}

Json to_json(const protocol::ReplayExplanation& replay) {
  return {{"judge", replay.fact.judge.base32()},
          {"accused", replay.fact.accused.base32()},
          {"accused_statement", replay.fact.accused_statement.base32()},
          {"number", replay.fact.unit},
          {"compiled", to_json(replay.fact.compiled)},
          {"interpreted", to_json(replay.fact.interpreted)},
          {"statement", id_or_null(replay.statement)},
          {"counts", replay.counts},
          {"finding", name_of(replay.finding)},
          {"answered_in", id_or_null(replay.answered_in)}};
}

std::optional<protocol::ReplayExplanation> replay_explanation_from(const Json& json) {
  return reading([&] { return replay_from(json); });
}

Json to_json(const protocol::UnitExplanation& unit) {
  return {{"unit", unit.unit},
          {"segment", unit.segment},
          {"segments_max", unit.segments_max},
          {"state", name_of(unit.state)},
          {"ends", unit.ends},
          {"contested", unit.contested},
          {"quarantined", unit.quarantined},
          {"supporters", unit.supporters},
          {"dissenters", unit.dissenters},
          {"missing", unit.missing},
          {"needed", unit.needed ? Json(*unit.needed) : Json()},
          {"fresh_target", unit.fresh_target},
          {"outcome", unit.outcome ? to_json(*unit.outcome) : Json()},
          {"final", unit.final.has_value()},
          {"final_because", unit.final ? Json(name_of(*unit.final)) : Json()},
          {"passed", list_of(unit.passed, passed_json)},
          {"answers", list_of(unit.answers, answer_json)},
          {"answers_more", unit.answers_more},
          {"replays", list_of(unit.replays, [](const auto& replay) { return to_json(replay); })},
          {"replays_more", unit.replays_more},
          {"here", unit.here ? circumstances_json(*unit.here) : Json()}};
}

std::optional<protocol::UnitExplanation> unit_explanation_from(const Json& json) {
  return reading([&] {
    protocol::UnitExplanation out;
    out.unit = json.at("unit").get<base::UnitIndex>();
    out.segment = json.at("segment").get<std::uint32_t>();
    out.segments_max = json.at("segments_max").get<std::uint32_t>();
    out.state = named(unit_states, json.at("state").get<std::string>()).value();
    out.ends = json.at("ends").get<bool>();
    out.contested = json.at("contested").get<bool>();
    out.quarantined = json.at("quarantined").get<bool>();
    out.supporters = json.at("supporters").get<std::uint32_t>();
    out.dissenters = json.at("dissenters").get<std::uint32_t>();
    out.missing = json.at("missing").get<std::uint32_t>();
    if (!json.at("needed").is_null()) out.needed = json.at("needed").get<std::uint32_t>();
    out.fresh_target = json.at("fresh_target").get<std::uint32_t>();
    if (!json.at("outcome").is_null()) out.outcome = outcome_from(json.at("outcome"));
    if (json.at("final").get<bool>()) out.final = named(reasons, json.at("final_because").get<std::string>()).value();
    for (const Json& one : json.at("passed")) out.passed.push_back({id_at<base::PeerId>(one, "peer"), one.at("audits").get<std::uint32_t>(), one.at("units").get<std::uint32_t>()});
    for (const Json& answer : json.at("answers")) out.answers.push_back(answer_from(answer));
    out.answers_more = json.at("answers_more").get<std::uint64_t>();
    for (const Json& replay : json.at("replays")) out.replays.push_back(replay_from(replay));
    out.replays_more = json.at("replays_more").get<std::uint64_t>();
    const Json& here = json.at("here");
    if (!here.is_null())
      out.here = {here.at("archive_holders").get<std::uint32_t>(), here.at("claims").get<std::uint32_t>(), here.at("running_here").get<bool>()};
    return out;
  });
}

double assumed_error(std::uint32_t verified_units) {
  const double bits = std::ldexp(static_cast<double>(protocol::log_odds(verified_units)), -protocol::log_odds_scale_bits);
  return 1 / (1 + std::exp2(bits));
}

Json to_json(const protocol::PeerStanding& standing) {
  Json json{{"peer", standing.peer.base32()},
            {"stated", standing.stated},
            {"verified", standing.verified},
            {"contradicted", standing.contradicted},
            {"undecided", standing.undecided},
            {"audits", standing.audits},
            {"without_weight", standing.without_weight},
            {"verified_fuel", standing.verified_fuel},
            {"faulty_units", standing.faulty_units},
            {"banned", standing.banned},
            {"withdrawn", standing.withdrawn},
            {"proven_by", Json::array()},
            {"replays", standing.replays},
            {"verified_units", standing.verified_units},
            {"assumed_error", standing.banned || standing.withdrawn ? Json() : Json(assumed_error(standing.verified_units))}};
  for (const auto& judge : standing.proven_by) json["proven_by"].push_back(judge.base32());
  return json;
}

Json to_json(const protocol::JobExplanation& job) {
  Json json{{"units", job.units},
            {"segments", job.segments},
            {"ended", job.ended},
            {"ended_failed", job.ended_failed},
            {"final", job.final},
            {"accepted", job.accepted},
            {"open", job.open},
            {"unanswered", job.unanswered},
            {"waits", job.waits},
            {"skipped", job.skipped},
            {"contested", job.contested},
            {"open_units", list_of(job.open_units, open_unit_json)},
            {"fresh_target", job.fresh_target},
            {"quarantined", job.quarantined},
            {"answers", job.answers},
            {"replays", job.replays},
            {"judges", Json::array()},
            {"peers", list_of(job.peers, [](const auto& peer) { return to_json(peer); })},
            {"digest", job.digest.base32()}};
  for (const auto& judge : job.judges) json["judges"].push_back(judge.base32());
  return json;
}

std::optional<protocol::JobExplanation> job_explanation_from(const Json& json) {
  return reading([&] {
    protocol::JobExplanation out;
    out.units = json.at("units").get<std::uint32_t>();
    out.segments = json.at("segments").get<std::uint32_t>();
    out.ended = json.at("ended").get<std::uint32_t>();
    out.ended_failed = json.at("ended_failed").get<std::uint32_t>();
    out.final = json.at("final").get<std::uint32_t>();
    out.accepted = json.at("accepted").get<std::uint32_t>();
    out.open = json.at("open").get<std::uint32_t>();
    out.unanswered = json.at("unanswered").get<std::uint32_t>();
    out.waits = json.at("waits").get<std::uint32_t>();
    out.skipped = json.at("skipped").get<std::uint32_t>();
    out.contested = json.at("contested").get<std::uint32_t>();
    for (const Json& unit : json.at("open_units"))
      out.open_units.push_back({unit.at("unit").get<base::UnitIndex>(), unit.at("segment").get<std::uint32_t>(),
                                unit.at("contested").get<bool>(), unit.at("missing").get<std::uint32_t>()});
    out.fresh_target = json.at("fresh_target").get<std::uint32_t>();
    out.quarantined = json.at("quarantined").get<bool>();
    out.answers = json.at("answers").get<std::uint64_t>();
    out.replays = json.at("replays").get<std::uint64_t>();
    for (const Json& judge : json.at("judges")) out.judges.push_back(base::PeerId::from_base32_text(judge.get<std::string>()).value());
    for (const Json& peer : json.at("peers")) out.peers.push_back(standing_from(peer));
    out.digest = id_at<base::Digest>(json, "digest");
    return out;
  });
}

}  // namespace starling::client
