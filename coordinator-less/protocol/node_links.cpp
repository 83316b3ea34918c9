// Node's part that speaks with neighbours: bundles, holdings, blobs.
#include "coordinator-less/protocol/node_state.hpp"

namespace starling::protocol {
namespace {

std::size_t units_looked_at(const Holdings& holdings, std::uint64_t numbers) {
  if (holdings.complete) return numbers;
  std::uint64_t named = 0;
  for (const auto& [begin, end] : holdings.units) named += std::min<std::uint64_t>(end, numbers) - std::min<std::uint64_t>(begin, numbers);
  return named;
}

}  // namespace

void Node::State::on_link_up(const LinkUp& up) {
  if (up.peer == config.self) return;
  if (minting()) {  // nobody would hear us yet, and others would refuse us for it
    out.push(Disconnect{up.peer, "came before this peer's id is minted"});
    return;
  }
  if (!overlay.on_link_up(up.peer, up.light, now.steady)) {
    out.push(Disconnect{up.peer, "is refused"});
    return;
  }
  // Only peers that were really met fill the cache on disk: records are free to make.
  if (const auto addresses = overlay.addresses_of(up.peer); !addresses.empty()) out.push(RememberPeer{up.peer, addresses});
  std::vector<RawStatement> greeting;
  for (const auto& [author, known] : records) greeting.push_back(known.statement.raw);
  Broadcast::send(up.peer, greeting, out);
  out.send(up.peer, store.summary(true));
  first_comparisons[up.peer] = {.until = now.steady + limits::headlines_patience, .latest = now.steady + limits::headlines_patience_max};
  proofs.on_link_up(up.peer, up.light, now.steady);
  if (const auto it = records.find(up.peer); it != records.end() && !proofs.proven(up.peer))  // proven once, forgotten since
    proofs.on_record(it->second.statement, std::nullopt, overlay.neighbours());
  greet_at[up.peer] = now.steady + limits::holdings_delay;
  refresh_share();
  for (const auto& [id, job] : jobs) after_links_changed(*job, job->custody.on_link_up(up.peer, overlay.neighbours()));
}

void Node::State::on_link_down(const LinkDown& down) {
  overlay.on_link_down(down.peer, now.steady, rng);
  proofs.on_link_down(down.peer);
  blobs.on_link_down(down.peer);
  greet_at.erase(down.peer);
  on_link_down_of_folded(down.peer);
  refresh_share();
  for (const auto& [id, job] : jobs) {
    job->claims.on_peer_gone(down.peer);
    after_links_changed(*job, job->custody.on_link_down(down.peer, overlay.neighbours()));
  }
  for (auto& [id, job] : sleeping) job.custody.on_link_down(down.peer, now.steady);
}

// An ended job that the link does not concern rests on.
void Node::State::after_links_changed(Job& job, bool changed) {
  if (!changed && job.ended() && (job.stopped() || job.custody.quiet())) return;
  wake(job);
  if (started && (changed || !job.ended())) tell_state(job);
  refresh_inputs(job);
}

void Node::State::refresh_share() {
  share_rank = 0;
  share_workers = 1;
  for (const auto& [peer, light] : overlay.neighbours()) {
    if (light) continue;
    ++share_workers;
    if (peer < config.self) ++share_rank;
  }
}

void Node::State::refuse(const PeerId& peer, const std::string& reason) {
  overlay.refuse(peer, now.steady);
  proofs.on_sender_refused(peer);
  if (overlay.linked(peer)) out.push(Disconnect{peer, reason});
}

void Node::State::on_message(const Received& received) {
  const PeerId& from = received.from;
  if (!overlay.linked(from)) return;
  std::visit(Overloaded{[&](const StatementBundle& bundle) {
                          for (const RawStatement& raw : bundle.statements)
                            if (!on_raw(raw, from)) return;
                          poll_first_comparison(from);
                        },
                        [&](const Summary& summary) { on_comparison(from, summary); },
                        [&](const BucketIds& ids) { on_comparison(from, ids); },
                        [&](const Want& want) { on_comparison(from, want); },
                        [&](const FoldQuestion& question) { on_fold_question(from, question); },
                        [&](const FoldProof& proof) { on_fold_proof(from, proof); },
                        [&](const Holdings& holdings) { on_holdings(from, holdings); },
                        [&](const BlobGet&) {}, [&](const BlobData&) {}},
             received.message);
}

// A list of a hundred bytes makes this peer look at each unit of a job. What is too much comes again.
void Node::State::on_holdings(const PeerId& from, const Holdings& holdings) {
  if (on_holdings_of_folded(from, holdings) || !budget.may_ask(from, now.steady, overlay.neighbours().size())) return;
  const auto pay = [&](const JobRecord& job) { budget.pay_bytes(from, units_looked_at(holdings, Segments(*job.manifest).total()) * limits::unit_looked_at_bytes); };
  if (const auto it = sleeping.find(holdings.job); it != sleeping.end()) {
    pay(it->second);
    return it->second.custody.on_holdings(from, holdings, now.steady);
  }
  Job* job = find(holdings.job);
  if (job == nullptr) return;
  pay(*job);
  if (job->custody.on_holdings(from, holdings, now.steady, overlay.neighbours())) tell_state(*job);
  blobs.touch();
}

void Node::State::send_holdings(const PeerId& peer) {
  for (const auto& [id, job] : jobs) out.send(peer, job->custody.everything());
  for (const auto& [id, job] : sleeping) out.send(peer, job.custody.everything());
  for (const auto& [id, job] : folded) out.send(peer, Holdings{.job = id, .folded = true});
}

void Node::State::on_blob_held(const Digest& blob) {
  here.insert(blob);
  blobs.on_whole(blob, out);
  note_blob_asleep(blob, false);
  for (const auto& [id, job] : jobs) {
    const bool input = job->names_input(blob);
    if (!job->custody.on_blob_here(blob, overlay.neighbours()) && !input) continue;
    wake(*job);
    if (input) refresh_inputs(*job);
    if (!holdings_due && job->custody.has_news()) holdings_due = now.steady + limits::holdings_delay;
    if (started) tell_state(*job);
  }
}

void Node::State::on_blob_lost(const Digest& blob) {
  note_blob_asleep(blob, true);  // who wakes has it still, and tells of its loss below
  here.erase(blob);
  for (const auto& [id, job] : jobs) {
    const bool input = job->names_input(blob);
    if (!job->custody.on_blob_lost(blob, overlay.neighbours()) && !input) continue;
    wake(*job);
    if (input) refresh_inputs(*job);
    if (!holdings_due && job->custody.has_news()) holdings_due = now.steady + limits::holdings_delay;
    tell_state(*job);
  }
}

void Node::State::poll_custody() {
  std::size_t sweep_budget = limits::units_swept_per_tick_max;
  Broadcast::Neighbours some_pass;
  for (const auto& [id, job] : awake) {
    if (job->stopped()) continue;
    const std::size_t room = limits::pulls_at_once_max - std::min(limits::pulls_at_once_max, blobs.archives_in_motion());
    const auto& keepers = folded_at.contains(id) ? (some_pass = keepers_of(id)) : overlay.neighbours();
    const auto duties = job->custody.poll_duties(now.steady, keepers, room, sweep_budget);
    for (const BlobRef& archive : duties.pull) blobs.want_whole(archive, id, true);
    for (const UnitIndex unit : duties.execute_again) job->work.execute_again(unit);
    if (job->work.has_again()) job->work.forget_again_unless([&](UnitIndex unit) { return job->custody.lost(unit); });
  }
}

std::vector<PeerId> Node::State::sources(const JobId& id, const Digest& blob) const {
  if (const auto told = folded.find(id); told != folded.end()) return holders_of(told->second);
  const Job* job = find(id);
  if (job == nullptr) return {};
  auto found = job->custody.archive_sources(blob, overlay.neighbours());
  if (!found.empty() || job->custody.keeps(blob)) return found;
  found = job->custody.input_sources(overlay.neighbours());
  // Whoever told us of the job comes last: what others say they hold may be wrong.
  if (job->first_from && overlay.linked(*job->first_from) && std::ranges::find(found, *job->first_from) == found.end())
    found.push_back(*job->first_from);
  if (!found.empty()) return found;
  for (const auto& [peer, light] : overlay.neighbours()) found.push_back(peer);
  return found;
}

}  // namespace starling::protocol
