// Who has paid for its id, in swarms whose network id names a puzzle difficulty.
//
// An author's peer record carries the nonce that its id was minted with. Tracked: nonces that wait for their check, ids whose
// nonce was good, and workers that are linked without a good one. Rules:
// - A check costs 10 ms and 16 MiB, so it is asked of the world (CheckPuzzle), one at a time, at most one a second; a nonce
//   is checked once. A linked author's comes first, so strangers' records delay nobody who is here.
// - Only who is proven is heard: results, claims and replays of other authors are not taken, and not remembered as seen, so
//   that comparison brings them once the proof is there.
// - Records of authors without proof are not passed on. So whoever sends a wrong one is at fault, its author or not: both are
//   refused. Each lie thus costs a proven id.
// - A linked worker that shows no nonce within puzzle_patience is refused. One that waits for its check is not late.
// - Light peers publish nothing but what owners sign, and owners' keys sign manifests, cancels and replays of their own jobs
//   only: both need no proof.
// Bounds: puzzles_waiting_max; proven_ids_max, the oldest go first and are checked again when they are met. Difficulty 0: no work.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/outbox.hpp"

namespace starling::protocol {

class IdProofs {
 public:
  using Neighbours = std::map<PeerId, bool>;

  IdProofs(const PeerId& self, std::uint8_t difficulty_bits) : self_(self), bits_(difficulty_bits) {}

  bool needed() const { return bits_ > 0; }
  bool proven(const PeerId& peer) const { return !needed() || peer == self_ || proven_.contains(peer); }
  bool proven_with(const PeerId& peer, std::uint64_t nonce) const;
  void on_proven(const PeerId& peer, std::uint64_t nonce);  // by a check, or by what an earlier life of this peer stored

  // A record whose nonce is not proven yet; from: who sent it.
  void on_record(const Statement& record, const std::optional<PeerId>& from, const Neighbours& neighbours);
  void on_sender_refused(const PeerId& peer);  // what it sent is not worth a check
  void on_link_up(const PeerId& peer, bool light, base::Instant now);
  void on_link_down(const PeerId& peer) { unproven_since_.erase(peer); }

  void poll(base::Instant now, const Neighbours& neighbours, Outbox& out);
  std::optional<base::Instant> next_check() const;
  struct Waiting {
    Statement record;
    std::optional<PeerId> from;
  };
  // The record that asked for this check; nothing when no such check is under way.
  std::optional<Waiting> on_checked(const PeerId& peer, std::uint64_t nonce);
  std::vector<PeerId> late(base::Instant now) const;  // linked too long without showing a nonce

  void check_invariants() const;

 private:
  PeerId self_;
  std::uint8_t bits_;
  std::map<PeerId, std::uint64_t> proven_;
  std::deque<PeerId> proven_order_;
  std::deque<Waiting> waiting_;     // one of each author
  std::optional<Waiting> checking_;
  std::optional<base::Instant> checked_at_;
  std::map<PeerId, base::Instant> unproven_since_;  // linked workers
};

}  // namespace starling::protocol
