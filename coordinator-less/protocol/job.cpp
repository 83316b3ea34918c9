#include "coordinator-less/protocol/job.hpp"

#include <algorithm>

#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

std::set<PeerId> judges_of(const NodeConfig& config, const PeerId& owner) {
  std::set<PeerId> judges(config.roots.begin(), config.roots.end());
  judges.insert(config.self);
  judges.insert(owner);  // an owner's replays count in verdicts of his own jobs
  return judges;
}

}  // namespace

const char* name_of(JobState state) {
  switch (state) {
    case JobState::waiting: return "waiting";
    case JobState::running: return "running";
    case JobState::finished: return "finished";
    case JobState::failed: return "failed";
    case JobState::canceled: return "canceled";
    case JobState::aborted: return "aborted";
  }
  return "waiting";
}

const char* name_of(FinalityObstacle obstacle) {
  switch (obstacle) {
    case FinalityObstacle::none: return "none";
    case FinalityObstacle::not_finished: return "not-finished";
    case FinalityObstacle::stopped: return "stopped";
    case FinalityObstacle::light: return "light";
    case FinalityObstacle::banned: return "banned";
    case FinalityObstacle::paused: return "paused";
    case FinalityObstacle::no_inputs: return "no-inputs";
    case FinalityObstacle::released: return "released";
  }
  return "none";
}

Job::Job(const Statement& manifest_statement, const NodeConfig& config, Notary& notary)
    : JobRecord{base::retag<JobId>(manifest_statement.id), manifest_statement.author, std::make_shared<const Manifest>(std::get<Manifest>(manifest_statement.body))},
      light(config.light),
      segments(*manifest),
      evidence(static_cast<std::uint32_t>(segments.total())),
      order(id, config.self, evidence.unit_count(), manifest->peer_estimate, notary, segments.stride()),
      verdict(evidence, judges_of(config, owner), parameters_of(*manifest), &order),
      claims(evidence.unit_count(), base::milliseconds(manifest->limits.time_ms) + limits::claim_standing_margin),
      custody(id, config.self, config.light, evidence, verdict, notary),
      work(order, verdict, claims, evidence.unit_count()),
      replays(config.self, evidence, verdict, notary, config.doubts_itself),
      audits(config.self, evidence, verdict, manifest->verification == VerificationClass::trusted ? 0 : manifest->audit_percent) {}

JobState Job::state() const {
  if (verdict.ended_count() == manifest->unit_count && custody.ends_safe_count() == manifest->unit_count)
    return verdict.accepted_failures_count() > 0 ? JobState::failed : JobState::finished;
  if (canceled) return JobState::canceled;  // a job that had ended before stays what it was
  if (verdict.quarantined()) return JobState::aborted;
  const bool begun = evidence.result_count() > 0 || claims.size() > 0 || work.running_count() > 0;
  return begun ? JobState::running : JobState::waiting;
}

bool Job::rests() {
  const bool nothing_to_send = unsent_results.empty() && unsent_claims.empty() && unsent_releases.empty() && !custody.has_news();
  return ended() && !confirming && !finding && nothing_to_send && (stopped() || (custody.quiet() && !work.has_again())) && work.running_count() == 0 &&
         (light || !open() || !served || !replays.any_pending());  // of those nobody makes any
}

std::vector<BlobRef> JobRecord::input_blobs() const {
  std::vector<BlobRef> out{manifest->program, manifest->units};
  for (const JobInput& input : manifest->inputs) out.push_back(input.blob);
  return out;
}

bool JobRecord::names_input(const Digest& blob) const {
  return manifest->program.name == blob || manifest->units.name == blob ||
         std::ranges::any_of(manifest->inputs, [&](const JobInput& input) { return input.blob.name == blob; });
}

}  // namespace starling::protocol
