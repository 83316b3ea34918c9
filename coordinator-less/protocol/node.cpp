#include "coordinator-less/protocol/node_state.hpp"

#include <utility>

namespace starling::protocol {
namespace {

std::optional<base::Instant> earlier(std::optional<base::Instant> a, std::optional<base::Instant> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

Node::Node(NodeConfig config, Notary& notary, base::Rng rng, StoredEvidence* stored) : state_(std::make_unique<State>(std::move(config), notary, rng, stored)) {}
Node::~Node() = default;

// ---------------------------------------------------------------- time

void Node::State::on_tick() {
  expire();
  for (const auto& [id, job] : awake)
    if (job->confirming && job->confirming->until <= now.steady) job->confirming.reset();  // nobody waits any more
  expire_records();
  refuse_unproven();
  blobs.touch();
  renew_claims();
  poll_custody();
  poll_folds();
  if (now.unix_s - record_made_unix_s >= limits::peer_record_renewal_s) publish_peer_record();
  for (auto it = greet_at.begin(); it != greet_at.end();) {
    if (now.steady < it->second) {
      ++it;
      continue;
    }
    send_holdings(it->first);
    it = greet_at.erase(it);
  }
  if (now.steady >= reconcile_at) {
    reconcile_at = now.steady + limits::reconcile_interval + base::milliseconds(static_cast<std::int64_t>(rng.below(1000)));
    if (const auto peer = overlay.random_neighbour(rng)) {
      reconcile_with(*peer);
      send_holdings(*peer);
    }
    for (const auto& [id, job] : awake) refresh_inputs(*job);
    poll_sleep();
    blobs.drop_archives_unless([&](const Digest& blob) {  // their unit has reopened, or nobody waits for it any more
      return std::ranges::any_of(jobs, [&](const auto& entry) { return !entry.second->stopped() && entry.second->needs_archive(blob); });
    });
    renew_bans();
    count_favours();
    budget.forget_idle(now.steady, [&](const PeerId& peer) { return overlay.linked(peer); });
  }
}

void Node::State::after_input() {
  if (!started) return;
  if (!minting()) overlay.poll_dials(now.steady, out);
  proofs.poll(now.steady, overlay.neighbours(), out);
  for (const PeerId& peer : std::exchange(evidence_from, {})) reconcile_with(peer);  // once for all jobs that were unfolded
  withdraw_where_due();
  poll_work();
  flush_own();
  if (const auto due = broadcast.next_relay(); due && now.steady >= *due) broadcast.poll(now.steady, by_links(), out);
  if (!blobs.empty()) blobs.poll(now.steady, [&](const JobId& job, const Digest& blob) { return sources(job, blob); }, out);
  if (holdings_due && now.steady >= *holdings_due) {
    holdings_due.reset();
    for (const auto& [id, job] : awake) {
      if (!job->custody.has_news()) continue;
      const auto message = std::make_shared<const LinkMessage>(job->custody.poll_news());
      for (const auto& [peer, light] : overlay.neighbours()) out.push(Send{peer, message});
    }
  }
  std::erase_if(awake, [](const auto& entry) { return entry.second->rests(); });
  set_timer();
}

void Node::State::set_timer() {
  const bool active = !blobs.empty() || !greet_at.empty() || std::ranges::any_of(awake, [&](const auto& entry) {
    return !ended(entry.second->state()) || entry.second->replays.any_pending() || !entry.second->custody.quiet();
  });
  tick_at = std::min(tick_at, now.steady + (active ? limits::tick_interval : limits::tick_idle_interval));
  auto next = earlier(tick_at, minting() ? std::nullopt : overlay.next_dial());
  next = earlier(next, proofs.next_check());
  next = earlier(next, own_due);
  next = earlier(next, broadcast.next_relay());
  next = earlier(next, holdings_due);
  if (!unsettled.empty()) next = earlier(next, judged_anew.left_at());
  for (const auto& [id, job] : awake) {
    if (job->tail_wait_until && *job->tail_wait_until <= now.steady) job->tail_wait_until.reset();
    next = earlier(next, job->tail_wait_until);
  }
  if (next == timer_at) return;
  timer_at = next;
  out.push(SetTimer{*next});
}

// ---------------------------------------------------------------- the outside

void Node::restore(const Statement& statement, bool own) {
  STARLING_ENSURE(!state_->started);
  if (!state_->store.here(statement.id)) state_->take(statement, std::nullopt, true);
  if (!own || statement.type() != StatementType::manifest) return;
  if (Job* job = state_->find(base::retag<JobId>(statement.id))) job->local = true;
}

void Node::blob_present(const Digest& blob) { state_->here.insert(blob); }

void Node::start(base::Now now) {
  State& s = *state_;
  STARLING_ENSURE(!s.started);
  s.now = now;
  s.settle_all();
  while (s.out.take()) {
  }
  s.started = true;
  s.claim_sequence = static_cast<std::uint64_t>(now.unix_s) * 1000;  // a restarted peer's claims are no repetitions
  s.chain = static_cast<std::uint32_t>(now.unix_s);
  s.reconcile_at = now.steady + limits::reconcile_interval;
  s.tick_at = now.steady;
  for (const auto& [id, job] : s.jobs) {
    job->log.begin_chain(s.chain);
    job->heard_at = now.steady;
    job->awaits_comparison = job->statement_count == 0 && !job->local;  // it was told by folds, or had just come
    if (job->awaits_comparison) job->held_from = now.steady, job->held_until = now.steady + limits::restart_patience;
    for (const Digest& blob : s.here.names()) job->custody.on_blob_here(blob, s.overlay.neighbours());
    s.note_state(*job, job->state());
    s.refresh_inputs(*job);
    s.tell_bans(*job);  // a proven liar is not met again because we restarted
  }
  for (auto& [author, record] : s.records) record.taken_at = now.steady;
  if (s.minting()) s.out.push(MintId{s.config.self, s.config.puzzle_difficulty_bits});
  s.publish_peer_record();
  s.after_input();
}

void Node::on_input(Input input, base::Now now) {
  State& s = *state_;
  STARLING_ENSURE(s.started && now.steady >= s.now.steady);
  s.now = now;
  std::visit(Overloaded{[&](const LinkUp& up) { s.on_link_up(up); }, [&](const LinkDown& down) { s.on_link_down(down); },
                        [&](const DialFailed& failed) { s.overlay.on_dial_failed(failed.peer, now.steady, s.rng); },
                        [&](const Received& received) { s.on_message(received); },
                        [&](const TimerFired&) { s.timer_at.reset(); },
                        [&](const Submit& submit) { s.accept_local(submit.manifest); },
                        [&](const CancelJob& cancel) { s.accept_local(cancel.cancel); },
                        [&](const AddPeer& add) { s.overlay.on_peer_known(add.peer, add.addresses, true, now.steady); },
                        [&](const Pause& pause) { s.on_pause(pause); },
                        [&](const Confirm& confirm) { s.on_confirm(confirm); },
                        [&](const UnitFinished& finished) { s.on_unit_finished(finished); },
                        [&](const UnitReleased& released) { s.on_unit_released(released); },
                        [&](const ReplayFinished& finished) { s.on_replay_finished(finished); },
                        [&](const IdMinted& minted) { s.on_id_minted(minted); },
                        [&](const PuzzleChecked& checked) { s.on_puzzle_checked(checked); },
                        [&](const BlobHeld& held) { s.on_blob_held(held.blob); },
                        [&](const BlobLost& lost) { s.on_blob_lost(lost.blob); },
                        [&](const RangesWanted& want) {
                          if (!s.folded.contains(want.job)) s.asked(want.job);  // awake it knows who holds its archives
                          s.blobs.want_range(want.blob, want.job, want.first_leaf, want.leaf_count, now.steady, s.out);
                        },
                        [&](const RangeArrived& range) {
                          s.blobs.on_range(range.from, range.blob, range.first_leaf, range.leaf_count, range.good, now.steady, s.out);
                        }},
             input);
  s.settle_all();
  if (now.steady >= s.tick_at) {
    s.tick_at = now.steady + limits::tick_idle_interval;
    s.on_tick();
  }
  s.after_input();
}

void Node::set_units_ahead(std::uint32_t per_slot) { state_->units_ahead = std::min(per_slot, units_ahead_max); }

std::optional<Effect> Node::poll_effect() { return state_->out.take(); }

const PeerId& Node::self() const { return state_->config.self; }

bool Node::listens_to(const PeerId& peer) const { return state_->overlay.linked(peer); }

bool Node::knows(const MessageId& statement) const { return state_->store.seen(statement); }

std::vector<JobId> Node::jobs() const {
  std::vector<JobId> out;
  for (const auto& [id, job] : state_->jobs) out.push_back(id);
  for (const auto& [id, job] : state_->sleeping) out.push_back(id);
  for (const auto& [id, job] : state_->folded) out.push_back(id);
  std::ranges::sort(out);
  return out;
}

JobStatus Node::State::status_of(const Job& job) const {
  JobStatus status;
  status.id = job.id;
  status.owner = job.owner;
  status.manifest = job.manifest;
  status.state = job.state();
  status.units = job.manifest->unit_count;
  status.segments = job.evidence.unit_count();
  status.segments_done = job.verdict.accepted_count() + job.verdict.skipped_count();
  status.accepted = job.verdict.ended_count();
  status.accepted_failures = job.verdict.accepted_failures_count();
  status.bytes_safe = job.custody.ends_safe_count();
  status.running_here = static_cast<std::uint32_t>(job.work.running_count());
  for (UnitIndex unit = 0; unit < job.evidence.unit_count(); ++unit) {
    status.contested += job.verdict.contested(unit) ? 1U : 0U;
    if (const Outcome* outcome = job.verdict.accepted_outcome(unit)) status.accepted_fuel += std::min(outcome->fuel, UINT64_MAX - status.accepted_fuel);
  }
  status.executions = job.evidence.result_count();
  status.own_results = job.log.stated();
  status.own_replays = job.replays.own_replays();
  status.replays_pending = job.replays.pending();
  status.input_holders = job.custody.input_holders(overlay.neighbours());
  status.released_here = job.released_count;
  status.last_release = job.last_release;
  status.banned.assign(job.verdict.banned().begin(), job.verdict.banned().end());
  status.quarantined = job.verdict.quarantined();
  return status;
}

std::optional<JobStatus> Node::job(const JobId& id) const {
  if (const SleepingJob* asleep = state_->asleep(id)) {
    JobStatus status = asleep->status;
    status.manifest = asleep->manifest;
    const auto& holders = asleep->custody.input_holders();
    const auto workers = std::ranges::count_if(state_->overlay.neighbours(), [&](const auto& peer) { return !peer.second && holders.contains(peer.first); });
    status.input_holders = static_cast<std::uint32_t>(workers) + (asleep->custody.inputs_whole() ? 1U : 0U);
    return status;
  }
  if (const auto told = state_->folded.find(id); told != state_->folded.end()) return state_->status_of(told->second);
  const Job* job = std::as_const(*state_).find(id);
  return job == nullptr ? std::nullopt : std::optional(state_->status_of(*job));
}

std::optional<JobFinality> Node::finality(const JobId& id) const {
  if (const SleepingJob* asleep = state_->asleep(id)) {
    JobFinality out = asleep->finality;
    out.obstacle = state_->obstacle_of(*asleep);
    return out;
  }
  if (state_->folded.contains(id)) return JobFinality{};
  const auto found = state_->jobs.find(id);
  if (found == state_->jobs.end()) return std::nullopt;
  Job& job = *found->second;
  const FinalUnits& units = state_->final_units_of(job);
  JobFinality out{.final_units = units.count, .waiting = units.waiting_units};
  out.confirming = job.confirming.has_value();
  out.released_here = job.confirming ? static_cast<std::uint32_t>(job.confirming->released.size()) : 0;
  out.obstacle = state_->obstacle_of(job);
  return out;
}

bool Node::asleep(const JobId& id) const { return state_->asleep(id) != nullptr; }

bool Node::folded(const JobId& id) const { return state_->folded.contains(id); }

std::optional<Digest> Node::told_root(const JobId& id) const {
  const auto it = state_->folded.find(id);
  return it == state_->folded.end() ? std::nullopt : std::optional(it->second.root);
}

bool Node::evidence_awaited(const JobId& id) const {
  const Job* job = std::as_const(*state_).find(id);
  return job != nullptr && job->unfolded && job->held(state_->now.steady) && job->verdict.ended_count() < job->manifest->unit_count;
}

const JobEvidence* Node::evidence(const JobId& id) const {
  const Job* job = state_->asked(id);
  return job == nullptr ? nullptr : &job->evidence;
}

const Verdict* Node::verdict(const JobId& id) const {
  const Job* job = state_->asked(id);
  return job == nullptr ? nullptr : &job->verdict;
}

namespace {

void cite_all(std::vector<ReplayExplanation>& replays, const std::vector<KeptStatement>& statements) {
  for (const KeptStatement& one : statements)
    if (one.type == StatementType::replay) cite(replays, {one.id, one.author, *one.body, one.raw});
}

}  // namespace

std::optional<UnitExplanation> Node::explain(const JobId& id, UnitIndex unit, std::optional<std::uint32_t> segment) const {
  const Job* job = state_->asked(id);
  if (job == nullptr || unit >= job->manifest->unit_count || segment.value_or(0) >= job->segments.of_a_unit()) return std::nullopt;
  const JobView view{*job->manifest, job->evidence, job->verdict};
  const UnitIndex number = segment ? *segment * job->manifest->unit_count + unit : telling_segment(view, unit);
  UnitExplanation out = explain_unit(view, number);
  for (auto& answer : out.answers)
    if (const auto kept = state_->store.find(answer.statement))
      if (const auto statement = state_->notary.open(kept->raw)) cite(answer, *statement);
  if (!out.replays.empty())
    cite_all(out.replays, state_->store.of_job(id));
  auto& here = out.here.emplace();
  here.claims = job->claims.live(number);
  here.running_here = job->work.running(number);
  if (out.state != UnitState::accepted) return out;
  const auto holders = job->custody.archive_sources(out.outcome->digest, state_->overlay.neighbours());
  here.archive_holders = static_cast<std::uint32_t>(holders.size()) + (state_->here.contains(out.outcome->digest) ? 1U : 0U);
  return out;
}

JobExplanation Node::State::explanation_of(const Job& job) const {
  const JobView view{*job.manifest, job.evidence, job.verdict};
  JobExplanation explained = explain_job(view);
  explained.digest = notary.digest(verdict_bytes(view, job.id));
  return explained;
}

std::optional<JobExplanation> Node::explain(const JobId& id) const {
  if (const SleepingJob* asleep = state_->asleep(id); asleep != nullptr && asleep->explained) return asleep->explained;
  const Job* job = state_->asked(id);
  return job == nullptr ? std::nullopt : std::optional(state_->explanation_of(*job));
}

std::vector<ReplayExplanation> Node::proofs_against(const JobId& id, const PeerId& peer) const {
  const Job* job = state_->asked(id);
  if (job == nullptr) return {};
  auto proofs = protocol::proofs_against({*job->manifest, job->evidence, job->verdict}, peer);
  if (!proofs.empty())
    cite_all(proofs, state_->store.of_job(id));
  return proofs;
}

bool Node::id_proven(const PeerId& peer) const { return state_->proofs.proven(peer); }

std::vector<KeptStatement> Node::statements_of(const JobId& id) const {
  state_->asked(id);
  auto statements = state_->store.of_job(id);
  std::erase_if(statements, [](const KeptStatement& one) { return one.type == StatementType::fold; });
  return statements;
}

std::vector<PeerStatus> Node::peers() const {
  std::map<PeerId, PeerStatus> all;
  for (const PeerId& peer : state_->overlay.known()) all[peer] = {peer, false, false, state_->overlay.addresses_of(peer)};
  for (const auto& [peer, light] : state_->overlay.neighbours()) {
    PeerStatus& status = all[peer];
    status.id = peer;
    status.linked = true;
    status.light = light;
  }
  std::vector<PeerStatus> out;
  for (auto& [peer, status] : all) out.push_back(std::move(status));
  return out;
}

std::vector<PeerId> Node::holders(const JobId& id, const Digest& blob) const {
  state_->asked(id);
  return state_->sources(id, blob);
}

bool Node::needs(const Digest& blob) const {
  const auto needed_awake = [&](const auto& entry) {
    return entry.second->needs_archive(blob) || entry.second->work.awaits(blob) || entry.second->names_input(blob);
  };
  const auto& audit = state_->fold_audit;
  if (const auto told = audit ? state_->folded.find(audit->job) : state_->folded.end(); told != state_->folded.end() && told->second.names_input(blob)) return true;
  return state_->blobs.wanted_whole(blob) || state_->here.needed(blob) || state_->names_input_asleep(blob) || std::ranges::any_of(state_->jobs, needed_awake);
}

bool Node::idle() const {
  return state_->blobs.empty() && !state_->own_due && state_->running_count() == 0 && std::ranges::all_of(state_->awake, [](const auto& entry) {
    const JobState state = entry.second->state();
    return state != JobState::waiting && state != JobState::running && entry.second->replays.pending() == 0;
  });
}

void Node::check_invariants() const {
  const State& s = *state_;
  s.overlay.check_invariants();
  s.proofs.check_invariants();
  s.store.check_invariants();
  s.blobs.check_invariants();
  const auto strangers = std::ranges::count_if(s.jobs, [](const auto& entry) { return !entry.second->local; }) + std::ranges::count_if(s.sleeping, [](const auto& entry) { return !entry.second.local; }) + static_cast<std::ptrdiff_t>(s.folded.size());
  STARLING_ENSURE(strangers <= static_cast<std::ptrdiff_t>(limits::jobs_max));
  s.forgotten.check_invariants();
  s.shares.check_invariants();
  for (const auto& [id, job] : s.awake) STARLING_ENSURE(s.jobs.contains(id) && s.jobs.at(id).get() == job);
  for (const auto& [job, unit] : s.started_units) STARLING_ENSURE(s.audits_fold(job, unit) || (s.jobs.contains(job) && s.jobs.at(job)->work.running(unit)));
  STARLING_ENSURE(s.records.size() <= limits::peer_records_max);
  STARLING_ENSURE(s.running_count() <= s.config.slots + units_ahead_max);
  s.check_sleeping();
  s.check_folds();
  for (const auto& [id, job] : s.jobs) {
    STARLING_ENSURE(id == job->id && s.store.here(base::retag<MessageId>(id)));
    job->evidence.check_invariants();
    if (!job->unsettled) job->verdict.check_invariants();
    job->claims.check_invariants();
    job->work.check_invariants();
    job->custody.check_invariants(s.overlay.neighbours());
  }
}

}  // namespace starling::protocol
