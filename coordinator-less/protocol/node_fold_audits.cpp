// Node's part that audits samples of the jobs that it is told by folds, and answers those who do; the rules stand in fold.hpp.
#include "coordinator-less/protocol/node_state.hpp"

#include <utility>

namespace starling::protocol {

// At the share of audits among this peer's executions.
bool Node::State::fold_audit_due() const {
  return !fold_audit && !folded.empty() && now.steady >= fold_question_at &&
         (fold_audits + 1) * 100 <= executions * limits::audit_share_percent;
}

// Asks about one, or starts the one that was answered.
bool Node::State::start_fold_audit() {
  if (fold_audit_due()) ask_about_a_fold();
  if (!fold_audit || !fold_audit->expected || fold_audit->running || started_units.size() >= config.slots) return false;
  const FoldedJob& job = folded.at(fold_audit->job);
  if (!job.can_run(here)) return false;
  fold_audit->running = true;
  shares.on_started(job.id, job.owner, fold_audit->unit);
  started_units.emplace_back(job.id, fold_audit->unit);
  out.push(StartUnit{job.id, fold_audit->unit, {}});
  return true;
}

// A segment that goes on needs the archive of the one before: only first ones are drawn.
void Node::State::ask_about_a_fold() {
  std::vector<const FoldedJob*> served;  // the donor's choice of projects holds for audits too
  for (const auto& [id, job] : folded)
    if (shares.serves(id, job.owner) && !holders_of(job).empty()) served.push_back(&job);
  if (served.empty()) {
    fold_question_at = now.steady + limits::fold_question_spacing;
    return;
  }
  const FoldedJob& job = *served[rng.below(served.size())];
  auto holders = holders_of(job);
  std::erase_if(holders, [&](const PeerId& peer) { return job.silent.contains(peer); });
  if (holders.empty()) holders = holders_of(job);
  const PeerId holder = holders[rng.below(holders.size())];
  const auto unit = static_cast<UnitIndex>(rng.below(job.manifest->unit_count));
  fold_audit = FoldAudit{job.id, unit, holder, now.steady + limits::fold_answer_patience};
  out.send(holder, FoldQuestion{job.id, job.root, unit});
}

void Node::State::on_fold_question(const PeerId& from, const FoldQuestion& question) {
  if (const SleepingJob* job = asleep(question.job)) {
    if (job->root != question.root || question.root == Digest{} || now.steady < fold_waking_at) return;
    fold_waking_at = now.steady + limits::fold_waking_interval;
    wake_for_own_ends(question.job);
  }
  const auto it = jobs.find(question.job);
  if (it == jobs.end()) return;
  Job& job = *it->second;
  if (question.unit >= job.evidence.unit_count() || fold_root_of(job, true) != question.root) return;
  const Outcome* outcome = job.verdict.accepted_outcome(question.unit);
  if (outcome != nullptr && hashes_for_others(job))
    out.send(from, FoldProof{question.job, question.root, question.unit, *outcome, fold_tree_of(job).path(question.unit)});
}

void Node::State::on_fold_proof(const PeerId& from, const FoldProof& proof) {
  if (!fold_audit || fold_audit->expected || fold_audit->running || fold_audit->asked != from || fold_audit->job != proof.job || fold_audit->unit != proof.unit) return;
  FoldedJob& job = folded.at(proof.job);
  const Digest leaf = fold_leaf(proof.outcome, notary);
  if (proof.outcome.input != Digest{} || !leads_to(job.root, job.numbers, proof.unit, leaf, proof.path, notary)) {
    drop_fold_audit();
    ++job.wrong_paths;
    return on_question_in_vain(proof.job);
  }
  job.wrong_paths = 0;
  job.silent.clear();
  fold_audit->expected = proof.outcome;
  fold_audit->until = now.steady + limits::unit_input_timeout;
  for (const BlobRef& blob : {job.manifest->program, job.manifest->units})
    if (!here.contains(blob.name)) blobs.want_whole(blob, job.id);
}

// Who is silent may be busy, or a liar that means to end a true belief: silence counts once for each of them.
void Node::State::on_question_in_vain(const JobId& id) {
  fold_question_at = now.steady + limits::fold_question_spacing;
  const FoldedJob& job = folded.at(id);
  if (job.wrong_paths >= limits::fold_questions_in_vain_max || job.silent.size() >= limits::fold_questions_in_vain_max) unfold(id);
}

bool Node::State::audits_fold(const JobId& job, UnitIndex unit) const {
  return fold_audit && fold_audit->running && fold_audit->job == job && fold_audit->unit == unit;
}

// One that runs keeps its slot until the executor says that it has stopped.
void Node::State::drop_fold_audit() {
  blobs.drop_job(fold_audit->job, out);
  if (!fold_audit->running) return fold_audit.reset();
  out.push(StopUnit{fold_audit->job, fold_audit->unit});
  fold_audit->expected.reset();
}

void Node::State::on_fold_audited(const UnitFinished& finished) {
  const auto expected = fold_audit->expected;
  fold_audit.reset();
  if (!expected) return;
  ++fold_audits;
  if (finished.outcome == *expected) {
    ++folded.at(finished.job).audits;
    return;
  }
  if (Job* job = unfold(finished.job)) job->finding = ResultEntry{finished.unit, 0, finished.outcome, finished.fingerprint, true};
}

// What an audit of a folded job found is stated when the evidence is here and accepts something else, or had time to come.
void Node::State::state_finding(Job& job) {
  if (!job.finding || job.unsettled) return;
  const Outcome* accepted = job.verdict.accepted_outcome(job.finding->unit);
  if (accepted == nullptr && job.held(now.steady)) return;
  const bool answers_itself = job.work.running(job.finding->unit) || job.work.answered(job.finding->unit) || job.verdict.answer_of(config.self, job.finding->unit) != nullptr;
  if (!answers_itself && (accepted == nullptr || *accepted != job.finding->outcome)) {
    job.unsent_results.push_back(*job.finding);
    if (!own_due) own_due = now.steady;
  }
  job.finding.reset();
}

}  // namespace starling::protocol
