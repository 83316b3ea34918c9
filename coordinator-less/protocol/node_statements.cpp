// Node's part that takes statements in and puts its own out.
#include "coordinator-less/protocol/node_state.hpp"

namespace starling::protocol {
namespace {

constexpr std::int64_t clock_skew_max_s = 24 * 3600;

}  // namespace

bool Node::State::on_raw(const RawStatement& raw, const PeerId& from) {
  const auto id = notary.peek(*raw);
  if (!id) {
    refuse(from, "sent a statement that does not decode");
    return false;
  }
  if (store.seen(*id)) {
    broadcast.on_duplicate(*id, from);
    return true;
  }
  const auto statement = notary.open(raw);
  if (!statement) {
    refuse(from, "sent a statement that does not verify");
    return false;
  }
  if (take(*statement, from, false))
    broadcast.on_fresh(statement->id, raw, from, statement->author, now.steady);
  else if (settled(*statement))
    store.remember_ephemeral(statement->id);  // else every comparison would fetch it again
  return true;
}

// Refused for good, whatever comes later: not because its job, or room for it, may still come.
bool Node::State::settled(const Statement& statement) const {
  if (!heard(statement)) return false;
  return std::visit(Overloaded{[&](const Manifest& manifest) {
                                 return forgotten.contains(base::retag<JobId>(statement.id)) || manifest.expires_unix_s <= now.unix_s;
                               },
                               [&](const PeerRecord& record) { return record_settled(statement, record); },
                               [&](const Cancel& cancel) { return knows_job(cancel.job) || forgotten.contains(cancel.job); },
                               [&](const Fold& fold) { return forgotten.contains(fold.job) || (knows_job(fold.job) && folds.settled(statement.author, statement.id, fold, fold_rank(fold.job, statement.author, notary))); },
                               [&](const auto& of_job) { return jobs.contains(of_job.job) || forgotten.contains(of_job.job); }},
                    statement.body);
}

// A key's share: an honest one states each unit once, again when what it went on from is replaced or its answer is void. Own work is never refused.
bool Node::State::room_for(Job& job, const PeerId& author) const {
  if (author == config.self) return true;
  if (job.statement_count >= limits::statements_per_job_max) return false;
  return job.stated_by.contains(author) || job.stated_by.size() < limits::authors_per_job_max;
}

bool Node::State::room_for(Job& job, const PeerId& author, const Results& results) const {
  if (author == config.self) return true;
  if (!room_for(job, author)) return false;
  for (const ResultEntry& entry : results.entries) {
    if (entry.unit >= job.evidence.unit_count()) continue;
    const bool goes_on = job.segments.chained() && entry.unit >= job.segments.stride();
    if ((entry.outcome.input != Digest{}) != goes_on) return false;
    const auto here_about_it = static_cast<std::uint32_t>(std::ranges::count(results.entries, entry.unit, &ResultEntry::unit));
    if (job.verdict.entries_of(author, entry.unit) + here_about_it > limits::entries_per_answerer_max) return false;
  }
  std::uint64_t& stated = job.stated_by[author].results;
  if (stated + results.entries.size() > job.results_per_author_max()) return false;
  stated += results.entries.size();
  return true;
}

bool Node::State::room_for(Job& job, const PeerId& author, const Replay&) const {
  return author == config.self || (room_for(job, author) && ++job.stated_by[author].replays <= limits::replays_per_judge_max);
}

// True when the statement was new and is worth passing on.
bool Node::State::take(const Statement& statement, const std::optional<PeerId>& from, bool restoring) {
  if (!restoring && !heard(statement)) {
    if (const auto it = records.find(statement.author); it != records.end())  // proven once, forgotten since
      proofs.on_record(it->second.statement, std::nullopt, overlay.neighbours());
    return false;
  }
  return std::visit(
      Overloaded{[&](const Manifest&) { return take_manifest(statement, from, restoring); },
                 [&](const Cancel& cancel) { return take_cancel(statement, cancel, !from, restoring); },
                 [&](const Claims& claims) { return take_claims(statement, claims); },
                 [&](const Results& results) { return take_results(statement, results, restoring, from.has_value()); },
                 [&](const Replay& replay) { return take_replay(statement, replay, restoring); },
                 [&](const Fold& fold) { return take_fold(statement, fold); },
                 [&](const PeerRecord& record) {
                   return restoring ? restore_proof(statement, record) : take_peer_record(statement, record, from);
                 }},
      statement.body);
}

// This clock may be slow: a machine that takes no job should not be silent about it.
void Node::State::tell_ahead(const JobId& job, const PeerId& owner) {
  if (ahead_told_at && now.steady - *ahead_told_at < limits::clock_complaint_spacing) return;
  ahead_told_at = now.steady;
  out.push(Notice{Notice::Kind::job_ahead, job, owner});
}

bool Node::State::take_manifest(const Statement& statement, const std::optional<PeerId>& from, bool restoring) {
  const auto& manifest = std::get<Manifest>(statement.body);
  const auto id = base::retag<JobId>(statement.id);
  if (knows_job(id) || forgotten.contains(id)) return false;
  if (!restoring) {
    if (manifest.expires_unix_s <= now.unix_s) return false;
    if (manifest.created_unix_s > now.unix_s + clock_skew_max_s) return (tell_ahead(id, statement.author), false);
    if (!admit(statement.author, manifest, !from)) return false;
  }
  store.add(statement, id);
  Job& job = *jobs.emplace(id, std::make_unique<Job>(statement, config, notary)).first->second;
  job.first_from = from;
  job.local = !from && !restoring;
  job.served = shares.serves(id, job.owner);
  job.arrival = ++jobs_come;
  job.heard_at = now.steady;
  job.quiet = restoring ? base::milliseconds(config.job_quiet.ms / limits::job_quiet_restored_divisor) : config.job_quiet;
  job.log.begin_chain(chain);
  wake(job);
  if (restoring) return true;
  out.push(Persist{statement, !from});
  refresh_inputs(job);
  out.push(Notice{Notice::Kind::job_known, id, statement.author});
  if (from && !first_comparisons.contains(*from)) reconcile_with(*from);  // results that came before it were dropped
  return true;
}

bool Node::State::take_cancel(const Statement& statement, const Cancel& cancel, bool own, bool restoring) {
  if (const SleepingJob* job = asleep(cancel.job); job != nullptr && (job->owner != statement.author || job->told != JobState::aborted)) return false;
  if (const auto told = folded.find(cancel.job); told != folded.end() && told->second.owner != statement.author) return false;  // unfolds nothing
  Job* job = find_or_wake(cancel.job);
  if (job == nullptr || job->owner != statement.author || job->canceled) return false;
  if (!restoring && (job->state() == JobState::finished || job->state() == JobState::failed)) return false;
  job->canceled = true;
  store.add(statement, job->id);
  if (restoring) return true;
  job->heard_at = now.steady;
  out.push(Persist{statement, own});
  for (const UnitIndex unit : job->work.running_units()) out.push(StopUnit{job->id, unit});
  blobs.drop_job(job->id, out);
  tell_state(*job);
  take_back_fold(*job);
  return true;
}

bool Node::State::take_claims(const Statement& statement, const Claims& claims) {
  store.remember_ephemeral(statement.id);
  Job* job = find(claims.job);
  if (job == nullptr || statement.author == config.self) return false;
  if (job->unsettled && settles_now(*job)) settle(*job);
  Claims open = claims;  // one that travelled longer than its result says nothing any more
  std::erase_if(open.units, [&](UnitIndex unit) { return unit < job->evidence.unit_count() && job->verdict.answer_of(statement.author, unit) != nullptr; });
  if (!job->claims.on_claims(statement.author, open, now.steady)) return false;
  if (statement.author < config.self)  // of two whose claims crossed, one keeps the unit
    for (const UnitIndex unit : open.units)
      if (job->work.running(unit) && OwnWork::covered(unit, job->verdict, job->claims)) give_back_if_waiting(*job, unit);
  tell_state(*job);
  return true;
}

bool Node::State::take_results(const Statement& statement, const Results& results, bool restoring, bool from_elsewhere) {
  Job* job = find_or_wake_for_statement(results.job);
  if (job == nullptr || !room_for(*job, statement.author, results)) return false;
  ++job->statement_count;
  store.add(statement, job->id);
  if (!restoring) persist(*job, statement);
  for (const ResultEntry& entry : results.entries) {
    if (entry.unit >= job->evidence.unit_count()) continue;
    job->claims.on_answer(statement.author, entry.unit);
    if (statement.author == config.self) job->work.on_stated(entry.unit, entry.outcome.digest, entry.outcome.input, entry.audit);
  }
  if (statement.author == config.self) note_own(*job, statement.id, results, from_elsewhere);
  job->audits.on_results(statement.author, results);
  const auto changed = job->evidence.add_results(statement.author, statement.id, results);
  job->verdict.on_results(statement.author, statement.id, results);
  note_news(*job, changed);
  return true;
}

void Node::State::note_own(Job& job, const MessageId& statement, const Results& results, bool from_elsewhere) {
  if (results.takes_back()) {
    job.released_count = std::max(job.released_count, 1U);  // else it would not be told
    if (!job.replays.tiers_differ()) job.last_release = "this machine erred in this job, has taken back its answers and computes no more of it";
    return;
  }
  job.log.on_stated(statement, results, from_elsewhere);
  if (from_elsewhere) job.work.on_log_forked();
}

bool Node::State::take_replay(const Statement& statement, const Replay& replay, bool restoring) {
  Job* job = find_or_wake_for_statement(replay.job);
  if (job == nullptr || !room_for(*job, statement.author, replay)) return false;
  ++job->statement_count;
  store.add(statement, job->id);
  if (!restoring) persist(*job, statement);
  if (statement.author == config.self) job->replays.on_published(replay);
  if (job->evidence.add_replay(statement.author, replay))
    job->verdict.on_replay(fact_of(statement.author, replay));
  if (replay.unit < job->evidence.unit_count()) note_news(*job, {replay.unit});
  return true;
}

void Node::State::persist(Job& job, const Statement& statement) {
  job.heard_at = now.steady;
  if (job.held(now.steady)) job.hold(now.steady);
  out.push(Persist{statement, statement.author == config.self});
}

// A statement of this machine's own making: an owner's manifest or cancel, this peer's results, replays and record.
void Node::State::accept_local(const Statement& statement) {
  if (store.here(statement.id)) return;
  if (take(statement, std::nullopt, false)) Broadcast::publish({statement.raw}, overlay.neighbours(), out);
}

}  // namespace starling::protocol
