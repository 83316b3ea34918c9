#include "coordinator-less/protocol/id_proofs.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

std::uint64_t nonce_of(const Statement& record) { return std::get<PeerRecord>(record.body).puzzle_nonce; }

}  // namespace

bool IdProofs::proven_with(const PeerId& peer, std::uint64_t nonce) const {
  const auto it = proven_.find(peer);
  return !needed() || peer == self_ || (it != proven_.end() && it->second == nonce);
}

void IdProofs::on_proven(const PeerId& peer, std::uint64_t nonce) {
  if (!needed() || peer == self_) return;
  unproven_since_.erase(peer);
  if (proven_.insert_or_assign(peer, nonce).second) proven_order_.push_back(peer);
  if (proven_order_.size() <= limits::proven_ids_max) return;
  proven_.erase(proven_order_.front());
  proven_order_.pop_front();
}

void IdProofs::on_record(const Statement& record, const std::optional<PeerId>& from, const Neighbours& neighbours) {
  const auto of_author = [&](const Waiting& waiting) { return waiting.record.author == record.author; };
  if (std::ranges::any_of(waiting_, of_author) || (checking_ && of_author(*checking_))) return;
  if (waiting_.size() >= limits::puzzles_waiting_max) {
    const auto stranger = std::ranges::find_if(waiting_, [&](const Waiting& waiting) { return !neighbours.contains(waiting.record.author); });
    if (stranger == waiting_.end() || !neighbours.contains(record.author)) return;
    waiting_.erase(stranger);
  }
  waiting_.push_back({record, from});
}

void IdProofs::on_sender_refused(const PeerId& peer) {
  std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.from == peer || waiting.record.author == peer; });
}

void IdProofs::on_link_up(const PeerId& peer, bool light, base::Instant now) {
  if (light || proven(peer))
    unproven_since_.erase(peer);
  else
    unproven_since_.try_emplace(peer, now);
}

void IdProofs::poll(base::Instant now, const Neighbours& neighbours, Outbox& out) {
  const auto due = next_check();
  if (!due || now < *due) return;
  const auto linked = std::ranges::find_if(waiting_, [&](const Waiting& waiting) { return neighbours.contains(waiting.record.author); });
  const auto next = linked == waiting_.end() ? waiting_.begin() : linked;
  checking_ = std::move(*next);
  waiting_.erase(next);
  checked_at_ = now;
  out.push(CheckPuzzle{checking_->record.author, nonce_of(checking_->record), bits_});
}

std::optional<base::Instant> IdProofs::next_check() const {
  if (checking_ || waiting_.empty()) return std::nullopt;
  return checked_at_ ? *checked_at_ + limits::puzzle_check_interval : base::Instant{};
}

std::optional<IdProofs::Waiting> IdProofs::on_checked(const PeerId& peer, std::uint64_t nonce) {
  if (!checking_ || checking_->record.author != peer || nonce_of(checking_->record) != nonce) return std::nullopt;
  return std::exchange(checking_, std::nullopt);
}

std::vector<PeerId> IdProofs::late(base::Instant now) const {
  std::vector<PeerId> out;
  for (const auto& [peer, since] : unproven_since_) {
    const auto of_peer = [&](const Waiting& waiting) { return waiting.record.author == peer; };
    const bool waits = std::ranges::any_of(waiting_, of_peer) || (checking_ && of_peer(*checking_));
    if (!waits && now - since >= limits::puzzle_patience) out.push_back(peer);
  }
  return out;
}

void IdProofs::check_invariants() const {
  STARLING_ENSURE(proven_.size() == proven_order_.size() && proven_.size() <= limits::proven_ids_max);
  STARLING_ENSURE(waiting_.size() <= limits::puzzles_waiting_max);
  STARLING_ENSURE(needed() || (waiting_.empty() && !checking_ && unproven_since_.empty() && proven_.empty()));
  for (const auto& [peer, since] : unproven_since_) STARLING_ENSURE(!proven_.contains(peer));
}

}  // namespace starling::protocol
