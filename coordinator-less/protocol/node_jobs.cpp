// Node's part that keeps the table of jobs: what changed in one, who is banned, what has expired.
#include "coordinator-less/protocol/node_state.hpp"

namespace starling::protocol {

Job* Node::State::find(const JobId& id) {
  const auto it = jobs.find(id);
  if (it == jobs.end()) return nullptr;
  wake(*it->second);
  return it->second.get();
}

// Makes room for a job where the table is full (job_table.hpp); false: this job is not taken.
bool Node::State::admit(const PeerId& owner, const Manifest& manifest, bool local) {
  if (local) {
    const auto open = std::ranges::count_if(jobs, [&](const auto& entry) { return entry.second->local && entry.second->owner == owner && !entry.second->ended(); });
    return static_cast<std::size_t>(open) < limits::jobs_per_owner_max;
  }
  std::vector<JobPlace> strangers;
  for (const auto& [id, job] : jobs) {
    const bool keeps_results = !job->canceled && !job->verdict.quarantined() && job->custody.here_count() > 0;
    if (!job->local) strangers.push_back({id, job->owner, job->evidence.unit_count(), job->arrival, job->ended_order, keeps_results});
  }
  for (const auto& [id, job] : sleeping) {
    const bool keeps_results = !job.canceled && !job.status.quarantined && job.custody.here_count() > 0;
    if (!job.local) strangers.push_back({id, job.owner, job.numbers, job.arrival, job.ended_order, keeps_results});
  }
  // Strangers' folds say that it ended: that must not make it give way sooner.
  for (const auto& [id, job] : folded) strangers.push_back({id, job.owner, job.numbers, job.arrival, job.ended_order, true});
  const auto dropped = make_room(std::move(strangers), owner, static_cast<std::uint32_t>(Segments(manifest).total()));
  if (!dropped) return false;
  for (const JobId& id : *dropped) forget(id);
  return true;
}

const Job* Node::State::find(const JobId& id) const {
  const auto it = jobs.find(id);
  return it == jobs.end() ? nullptr : it->second.get();
}

// Statements come in bundles; what follows from them is drawn once.
void Node::State::note_news(Job& job, const std::vector<UnitIndex>& units) {
  job.news.insert(job.news.end(), units.begin(), units.end());
  if (!std::exchange(job.unsettled, true)) unsettled.push_back(job.id);
}

void Node::State::settle_all() {
  std::vector<JobId> later;  // those that wait longest stay first
  for (const JobId& id : std::exchange(unsettled, {})) {
    Job* job = find(id);
    if (job != nullptr && settles_now(*job)) settle(*job);
    else if (job != nullptr) later.push_back(id);
  }
  unsettled.insert(unsettled.begin(), later.begin(), later.end());
}

// A statement that is not plain can make the verdict look at all answers of the job again. There is an allowance for that; beyond it
// conclusions wait, as if what was stated had come later.
bool Node::State::settles_now(const Job& job) {
  if (!started || !job.verdict.looks_anew()) return true;
  if (!judged_anew.left(now.steady)) return false;
  judged_anew.spend(std::max(static_cast<std::int64_t>(job.evidence.result_count()), limits::results_judged_anew_min));
  return true;
}

// Carries what changed in a job's evidence to every part that follows from it.
void Node::State::settle(Job& job) {
  job.unsettled = false;
  job.fold_root.reset();
  job.final.stale = job.earned.stale = true;
  const bool own_log = job.verdict.looks_anew_at(config.self);
  job.verdict.settle();
  if (own_log) job.work.on_log_forked();
  auto changed = std::exchange(job.news, {});
  const auto flipped = job.verdict.poll_changed();
  changed.insert(changed.end(), flipped.begin(), flipped.end());
  std::ranges::sort(changed);
  const auto repeated = std::ranges::unique(changed);
  changed.erase(repeated.begin(), repeated.end());
  for (const UnitIndex unit : changed) {
    job.custody.on_unit_changed(unit, here, now.steady, overlay.neighbours());
    job.replays.on_unit_changed(unit);
    const ResultFact* own = job.verdict.answer_of(config.self, unit);
    if (job.work.runs_in_vain(unit) && job.work.give_back(unit)) out.push(StopUnit{job.id, unit});
    if (!job.verdict.accepted(unit)) {
      job.work.on_reopened(unit, own == nullptr ? std::nullopt : std::optional(own->outcome.digest));
      continue;
    }
    if (own != nullptr) job.work.on_accepted(unit, own->outcome.digest);
    if (job.work.running(unit) && !job.work.wanted_again(unit) && !job.work.auditing(unit)) give_back_if_waiting(job, unit);
  }
  if (!holdings_due && job.custody.has_news()) holdings_due = now.steady + limits::holdings_delay;
  if (!started) return;
  tell_bans(job);
  tell_state(job);
  take_back_fold(job);
}

void Node::State::tell_bans(Job& job) {
  for (const PeerId& peer : job.verdict.banned()) {
    if (!job.banned_told.insert(peer).second) continue;
    out.push(Notice{Notice::Kind::key_banned, job.id, peer});
    if (proven_liar(job, peer)) refuse(peer, "was proven wrong");
  }
}

void Node::State::note_state(Job& job, JobState state) {
  if (!ended(state))
    job.ended_order = 0;
  else if (!job.ended())
    job.ended_order = ++jobs_ended, job.final.counted_at.reset();  // what is final now is asked at once
  job.told = state;
}

void Node::State::tell_state(Job& job) {
  const JobState state = job.state();
  if (state != job.told && ended(state)) out.push(Notice{Notice::Kind::job_ended, job.id, job.owner});
  note_state(job, state);
  out.push(Notice{Notice::Kind::job_progress, job.id, job.owner});
}

void Node::State::refresh_inputs(Job& job) {
  const auto inputs = job.input_blobs();
  job.custody.set_inputs_whole(std::ranges::all_of(inputs, [&](const BlobRef& blob) { return here.contains(blob.name); }));
  if (job.custody.has_news() && !holdings_due) holdings_due = now.steady;
  if (config.light || job.stopped() || (job.ended() && job.rests())) return;
  const bool keeper = keeps_inputs(job, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool needed_to_run = i < 2;
    if ((needed_to_run || keeper) && !here.contains(inputs[i].name)) blobs.want_whole(inputs[i], job.id);
  }
}

// Kept for others: while all such inputs together stay within this peer's own share of its quota.
bool Node::State::keeps_inputs(Job& job, const std::vector<BlobRef>& inputs) const {
  if (!job.custody.keeps_inputs(keepers_of(job.id))) return false;
  if (job.kept_inputs_bytes > 0) return true;
  std::uint64_t bytes = 0, kept = 0;
  for (const BlobRef& blob : inputs) bytes += std::min(blob.size_bytes, limits::blob_bytes_max);
  for (const auto& [id, other] : jobs) kept += other->kept_inputs_bytes;
  for (const auto& [id, other] : sleeping) kept += other.kept_inputs_bytes;
  if (kept + bytes > config.blob_quota_bytes / limits::kept_inputs_quota_share) return false;
  job.kept_inputs_bytes = bytes;
  return true;
}

std::map<PeerId, VerifiedWork> Node::State::verified_work_in(const Job& job) const { return verified_work(job.evidence, job.verdict, unit_fuel_max_of(*job.manifest)); }

// What others' peers did for this peer's own owner: their owners have that much of its time to claim (fair_share.hpp).
void Node::State::count_favours() {
  std::map<PeerId, std::uint64_t> favours;
  const auto count = [&](const JobRecord& job) {
    for (const auto& [author, work] : job.earned.work) {
      const auto record = records.find(author);
      if (record == records.end()) continue;
      const auto& owner = record->second.body().credit_to;
      if (!owner || *owner == job.owner) continue;
      std::uint64_t& sum = favours[*owner];
      sum += std::min(work.fuel, UINT64_MAX - sum);
    }
  };
  for (const auto& [id, job] : jobs) {
    if (!earns_favours(*job)) continue;
    Job::Earned& earned = job->earned;
    const bool lately = earned.counted_at && now.steady - *earned.counted_at < limits::favours_interval;
    if (earned.stale && !lately) earned = {false, now.steady, verified_work_in(*job)};
    count(*job);
  }
  for (const auto& [id, job] : sleeping) count(job);
  shares.set_favours(std::move(favours));
}

// Nothing of it goes on here.
void Node::State::leave(const Job& job) {
  for (const UnitIndex unit : job.work.running_units()) out.push(StopUnit{job.id, unit});
  std::erase_if(started_units, [&](const auto& run) { return run.first == job.id; });
  shares.on_job_gone(job.id);
  blobs.drop_job(job.id, out);
  awake.erase(job.id);
}

void Node::State::forget(const JobId& id) {
  folds.forget(id);
  folded_at.erase(id);
  if (sleeping.contains(id)) return forget_asleep(id);
  if (folded.contains(id)) return forget_folded(id);
  Job* job = find(id);
  if (job == nullptr) return;
  leave(*job);
  store.remove_job(id);
  jobs.erase(id);
  forgotten.insert(id);
  out.push(ForgetJob{id});
}

void Node::State::expire() {
  std::vector<JobId> expired;
  for (const auto& [id, job] : jobs) {
    job->claims.expire(now.steady);
    if (job->manifest->expires_unix_s <= now.unix_s) expired.push_back(id);
  }
  for (const auto& [id, job] : sleeping)
    if (job.manifest->expires_unix_s <= now.unix_s) expired.push_back(id);
  for (const auto& [id, job] : folded)
    if (job.manifest->expires_unix_s <= now.unix_s) expired.push_back(id);
  for (const JobId& id : expired) forget(id);
}

}  // namespace starling::protocol
