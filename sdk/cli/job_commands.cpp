#include <algorithm>
#include <map>

#include "coordinator-less/base/check.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/cli/quantities.hpp"

namespace starling::cli {

namespace {

using protocol::JobStatus;

std::string state_text(const JobStatus& job) { return protocol::name_of(job.state); }

// As a fold says it: this peer has no evidence of the job.
std::string told_text(const JobStatus& job) {
  return ", say " + std::to_string(job.told_by) + " peers; this one has not judged it: a question about its units fetches the evidence";
}

std::string summary_of(const std::vector<JobStatus>& jobs) {
  std::map<std::string, int> counts;
  for (const auto& job : jobs) ++counts[state_text(job)];
  std::string out = std::to_string(jobs.size()) + (jobs.size() == 1 ? " job" : " jobs");
  const char* separator = ": ";
  for (const auto& [state, count] : counts) {
    out += separator + std::to_string(count) + " " + state;
    separator = ", ";
  }
  return out;
}

std::string list_text(const std::vector<JobStatus>& shown, const std::vector<JobStatus>& all) {
  std::vector<std::vector<std::string>> rows{{"JOB", "STATE", "VERIFIED", "FINAL HERE", "UNITS", "NAME"}};
  for (const auto& job : shown)
    rows.push_back({job.id.brief(), state_text(job) + (job.told_by > 0 ? ", told" : ""), std::to_string(job.accepted), std::to_string(job.finality.final_units), std::to_string(job.units), printable(job.manifest->name)});
  return (shown.empty() ? std::string() : table(rows)) + summary_of(all);
}

std::string info_text(const JobStatus& job, const std::string& note) {
  const auto& manifest = *job.manifest;
  std::vector<std::vector<std::string>> rows{
      {"job", job.id.base32()},
      {"name", printable(manifest.name)},
      {"owner", job.owner.base32()},
      {"state", state_text(job) + (job.told_by > 0 ? told_text(job) : "")},
      {"units", std::to_string(job.units) + ", of " + std::to_string(manifest.items_per_unit) + (manifest.items_per_unit == 1 ? " item each" : " items each")},
      {"verified", std::to_string(job.accepted) + " (" + std::to_string(job.accepted_failures) + " failed)"},
      {"final here", finality_text(job)},
      {"results kept", std::to_string(job.bytes_safe)},
      {"verified fuel", std::to_string(job.accepted_fuel)},
      {"executions", std::to_string(job.executions)},
      {"contested", std::to_string(job.contested)},
      {"running here", std::to_string(job.running_here)},
      {"input holders", std::to_string(job.input_holders)},
      {"class", std::string(client::name_of(manifest.verification)) + ", epsilon " + std::to_string(manifest.epsilon_ppm) + " ppm, " + (manifest.verification == protocol::VerificationClass::trusted ? std::string("no") : std::to_string(manifest.audit_percent) + " %") + " audits"}};
  for (const auto& input : manifest.inputs) rows.push_back({"input", printable(input.name) + ", " + bytes_text(input.blob.size_bytes)});
  if (manifest.limits.fuel > 0) rows.push_back({"fuel limit", std::to_string(manifest.limits.fuel) + " an item"});
  if (job.segments > job.units)
    rows.push_back({"segments", std::to_string(job.segments_done) + " of " + std::to_string(job.segments) + ", of " + std::to_string(manifest.segment_rounds) + " rounds each"});
  if (manifest.rounds_max > 0) rows.push_back({"rounds", "at most " + std::to_string(manifest.rounds_max) + " of an item"});
  if (!manifest.known.empty())
    rows.push_back({"known peers", std::to_string(manifest.known.size()) + ", by their work in the owner's earlier jobs: up to " + std::to_string(std::ranges::max(manifest.known, {}, &protocol::KnownPeer::units).units) + " verified units"});
  if (!manifest.split.empty()) rows.push_back({"split", printable(manifest.split)});
  if (job.told_by > 0) rows.push_back({"audits here", std::to_string(job.audits_of_told) + ", each as told"});
  if (job.released_here > 0) rows.push_back({"released here", std::to_string(job.released_here) + ", the last for: " + printable(job.last_release)});
  for (const auto& peer : job.banned) rows.push_back({"banned", peer.base32()});
  if (job.quarantined) rows.push_back({"quarantined", "the program gives different answers on different tiers"});
  if (!note.empty()) rows.push_back({"runs here", printable(note)});
  return table(rows);
}

}  // namespace

Done job_list(Context& context, const ListOptions& options) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(auto all, client.jobs());
  std::ranges::stable_sort(all, {}, [](const JobStatus& job) { return -job.manifest->created_unix_s; });
  std::vector<JobStatus> shown;
  std::ranges::copy_if(all, std::back_inserter(shown), [&](const JobStatus& job) { return options.all || !client::has_ended(job.state); });
  Json list = Json::array();
  std::string quiet;
  for (const auto& job : shown) {
    list.push_back(client::to_json(job, false));
    quiet += job.id.base32() + " " + state_text(job) + "\n";
  }
  context.output.answer(list_text(shown, all), {{"jobs", std::move(list)}}, quiet);
  return {};
}

Done job_info(Context& context, const JobOptions& options) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const base::JobId id, client.find(options.job));
  STARLING_TRY(const JobStatus job, client.job(id));
  STARLING_TRY(const std::string note, client.note(id));
  context.output.answer(info_text(job, note), {{"job", client::to_json(job, true)}, {"note", note}}, job.id.base32() + " " + state_text(job));
  return {};
}

Done job_wait(Context& context, const WaitOptions& options) {
  std::optional<std::chrono::milliseconds> timeout;
  if (!options.timeout.empty()) {
    timeout = parse_duration(options.timeout);
    if (!timeout)
      return base::fail(base::ErrorCode::usage, "--timeout does not understand \"" + options.timeout + "\"", "write a time as 90s, 10m or 1h 30m");
  }
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const base::JobId id, client.find(options.job));
  const auto watched = options.final ? watch_final(context, client, id, timeout) : watch(context, client, id, timeout);
  if (!watched) return watched;
  STARLING_TRY(const JobStatus job, client.job(id));
  const std::string human = "job " + id.brief() + " " + state_text(job) + ": " + verified_text(job) + "\n  get results:  starling results " + id.brief() + " -o DIR";
  context.output.answer(human, {{"job", client::to_json(job, true)}}, id.base32() + " " + state_text(job));
  return {};
}

Done job_cancel(Context& context, const JobOptions& options) {
  STARLING_TRY(client::Client client, connect(context));
  STARLING_TRY(const base::JobId id, client.find(options.job));
  if (const auto canceled = client.cancel(id); !canceled) return canceled;
  context.output.answer("job " + id.brief() + " canceled", {{"job", {{"id", id.base32()}, {"state", "canceled"}}}}, id.base32() + " canceled");
  return {};
}

}  // namespace starling::cli
