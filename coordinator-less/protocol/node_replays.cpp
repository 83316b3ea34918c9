// Node's part that executes others' answers again, and its own that are contradicted; which of them stands in replay_plan.hpp.
#include "coordinator-less/protocol/node_state.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace starling::protocol {

// Whose fingerprints one execution of the unit can make besides: those who gave an answer to it from what it goes on from. Where they are
// too many, some by chance, so that nobody is left out by his id.
std::vector<PeerId> Node::State::others_at(const Job& job, UnitIndex unit, const std::optional<PeerId>& accused) {
  std::set<PeerId> found;
  const auto input = job.verdict.input(unit);
  for (const ResultFact& fact : job.evidence.results(unit)) {
    const bool known = fact.author == config.self || fact.author == accused || job.verdict.banned(fact.author);
    if (input && !known && fact.outcome.input == input->name && !job.verdict.proven_wrong(unit, fact)) found.insert(fact.author);
  }
  std::vector<PeerId> others(found.begin(), found.end());
  while (others.size() >= limits::fingerprint_seeds_max) others.erase(others.begin() + static_cast<std::ptrdiff_t>(rng.below(others.size())));
  return others;
}

// False: what the accused went on from is on its way. Nothing: nobody has it any more, and there is no replay without it.
std::optional<bool> Node::State::has_replay_input(Job& job, UnitIndex unit) {
  const BlobRef input = *job.verdict.input(unit);
  if (input.name == Digest{} || here.contains(input.name)) return true;
  if (!job.replay_input || job.replay_input->blob != input.name) job.replay_input = {input.name, now.steady};
  const bool nobody = job.custody.archive_sources(input.name, overlay.neighbours()).empty();
  if (nobody || now.steady - job.replay_input->since > limits::replay_input_patience) return std::nullopt;
  blobs.want_whole(input, job.id, true);
  return false;
}

// Are others about to do what is left? Who has nothing to start then has open work all the same: replays of many units' time in every slot leave
// none for a unit that is missing after all, or reopens, and the job ends minutes later. Looked at once a second, since claims may be many.
bool Node::State::others_finish(Job& job) {
  if (share_workers <= limits::tail_workers_min) return false;  // few slots, few replays: a liar is found early, and the sooner the fewer units he contests
  if (tail_wait_lasts(job)) return true;
  if (job.others_looked_until && now.steady < *job.others_looked_until) return job.others_finish;
  job.others_finish = job.claims.any_unit([&](UnitIndex unit) { return !job.verdict.accepted(unit) && OwnWork::covered(unit, job.verdict, job.claims); });
  job.others_looked_until = now.steady + limits::replay_patience;
  return job.others_finish;
}

bool Node::State::start_replay(Job& job, bool open_work) {
  while (const auto target = job.replays.next()) {
    const bool own = target->accused == config.self;
    if (!own && (job.replays.doubts_itself() || !replay_allowed(open_work || others_finish(job), job.work.executions(), job.replays_started))) return false;
    const auto ready = has_replay_input(job, target->unit);
    if (ready && !*ready) return false;
    job.replay_input.reset();
    if (!ready) {
      job.replays.set_aside(*target);
      continue;
    }
    if (!own) ++job.replays_started;
    job.replays.on_started(*target);
    out.push(StartReplay{job.id, target->unit, target->statement, target->accused, *job.verdict.input(target->unit),
                         own ? std::vector<PeerId>{} : others_at(job, target->unit, target->accused)});
    return true;
  }
  return false;
}

// Whoever stated what this execution gives with another fingerprint did not execute the unit, or one of us erred.
void Node::State::suspect_copies(Job& job, UnitIndex unit, const Outcome& found, const std::vector<FingerprintOf>& others) {
  for (const FingerprintOf& other : others) {
    const ResultFact* fact = job.verdict.answer_of(other.peer, unit);
    if (fact != nullptr && fact->outcome == found && fact->fingerprint != other.compiled) job.replays.on_suspect({fact->statement, other.peer, unit});
  }
}

void Node::State::on_replay_finished(const ReplayFinished& finished) {
  Job* job = find(finished.job);
  if (job == nullptr) return;
  const auto target = job->replays.running(finished.accused_statement, finished.unit);
  if (!target) return;
  if (!finished.compiled || !finished.interpreted) return job->replays.on_given_up(*target);
  if (target->accused == config.self) return on_own_replayed(*job, *target, finished);
  const bool agree = *finished.compiled == *finished.interpreted && finished.fingerprint == finished.interpreted_fingerprint;
  if (!agree && !job->replays.on_tiers_differed(*target)) return;
  job->replays.on_ended(*target);
  if (job->replays.judges_nobody()) return;  // this machine errs, as it found meanwhile: it says nothing of others
  if (agree) job->replays.on_found(*target, *finished.compiled);
  std::vector<Replay> found = found_by(*job, *target, finished);
  if (agree) suspect_copies(*job, target->unit, *finished.compiled, finished.others);
  for (Replay& replay : found) accept_local(notary.seal(std::move(replay)));
}

// What the execution says of the accused, and, where its tiers agree, of the others who gave another answer.
std::vector<Replay> Node::State::found_by(const Job& job, const ReplayTarget& target, const ReplayFinished& finished) const {
  std::vector<Replay> found;
  const auto add = [&](const ReplayTarget& of, const Digest& compiled, const Digest& interpreted) {
    found.push_back({job.id, of.statement, of.accused, of.unit, *finished.compiled, *finished.interpreted, compiled, interpreted, job.evidence.head_of(of.accused)});
  };
  // It may have been published by another machine with this key, or by an earlier life that others remember.
  if (!job.replays.published(target)) add(target, finished.fingerprint, finished.interpreted_fingerprint);
  if (*finished.compiled != *finished.interpreted) return found;
  for (const FingerprintOf& other : finished.others) {
    const ResultFact* fact = job.verdict.answer_of(other.peer, target.unit);
    if (fact == nullptr || fact->outcome.input != finished.compiled->input || fact->outcome == *finished.compiled) continue;
    const ReplayTarget of{fact->statement, other.peer, target.unit};
    if (other.compiled == other.interpreted && job.replays.may_prove(of)) add(of, other.compiled, other.interpreted);
  }
  return found;
}

void Node::State::on_own_replayed(Job& job, const ReplayTarget& target, const ReplayFinished& finished) {
  job.replays.on_own_replayed(target, {*finished.compiled, finished.fingerprint}, {*finished.interpreted, finished.interpreted_fingerprint});
  if (job.works()) return;
  ++job.released_count;
  job.last_release = "compiled and interpreted code of this program differ on this machine, which has taken back its answers and computes no more of this job";
  stop_work(job);
}

// What it has just ended is not stated, and others need not wait for it.
void Node::State::stop_work(Job& job) {
  for (const ResultEntry& entry : std::exchange(job.unsent_results, {}))
    if (!entry.audit) job.unsent_releases.push_back(entry.unit);
  if (!job.unsent_releases.empty() && !own_due) own_due = now.steady + limits::batch_delay;
  for (const UnitIndex unit : job.work.running_units())
    if (job.work.give_back(unit)) out.push(StopUnit{job.id, unit});
}

// Before three proven answers ban this key, where it knows that they are wrong (replay_plan.hpp).
void Node::State::withdraw_where_due() {
  for (const auto& [id, job] : awake) {
    if (!job->replays.takes_back()) continue;
    stop_work(*job);
    Results all;
    all.job = id;
    accept_local(notary.seal(std::move(all)));
  }
  settle_all();
}

}  // namespace starling::protocol
