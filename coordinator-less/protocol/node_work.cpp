// Node's part that starts units and publishes their outcomes.
#include "coordinator-less/protocol/node_state.hpp"

namespace starling::protocol {

// A replay may take a hundred times as long as a unit, so nothing waits behind one.
std::uint32_t Node::State::running_max() const {
  const bool replays = std::ranges::any_of(awake, [](const auto& entry) { return entry.second->replays.running_count() > 0; });
  return config.slots + (replays ? 0 : std::min(config.slots * units_ahead, units_ahead_max));
}

std::uint32_t Node::State::running_count() const {
  std::size_t count = 0;
  for (const auto& [id, job] : awake) count += job->work.running_count() + job->replays.running_count();
  return static_cast<std::uint32_t>(count) + (fold_audit && fold_audit->running ? 1 : 0);
}

void Node::State::poll_work() {
  if (config.light || config.paused || !started) return;
  std::vector<Job*> able;
  std::vector<ShareCandidate> candidates;
  for (const auto& [id, job] : awake) {
    if (!job->works() || !job->can_run(here) || job->held(now.steady)) continue;
    able.push_back(job);
    candidates.push_back({id, job->owner, job->manifest->priority, job->manifest->created_unix_s});
  }
  for (std::uint32_t running = running_count(); running < running_max(); ++running) {
    std::vector<Job*> order;
    for (const std::size_t place : shares.order(candidates)) order.push_back(able[place]);
    if (std::ranges::any_of(order, [&](Job* job) { return start_replay(*job, true); })) continue;
    if (std::ranges::any_of(order, [&](Job* job) { return start_audit(*job, false); })) continue;
    if (start_fold_audit()) continue;
    if (std::ranges::any_of(order, [&](Job* job) { return start_unit(*job); })) continue;
    if (std::ranges::any_of(order, [&](Job* job) { return start_audit(*job, true); })) continue;
    if (std::ranges::any_of(order, [&](Job* job) { return start_replay(*job, false); })) continue;
    if (std::ranges::any_of(able, [&](Job* job) { return start_confirmation(*job); })) continue;
    return;
  }
}

bool Node::State::start_unit(Job& job) {
  if (job.replays.doubts_itself()) return false;
  // What goes on from an archive holds it in memory from its start, so none of them waits for a slot.
  if (job.segments.chained() && started_units.size() >= config.slots) return false;
  if (job.work.has_again()) job.work.forget_again_unless([&](UnitIndex lost) { return job.custody.lost(lost); });
  if (!job.work.has_again() && tail_wait_lasts(job)) return false;  // before a search for what it would not start
  job.work.set_share(share_rank, share_workers);
  std::size_t awaited = 0;
  const auto unit = job.work.pick(now.steady, [&](UnitIndex candidate) { return has_input(job, candidate, awaited); });
  if (!unit || (!job.work.wanted_again(*unit) && waits_at_tail(job))) return false;
  start(job, *unit, false);
  job.unsent_claims.push_back(*unit);
  if (!own_due) own_due = now.steady + limits::batch_delay;
  return true;
}

// Tail rule (decision 0026): where more slots are free to start than answers are missing, each starts with the probability that gives as many as are
// missing, and draws again once claims have had time to arrive; in the end with ever more chance, so that nobody waits long for those who need not
// answer. In small swarms claims are enough, and nobody waits.
bool Node::State::waits_at_tail(Job& job) {
  if (share_workers <= limits::tail_workers_min) return false;
  if (tail_wait_lasts(job)) return true;
  const std::uint64_t slots = std::uint64_t{share_workers} * config.slots;  // others' are not known: as many as here
  const auto said = [&](UnitIndex unit) { return static_cast<std::uint32_t>(job.evidence.results(unit).size()) + job.claims.live(unit); };
  const std::uint64_t missing = std::max<std::uint64_t>(job.work.copies_open(now.steady, slots, said), 1);
  const std::uint32_t doubled = std::min(job.tail_draws - std::min(job.tail_draws, limits::tail_draws_alike), 16U);
  if (rng.below(slots) < missing << doubled) {
    job.tail_draws = 0;
    return false;
  }
  ++job.tail_draws;
  job.tail_wait_until = now.steady + limits::tail_redraw_interval;
  return true;
}

bool Node::State::tail_wait_lasts(const Job& job) const {
  return share_workers > limits::tail_workers_min && job.tail_wait_until && now.steady < *job.tail_wait_until;
}

// Its input is here.
void Node::State::start(Job& job, UnitIndex unit, bool audit) {
  const BlobRef input = *job.verdict.input(unit);
  job.work.on_started(unit, now.steady, input.name, audit);
  shares.on_started(job.id, job.owner, unit);
  started_units.emplace_back(job.id, unit);
  // A checkpoint belongs to the fingerprints that were made on the way: units that keep some make this peer's alone.
  const bool checks_others = audit && job.manifest->rounds_max == 0;
  out.push(StartUnit{job.id, unit, input, checks_others ? others_at(job, unit, {}) : std::vector<PeerId>{}});
}

// What is not final is audited in an order that nobody can foresee, until enough of it is that the rest has become final too.
bool Node::State::start_confirmation(Job& job) {
  if (!job.confirming || !job.complete() || job.replays.doubts_itself()) return false;
  auto& to_draw = job.confirming->to_draw;
  auto& refilled_at = job.confirming->refilled_at;
  const bool lately = refilled_at && now.steady - *refilled_at < limits::finality_interval;
  if (to_draw.empty() && job.work.running_count() == 0 && !lately) {
    to_draw = final_units_of(job).waiting;
    refilled_at = now.steady;
  }
  std::size_t awaited = 0;
  while (!to_draw.empty()) {
    std::swap(to_draw[rng.below(to_draw.size())], to_draw.back());
    const UnitIndex unit = to_draw.back();
    to_draw.pop_back();
    const bool done = job.work.running(unit) || job.confirming->released.contains(unit) || job.work.answered(unit) || job.verdict.answer_of(config.self, unit) != nullptr;
    if (done || !has_input(job, unit, awaited) || why_final(job.evidence, job.verdict, unit)) continue;
    job.audits.on_started();
    start(job, unit, true);
    return true;
  }
  return false;
}

void Node::State::on_confirm(const Confirm& confirm) {
  Job* job = config.light ? nullptr : wake_for_own_ends(confirm.job);
  if (job == nullptr) return;
  if (!job->confirming) job->confirming.emplace();
  job->confirming->until = now.steady + limits::confirm_lifetime;
  refresh_inputs(*job);
}

const FinalUnits& Node::State::final_units_of(Job& job) {
  Job::Final& final = job.final;
  const bool lately = final.counted_at && now.steady - *final.counted_at < limits::finality_interval;
  if (!final.stale || lately) return final.found;
  final = {false, now.steady, final_units(job.evidence, job.verdict, job.manifest->unit_count)};
  return final.found;
}

FinalityObstacle Node::State::obstacle_of(const Job& job) const {
  const JobState state = job.state();
  if (state == JobState::canceled || state == JobState::aborted) return FinalityObstacle::stopped;
  if (!job.complete()) return FinalityObstacle::not_finished;
  if (job.final.found.count == job.manifest->unit_count) return FinalityObstacle::none;
  if (config.light) return FinalityObstacle::light;
  if (!job.open()) return FinalityObstacle::banned;
  if (!job.works()) return FinalityObstacle::released;
  if (config.paused) return FinalityObstacle::paused;
  if (!job.can_run(here)) return FinalityObstacle::no_inputs;
  if (!job.confirming || job.work.running_count() > 0) return FinalityObstacle::none;
  const auto& released = job.confirming->released;
  const bool all = std::ranges::all_of(job.final.found.waiting, [&](UnitIndex unit) { return released.contains(unit); });
  return all && !released.empty() ? FinalityObstacle::released : FinalityObstacle::none;
}

bool Node::State::start_audit(Job& job, bool idle) {
  if (job.ended() || job.replays.doubts_itself() || !job.audits.due(job.work.executions(), idle)) return false;
  const auto unit = job.audits.draw(rng);
  if (!unit || job.work.running(*unit)) return false;
  const auto input = job.verdict.input(*unit);
  if (!input || (input->name != Digest{} && !here.contains(input->name))) return false;
  job.audits.on_started();
  start(job, *unit, true);
  return true;
}

// Fetches what is not here, a few at a time; its holders have it because it was accepted.
bool Node::State::has_input(Job& job, UnitIndex unit, std::size_t& awaited) {
  const auto input = job.verdict.input(unit);
  if (!input) return false;  // was lost with what it went on from
  if (input->name == Digest{} || here.contains(input->name)) return true;
  if (awaited++ < limits::segment_inputs_ahead_max) blobs.want_whole(*input, job.id, true);
  return false;
}

void Node::State::on_unit_finished(const UnitFinished& finished) {
  Job* job = find(finished.job);
  here.insert(finished.outcome.digest);
  blobs.on_whole(finished.outcome.digest, out);  // it may have been pulled meanwhile
  std::erase(started_units, std::pair{finished.job, finished.unit});
  shares.on_finished(finished.job, finished.unit, finished.outcome.fuel);
  if (audits_fold(finished.job, finished.unit)) return on_fold_audited(finished);
  if (job == nullptr || !job->work.running(finished.unit)) return;
  if (job->work.runs_in_vain(finished.unit) || !job->works()) {  // what it went on from is not accepted any more: nobody needs to hear of it
    const bool audited = job->work.auditing(finished.unit);
    job->work.on_given_back(finished.unit);
    job->executed_once.erase(finished.unit);
    if (audited) return job->audits.on_ended();  // nobody has heard of it
    std::erase(job->unsent_claims, finished.unit);
    job->unsent_releases.push_back(finished.unit);
    if (!own_due) own_due = now.steady + limits::batch_delay;
    return;
  }
  suspect_copies(*job, finished.unit, finished.outcome, finished.others);
  ++executions;
  const bool again = job->work.answered(finished.unit);
  const ResultFact* said = job->evidence.answer_of(config.self, finished.unit, finished.outcome.input);
  const bool contradicts = !again && said != nullptr && Execution{said->outcome, said->fingerprint} != Execution{finished.outcome, finished.fingerprint};
  if (!again && (contradicts || job->replays.errs()) && !agrees_with_itself(*job, finished)) return;
  if (job->work.auditing(finished.unit)) job->audits.on_ended();
  const bool audit = job->work.auditing(finished.unit) && job->verdict.accepted(finished.unit);  // else it reopened, and needs results
  job->work.on_answered(finished.unit, finished.outcome.digest, finished.outcome.input, !again);
  if (again) {  // executed only to have its bytes: the answer was stated long ago
    on_blob_held(finished.outcome.digest);
    return;
  }
  if (contradicts) return on_contradicts_itself(*job, finished.unit);
  job->executed_once.erase(finished.unit);
  const std::uint32_t position = audit ? 0 : job->order.position_of(finished.unit);
  job->unsent_results.push_back({finished.unit, position, finished.outcome, finished.fingerprint, audit});
  std::erase(job->unsent_claims, finished.unit);
  // The first result after a pause leaves at once; a stream of them travels in batches.
  const bool quiet = !own_sent_at || now.steady - *own_sent_at >= limits::batch_delay;
  const base::Instant due = quiet ? now.steady : now.steady + limits::batch_delay;
  own_due = own_due ? std::min(*own_due, due) : due;
}

// An audit of this unit said otherwise, and it has reopened since. Two answers of one key to one unit are a fork, which voids all that follows; and with
// the right one beside it the wrong one is no error that anybody would excuse. So the first stays what this key said.
void Node::State::on_contradicts_itself(Job& job, UnitIndex unit) {
  job.replays.on_contradicts_itself(unit);
  std::erase(job.unsent_claims, unit);
  job.unsent_releases.push_back(unit);
  if (!own_due) own_due = now.steady + limits::batch_delay;
}

// The second execution of a unit in a row, and the same as the first. Else it is executed once more, or given back.
bool Node::State::agrees_with_itself(Job& job, const UnitFinished& finished) {
  const Execution now_found{finished.outcome, finished.fingerprint};
  const auto [first, fresh] = job.executed_once.try_emplace(finished.unit, now_found);
  if (fresh) {
    shares.on_started(job.id, job.owner, finished.unit);
    started_units.emplace_back(job.id, finished.unit);
    out.push(StartUnit{job.id, finished.unit, *job.verdict.input(finished.unit)});
    return false;
  }
  const bool same = first->second == now_found;
  job.executed_once.erase(first);
  if (!same) on_unit_released({job.id, finished.unit, "two executions of it on this machine differ"});
  return same;
}

// The executor takes units up in the order they were started in: those beyond the slots have not begun.
bool Node::State::waits_for_slot(const JobId& job, UnitIndex unit) const {
  const auto at = std::ranges::find(started_units, std::pair{job, unit}) - started_units.begin();
  return at >= static_cast<std::ptrdiff_t>(config.slots) && at < static_cast<std::ptrdiff_t>(started_units.size());
}

void Node::State::give_back_if_waiting(Job& job, UnitIndex unit) {
  if (waits_for_slot(job.id, unit) && job.work.give_back(unit)) out.push(StopUnit{job.id, unit});
}

void Node::State::on_unit_released(const UnitReleased& released) {
  std::erase(started_units, std::pair{released.job, released.unit});
  shares.on_ended(released.job, released.unit);
  if (audits_fold(released.job, released.unit)) {  // nobody has heard of it
    fold_question_at = now.steady + limits::fold_question_spacing;
    return fold_audit.reset();
  }
  Job* job = find(released.job);
  if (job == nullptr || !job->work.running(released.unit)) return;
  const bool audit = job->work.auditing(released.unit);
  job->executed_once.erase(released.unit);
  if (job->work.given_back(released.unit)) {  // our own wish, not a failure
    job->work.on_given_back(released.unit);
  } else {
    job->work.on_released(released.unit, now.steady);
    ++job->released_count;
    job->last_release = released.reason;
  }
  if (audit && job->confirming) job->confirming->released.insert(released.unit);
  if (audit) return job->audits.on_ended();  // nobody has heard of it
  std::erase(job->unsent_claims, released.unit);
  job->unsent_releases.push_back(released.unit);
  if (!own_due) own_due = now.steady + limits::batch_delay;
  review_folds(released.job);
}

void Node::State::seal_results(Job& job, std::vector<RawStatement>& published) {
  for (std::size_t at = 0; at < job.unsent_results.size(); at += limits::results_per_batch_max) {
    const std::size_t end = std::min(job.unsent_results.size(), at + limits::results_per_batch_max);
    Results results = job.log.prepare(job.id, {job.unsent_results.begin() + static_cast<std::ptrdiff_t>(at), job.unsent_results.begin() + static_cast<std::ptrdiff_t>(end)});
    const Statement statement = notary.seal(std::move(results));
    if (take(statement, std::nullopt, false)) published.push_back(statement.raw);
  }
  job.unsent_results.clear();
}

void Node::State::seal_claims(Job& job, std::vector<RawStatement>& published) {
  while (!job.unsent_claims.empty() || !job.unsent_releases.empty()) {
    const auto take_some = [](std::vector<UnitIndex>& from) {
      const auto count = static_cast<std::ptrdiff_t>(std::min(from.size(), limits::units_per_claim_max));
      std::vector<UnitIndex> some(from.begin(), from.begin() + count);
      from.erase(from.begin(), from.begin() + count);
      std::ranges::sort(some);
      some.erase(std::ranges::unique(some).begin(), some.end());
      return some;
    };
    Claims claims{job.id, take_some(job.unsent_claims), take_some(job.unsent_releases),
                  static_cast<std::uint32_t>(limits::claim_lifetime.ms), ++claim_sequence};
    const Statement statement = notary.seal(std::move(claims));
    store.remember_ephemeral(statement.id);
    published.push_back(statement.raw);
  }
}

void Node::State::flush_own() {
  if (!own_due || now.steady < *own_due) return;
  own_due.reset();
  own_sent_at = now.steady;
  std::vector<RawStatement> published;
  for (const auto& [id, job] : awake) {
    seal_results(*job, published);
    seal_claims(*job, published);
  }
  settle_all();
  Broadcast::publish(published, overlay.neighbours(), out);
}

void Node::State::on_pause(const Pause& pause) {
  config.paused = pause.paused;
  if (!config.paused) return;
  for (const auto& [id, unit] : std::deque(started_units))
    if (Job* job = find(id)) give_back_if_waiting(*job, unit);
}

void Node::State::renew_claims() {
  if (config.paused) return;  // nobody is to wait for a machine whose owner may be away for days
  for (const auto& [id, job] : awake) {
    const auto units = job->work.poll_claims_to_renew(now.steady);
    if (units.empty()) continue;
    job->unsent_claims.insert(job->unsent_claims.end(), units.begin(), units.end());
    if (!own_due) own_due = now.steady;
  }
}

}  // namespace starling::protocol
