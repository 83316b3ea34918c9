#include "sdk/client/status_json.hpp"

#include <array>

#include "sdk/client/json_reading.hpp"

namespace starling::client {

namespace {

using protocol::JobState;
using protocol::OutcomeKind;
using protocol::SwarmKind;
using protocol::VerificationClass;

constexpr std::array job_states{JobState::waiting, JobState::running, JobState::finished,
                                JobState::failed,  JobState::canceled, JobState::aborted};
using protocol::FinalityObstacle;
constexpr std::array obstacles{FinalityObstacle::none,   FinalityObstacle::not_finished, FinalityObstacle::stopped,   FinalityObstacle::light,
                               FinalityObstacle::banned, FinalityObstacle::paused,       FinalityObstacle::no_inputs, FinalityObstacle::released};
constexpr std::array error_codes{base::ErrorCode::internal,  base::ErrorCode::usage,     base::ErrorCode::bad_input,
                                 base::ErrorCode::job_failed, base::ErrorCode::timeout,   base::ErrorCode::not_found,
                                 base::ErrorCode::refused,   base::ErrorCode::temporary, base::ErrorCode::interrupted,
                                 base::ErrorCode::malformed};
constexpr std::array verifications{VerificationClass::trusted, VerificationClass::fast, VerificationClass::standard,
                                   VerificationClass::strict};

Json blob_json(const protocol::BlobRef& blob) { return {{"name", blob.name.base32()}, {"size_bytes", blob.size_bytes}}; }
protocol::BlobRef blob_from(const Json& json) {
  return {.name = id_at<base::Digest>(json, "name"), .size_bytes = json.at("size_bytes").get<std::uint64_t>()};
}

Json manifest_json(const protocol::Manifest& m, bool whole) {
  Json json{{"name", m.name},
            {"unit_count", m.unit_count},
            {"items_per_unit", m.items_per_unit},
            {"item_count", m.item_count},
            {"class", name_of(m.verification)},
            {"epsilon_ppm", m.epsilon_ppm},
            {"audit_percent", m.audit_percent},
            {"peer_estimate", m.peer_estimate},
            {"priority", m.priority},
            {"created_unix_s", m.created_unix_s},
            {"expires_unix_s", m.expires_unix_s},
            {"rounds_max", m.rounds_max},
            {"segment_rounds", m.segment_rounds},
            {"split", m.split}};
  if (!whole) return json;
  json["program"] = blob_json(m.program);
  json["units"] = blob_json(m.units);
  json["arguments"] = m.arguments;
  json["nonce"] = m.nonce;
  json["known"] = Json::array();
  for (const auto& known : m.known) json["known"].push_back({{"peer", known.peer.base32()}, {"units", known.units}});
  json["limits"] = {{"memory_bytes", m.limits.memory_bytes}, {"output_bytes", m.limits.output_bytes}, {"time_ms", m.limits.time_ms}, {"fuel", m.limits.fuel}};
  json["inputs"] = Json::array();
  for (const auto& input : m.inputs) json["inputs"].push_back({{"name", input.name}, {"blob", blob_json(input.blob)}});
  return json;
}

protocol::Manifest manifest_from(const Json& json) {
  protocol::Manifest m;
  m.name = json.at("name").get<std::string>();
  m.unit_count = json.at("unit_count").get<std::uint32_t>();
  m.items_per_unit = json.at("items_per_unit").get<std::uint32_t>();
  m.item_count = json.at("item_count").get<std::uint64_t>();
  m.verification = verification_from(json.at("class").get<std::string>()).value();
  m.epsilon_ppm = json.at("epsilon_ppm").get<std::uint32_t>();
  m.audit_percent = json.at("audit_percent").get<std::uint32_t>();
  m.peer_estimate = json.at("peer_estimate").get<std::uint32_t>();
  m.priority = json.at("priority").get<std::uint8_t>();
  m.created_unix_s = json.at("created_unix_s").get<std::int64_t>();
  m.expires_unix_s = json.at("expires_unix_s").get<std::int64_t>();
  m.rounds_max = json.at("rounds_max").get<std::uint32_t>();
  m.segment_rounds = json.at("segment_rounds").get<std::uint32_t>();
  m.split = json.at("split").get<std::string>();
  if (!json.contains("program")) return m;
  m.program = blob_from(json.at("program"));
  m.units = blob_from(json.at("units"));
  m.arguments = json.at("arguments").get<std::vector<std::string>>();
  m.nonce = json.at("nonce").get<std::uint64_t>();
  const Json& limits = json.at("limits");
  m.limits = {.memory_bytes = limits.at("memory_bytes").get<std::uint64_t>(),
              .output_bytes = limits.at("output_bytes").get<std::uint64_t>(),
              .time_ms = limits.at("time_ms").get<std::uint32_t>(),
              .fuel = limits.at("fuel").get<std::uint64_t>()};
  for (const Json& known : json.at("known")) m.known.push_back({.peer = id_at<base::PeerId>(known, "peer"), .units = known.at("units").get<std::uint32_t>()});
  for (const Json& input : json.at("inputs"))
    m.inputs.push_back({.name = input.at("name").get<std::string>(), .blob = blob_from(input.at("blob"))});
  return m;
}

protocol::JobFinality finality_from(const Json& json) {
  const Json& more = json.at("finality");
  return {.final_units = json.at("final").get<std::uint32_t>(),
          .waiting = more.at("waiting").get<std::uint32_t>(),
          .confirming = more.at("confirming").get<bool>(),
          .released_here = more.at("released_here").get<std::uint32_t>(),
          .obstacle = named(obstacles, more.at("obstacle").get<std::string>()).value()};
}

}  // namespace

Json to_json(const protocol::JobStatus& s, bool whole) {
  Json json{{"id", s.id.base32()},
            {"brief", s.id.brief()},
            {"owner", s.owner.base32()},
            {"state", protocol::name_of(s.state)},
            {"units", s.units},
            {"segments", s.segments},
            {"segments_done", s.segments_done},
            {"accepted", s.accepted},
            {"accepted_failures", s.accepted_failures},
            {"bytes_safe", s.bytes_safe},
            {"accepted_fuel", s.accepted_fuel},
            {"running_here", s.running_here},
            {"contested", s.contested},
            {"executions", s.executions},
            {"own_results", s.own_results},
            {"own_replays", s.own_replays},
            {"replays_pending", s.replays_pending},
            {"released_here", s.released_here},
            {"last_release", s.last_release},
            {"input_holders", s.input_holders},
            {"quarantined", s.quarantined},
            {"told_by", s.told_by},
            {"audits_of_told", s.audits_of_told},
            {"final", s.finality.final_units},
            {"finality", {{"waiting", s.finality.waiting}, {"confirming", s.finality.confirming}, {"released_here", s.finality.released_here}, {"obstacle", protocol::name_of(s.finality.obstacle)}}},
            {"banned", Json::array()}};
  for (const auto& peer : s.banned) json["banned"].push_back(peer.base32());
  if (s.manifest) json["manifest"] = manifest_json(*s.manifest, whole);
  return json;
}

std::optional<protocol::JobStatus> job_status_from(const Json& json) {
  return reading([&] {
    protocol::JobStatus s;
    s.id = id_at<base::JobId>(json, "id");
    s.owner = id_at<base::PeerId>(json, "owner");
    s.state = named(job_states, json.at("state").get<std::string>()).value();
    s.units = json.at("units").get<std::uint32_t>();
    s.segments = json.at("segments").get<std::uint32_t>();
    s.segments_done = json.at("segments_done").get<std::uint32_t>();
    s.accepted = json.at("accepted").get<std::uint32_t>();
    s.accepted_failures = json.at("accepted_failures").get<std::uint32_t>();
    s.bytes_safe = json.at("bytes_safe").get<std::uint32_t>();
    s.accepted_fuel = json.at("accepted_fuel").get<std::uint64_t>();
    s.running_here = json.at("running_here").get<std::uint32_t>();
    s.contested = json.at("contested").get<std::uint32_t>();
    s.executions = json.at("executions").get<std::uint64_t>();
    s.own_results = json.at("own_results").get<std::uint64_t>();
    s.own_replays = json.at("own_replays").get<std::uint64_t>();
    s.replays_pending = json.at("replays_pending").get<std::uint32_t>();
    s.released_here = json.at("released_here").get<std::uint32_t>();
    s.last_release = json.at("last_release").get<std::string>();
    s.input_holders = json.at("input_holders").get<std::uint32_t>();
    s.quarantined = json.at("quarantined").get<bool>();
    s.told_by = json.at("told_by").get<std::uint32_t>();
    s.audits_of_told = json.at("audits_of_told").get<std::uint32_t>();
    s.finality = finality_from(json);
    for (const Json& peer : json.at("banned"))
      s.banned.push_back(base::PeerId::from_base32_text(peer.get<std::string>()).value());
    s.manifest = std::make_shared<const protocol::Manifest>(manifest_from(json.at("manifest")));
    return s;
  });
}

Json to_json(const protocol::PeerStatus& peer) {
  return {{"id", peer.id.base32()}, {"linked", peer.linked}, {"light", peer.light}, {"addresses", peer.addresses}};
}

std::optional<protocol::PeerStatus> peer_status_from(const Json& json) {
  return reading([&] {
    return protocol::PeerStatus{.id = id_at<base::PeerId>(json, "id"),
                                .linked = json.at("linked").get<bool>(),
                                .light = json.at("light").get<bool>(),
                                .addresses = json.at("addresses").get<std::vector<std::string>>()};
  });
}

Json to_json(const runtime::AcceptedUnit& unit) {
  return Json::array({unit.unit, static_cast<int>(unit.outcome.kind), unit.outcome.code, unit.outcome.digest.base32(), unit.archive_bytes, unit.outcome.fuel});
}

std::optional<runtime::AcceptedUnit> accepted_unit_from(const Json& json) {
  return reading([&] {
    const auto kind = json.at(1).get<int>();
    if (kind < 0 || kind > static_cast<int>(OutcomeKind::checkpoint)) throw std::out_of_range("outcome kind");
    runtime::AcceptedUnit unit;
    unit.unit = json.at(0).get<base::UnitIndex>();
    unit.outcome = {.kind = static_cast<OutcomeKind>(kind),
                    .code = json.at(2).get<std::int32_t>(),
                    .digest = base::Digest::from_base32_text(json.at(3).get<std::string>()).value(),
                    .archive_bytes = json.at(4).get<std::uint64_t>(),
                    .fuel = json.at(5).get<std::uint64_t>()};
    unit.archive_bytes = unit.outcome.archive_bytes;
    return unit;
  });
}

Json to_json(const base::Error& error) {
  return {{"code", base::name_of(error.code)}, {"message", error.message}, {"hint", error.hint}, {"exit_code", base::exit_code(error.code)}};
}

base::Error error_from(const Json& json) {
  const auto read = reading([&] {
    const auto code = json.at("code").get<std::string>();
    base::Error error{.code = base::ErrorCode::internal,
                      .message = json.at("message").get<std::string>(),
                      .hint = json.at("hint").get<std::string>()};
    for (const auto known : error_codes)
      if (code == base::name_of(known)) error.code = known;
    return error;
  });
  return read.value_or(base::Error{base::ErrorCode::internal, "the worker gave an error that cannot be read", "is it of another version?"});
}

const char* name_of(SwarmKind kind) {
  switch (kind) {
    case SwarmKind::public_swarm: return "public";
    case SwarmKind::private_swarm: return "private";
    case SwarmKind::development: return "development";
  }
  return "private";
}

const char* name_of(VerificationClass verification) {
  switch (verification) {
    case VerificationClass::trusted: return "trusted";
    case VerificationClass::fast: return "fast";
    case VerificationClass::standard: return "standard";
    case VerificationClass::strict: return "strict";
  }
  return "standard";
}

const char* name_of(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::ok: return "ok";
    case OutcomeKind::exit_code: return "exit-code";
    case OutcomeKind::trap: return "trap";
    case OutcomeKind::memory_limit: return "memory-limit";
    case OutcomeKind::output_limit: return "output-limit";
    case OutcomeKind::checkpoint: return "checkpoint";
  }
  return "trap";
}

std::optional<VerificationClass> verification_from(std::string_view name) { return named(verifications, name); }

Json parse_json(std::string_view text) { return Json::parse(text, nullptr, false); }

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace starling::client
