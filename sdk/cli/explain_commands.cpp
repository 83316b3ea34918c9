#include <algorithm>
#include <charconv>
#include <iterator>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/runtime/evidence_file.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/cli/explanation_text.hpp"
#include "sdk/client/explanation_json.hpp"

namespace starling::cli {

namespace {

using base::ErrorCode;
using protocol::JobStatus;

// JOB/UNIT.SEGMENT, the last two if they are there.
struct UnitWords {
  client::JobSelector job;
  std::optional<std::uint32_t> unit, segment;
};

base::Expected<std::uint32_t> index_of(std::string_view text) {
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (!text.empty() && error == std::errc{} && end == text.data() + text.size()) return index;
  return base::fail(ErrorCode::usage, "\"" + std::string(text) + "\" is no number of a unit or segment", "write JOB/UNIT or JOB/UNIT.SEGMENT, counted from 0");
}

base::Expected<UnitWords> unit_words(const client::JobSelector& given) {
  UnitWords out{.job = given, .unit = {}, .segment = {}};
  const auto slash = given.id.find('/');
  if (slash == std::string::npos) return out;
  out.job.id = given.id.substr(0, slash);
  const std::string_view numbers = std::string_view(given.id).substr(slash + 1);
  const auto dot = numbers.find('.');
  STARLING_TRY(out.unit, index_of(numbers.substr(0, dot)));
  if (dot == std::string_view::npos) return out;
  STARLING_TRY(out.segment, index_of(numbers.substr(dot + 1)));
  return out;
}

base::Expected<WhoIsWho> who_is_who(client::Client& client, const JobStatus& job) {
  STARLING_TRY(const client::PeerInfo self, client.info());
  WhoIsWho who{{job.owner, job.owner == client.owner() ? "you, the owner" : "the owner"}};
  who[self.id] = "this peer";
  return who;
}

Done explain_unit(Context& context, client::Client& client, const JobStatus& job, const UnitWords& words) {
  STARLING_TRY(const auto unit, client.explain(job.id, *words.unit, words.segment));
  STARLING_TRY(const WhoIsWho who, who_is_who(client, job));
  const bool canceled = job.state == protocol::JobState::canceled;
  Json json = client::to_json(unit);
  json["reason"] = reason_text(unit, canceled);
  const std::string state = std::string(client::name_of(unit.state)) + (unit.contested ? " contested" : "");
  context.output.answer("job " + job.id.brief() + " " + printable(job.manifest->name) + ", " + unit_text(unit, canceled, who),
                        {{"job", job.id.base32()}, {"unit", std::move(json)}}, state);
  return {};
}

Done explain_job(Context& context, client::Client& client, const JobStatus& job, bool all) {
  STARLING_TRY(const auto explained, client.explain(job.id));
  STARLING_TRY(const WhoIsWho who, who_is_who(client, job));
  const std::string head = "job " + job.id.base32() + " " + printable(job.manifest->name) + ": " + protocol::name_of(job.state) + "\n\n";
  const std::string hint = "\none unit: starling job explain " + job.id.brief() + "/UNIT\n";
  context.output.answer(head + table(job_rows(explained, *job.manifest, who)) + peers_text(explained.peers, who, all ? explained.peers.size() : rows_shown) + hint,
                        {{"job", {{"id", job.id.base32()}, {"state", protocol::name_of(job.state)}}}, {"explanation", client::to_json(explained)}},
                        job.id.base32() + " " + std::to_string(explained.ended) + "/" + std::to_string(explained.units) + " " + explained.digest.base32());
  return {};
}

std::string swarm_text(const protocol::SwarmParameters& swarm) {
  return std::string(client::name_of(swarm.kind)) + " " + printable(swarm.name) + ", network " + runtime::network_id_of(swarm).brief();
}

std::string verified_text(const std::string& file, const runtime::EvidenceFile& evidence, const runtime::OfflineJudgement& judged,
                          const protocol::JobExplanation& job, bool all) {
  const WhoIsWho who{{judged.owner, "the owner"}};
  std::vector<std::vector<std::string>> rows{{"file", printable(file)},
                           {"job", judged.job.base32() + " " + printable(judged.manifest.name)},
                           {"owner", judged.owner.base32() + (judged.canceled ? ", who canceled it" : "")},
                           {"swarm", swarm_text(evidence.swarm)},
                           {"statements", std::to_string(evidence.envelopes.size()) + ": " + std::to_string(judged.results_count) + " of results, " +
                                              std::to_string(judged.replays_count) + " replays, " + std::to_string(judged.repeated_count) + " repeated, " +
                                              std::to_string(judged.refused_count) + " refused"}};
  for (const auto& refused : judged.refused) rows.push_back({"refused", "statement " + std::to_string(refused.number) + ": " + printable(refused.reason)});
  if (judged.refused_count > judged.refused.size()) rows.push_back({"refused", more_text(judged.refused_count - judged.refused.size())});
  for (const auto& peer : job.peers)
    if (peer.banned) rows.push_back({"banned", peer.peer.base32()});
  std::ranges::move(job_rows(job, judged.manifest, who), std::back_inserter(rows));
  return table(rows) + peers_text(job.peers, who, all ? job.peers.size() : rows_shown);
}

Json verified_json(const std::string& file, const runtime::EvidenceFile& evidence, const runtime::OfflineJudgement& judged, const protocol::JobExplanation& job) {
  Json refused = Json::array(), banned = Json::array();
  for (const auto& one : judged.refused) refused.push_back({{"number", one.number}, {"reason", one.reason}});
  for (const auto& peer : job.peers)
    if (peer.banned) banned.push_back(peer.peer.base32());
  return {{"file", file},
          {"job", {{"id", judged.job.base32()}, {"name", judged.manifest.name}, {"owner", judged.owner.base32()}, {"canceled", judged.canceled}}},
          {"network", runtime::network_id_of(evidence.swarm).base32()},
          {"statements", evidence.envelopes.size()},
          {"results_statements", judged.results_count},
          {"replay_statements", judged.replays_count},
          {"repeated", judged.repeated_count},
          {"refused", judged.refused_count},
          {"refusals", std::move(refused)},
          {"banned", std::move(banned)},
          {"explanation", client::to_json(job)}};
}

// All is well: every statement stands, the program does, and every unit is verified.
Done verdict_of(const runtime::OfflineJudgement& judged, const protocol::JobExplanation& job, std::size_t statements) {
  if (judged.refused_count > 0)
    return base::fail(ErrorCode::bad_input, std::to_string(judged.refused_count) + " of " + std::to_string(statements) + " statements were refused",
                      "the verdicts are of the others alone; export the evidence again, from a peer that you trust");
  if (job.quarantined)
    return base::fail(ErrorCode::job_failed, "a judge's replay found that the program gives different answers compiled and interpreted", "believe none of its results");
  if (job.ended < job.units)
    return base::fail(ErrorCode::timeout, std::to_string(job.units - job.ended) + " of " + std::to_string(job.units) + " units are not verified by this evidence",
                      judged.canceled ? "the job was canceled: no more will be; name the roots that its peers trust: --root KEY"
                                      : "export it again when the job has gone on; name the roots that its peers trust: --root KEY");
  return {};
}

}  // namespace

Done job_explain(Context& context, const ExplainOptions& options) {
  STARLING_TRY(const UnitWords words, unit_words(options.job));
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const base::JobId id, client.find(words.job));
  STARLING_TRY(const JobStatus job, client.job(id));
  return words.unit ? explain_unit(context, client, job, words) : explain_job(context, client, job, options.all);
}

Done evidence_verify(Context& context, const VerifyOptions& options) {
  STARLING_TRY(const auto roots, keys_of(options.roots));
  STARLING_TRY(const auto evidence, runtime::read_evidence_file(options.file));
  STARLING_TRY(const auto judged, runtime::judge(evidence, {roots.begin(), roots.end()}));
  const auto job = runtime::explain(judged);
  context.output.answer(verified_text(options.file, evidence, judged, job, options.all), verified_json(options.file, evidence, judged, job), job.digest.base32());
  return verdict_of(judged, job, evidence.envelopes.size());
}

}  // namespace starling::cli
