#include "coordinator-less/protocol/node.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/blob_plan.hpp"
#include "coordinator-less/protocol/broadcast.hpp"
#include "coordinator-less/protocol/job.hpp"
#include "coordinator-less/protocol/outbox.hpp"
#include "coordinator-less/protocol/overlay.hpp"
#include "coordinator-less/protocol/statement_store.hpp"

namespace starling::protocol {
namespace {

constexpr std::int64_t clock_skew_max_s = 24 * 3600;
constexpr auto units_ahead_max = static_cast<std::uint32_t>(limits::units_queued_max / 4);  // in all slots together

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

std::optional<base::Instant> earlier(std::optional<base::Instant> a, std::optional<base::Instant> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

struct Node::State {
  State(NodeConfig node_config, Notary& node_notary, base::Rng node_rng)
      : config(std::move(node_config)), notary(node_notary), rng(node_rng), overlay(config.self, !config.own_addresses.empty()) {}

  // --- statements
  bool on_raw(const RawStatement& raw, const PeerId& from);  // false: the sender was refused
  bool room_for(Job& job, const PeerId& author, bool replay) const;
  bool take(const Statement& statement, const std::optional<PeerId>& from, bool restoring);
  bool settled(const Statement& statement) const;
  bool take_manifest(const Statement& statement, const std::optional<PeerId>& from, bool restoring);
  bool take_cancel(const Statement& statement, const Cancel& cancel, bool own);
  bool take_claims(const Statement& statement, const Claims& claims);
  bool take_results(const Statement& statement, const Results& results, bool restoring);
  bool take_replay(const Statement& statement, const Replay& replay, bool restoring);
  bool take_peer_record(const Statement& statement, const PeerRecord& record, bool restoring);
  void accept_local(const Statement& statement);
  void publish_peer_record();

  // --- jobs
  Job* find(const JobId& id);
  const Job* find(const JobId& id) const;
  void settle(Job& job, std::vector<UnitIndex> changed);
  void tell_bans(Job& job);
  void tell_state(Job& job);
  void refresh_inputs(Job& job);
  void forget(const JobId& id);
  void expire();

  // --- work
  std::uint32_t running_count() const;
  std::uint32_t running_max() const;
  void poll_work();
  bool start_unit(Job& job);
  bool start_replay(Job& job, bool open_work);
  void on_unit_finished(const UnitFinished& finished);
  void on_unit_released(const UnitReleased& released);
  void on_replay_finished(const ReplayFinished& finished);
  void flush_own();
  void seal_results(Job& job, std::vector<RawStatement>& out);
  void seal_claims(Job& job, std::vector<RawStatement>& out);
  void renew_claims();

  // --- links and blobs
  void on_link_up(const LinkUp& up);
  void on_link_down(const LinkDown& down);
  void on_message(const Received& received);
  void refuse(const PeerId& peer, const std::string& reason);  // broke the protocol, or is banned
  void links_changed();
  void reconcile_with(const PeerId& peer);
  void send_holdings(const PeerId& peer);
  void on_blob_held(const Digest& blob);
  void on_blob_lost(const Digest& blob);
  void poll_custody();
  std::vector<PeerId> sources(const JobId& id, const Digest& blob) const;

  void on_tick();
  void after_input();
  void set_timer();

  NodeConfig config;
  Notary& notary;
  base::Rng rng;
  base::Now now;
  Outbox out;
  Overlay overlay;
  Broadcast broadcast;
  StatementStore store;
  BlobPlan blobs;
  std::map<JobId, std::unique_ptr<Job>> jobs;
  std::set<JobId> forgotten;
  std::set<Digest> here;                       // whole blobs in the local store
  std::map<PeerId, MessageId> records;         // newest peer record of each author
  std::map<PeerId, base::Instant> greet_at;    // new neighbours that are to hear what is held
  std::uint64_t claim_sequence = 0;
  std::uint32_t units_ahead = 0;               // per slot
  std::optional<base::Instant> own_due;        // when unsent results and claims go out
  std::optional<base::Instant> own_sent_at;
  std::optional<base::Instant> holdings_due;
  base::Instant reconcile_at;
  base::Instant tick_at;
  std::optional<base::Instant> timer_at;
  std::int64_t record_made_unix_s = 0;
  bool started = false;
};

Node::Node(NodeConfig config, Notary& notary, base::Rng rng) : state_(std::make_unique<State>(std::move(config), notary, rng)) {}
Node::~Node() = default;

// ---------------------------------------------------------------- statements

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
  return std::visit(Overloaded{[&](const Manifest& manifest) {
                                 return forgotten.contains(base::retag<JobId>(statement.id)) || manifest.expires_unix_s <= now.unix_s;
                               },
                               [](const PeerRecord&) { return true; },
                               [&](const auto& of_job) { return jobs.contains(of_job.job) || forgotten.contains(of_job.job); }},
                    statement.body);
}

// No member can fill a job's tables: an honest key states each unit once, and its own work is never refused.
bool Node::State::room_for(Job& job, const PeerId& author, bool replay) const {
  if (author == config.self) return true;
  if (job.statement_count >= limits::statements_per_job_max) return false;
  if (!job.stated_by.contains(author) && job.stated_by.size() >= limits::authors_per_job_max) return false;
  auto& stated = job.stated_by[author];
  return replay ? ++stated.replays <= limits::replays_per_judge_max : ++stated.results <= job.manifest->unit_count;
}

// True when the statement was new and is worth passing on.
bool Node::State::take(const Statement& statement, const std::optional<PeerId>& from, bool restoring) {
  return std::visit(
      Overloaded{[&](const Manifest&) { return take_manifest(statement, from, restoring); },
                 [&](const Cancel& cancel) { return take_cancel(statement, cancel, !from); },
                 [&](const Claims& claims) { return take_claims(statement, claims); },
                 [&](const Results& results) { return take_results(statement, results, restoring); },
                 [&](const Replay& replay) { return take_replay(statement, replay, restoring); },
                 [&](const PeerRecord& record) { return take_peer_record(statement, record, restoring); }},
      statement.body);
}

bool Node::State::take_manifest(const Statement& statement, const std::optional<PeerId>& from, bool restoring) {
  const auto& manifest = std::get<Manifest>(statement.body);
  const auto id = base::retag<JobId>(statement.id);
  if (jobs.contains(id) || forgotten.contains(id) || jobs.size() >= limits::jobs_max) return false;
  if (!restoring) {
    if (manifest.expires_unix_s <= now.unix_s || manifest.created_unix_s > now.unix_s + clock_skew_max_s) return false;
    const auto of_owner = std::ranges::count_if(jobs, [&](const auto& entry) { return entry.second->owner == statement.author; });
    if (static_cast<std::size_t>(of_owner) >= limits::jobs_per_owner_max) return false;
  }
  store.add(statement, id);
  Job& job = *jobs.emplace(id, std::make_unique<Job>(statement, config, notary)).first->second;
  job.first_from = from;
  if (restoring) return true;
  out.push(Persist{statement, !from});
  refresh_inputs(job);
  out.push(Notice{Notice::Kind::job_known, id, statement.author});
  if (from) reconcile_with(*from);  // results that came before it were dropped
  return true;
}

bool Node::State::take_cancel(const Statement& statement, const Cancel& cancel, bool own) {
  Job* job = find(cancel.job);
  if (job == nullptr || job->owner != statement.author || job->canceled) return false;
  if (started && (job->state() == JobState::finished || job->state() == JobState::failed)) return false;
  job->canceled = true;
  store.add(statement, job->id);
  if (!started) return true;
  out.push(Persist{statement, own});
  for (const UnitIndex unit : job->work.running_units()) out.push(StopUnit{job->id, unit});
  tell_state(*job);
  return true;
}

bool Node::State::take_claims(const Statement& statement, const Claims& claims) {
  store.remember_ephemeral(statement.id);
  Job* job = find(claims.job);
  if (job == nullptr || statement.author == config.self) return false;
  job->claims.on_claims(statement.author, claims, now.steady);
  tell_state(*job);
  return true;
}

bool Node::State::take_results(const Statement& statement, const Results& results, bool restoring) {
  Job* job = find(results.job);
  if (job == nullptr || !room_for(*job, statement.author, false)) return false;
  ++job->statement_count;
  store.add(statement, job->id);
  if (!restoring) out.push(Persist{statement, statement.author == config.self});
  for (const ResultEntry& entry : results.entries) {
    if (entry.unit >= job->manifest->unit_count) continue;
    job->claims.on_answer(statement.author, entry.unit);
    if (statement.author == config.self) job->work.on_answered(entry.unit, entry.outcome.digest);
  }
  if (statement.author == config.self)
    job->own_log_index = std::max(job->own_log_index, results.first_log_index + results.entries.size());
  auto changed = job->evidence.add_results(statement.author, statement.id, results);
  for (const UnitIndex unit : changed) job->verdict.on_results(unit);
  settle(*job, std::move(changed));
  return true;
}

bool Node::State::take_replay(const Statement& statement, const Replay& replay, bool restoring) {
  Job* job = find(replay.job);
  if (job == nullptr || !room_for(*job, statement.author, true)) return false;
  ++job->statement_count;
  store.add(statement, job->id);
  if (!restoring) out.push(Persist{statement, statement.author == config.self});
  if (statement.author == config.self) job->replays.on_published({replay.accused_statement, replay.accused, replay.unit});
  if (job->evidence.add_replay(statement.author, replay))
    job->verdict.on_replay({statement.author, replay.accused_statement, replay.accused, replay.unit, replay.compiled, replay.interpreted});
  settle(*job, {});
  return true;
}

bool Node::State::take_peer_record(const Statement& statement, const PeerRecord& record, bool restoring) {
  if (restoring) return false;
  const auto made_unix_s = static_cast<std::int64_t>(record.sequence / 1000);
  if (made_unix_s < now.unix_s - limits::peer_record_lifetime_s || made_unix_s > now.unix_s + clock_skew_max_s) return false;
  const auto it = records.find(statement.author);
  if (it != records.end()) {
    const Statement* known = store.find(it->second);
    if (known != nullptr && std::get<PeerRecord>(known->body).sequence >= record.sequence) return false;
    store.remove(it->second);
  } else if (records.size() >= limits::peer_records_max) {
    return false;
  }
  records[statement.author] = statement.id;
  store.add(statement, JobId{});
  if (statement.author != config.self && !record.addresses.empty()) {
    overlay.on_peer_known(statement.author, record.addresses, false, now.steady);
    if (overlay.linked(statement.author)) out.push(RememberPeer{statement.author, record.addresses});
  }
  return true;
}

// A statement of this machine's own making: an owner's manifest or cancel, this peer's results, replays and record.
void Node::State::accept_local(const Statement& statement) {
  if (store.seen(statement.id)) return;
  if (take(statement, std::nullopt, false)) Broadcast::publish({statement.raw}, overlay.neighbours(), out);
}

void Node::State::publish_peer_record() {
  record_made_unix_s = now.unix_s;
  PeerRecord record;
  record.addresses = config.own_addresses;
  record.sequence = static_cast<std::uint64_t>(now.unix_s * 1000 + now.steady.ms % 1000);
  record.light = config.light;
  accept_local(notary.seal(record));
}

// ---------------------------------------------------------------- jobs

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

// ---------------------------------------------------------------- work

// A replay may take a hundred times as long as a unit, so nothing waits behind one.
std::uint32_t Node::State::running_max() const {
  const bool replays = std::ranges::any_of(jobs, [](const auto& entry) { return entry.second->replays.running_count() > 0; });
  return config.slots + (replays ? 0 : std::min(config.slots * units_ahead, units_ahead_max));
}

std::uint32_t Node::State::running_count() const {
  std::size_t count = 0;
  for (const auto& [id, job] : jobs) count += job->work.running_count() + job->replays.running_count();
  return static_cast<std::uint32_t>(count);
}

void Node::State::poll_work() {
  if (config.light || !started) return;
  std::vector<Job*> order;
  for (const auto& [id, job] : jobs)
    if (job->open() && job->can_run(here)) order.push_back(job.get());
  std::ranges::stable_sort(order, [](const Job* a, const Job* b) {
    if (a->manifest->priority != b->manifest->priority) return a->manifest->priority > b->manifest->priority;
    return a->manifest->created_unix_s < b->manifest->created_unix_s;
  });
  for (std::uint32_t running = running_count(); running < running_max(); ++running) {
    if (std::ranges::any_of(order, [&](Job* job) { return start_replay(*job, true); })) continue;
    if (std::ranges::any_of(order, [&](Job* job) { return start_unit(*job); })) continue;
    if (std::ranges::any_of(order, [&](Job* job) { return start_replay(*job, false); })) continue;
    return;
  }
}

bool Node::State::start_unit(Job& job) {
  const auto unit = job.work.pick(now.steady);
  if (!unit) return false;
  job.work.on_started(*unit, now.steady);
  job.unsent_claims.push_back(*unit);
  if (!own_due) own_due = now.steady + limits::batch_delay;
  out.push(StartUnit{job.id, *unit});
  return true;
}

bool Node::State::start_replay(Job& job, bool open_work) {
  if (!replay_allowed(open_work, job.work.executions(), job.replays_started)) return false;
  const auto target = job.replays.next();
  if (!target) return false;
  ++job.replays_started;
  job.replays.on_started(*target);
  out.push(StartReplay{job.id, target->unit, target->statement});
  return true;
}

void Node::State::on_unit_finished(const UnitFinished& finished) {
  Job* job = find(finished.job);
  here.insert(finished.outcome.digest);
  if (job == nullptr || !job->work.running(finished.unit)) return;
  const bool again = job->work.answered(finished.unit);
  job->work.on_answered(finished.unit, finished.outcome.digest);
  if (again) {  // executed only to have its bytes: the answer was stated long ago
    on_blob_held(finished.outcome.digest);
    return;
  }
  job->unsent_results.push_back({finished.unit, job->order.position_of(finished.unit), finished.outcome});
  std::erase(job->unsent_claims, finished.unit);
  // The first result after a pause leaves at once; a stream of them travels in batches.
  const bool quiet = !own_sent_at || now.steady - *own_sent_at >= limits::batch_delay;
  const base::Instant due = quiet ? now.steady : now.steady + limits::batch_delay;
  own_due = earlier(own_due, due);
}

void Node::State::on_unit_released(const UnitReleased& released) {
  Job* job = find(released.job);
  if (job == nullptr || !job->work.running(released.unit)) return;
  job->work.on_released(released.unit, now.steady);
  ++job->released_count;
  job->last_release = released.reason;
  std::erase(job->unsent_claims, released.unit);
  job->unsent_releases.push_back(released.unit);
  if (!own_due) own_due = now.steady + limits::batch_delay;
}

void Node::State::on_replay_finished(const ReplayFinished& finished) {
  Job* job = find(finished.job);
  if (job == nullptr) return;
  const auto target = job->replays.running(finished.accused_statement, finished.unit);
  if (!target) return;
  if (!finished.compiled || !finished.interpreted) return job->replays.on_given_up(*target);
  accept_local(notary.seal(Replay{job->id, target->statement, target->accused, target->unit, *finished.compiled, *finished.interpreted}));
  job->replays.on_published(*target);
}

void Node::State::seal_results(Job& job, std::vector<RawStatement>& published) {
  for (std::size_t at = 0; at < job.unsent_results.size(); at += limits::results_per_batch_max) {
    const std::size_t end = std::min(job.unsent_results.size(), at + limits::results_per_batch_max);
    Results results{job.id, job.own_log_index, {job.unsent_results.begin() + static_cast<std::ptrdiff_t>(at), job.unsent_results.begin() + static_cast<std::ptrdiff_t>(end)}};
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
  for (const auto& [id, job] : jobs) {
    seal_results(*job, published);
    seal_claims(*job, published);
  }
  Broadcast::publish(published, overlay.neighbours(), out);
}

void Node::State::renew_claims() {
  for (const auto& [id, job] : jobs) {
    const auto units = job->work.poll_claims_to_renew(now.steady);
    if (units.empty()) continue;
    job->unsent_claims.insert(job->unsent_claims.end(), units.begin(), units.end());
    if (!own_due) own_due = now.steady;
  }
}

// ---------------------------------------------------------------- links and blobs

void Node::State::on_link_up(const LinkUp& up) {
  if (up.peer == config.self) return;
  if (!overlay.on_link_up(up.peer, up.light, now.steady)) {
    out.push(Disconnect{up.peer, "is refused"});
    return;
  }
  // Only peers that were really met fill the cache on disk: records are free to make.
  if (const auto addresses = overlay.addresses_of(up.peer); !addresses.empty()) out.push(RememberPeer{up.peer, addresses});
  std::vector<RawStatement> greeting;
  for (const auto& [author, id] : records)
    if (const Statement* record = store.find(id)) greeting.push_back(record->raw);
  Broadcast::send(up.peer, greeting, out);
  reconcile_with(up.peer);
  greet_at[up.peer] = now.steady + limits::holdings_delay;
  links_changed();
}

void Node::State::on_link_down(const LinkDown& down) {
  overlay.on_link_down(down.peer, now.steady, rng);
  blobs.on_link_down(down.peer);
  greet_at.erase(down.peer);
  for (const auto& [id, job] : jobs) job->claims.on_peer_gone(down.peer);
  links_changed();
}

void Node::State::links_changed() {
  for (const auto& [id, job] : jobs) {
    job->custody.on_links_changed(overlay.neighbours());
    refresh_inputs(*job);
    if (started) tell_state(*job);
  }
}

void Node::State::refuse(const PeerId& peer, const std::string& reason) {
  overlay.refuse(peer, now.steady);
  if (overlay.linked(peer)) out.push(Disconnect{peer, reason});
}

void Node::State::on_message(const Received& received) {
  const PeerId& from = received.from;
  if (!overlay.linked(from)) return;
  std::visit(Overloaded{[&](const StatementBundle& bundle) {
                          for (const RawStatement& raw : bundle.statements)
                            if (!on_raw(raw, from)) return;
                        },
                        [&](const Summary& summary) {
                          if (auto difference = store.compare(summary)) out.send(from, std::move(*difference));
                        },
                        [&](const BucketIds& ids) {
                          auto difference = store.difference(ids);
                          Broadcast::send(from, difference.they_lack, out);
                          if (!difference.we_lack.empty()) out.send(from, Want{std::move(difference.we_lack)});
                        },
                        [&](const Want& want) { Broadcast::send(from, store.wanted(want), out); },
                        [&](const Holdings& holdings) {
                          Job* job = find(holdings.job);
                          if (job == nullptr) return;
                          job->custody.on_holdings(from, holdings, overlay.neighbours());
                          blobs.touch();
                          tell_state(*job);
                        },
                        [&](const BlobGet&) {}, [&](const BlobData&) {}},
             received.message);
}

void Node::State::reconcile_with(const PeerId& peer) {
  if (overlay.linked(peer)) out.send(peer, store.summary());
}

void Node::State::send_holdings(const PeerId& peer) {
  for (const auto& [id, job] : jobs) out.send(peer, job->custody.everything());
}

void Node::State::on_blob_held(const Digest& blob) {
  here.insert(blob);
  blobs.on_whole(blob, out);
  for (const auto& [id, job] : jobs) {
    job->custody.on_blob_here(blob, overlay.neighbours());
    refresh_inputs(*job);
    if (!holdings_due && job->custody.has_news()) holdings_due = now.steady + limits::holdings_delay;
    if (started) tell_state(*job);
  }
}

void Node::State::on_blob_lost(const Digest& blob) {
  here.erase(blob);
  for (const auto& [id, job] : jobs) {
    job->custody.on_blob_lost(blob, overlay.neighbours());
    refresh_inputs(*job);
    tell_state(*job);
  }
}

void Node::State::poll_custody() {
  for (const auto& [id, job] : jobs) {
    if (job->canceled) continue;
    const std::size_t room = limits::pulls_at_once_max - std::min(limits::pulls_at_once_max, blobs.archives_in_motion());
    const auto duties = job->custody.poll_duties(now.steady, overlay.neighbours(), room);
    for (const BlobRef& archive : duties.pull) blobs.want_whole(archive, id, true);
    for (const UnitIndex unit : duties.execute_again) job->work.execute_again(unit);
  }
}

std::vector<PeerId> Node::State::sources(const JobId& id, const Digest& blob) const {
  const Job* job = find(id);
  if (job == nullptr) return {};
  auto found = job->custody.archive_sources(blob, overlay.neighbours());
  if (!found.empty() || job->custody.keeps(blob)) return found;
  found = job->custody.input_sources(overlay.neighbours());
  if (!found.empty()) return found;
  if (job->first_from && overlay.linked(*job->first_from)) return {*job->first_from};
  for (const auto& [peer, light] : overlay.neighbours()) found.push_back(peer);
  return found;
}

// ---------------------------------------------------------------- time

void Node::State::on_tick() {
  expire();
  blobs.touch();
  renew_claims();
  poll_custody();
  overlay.poll_dials(now.steady, out);
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
    for (const auto& [id, job] : jobs) refresh_inputs(*job);
  }
}

void Node::State::after_input() {
  if (!started) return;
  overlay.poll_dials(now.steady, out);
  poll_work();
  flush_own();
  broadcast.poll(now.steady, overlay.neighbours(), out);
  if (!blobs.empty()) blobs.poll(now.steady, [&](const JobId& job, const Digest& blob) { return sources(job, blob); }, out);
  if (holdings_due && now.steady >= *holdings_due) {
    holdings_due.reset();
    for (const auto& [id, job] : jobs) {
      if (!job->custody.has_news()) continue;
      const auto message = std::make_shared<const LinkMessage>(job->custody.poll_news());
      for (const auto& [peer, light] : overlay.neighbours()) out.push(Send{peer, message});
    }
  }
  set_timer();
}

void Node::State::set_timer() {
  const bool active = !blobs.empty() || !greet_at.empty() || std::ranges::any_of(jobs, [](const auto& entry) {
    const JobState state = entry.second->state();
    return state == JobState::waiting || state == JobState::running || entry.second->replays.any_pending();
  });
  tick_at = std::min(tick_at, now.steady + (active ? limits::tick_interval : limits::tick_idle_interval));
  auto next = earlier(tick_at, overlay.next_dial());
  next = earlier(next, own_due);
  next = earlier(next, broadcast.next_relay());
  next = earlier(next, holdings_due);
  if (next == timer_at) return;
  timer_at = next;
  out.push(SetTimer{*next});
}

// ---------------------------------------------------------------- the outside

void Node::restore(const Statement& statement, bool own) {
  STARLING_ENSURE(!state_->started);
  static_cast<void>(own);
  if (!state_->store.seen(statement.id)) state_->take(statement, std::nullopt, true);
}

void Node::blob_present(const Digest& blob) { state_->here.insert(blob); }

void Node::start(base::Now now) {
  State& s = *state_;
  STARLING_ENSURE(!s.started);
  s.now = now;
  while (s.out.take()) {
  }
  s.started = true;
  s.claim_sequence = static_cast<std::uint64_t>(now.unix_s) * 1000;  // a restarted peer's claims are no repetitions
  s.reconcile_at = now.steady + limits::reconcile_interval;
  s.tick_at = now.steady;
  for (const auto& [id, job] : s.jobs) {
    for (const Digest& blob : s.here) job->custody.on_blob_here(blob, s.overlay.neighbours());
    job->custody.on_links_changed(s.overlay.neighbours());
    s.refresh_inputs(*job);
    job->told = job->state();
  }
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
                        [&](const UnitFinished& finished) { s.on_unit_finished(finished); },
                        [&](const UnitReleased& released) { s.on_unit_released(released); },
                        [&](const ReplayFinished& finished) { s.on_replay_finished(finished); },
                        [&](const BlobHeld& held) { s.on_blob_held(held.blob); },
                        [&](const BlobLost& lost) { s.on_blob_lost(lost.blob); },
                        [&](const RangesWanted& want) {
                          s.blobs.want_range(want.blob, want.job, want.first_leaf, want.leaf_count, now.steady, s.out);
                        },
                        [&](const RangeArrived& range) {
                          s.blobs.on_range(range.from, range.blob, range.first_leaf, range.leaf_count, range.good, now.steady, s.out);
                        }},
             input);
  if (now.steady >= s.tick_at) {
    s.tick_at = now.steady + limits::tick_idle_interval;
    s.on_tick();
  }
  s.after_input();
}

void Node::set_units_ahead(std::uint32_t per_slot) { state_->units_ahead = std::min(per_slot, units_ahead_max); }

std::optional<Effect> Node::poll_effect() { return state_->out.take(); }

std::vector<JobId> Node::jobs() const {
  std::vector<JobId> out;
  for (const auto& [id, job] : state_->jobs) out.push_back(id);
  return out;
}

std::optional<JobStatus> Node::job(const JobId& id) const {
  const Job* job = state_->find(id);
  if (job == nullptr) return std::nullopt;
  JobStatus status;
  status.id = id;
  status.owner = job->owner;
  status.manifest = job->manifest;
  status.state = job->state();
  status.units = job->manifest->unit_count;
  status.accepted = job->verdict.accepted_count();
  status.accepted_failures = job->verdict.accepted_failures_count();
  status.bytes_safe = job->custody.safe_count();
  status.running_here = static_cast<std::uint32_t>(job->work.running_count());
  for (UnitIndex unit = 0; unit < status.units; ++unit) status.contested += job->verdict.unit(unit).contested ? 1U : 0U;
  status.executions = job->evidence.result_count();
  status.own_results = job->own_log_index;
  status.own_replays = job->replays.own_replays();
  status.replays_pending = job->replays.pending();
  status.input_holders = job->custody.input_holders(state_->overlay.neighbours());
  status.released_here = job->released_count;
  status.last_release = job->last_release;
  status.banned.assign(job->verdict.banned().begin(), job->verdict.banned().end());
  status.quarantined = job->verdict.quarantined();
  return status;
}

const JobEvidence* Node::evidence(const JobId& id) const {
  const Job* job = state_->find(id);
  return job == nullptr ? nullptr : &job->evidence;
}

const Verdict* Node::verdict(const JobId& id) const {
  const Job* job = state_->find(id);
  return job == nullptr ? nullptr : &job->verdict;
}

std::vector<Statement> Node::statements_of(const JobId& id) const { return state_->store.of_job(id); }

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

std::vector<PeerId> Node::holders(const JobId& id, const Digest& blob) const { return state_->sources(id, blob); }

bool Node::needs(const Digest& blob) const {
  return state_->blobs.wanted_whole(blob) || std::ranges::any_of(state_->jobs, [&](const auto& entry) {
           const auto inputs = entry.second->input_blobs();
           return entry.second->custody.keeps(blob) || entry.second->work.awaits(blob) ||
                  std::ranges::find(inputs, blob, &BlobRef::name) != inputs.end();
         });
}

bool Node::idle() const {
  return state_->blobs.empty() && !state_->own_due && state_->running_count() == 0 && std::ranges::all_of(state_->jobs, [](const auto& entry) {
    const JobState state = entry.second->state();
    return state != JobState::waiting && state != JobState::running && entry.second->replays.pending() == 0;
  });
}

void Node::check_invariants() const {
  const State& s = *state_;
  s.overlay.check_invariants();
  s.store.check_invariants();
  s.blobs.check_invariants();
  STARLING_ENSURE(s.jobs.size() <= limits::jobs_max && s.forgotten.size() <= limits::forgotten_jobs_max);
  STARLING_ENSURE(s.records.size() <= limits::peer_records_max);
  STARLING_ENSURE(s.running_count() <= s.config.slots + units_ahead_max);
  for (const auto& [id, job] : s.jobs) {
    STARLING_ENSURE(id == job->id && s.store.contains(base::retag<MessageId>(id)));
    job->evidence.check_invariants();
    job->verdict.check_invariants();
    job->claims.check_invariants();
    job->work.check_invariants();
    job->custody.check_invariants(s.overlay.neighbours());
  }
}

}  // namespace starling::protocol
