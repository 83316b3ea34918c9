// Node's inside: the parts, and the functions that route between them. Private to the node_*.cpp files.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/base/allowance.hpp"
#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/blob_plan.hpp"
#include "coordinator-less/protocol/broadcast.hpp"
#include "coordinator-less/protocol/fold_table.hpp"
#include "coordinator-less/protocol/folded_job.hpp"
#include "coordinator-less/protocol/id_proofs.hpp"
#include "coordinator-less/protocol/job.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/job_table.hpp"
#include "coordinator-less/protocol/neighbour_budget.hpp"
#include "coordinator-less/protocol/outbox.hpp"
#include "coordinator-less/protocol/overlay.hpp"
#include "coordinator-less/protocol/recent_set.hpp"
#include "coordinator-less/protocol/statement_store.hpp"

namespace starling::protocol {

constexpr auto units_ahead_max = static_cast<std::uint32_t>(limits::units_queued_max / 4);  // in all slots together

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

struct Node::State {
  State(NodeConfig node_config, Notary& node_notary, base::Rng node_rng, StoredEvidence* node_stored)
      : config(std::move(node_config)), notary(node_notary), stored(node_stored), rng(node_rng), overlay(config.self, config.own_addresses), proofs(config.self, config.puzzle_difficulty_bits), broadcast(config.self),
        store(node_stored), fold_judges(judges_digest(config.roots, notary)), shares(config.projects, config.only_projects) {}

  // --- statements
  bool on_raw(const RawStatement& raw, const PeerId& from);  // false: the sender was refused
  bool room_for(Job& job, const PeerId& author) const;
  bool room_for(Job& job, const PeerId& author, const Results& results) const;
  bool room_for(Job& job, const PeerId& author, const Replay& replay) const;
  bool take(const Statement& statement, const std::optional<PeerId>& from, bool restoring);
  bool settled(const Statement& statement) const;
  bool take_manifest(const Statement& statement, const std::optional<PeerId>& from, bool restoring);
  bool take_cancel(const Statement& statement, const Cancel& cancel, bool own, bool restoring);
  bool take_claims(const Statement& statement, const Claims& claims);
  bool take_results(const Statement& statement, const Results& results, bool restoring, bool from_elsewhere);
  void note_own(Job& job, const MessageId& statement, const Results& results, bool from_elsewhere);
  bool take_replay(const Statement& statement, const Replay& replay, bool restoring);
  void persist(Job& job, const Statement& statement);
  void accept_local(const Statement& statement);

  // --- peers
  bool heard(const Statement& statement) const;  // its author may state such things here
  bool take_peer_record(const Statement& statement, const PeerRecord& record, const std::optional<PeerId>& from);
  bool record_settled(const Statement& statement, const PeerRecord& record) const;
  bool restore_proof(const Statement& statement, const PeerRecord& record);
  bool room_for_record(const PeerId& author);
  bool states_here(const PeerId& author) const;
  void drop_record(const PeerId& author);
  void expire_records();
  void publish_peer_record();
  bool minting() const { return proofs.needed() && !config.light && !config.puzzle_nonce; }
  void on_id_minted(const IdMinted& minted);
  void on_puzzle_checked(const PuzzleChecked& checked);
  void refuse_unproven();
  Broadcast::Neighbours by_links() const;  // with whether few links are all they have: light, or nobody can dial them
  bool proven_liar(const Job& job, const PeerId& peer) const;  // by own replays or the roots'
  void renew_bans();

  // --- jobs
  Job* find(const JobId& id);  // whoever looks for it may change it: wakes it
  void wake(Job& job) { awake[job.id] = &job; }
  bool admit(const PeerId& owner, const Manifest& manifest, bool local);
  void tell_ahead(const JobId& job, const PeerId& owner);
  bool ended(JobState state) const { return state != JobState::waiting && state != JobState::running; }
  void note_state(Job& job, JobState state);
  const Job* find(const JobId& id) const;
  void note_news(Job& job, const std::vector<UnitIndex>& units);
  void settle_all();
  bool settles_now(const Job& job);
  void settle(Job& job);
  void tell_bans(Job& job);
  void tell_state(Job& job);
  void refresh_inputs(Job& job);
  bool keeps_inputs(Job& job, const std::vector<BlobRef>& inputs) const;
  void leave(const Job& job);
  void forget(const JobId& id);
  void expire();

  JobStatus status_of(const Job& job) const;
  JobExplanation explanation_of(const Job& job) const;
  bool earns_favours(const JobRecord& job) const { return job.local || job.owner == config.credit_to; }

  // --- sleep
  bool may_sleep(Job& job) const;
  void poll_sleep();
  void wake_for_archives();
  void fall_asleep(const JobId& id);
  Job* find_or_wake(const JobId& id);
  Job* find_or_wake_for_statement(const JobId& id);
  Job* wake_for_own_ends(const JobId& id);
  void wake_up(std::map<JobId, SleepingJob>::iterator which, const std::vector<Statement>& statements);
  const Job* asked(const JobId& id);
  const SleepingJob* asleep(const JobId& id) const;
  bool stated_asleep(const PeerId& author) const;
  FinalityObstacle obstacle_of(const SleepingJob& job) const;
  void send_asleep(const PeerId& to, const std::vector<MessageId>& ids);
  void drop_inputs_asleep(const SleepingJob& job);
  bool names_input_asleep(const Digest& blob) const;
  void note_blob_asleep(const Digest& blob, bool lost);
  void forget_asleep(const JobId& id);
  void check_sleeping() const;

  // --- folds
  bool knows_job(const JobId& id) const { return jobs.contains(id) || sleeping.contains(id) || folded.contains(id); }
  FoldTree fold_tree_of(const Job& job);
  bool hashes_for_others(const Job& job);
  std::optional<Digest> fold_root_of(Job& job, bool for_others);
  bool makes_folds_of(const JobId& id);
  void make_fold(Job& job);
  void take_back_fold(const Job& job);
  void answer_for_own_fold(const Fold& fold);
  void publish_fold(Fold fold);
  bool made_ahead(const Fold& fold) const;
  bool take_fold(const Statement& statement, const Fold& fold);
  bool may_be_told(const Job& job) const;
  void review_folds(const JobId& id);
  void note_makers(FoldedJob& job, const FoldTable::Belief& belief);
  void fold_up(const Job& job, const FoldTable::Belief& belief);
  Job* unfold(const JobId& id);
  JobStatus status_of(const FoldedJob& job) const;
  std::vector<LeftOut> left_out() const;
  StatementStore::Jobs agreed(const std::vector<LeftOut>& theirs);
  void on_headlines(const PeerId& from, const std::vector<MessageId>& lacking);
  void poll_first_comparison(const PeerId& with);
  Broadcast::Neighbours keepers_of(const JobId& id) const;
  std::vector<PeerId> holders_of(const FoldedJob& job) const;
  void unfold_where_too_few_hold();
  void on_holdings(const PeerId& from, const Holdings& holdings);
  bool on_holdings_of_folded(const PeerId& from, const Holdings& holdings);
  void on_link_down_of_folded(const PeerId& peer);
  void look_again_where_more_pass();
  void poll_folds();
  bool fold_audit_due() const;
  bool start_fold_audit();
  void ask_about_a_fold();
  void on_fold_question(const PeerId& from, const FoldQuestion& question);
  void on_fold_proof(const PeerId& from, const FoldProof& proof);
  void on_question_in_vain(const JobId& id);
  bool audits_fold(const JobId& job, UnitIndex unit) const;
  void drop_fold_audit();
  void on_fold_audited(const UnitFinished& finished);
  void state_finding(Job& job);
  bool admits_unfolded(const JobId& id);
  void forget_folded(const JobId& id, bool for_good = true);
  void check_folds() const;

  // --- work
  std::uint32_t running_count() const;
  std::uint32_t running_max() const;
  void poll_work();
  bool start_unit(Job& job);
  bool waits_at_tail(Job& job);
  bool tail_wait_lasts(const Job& job) const;
  bool start_audit(Job& job, bool idle);
  void start(Job& job, UnitIndex unit, bool audit);
  std::vector<PeerId> others_at(const Job& job, UnitIndex unit, const std::optional<PeerId>& accused);
  bool has_input(Job& job, UnitIndex unit, std::size_t& awaited);
  std::optional<bool> has_replay_input(Job& job, UnitIndex unit);
  bool start_replay(Job& job, bool open_work);
  bool others_finish(Job& job);
  bool start_confirmation(Job& job);
  void on_confirm(const Confirm& confirm);
  const FinalUnits& final_units_of(Job& job);
  FinalityObstacle obstacle_of(const Job& job) const;
  void count_favours();
  std::map<PeerId, VerifiedWork> verified_work_in(const Job& job) const;
  void on_unit_finished(const UnitFinished& finished);
  void on_unit_released(const UnitReleased& released);
  bool waits_for_slot(const JobId& job, UnitIndex unit) const;
  void give_back_if_waiting(Job& job, UnitIndex unit);
  void on_replay_finished(const ReplayFinished& finished);
  void suspect_copies(Job& job, UnitIndex unit, const Outcome& found, const std::vector<FingerprintOf>& others);
  std::vector<Replay> found_by(const Job& job, const ReplayTarget& target, const ReplayFinished& finished) const;
  void on_own_replayed(Job& job, const ReplayTarget& target, const ReplayFinished& finished);
  void withdraw_where_due();
  void stop_work(Job& job);
  void on_contradicts_itself(Job& job, UnitIndex unit);
  bool agrees_with_itself(Job& job, const UnitFinished& finished);
  void on_pause(const Pause& pause);
  void flush_own();
  void seal_results(Job& job, std::vector<RawStatement>& out);
  void seal_claims(Job& job, std::vector<RawStatement>& out);
  void renew_claims();

  // --- links and blobs
  void on_link_up(const LinkUp& up);
  void on_link_down(const LinkDown& down);
  void on_message(const Received& received);
  void refuse(const PeerId& peer, const std::string& reason);  // broke the protocol, or is banned
  void after_links_changed(Job& job, bool changed);
  void refresh_share();
  void reconcile_with(const PeerId& peer);
  template <class Question>
  void on_comparison(const PeerId& from, const Question& question);
  void answer(const PeerId& to, const Summary& summary);
  void answer(const PeerId& to, const BucketIds& ids);
  void answer(const PeerId& to, const Want& want);
  void send_lacking(const PeerId& to, const StatementStore::Difference& lacking);
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
  StoredEvidence* stored;                      // null: no job sleeps
  base::Rng rng;
  base::Now now;
  Outbox out;
  Overlay overlay;
  IdProofs proofs;
  Broadcast broadcast;
  StatementStore store;
  NeighbourBudget budget;                      // of what answering them costs
  BlobPlan blobs;
  std::map<JobId, std::unique_ptr<Job>> jobs;  // but those that sleep
  std::map<JobId, SleepingJob> sleeping;
  std::set<std::pair<Digest, JobId>> inputs_asleep;  // programs, units and inputs of these, for whoever asks about a blob
  Digest fold_judges;                          // of the roots named here, as folds say it
  FoldTable folds;
  std::map<JobId, FoldedJob> folded;           // told by folds
  std::map<JobId, std::set<PeerId>> folded_at;  // linked peers that are told jobs of this peer
  std::set<JobId> more_pass;                   // in custody of these, so this peer may be a keeper of more
  std::set<PeerId> evidence_from;              // to compare with soon: jobs were unfolded
  std::optional<FoldAudit> fold_audit;
  std::uint64_t executions = 0, fold_audits = 0;  // since this start
  base::Instant fold_question_at, fold_waking_at;  // not before then
  base::Allowance fold_hashing{limits::fold_leaves_burst, limits::fold_leaves_per_s};  // for neighbours' comparisons and questions
  struct FirstComparison {
    base::Instant until, latest;  // without an answer, and however many come
    std::uint32_t rounds = 0;
    bool listed = false, lacked = false;
    std::vector<MessageId> awaited = {};
  };
  std::map<PeerId, FirstComparison> first_comparisons;  // of new neighbours: headlines first
  base::Instant custody_waking_at, statement_waking_at;  // not before then
  JobId custody_woken;                         // the last one
  std::vector<JobId> unsettled;                // jobs with statements that their verdict has not drawn conclusions from
  base::Allowance judged_anew{limits::results_judged_anew_burst, limits::results_judged_anew_per_s};
  std::map<JobId, Job*> awake;                 // those that time or work may change; the others are as they ended
  FairShare shares;                            // which job next
  std::deque<std::pair<JobId, UnitIndex>> started_units;  // running here, in the order the executor takes them up
  std::uint64_t jobs_come = 0, jobs_ended = 0;
  std::uint32_t share_rank = 0, share_workers = 1;  // among the workers linked
  RecentSet<JobId, limits::forgotten_jobs_max> forgotten;
  LocalBlobs here;
  struct Record {
    Statement statement;
    base::Instant taken_at;
    const PeerRecord& body() const { return std::get<PeerRecord>(statement.body); }
  };
  std::map<PeerId, Record> records;            // newest peer record of each author
  std::size_t proofs_stored = 0;               // records on disk, for their nonces
  std::map<PeerId, base::Instant> greet_at;    // new neighbours that are to hear what is held
  std::uint64_t claim_sequence = 0;
  std::uint32_t chain = 0;                     // of own results, at least: when this start was
  std::uint32_t units_ahead = 0;               // per slot
  std::optional<base::Instant> own_due;        // when unsent results and claims go out
  std::optional<base::Instant> own_sent_at;
  std::optional<base::Instant> holdings_due;
  base::Instant reconcile_at;
  base::Instant tick_at;
  std::optional<base::Instant> timer_at;
  std::optional<base::Instant> ahead_told_at;  // when a job from the future was last refused aloud
  std::int64_t record_made_unix_s = 0;
  std::uint64_t record_sequence = 0;
  bool started = false;
};

}  // namespace starling::protocol
