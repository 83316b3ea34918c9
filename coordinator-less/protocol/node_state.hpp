// Node's inside: the parts, and the functions that route between them. Private to the node_*.cpp files.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/blob_plan.hpp"
#include "coordinator-less/protocol/broadcast.hpp"
#include "coordinator-less/protocol/job.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/protocol/outbox.hpp"
#include "coordinator-less/protocol/overlay.hpp"
#include "coordinator-less/protocol/statement_store.hpp"

namespace starling::protocol {

constexpr auto units_ahead_max = static_cast<std::uint32_t>(limits::units_queued_max / 4);  // in all slots together

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

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

}  // namespace starling::protocol
