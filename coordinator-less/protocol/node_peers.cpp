// Node's part that knows other peers: their records, the proofs of their ids, who is not met again.
#include "coordinator-less/protocol/node_state.hpp"

namespace starling::protocol {
namespace {

std::int64_t made_unix_s(const PeerRecord& record) { return static_cast<std::int64_t>(record.sequence / 1000); }

bool timely(const PeerRecord& record, std::int64_t now_unix_s) {
  const auto made = made_unix_s(record);
  return made >= now_unix_s - limits::peer_record_lifetime_s && made <= now_unix_s + limits::peer_record_skew_max_s;
}

}  // namespace

// Owners need no proof for what only owners sign: manifests, cancels, and replays in a job of their own.
bool Node::State::heard(const Statement& statement) const {
  if (proofs.proven(statement.author)) return true;
  return std::visit(Overloaded{[](const Claims&) { return false; }, [](const Results&) { return false; },
                               [](const Fold&) { return false; },
                               [&](const Replay& replay) {
                                 const JobRecord* job = asleep(replay.job);
                                 if (job == nullptr) job = find(replay.job);
                                 if (const auto told = folded.find(replay.job); told != folded.end()) job = &told->second;
                                 return job != nullptr && job->owner == statement.author;
                               },
                               [](const auto&) { return true; }},
                    statement.body);
}

// In swarms with a puzzle a record is kept whatever its time, for its nonce; its addresses are used only while it is timely.
bool Node::State::take_peer_record(const Statement& statement, const PeerRecord& record, const std::optional<PeerId>& from) {
  const PeerId& author = statement.author;
  if (author == config.self && from) {  // of an earlier life, whose clock may have been ahead
    if (record.sequence < record_sequence || !timely(record, now.unix_s)) return false;
    record_sequence = record.sequence;  // a newer one soon: not at once, or two machines with one key would outbid each other
    record_made_unix_s = std::min(record_made_unix_s, now.unix_s - limits::peer_record_renewal_s + limits::peer_record_spacing.ms / 1000);
    return false;
  }
  if (proofs.needed() && record.light) return false;  // needs no proof, and nobody dials it
  if (!proofs.proven_with(author, record.puzzle_nonce)) {
    if (!overlay.refused(author, now.steady)) proofs.on_record(statement, from, overlay.neighbours());
    return false;
  }
  if (!proofs.needed() && !timely(record, now.unix_s)) return false;
  if (const auto it = records.find(author); it != records.end()) {
    const PeerRecord& known = it->second.body();
    const bool soon = from && now.steady - it->second.taken_at < limits::peer_record_spacing;
    if (known.sequence >= record.sequence || soon) return false;
    store.remove(it->second.statement.id);
  } else if (!room_for_record(author)) {
    return false;
  }
  records[author] = {statement, now.steady};
  store.add(statement, JobId{});
  if (author == config.self || !timely(record, now.unix_s)) return true;
  overlay.on_peer_known(author, record.addresses, false, now.steady);
  if (const auto addresses = overlay.addresses_of(author); overlay.linked(author) && !addresses.empty())
    out.push(RememberPeer{author, addresses});
  return true;
}

// Not while its check waits, its author is refused, or it came too soon after the one before: comparison brings it again.
bool Node::State::record_settled(const Statement& statement, const PeerRecord& record) const {
  if (statement.author == config.self || (proofs.needed() && record.light)) return true;
  if (!proofs.proven_with(statement.author, record.puzzle_nonce)) return false;
  const auto it = records.find(statement.author);
  if (it == records.end()) return true;
  return it->second.body().sequence >= record.sequence || (!proofs.needed() && !timely(record, now.unix_s));
}

// On disk are only records whose nonce was found good.
bool Node::State::restore_proof(const Statement& statement, const PeerRecord& record) {
  if (!proofs.needed() || statement.author == config.self) return false;
  proofs.on_proven(statement.author, record.puzzle_nonce);
  ++proofs_stored;
  if (records.contains(statement.author) || records.size() >= limits::peer_records_max) return false;
  records[statement.author] = {statement, now.steady};
  store.add(statement, JobId{});
  return true;
}

bool Node::State::states_here(const PeerId& author) const {
  return stated_asleep(author) || std::ranges::any_of(jobs, [&](const auto& entry) { return entry.second->stated_by.contains(author); });
}

void Node::State::drop_record(const PeerId& author) {
  const auto it = records.find(author);
  store.remove(it->second.statement.id);
  store.remember_ephemeral(it->second.statement.id);  // else neighbours that keep it give it back for ever
  records.erase(it);
}

// A full table drops a peer that was never linked, unreachable ones first, chance among equals. Peers that were linked, and
// in swarms with a puzzle authors of evidence, stay.
bool Node::State::room_for_record(const PeerId& author) {
  if (records.size() < limits::peer_records_max) return true;
  using Standing = Overlay::Standing;
  std::optional<PeerId> victim;
  Standing lowest = author == config.self ? Standing::met : overlay.standing(author);
  lowest = std::min(lowest, Standing::untried);
  std::uint64_t equals = 0;
  for (const auto& [peer, record] : records) {
    const Standing standing = overlay.standing(peer);
    if (peer == config.self || standing > lowest || (proofs.needed() && states_here(peer))) continue;
    if (standing < lowest) equals = 0;
    lowest = standing;
    if (rng.below(++equals) == 0) victim = peer;
  }
  if (victim) drop_record(*victim);
  return victim.has_value();
}

// The nonce of an author whose statements others may still ask for stays as long as these do.
void Node::State::expire_records() {
  std::vector<PeerId> expired;
  for (const auto& [author, record] : records) {
    if (made_unix_s(record.body()) >= now.unix_s - limits::peer_record_lifetime_s) continue;
    const bool lately = now.steady - record.taken_at < base::seconds(limits::peer_record_lifetime_s);
    if (proofs.needed() && (lately || states_here(author))) continue;
    expired.push_back(author);
  }
  for (const PeerId& author : expired) drop_record(author);
}

void Node::State::publish_peer_record() {
  record_made_unix_s = now.unix_s;
  if (minting() || (proofs.needed() && config.light)) return;
  record_sequence = std::max(record_sequence + 1, static_cast<std::uint64_t>(now.unix_s * 1000 + now.steady.ms % 1000));
  PeerRecord record;
  record.addresses = config.own_addresses;
  record.sequence = record_sequence;
  record.puzzle_nonce = proofs.needed() ? config.puzzle_nonce.value_or(0) : 0;
  record.light = config.light;
  record.credit_to = config.credit_to;
  accept_local(notary.seal(record));
}

void Node::State::on_id_minted(const IdMinted& minted) {
  if (!minting()) return;
  config.puzzle_nonce = minted.nonce;
  publish_peer_record();
}

void Node::State::on_puzzle_checked(const PuzzleChecked& checked) {
  const auto waiting = proofs.on_checked(checked.peer, checked.nonce);
  if (!waiting) return;
  const Statement& record = waiting->record;
  if (!checked.ok) {
    store.remember_ephemeral(record.id);
    refuse(record.author, "has not paid for its id");
    if (waiting->from && *waiting->from != record.author) refuse(*waiting->from, "passed on an id that is not paid for");
    return;
  }
  const bool first = !proofs.proven(record.author);
  proofs.on_proven(record.author, checked.nonce);
  if (first && proofs_stored < limits::proven_ids_max) {
    ++proofs_stored;
    out.push(Persist{record, false});
  }
  if (!waiting->from) return;
  if (!store.here(record.id) && take_peer_record(record, std::get<PeerRecord>(record.body), waiting->from))
    broadcast.on_fresh(record.id, record.raw, *waiting->from, record.author, now.steady);
  reconcile_with(*waiting->from);  // what that author stated was not taken before
  if (record.author != *waiting->from) reconcile_with(record.author);
}

void Node::State::refuse_unproven() {
  for (const PeerId& peer : proofs.late(now.steady)) refuse(peer, "shows no proof of its id");
}

// Links are closed only on this peer's own proofs or its roots', never on an owner's.
bool Node::State::proven_liar(const Job& job, const PeerId& peer) const {
  std::set<PeerId> judges(config.roots.begin(), config.roots.end());
  judges.insert(config.self);
  return banned_by(job.evidence, judges, peer);
}

// A refusal lasts ten minutes, a ban as long as its job is known.
void Node::State::renew_bans() {
  for (const auto& [id, job] : jobs)
    for (const PeerId& peer : job->verdict.banned())
      if (proven_liar(*job, peer)) refuse(peer, "was proven wrong");
  for (const auto& [id, job] : sleeping)
    for (const PeerId& peer : job.proven_liars) refuse(peer, "was proven wrong");
}

Broadcast::Neighbours Node::State::by_links() const {
  Broadcast::Neighbours all = overlay.neighbours();
  for (auto& [peer, few] : all) few = few || overlay.addresses_of(peer).empty();
  return all;
}

}  // namespace starling::protocol
