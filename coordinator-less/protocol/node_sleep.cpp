// Node's part that lets jobs fall asleep and wakes them; the rules stand in sleeping_job.hpp.
#include "coordinator-less/protocol/node_state.hpp"

#include <utility>

namespace starling::protocol {
namespace {

std::uint64_t first_word(const PeerId& peer) { return base::read_u64(peer.view()); }

std::vector<std::uint64_t> first_words(const std::map<PeerId, Job::Stated>& authors) {
  std::vector<std::uint64_t> out;
  out.reserve(authors.size());
  for (const auto& [author, stated] : authors) out.push_back(first_word(author));
  std::ranges::sort(out);
  return out;
}

}  // namespace

// Its statements were persisted at least one quiet time ago, so they are on the disk.
bool Node::State::may_sleep(Job& job) const {
  if (stored == nullptr || !job.ended() || awake.contains(job.id) || now.steady - job.heard_at < job.quiet) return false;
  return !job.unsettled && job.rests() && job.state() == job.told && !blobs.wanted_by(job.id);
}

void Node::State::poll_sleep() {
  if (stored == nullptr) return;
  std::uint64_t units = 0;
  std::vector<JobId> tired;
  for (const auto& [id, job] : jobs) {
    if (units >= limits::units_put_to_sleep_per_tick_max) break;
    if (!may_sleep(*job)) continue;
    units += job->evidence.unit_count();
    tired.push_back(id);
  }
  for (const JobId& id : tired) fall_asleep(id);
  wake_for_archives();
}

// One at a time: a neighbour that leaves concerns all jobs, and each costs an evaluation.
void Node::State::wake_for_archives() {
  if (now.steady < custody_waking_at) return;
  const auto lost = base::milliseconds(config.job_quiet.ms * limits::lost_asleep_quiets);
  const auto left = base::milliseconds(config.job_quiet.ms * limits::keepers_asleep_quiets);
  const auto wants = [&](const auto& entry) {
    return !entry.second.canceled && entry.second.told != JobState::aborted && !config.light && entry.second.custody.wants_waking(now.steady, lost, left);
  };
  auto found = std::find_if(sleeping.upper_bound(custody_woken), sleeping.end(), wants);  // in turn: one that cannot be read holds up no other
  if (found == sleeping.end()) found = std::ranges::find_if(sleeping, wants);
  if (found == sleeping.end()) return;
  custody_waking_at = now.steady + limits::custody_waking_interval;
  custody_woken = found->first;
  wake_for_own_ends(JobId(found->first));
}

void Node::State::fall_asleep(const JobId& id) {
  make_fold(*jobs.at(id));
  const auto root = fold_root_of(*jobs.at(id), false);
  const Job& job = *jobs.at(id);
  SleepingJob asleep{job};
  const auto body = store.find(base::retag<MessageId>(id))->body;
  asleep.manifest = {body, &std::get<Manifest>(*body)};  // one copy is enough
  asleep.numbers = job.evidence.unit_count();
  asleep.status = status_of(job);
  asleep.status.manifest.reset();
  const FinalUnits final = final_units(job.evidence, job.verdict, job.manifest->unit_count);
  asleep.finality = {.final_units = final.count, .waiting = final.waiting_units};
  asleep.open = job.open();
  asleep.root = root.value_or(Digest{});
  asleep.works = job.works();
  asleep.replays = job.replays.past();
  asleep.custody = job.custody.asleep();
  asleep.sleep = here.begin_sleep();
  for (const Digest& archive : job.custody.kept_here()) here.need(archive, asleep.sleep);
  if (proofs.needed()) asleep.authors = first_words(job.stated_by);
  for (const PeerId& peer : job.verdict.banned())
    if (proven_liar(job, peer)) asleep.proven_liars.push_back(peer);
  asleep.earned = {};
  if (earns_favours(job)) asleep.earned = {false, now.steady, verified_work_in(job)};
  if (job.local) asleep.explained = explanation_of(job);
  for (const BlobRef& input : asleep.input_blobs()) inputs_asleep.emplace(input.name, id);
  store.sleep(id);
  jobs.erase(id);
  sleeping.emplace(id, std::move(asleep));
}

Job* Node::State::find_or_wake(const JobId& id) {
  if (const auto it = sleeping.find(id); it != sleeping.end()) {
    const auto statements = stored->read_job(id);
    if (!statements) return nullptr;
    wake_up(it, *statements);
  }
  return folded.contains(id) ? unfold(id) : find(id);
}

// Others' statements wake one job at a time: what comes too soon is not taken, and comparison brings it again.
Job* Node::State::find_or_wake_for_statement(const JobId& id) {
  if (!sleeping.contains(id)) return find_or_wake(id);
  if (now.steady < statement_waking_at) return nullptr;
  statement_waking_at = now.steady + limits::statement_waking_interval;  // also if it cannot be read: then that is tried no oftener
  return find_or_wake(id);
}

// Only others have to wake it less and less often; and nobody else is in the middle of anything, so it sleeps soon again.
Job* Node::State::wake_for_own_ends(const JobId& id) {
  const auto asleep_now = sleeping.find(id);
  if (asleep_now == sleeping.end()) return find_or_wake(id);
  const base::Duration quiet = asleep_now->second.quiet;
  Job* job = find_or_wake(id);
  if (job == nullptr) return nullptr;
  job->quiet = quiet;
  const std::int64_t soon_ms = config.job_quiet.ms / limits::job_quiet_restored_divisor;
  job->heard_at.ms = now.steady.ms - std::max<std::int64_t>(job->quiet.ms - soon_ms, 0);
  return job;
}

void Node::State::wake_up(std::map<JobId, SleepingJob>::iterator which, const std::vector<Statement>& statements) {
  SleepingJob asleep = std::move(which->second);
  const JobId id = which->first;
  sleeping.erase(which);
  drop_inputs_asleep(asleep);
  here.end_sleep(asleep.sleep);
  store.wake(id);
  const KeptStatement manifest = *store.find(base::retag<MessageId>(id));
  Job& job = *jobs.emplace(id, std::make_unique<Job>(Statement{manifest.id, manifest.author, *manifest.body, manifest.raw}, config, notary)).first->second;
  static_cast<JobRecord&>(job) = std::move(static_cast<JobRecord&>(asleep));
  const bool canceled = std::exchange(job.canceled, false);  // its statement says so again
  job.heard_at = now.steady;
  job.quiet = std::min(base::milliseconds(job.quiet.ms * 2), base::milliseconds(config.job_quiet.ms << limits::job_quiet_doublings));
  wake(job);
  job.replays.resume(std::move(asleep.replays));
  job.custody.wake(asleep.custody, now.steady + base::milliseconds(config.job_quiet.ms * limits::lost_asleep_quiets), overlay.neighbours());
  for (const Statement& statement : statements)
    if (statement.type() != StatementType::manifest) take(statement, std::nullopt, true);
  job.canceled = job.canceled || canceled;  // should that be damaged
  job.log.begin_chain(std::max(chain, static_cast<std::uint32_t>(now.unix_s)));  // above all that this life began, should their rows be damaged
  settle(job);
  job.custody.forget_news();
}

// For questions, which change nothing of a job that is awake.
const Job* Node::State::asked(const JobId& id) {
  return sleeping.contains(id) || folded.contains(id) ? wake_for_own_ends(id) : std::as_const(*this).find(id);
}

// For all that a sleeping job tells without waking; null: it is awake, or not here.
const SleepingJob* Node::State::asleep(const JobId& id) const {
  const auto it = sleeping.find(id);
  return it == sleeping.end() ? nullptr : &it->second;
}

bool Node::State::stated_asleep(const PeerId& author) const {
  return std::ranges::any_of(sleeping, [&](const auto& entry) { return std::ranges::binary_search(entry.second.authors, first_word(author)); });
}

FinalityObstacle Node::State::obstacle_of(const SleepingJob& job) const {
  if (job.told == JobState::canceled || job.told == JobState::aborted) return FinalityObstacle::stopped;
  if (job.finality.final_units == job.manifest->unit_count) return FinalityObstacle::none;
  if (config.light) return FinalityObstacle::light;
  if (!job.open) return FinalityObstacle::banned;
  if (!job.works) return FinalityObstacle::released;
  if (config.paused) return FinalityObstacle::paused;
  return job.can_run(here) ? FinalityObstacle::none : FinalityObstacle::no_inputs;
}

void Node::State::send_asleep(const PeerId& to, const std::vector<MessageId>& ids) {
  if (ids.empty()) return;
  const auto answer = stored->read(ids, limits::stored_bytes_per_answer_max);
  if (!answer) return;
  std::uint64_t bytes = 0;
  for (const auto& statement : answer->statements) bytes += statement->size();
  budget.pay_rows(to, bytes / limits::stored_bytes_per_read);
  budget.pay_bytes(to, bytes);
  Broadcast::send(to, answer->statements, out);
  for (const JobId& job : answer->damaged) store.recount(job);
}

void Node::State::drop_inputs_asleep(const SleepingJob& job) {
  for (const BlobRef& input : job.input_blobs()) inputs_asleep.erase({input.name, job.id});
}

bool Node::State::names_input_asleep(const Digest& blob) const {
  const auto first = inputs_asleep.lower_bound({blob, JobId{}});
  return first != inputs_asleep.end() && first->first == blob;
}

// What blobs that come and go mean to those that sleep. Only evidence tells which unit's archive one is.
void Node::State::note_blob_asleep(const Digest& blob, bool lost) {
  for (auto it = inputs_asleep.lower_bound({blob, JobId{}}); it != inputs_asleep.end() && it->first == blob; ++it) {
    SleepingJob& job = sleeping.at(it->second);
    job.custody.set_inputs_whole(std::ranges::all_of(job.input_blobs(), [&](const BlobRef& input) { return here.contains(input.name) && !(lost && input.name == blob); }));
  }
  const auto needed_by = here.needed_by(blob);
  if (!lost || needed_by.empty()) return;
  std::vector<JobId> concerned;
  for (const auto& [id, job] : sleeping)
    if (std::ranges::contains(needed_by, job.sleep)) concerned.push_back(id);
  if (config.light && !concerned.empty()) find_or_wake(concerned.front());  // nobody asks a light peer for the others
  else for (const JobId& id : concerned) sleeping.at(id).custody.want_waking();  // one after the other: they may be all there are
}

void Node::State::forget_asleep(const JobId& id) {
  here.end_sleep(sleeping.at(id).sleep);
  drop_inputs_asleep(sleeping.at(id));
  sleeping.erase(id);
  shares.on_job_gone(id);
  store.remove_job(id);
  forgotten.insert(id);
  out.push(ForgetJob{id});
}

void Node::State::check_sleeping() const {
  STARLING_ENSURE(stored != nullptr || sleeping.empty());
  std::set<std::pair<Digest, JobId>> inputs;
  for (const auto& [id, job] : sleeping)
    for (const BlobRef& input : job.input_blobs()) inputs.emplace(input.name, id);
  STARLING_ENSURE(inputs == inputs_asleep);
  for (const auto& [id, job] : sleeping) {
    STARLING_ENSURE(id == job.id && !jobs.contains(id) && !awake.contains(id) && job.ended() && store.here(base::retag<MessageId>(id)));
    job.custody.check_invariants();
  }
}

}  // namespace starling::protocol
