// Node's part that keeps the table of jobs: what changed in one, who is banned, what has expired.
#include "coordinator-less/protocol/node_state.hpp"

namespace starling::protocol {

Job* Node::State::find(const JobId& id) {
  const auto it = jobs.find(id);
  return it == jobs.end() ? nullptr : it->second.get();
}

const Job* Node::State::find(const JobId& id) const {
  const auto it = jobs.find(id);
  return it == jobs.end() ? nullptr : it->second.get();
}

// Carries what changed in a job's evidence to every part that follows from it.
void Node::State::settle(Job& job, std::vector<UnitIndex> changed) {
  const auto flipped = job.verdict.poll_changed();
  changed.insert(changed.end(), flipped.begin(), flipped.end());
  std::ranges::sort(changed);
  const auto repeated = std::ranges::unique(changed);
  changed.erase(repeated.begin(), repeated.end());
  for (const UnitIndex unit : changed) {
    job.custody.on_unit_changed(unit, here, overlay.neighbours());
    job.replays.on_unit_changed(unit);
    if (!job.verdict.unit(unit).accepted) job.work.on_reopened(unit);
  }
  if (!holdings_due && job.custody.has_news()) holdings_due = now.steady + limits::holdings_delay;
  if (!started) return;
  tell_bans(job);
  tell_state(job);
}

void Node::State::tell_bans(Job& job) {
  for (const PeerId& peer : job.verdict.banned()) {
    if (!job.banned_told.insert(peer).second) continue;
    out.push(Notice{Notice::Kind::key_banned, job.id, peer});
    // Links are closed only on this peer's own proofs or its roots', never on an owner's.
    std::set<UnitIndex> proven;
    for (const ReplayFact& replay : job.evidence.replays_of(peer))
      if (replay.judge == config.self || std::ranges::find(config.roots, replay.judge) != config.roots.end()) proven.insert(replay.unit);
    if (proven.size() >= limits::faults_to_ban) refuse(peer, "was proven wrong three times");
  }
}

void Node::State::tell_state(Job& job) {
  const JobState state = job.state();
  const bool ended = state != JobState::waiting && state != JobState::running;
  if (state != job.told && ended) out.push(Notice{Notice::Kind::job_ended, job.id, job.owner});
  job.told = state;
  out.push(Notice{Notice::Kind::job_progress, job.id, job.owner});
}

void Node::State::refresh_inputs(Job& job) {
  const auto inputs = job.input_blobs();
  job.custody.set_inputs_whole(std::ranges::all_of(inputs, [&](const BlobRef& blob) { return here.contains(blob.name); }));
  if (job.custody.has_news() && !holdings_due) holdings_due = now.steady;
  if (config.light || job.canceled) return;
  std::uint64_t bytes = 0;
  for (const BlobRef& blob : inputs) bytes += std::min(blob.size_bytes, limits::blob_bytes_max);
  const bool keeper = bytes <= limits::kept_inputs_bytes_max && job.custody.keeps_inputs(overlay.neighbours());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool needed_to_run = i < 2;
    if ((needed_to_run || keeper) && !here.contains(inputs[i].name)) blobs.want_whole(inputs[i], job.id);
  }
}

void Node::State::forget(const JobId& id) {
  Job* job = find(id);
  if (job == nullptr) return;
  for (const UnitIndex unit : job->work.running_units()) out.push(StopUnit{id, unit});
  blobs.drop_job(id, out);
  store.remove_job(id);
  jobs.erase(id);
  if (forgotten.size() >= limits::forgotten_jobs_max) forgotten.erase(forgotten.begin());
  forgotten.insert(id);
  out.push(ForgetJob{id});
}

void Node::State::expire() {
  std::vector<JobId> expired;
  for (const auto& [id, job] : jobs) {
    job->claims.expire(now.steady);
    if (job->manifest->expires_unix_s <= now.unix_s) expired.push_back(id);
  }
  for (const JobId& id : expired) forget(id);
  std::erase_if(records, [&](const auto& entry) {
    const Statement* statement = store.find(entry.second);
    const auto made_unix_s = static_cast<std::int64_t>(std::get<PeerRecord>(statement->body).sequence / 1000);
    if (made_unix_s >= now.unix_s - limits::peer_record_lifetime_s) return false;
    store.remove(entry.second);
    return true;
  });
}

}  // namespace starling::protocol
