// Node's part that makes folds, is told jobs by them, and looks after the jobs that it knows so; the rules stand in fold.hpp.
#include "coordinator-less/protocol/node_state.hpp"

#include <utility>

namespace starling::protocol {
namespace {

// A job that was stopped is not finished, whatever its evidence says: who was told it would never hear why it ended. Nor is one told in which somebody is
// banned: that shows in its evidence alone.
bool may_be_folded(const Job& job) { return !job.stopped() && job.verdict.banned().empty() && job.verdict.ended_count() == job.manifest->unit_count; }

std::vector<FoldCredit> most_credited(std::vector<FoldCredit> all) {
  std::ranges::sort(all, [](const FoldCredit& a, const FoldCredit& b) { return a.units != b.units ? a.units > b.units : a.peer < b.peer; });
  if (all.size() > limits::fold_credits_max) all.resize(limits::fold_credits_max);
  std::ranges::sort(all);
  return all;
}

}  // namespace

// ---------------------------------------------------------------- making

// REQUIRES: every unit is accepted.
FoldTree Node::State::fold_tree_of(const Job& job) {
  std::vector<Digest> leaves(job.evidence.unit_count());
  for (UnitIndex number = 0; number < leaves.size(); ++number)
    if (const Outcome* outcome = job.verdict.accepted_outcome(number)) leaves[number] = fold_leaf(*outcome, notary);
  return FoldTree(std::move(leaves), notary);
}

// False: neighbours have made this peer hash enough for now.
bool Node::State::hashes_for_others(const Job& job) {
  if (!fold_hashing.left(now.steady)) return false;
  fold_hashing.spend(std::max(static_cast<std::int64_t>(job.evidence.unit_count()), limits::fold_leaves_min));
  return true;
}

// Nothing: not every unit is accepted here, the job is too small to fold, or others have asked for too much.
std::optional<Digest> Node::State::fold_root_of(Job& job, bool for_others) {
  if (job.unsettled || job.evidence.unit_count() < config.fold_units_min || !may_be_folded(job)) return std::nullopt;
  if (!job.fold_root && (!for_others || hashes_for_others(job))) job.fold_root = fold_tree_of(job).root();
  return job.fold_root;
}

bool Node::State::makes_folds_of(const JobId& id) {
  if (config.light) return false;
  const Digest mine = fold_rank(id, config.self, notary);
  std::size_t lower = 0;
  for (const auto& [peer, passes] : keepers_of(id))
    if (!passes && fold_rank(id, peer, notary) < mine && ++lower >= limits::fold_makers) return false;
  return true;
}

void Node::State::make_fold(Job& job) {
  const auto root = fold_root_of(job, false);
  if (!root || !makes_folds_of(job.id)) return;
  if (const auto* own = folds.find(job.id, config.self); own != nullptr && own->fold.root == *root && own->fold.judges == fold_judges) return;
  std::vector<FoldCredit> credit;
  for (const auto& [author, work] : verified_work_in(job)) credit.push_back({author, work.units, work.fuel});
  const auto keys = static_cast<std::uint32_t>(std::min(credit.size(), limits::authors_per_job_max));
  publish_fold({job.id, 0, *root, fold_judges, job.verdict.accepted_failures_count(), keys, most_credited(std::move(credit))});
}

void Node::State::take_back_fold(const Job& job) {
  const auto* own = folds.find(job.id, config.self);
  if (own != nullptr && own->fold.root != Digest{} && !may_be_folded(job)) publish_fold({.job = job.id});
}

// One of an earlier life, or of another machine with this key: said of evidence that is not here.
void Node::State::answer_for_own_fold(const Fold& fold) {
  if (fold.root == Digest{}) return;
  const SleepingJob* sleeper = asleep(fold.job);
  if (const auto it = jobs.find(fold.job); it != jobs.end() && !it->second->unsettled)
    take_back_fold(*it->second);
  else if (folded.contains(fold.job) || (sleeper != nullptr && sleeper->root != fold.root))
    publish_fold({.job = fold.job});
}

void Node::State::publish_fold(Fold fold) {
  const auto* before = folds.find(fold.job, config.self);
  const auto made_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(now.unix_s, 0)) * 1000;
  fold.sequence = before == nullptr ? made_ms : std::max(made_ms, before->fold.sequence + static_cast<std::uint64_t>(limits::fold_spacing.ms));
  accept_local(notary.seal(std::move(fold)));
}

// ---------------------------------------------------------------- being told

bool Node::State::made_ahead(const Fold& fold) const {
  return static_cast<std::int64_t>(fold.sequence / 1000) > now.unix_s + limits::peer_record_skew_max_s;
}

bool Node::State::take_fold(const Statement& statement, const Fold& fold) {
  if (!knows_job(fold.job) || made_ahead(fold)) return false;
  const auto taken = folds.take(statement.author, statement.id, fold, fold_rank(fold.job, statement.author, notary), now.steady, statement.author == config.self);
  if (!taken.taken) return false;
  for (const MessageId& gone : taken.gone) {
    store.remove(gone);
    store.remember_ephemeral(gone);  // who has it still lists it
  }
  store.add(statement, fold.job);
  if (statement.author == config.self) answer_for_own_fold(fold);
  if (taken.lost && *taken.lost != fold.job) review_folds(*taken.lost);
  review_folds(fold.job);
  return true;
}

// Nothing of the job was heard or done, nobody here asks about it, and nothing follows from it here.
bool Node::State::may_be_told(const Job& job) const {
  if (!started || job.local || job.canceled || job.unfolded || job.confirming || earns_favours(job)) return false;
  if (job.statement_count > 0 || job.work.executions() > 0 || !job.unsent_results.empty()) return false;
  return job.evidence.unit_count() >= config.fold_units_min && folded.size() < limits::folded_jobs_max;
}

void Node::State::review_folds(const JobId& id) {
  const auto belief = folds.believed(id, fold_judges);
  if (const auto it = folded.find(id); it != folded.end()) {
    if (!belief || belief->root != it->second.root)
      unfold(id);
    else
      note_makers(it->second, *belief);
    return;
  }
  const auto it = jobs.find(id);
  if (!belief || it == jobs.end() || !may_be_told(*it->second)) return;
  Job& job = *it->second;
  if (job.work.running_count() == 0) return fold_up(job, *belief);
  job.held_until = {};  // however long ago it waited last
  job.hold(now.steady);  // what was begun in vain is stopped first; its release comes here again
  for (const UnitIndex unit : job.work.running_units())
    if (job.work.give_back(unit)) out.push(StopUnit{id, unit});
}

void Node::State::note_makers(FoldedJob& job, const FoldTable::Belief& belief) {
  job.makers = static_cast<std::uint32_t>(belief.said.size());
  job.credit = agreed_credit(belief.said);
  job.made_by = {belief.authors.begin(), belief.authors.end()};
}

void Node::State::fold_up(const Job& job, const FoldTable::Belief& belief) {
  const JobId id = job.id;
  FoldedJob told{job};
  const auto body = store.find(base::retag<MessageId>(id))->body;
  told.manifest = {body, &std::get<Manifest>(*body)};
  told.root = belief.root;
  told.numbers = job.evidence.unit_count();
  told.failures = belief.failures;
  told.since = now.steady;
  note_makers(told, belief);
  told.told = belief.failures > 0 ? JobState::failed : JobState::finished;
  told.ended_order = ++jobs_ended;
  told.kept_inputs_bytes = 0;
  leave(job);
  jobs.erase(id);
  folded.emplace(id, std::move(told));
  out.push(Notice{Notice::Kind::job_ended, id, folded.at(id).owner});
  for (const auto& [peer, light] : overlay.neighbours()) out.send(peer, Holdings{.job = id, .folded = true});
}

// As told it did not count as open; as a job like others it does. Without room it goes, and may come again like any that found none.
bool Node::State::admits_unfolded(const JobId& id) {
  FoldedJob told = std::move(folded.at(id));
  folded.erase(id);
  const bool admitted = admit(told.owner, *told.manifest, false);
  folded.emplace(id, std::move(told));
  if (!admitted) forget_folded(id, false);
  return admitted;
}

// Null: there is no room for it. Else it is a job like others again: its evidence is asked for, and nothing of it is started before that had time to come.
Job* Node::State::unfold(const JobId& id) {
  if (fold_audit && fold_audit->job == id) drop_fold_audit();
  if (!admits_unfolded(id)) return nullptr;
  const auto holders = holders_of(folded.at(id));
  FoldedJob told = std::move(folded.at(id));
  folded.erase(id);
  const KeptStatement manifest = *store.find(base::retag<MessageId>(id));
  Job& job = *jobs.emplace(id, std::make_unique<Job>(Statement{manifest.id, manifest.author, *manifest.body, manifest.raw}, config, notary)).first->second;
  static_cast<JobRecord&>(job) = std::move(static_cast<JobRecord&>(told));
  job.unfolded = true;
  job.ended_order = 0;
  job.told = JobState::waiting;
  job.heard_at = now.steady;
  job.quiet = config.job_quiet;
  job.hold(now.steady);
  job.log.begin_chain(chain);
  job.custody.listen_until(now.steady + base::milliseconds(config.job_quiet.ms * limits::lost_asleep_quiets));
  wake(job);
  refresh_inputs(job);
  for (const auto& [peer, light] : overlay.neighbours()) out.send(peer, job.custody.everything());
  if (!holders.empty())
    evidence_from.insert(holders[rng.below(holders.size())]);
  else if (const auto peer = overlay.random_neighbour(rng))
    evidence_from.insert(*peer);
  return &job;
}

JobStatus Node::State::status_of(const FoldedJob& job) const {
  JobStatus status;
  status.id = job.id;
  status.owner = job.owner;
  status.manifest = job.manifest;
  status.state = job.told;
  status.units = status.accepted = status.bytes_safe = job.manifest->unit_count;
  status.segments = status.segments_done = job.numbers;
  status.accepted_failures = job.failures;
  status.told_by = job.makers;
  status.audits_of_told = job.audits;
  return status;
}

// ---------------------------------------------------------------- who has the evidence

// Workers among whom custody of this job is shared out: who is told it in short passes.
Broadcast::Neighbours Node::State::keepers_of(const JobId& id) const {
  Broadcast::Neighbours all = overlay.neighbours();
  if (const auto it = folded_at.find(id); it != folded_at.end())
    for (const PeerId& peer : it->second)
      if (const auto neighbour = all.find(peer); neighbour != all.end()) neighbour->second = true;
  return all;
}

// True when nothing else is to be made of the message.
bool Node::State::on_holdings_of_folded(const PeerId& from, const Holdings& holdings) {
  if (const auto it = folded.find(holdings.job); it != folded.end()) {
    if (holdings.folded) it->second.made_by.erase(from);
    if (holdings.folded || (holdings.complete && holdings.units.empty()))
      it->second.holders.erase(from);
    else if (holdings.complete && !overlay.neighbours().at(from))
      it->second.holders.insert(from);
    return true;
  }
  if (!knows_job(holdings.job)) return true;
  auto& passing = folded_at[holdings.job];
  if (!holdings.folded)
    passing.erase(from);
  else if (passing.insert(from).second && jobs.contains(holdings.job))
    more_pass.insert(holdings.job);
  if (passing.empty()) folded_at.erase(holdings.job);
  return holdings.folded;
}

void Node::State::on_link_down_of_folded(const PeerId& peer) {
  first_comparisons.erase(peer);
  for (auto& [id, job] : folded) job.holders.erase(peer);
  for (auto& [id, passing] : folded_at) passing.erase(peer);
  std::erase_if(folded_at, [](const auto& entry) { return entry.second.empty(); });
  if (fold_audit && fold_audit->asked == peer && !fold_audit->expected && !fold_audit->running) drop_fold_audit();
}

// Seldom for each job: one neighbour that is told it now and now not would keep it from falling asleep.
void Node::State::look_again_where_more_pass() {
  std::erase_if(more_pass, [&](const JobId& id) {
    const auto it = jobs.find(id);
    if (it == jobs.end()) return true;
    Job& job = *it->second;
    if (now.steady < job.look_again_at) return false;
    job.look_again_at = now.steady + limits::look_again_interval;
    job.custody.look_again();
    wake(job);
    return true;
  });
}

void Node::State::poll_folds() {
  look_again_where_more_pass();
  std::vector<PeerId> late;
  for (const auto& [peer, comparison] : first_comparisons)
    if (comparison.until <= now.steady) late.push_back(peer);
  for (const PeerId& peer : late) poll_first_comparison(peer);
  if (fold_audit && !fold_audit->running && fold_audit->until <= now.steady) {
    const bool answered = fold_audit->expected.has_value();
    const auto [id, asked] = std::pair(fold_audit->job, fold_audit->asked);
    drop_fold_audit();
    if (!answered) {
      folded.at(id).silent.insert(asked);
      on_question_in_vain(id);
    }
  }
  unfold_where_too_few_hold();
  for (const auto& [id, job] : awake) state_finding(*job);
}

// Linked workers that have the evidence, as far as this peer is told. Who knows the job and holds nothing of it may be a newcomer too.
std::vector<PeerId> Node::State::holders_of(const FoldedJob& job) const {
  std::vector<PeerId> found;
  for (const auto& [peer, light] : overlay.neighbours())
    if (!light && (job.holders.contains(peer) || job.made_by.contains(peer))) found.push_back(peer);
  return found;
}

// All of them, since what holds the evidence may leave at once; who was told longest first, as there may not be room for all.
void Node::State::unfold_where_too_few_hold() {
  std::vector<std::pair<base::Instant, JobId>> due;
  for (const auto& [id, job] : folded)
    if (now.steady - job.since >= limits::fold_holders_patience && holders_of(job).size() < config.fold_holders_min) due.emplace_back(job.since, id);
  std::ranges::sort(due);
  for (const auto& [since, id] : due)
    if (folded.contains(id)) unfold(id);  // else it gave way to another
}

void Node::State::forget_folded(const JobId& id, bool for_good) {
  if (fold_audit && fold_audit->job == id) drop_fold_audit();
  std::erase_if(started_units, [&](const auto& run) { return run.first == id; });
  if (fold_audit && fold_audit->job == id) fold_audit.reset();
  folded.erase(id);
  folds.forget(id);
  folded_at.erase(id);
  shares.on_job_gone(id);
  store.remove_job(id);
  if (for_good) forgotten.insert(id);
  out.push(ForgetJob{id});
}

void Node::State::check_folds() const {
  folds.check_invariants();
  STARLING_ENSURE(folded.size() <= limits::folded_jobs_max);
  for (const auto& [id, job] : folded) {
    STARLING_ENSURE(id == job.id && !jobs.contains(id) && !sleeping.contains(id) && !awake.contains(id) && store.here(base::retag<MessageId>(id)));
    const auto belief = folds.believed(id, fold_judges);
    STARLING_ENSURE(belief && belief->root == job.root && !job.local);
    for (const PeerId& holder : job.holders) STARLING_ENSURE(overlay.linked(holder));
  }
  if (fold_audit) STARLING_ENSURE(folded.contains(fold_audit->job) || (fold_audit->running && !fold_audit->expected));
}

}  // namespace starling::protocol
