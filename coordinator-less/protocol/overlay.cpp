#include "coordinator-less/protocol/overlay.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

Overlay::Overlay(const PeerId& self, bool can_be_dialled) : self_(self), can_be_dialled_(can_be_dialled) {}

void Overlay::on_peer_known(const PeerId& peer, const std::vector<std::string>& addresses, bool eager, base::Instant now) {
  if (peer == self_) return;
  const auto [it, fresh] = known_.try_emplace(peer);
  Known& known = it->second;
  if (known.addresses == addresses && !eager) return;
  known.addresses = addresses;
  known.next_address = 0;
  if (fresh && neighbours_.contains(peer)) known.up_since = now;
  if (!known.dialling && (fresh || eager)) {  // a changed address waits for its turn: else a record a second is a dial a second
    const bool wait = !eager && can_be_dialled_ && self_ > peer;
    known.dial_at = wait ? now + limits::dial_courtesy : now;
    known.backoff = limits::dial_backoff_min;
  }
  if (fresh) make_room();
  plan();
}

void Overlay::make_room() {
  while (known_.size() > limits::peer_records_max) {
    auto victim = known_.end();
    for (auto it = known_.begin(); it != known_.end(); ++it) {
      if (it->second.up_since || it->second.dialling) continue;
      if (victim == known_.end() || it->second.backoff > victim->second.backoff) victim = it;
    }
    if (victim == known_.end()) return;
    known_.erase(victim);
  }
}

bool Overlay::on_link_up(const PeerId& peer, bool light, base::Instant now) {
  if (const auto it = refused_.find(peer); it != refused_.end()) {
    if (now < it->second) return false;
    refused_.erase(it);
  }
  neighbours_[peer] = light;
  if (const auto it = known_.find(peer); it != known_.end()) {
    if (std::exchange(it->second.dialling, false)) --dialling_;
    it->second.up_since = now;
  }
  plan();
  return true;
}

void Overlay::on_link_down(const PeerId& peer, base::Instant now, base::Rng& rng) {
  neighbours_.erase(peer);
  if (const auto it = known_.find(peer); it != known_.end()) {
    // A link that lasted earns a quick redial; one that the other side closes at once must not be hammered.
    const auto up_since = std::exchange(it->second.up_since, std::nullopt);
    if (up_since && now - *up_since >= limits::dial_backoff_max) it->second.backoff = limits::dial_backoff_min;
    back_off(it->second, now, rng);
  }
  plan();
}

void Overlay::on_dial_failed(const PeerId& peer, base::Instant now, base::Rng& rng) {
  if (const auto it = known_.find(peer); it != known_.end()) back_off(it->second, now, rng);
  plan();
}

void Overlay::refuse(const PeerId& peer, base::Instant now) {
  std::erase_if(refused_, [&](const auto& entry) { return entry.second <= now; });
  if (refused_.size() < limits::peer_records_max) refused_[peer] = now + limits::refused_link;
  if (const auto it = known_.find(peer); it != known_.end()) it->second.dial_at = now + limits::refused_link;
  plan();
}

void Overlay::back_off(Known& known, base::Instant now, base::Rng& rng) {
  if (std::exchange(known.dialling, false)) --dialling_;
  const auto jitter_ms = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(known.backoff.ms / 2 + 1)));
  known.dial_at = std::max(known.dial_at, now + known.backoff + base::milliseconds(jitter_ms));
  known.backoff = std::min(known.backoff * 2, limits::dial_backoff_max);
}

void Overlay::poll_dials(base::Instant now, Outbox& out) {
  if (!next_dial_ || now < *next_dial_) return;
  for (auto& [peer, known] : known_) {
    if (links() >= limits::neighbours_max) break;
    if (!waits(known) || now < known.dial_at) continue;
    known.dialling = true;
    ++dialling_;
    out.push(Dial{peer, known.addresses[known.next_address++ % known.addresses.size()]});
  }
  plan();
}

void Overlay::plan() {
  next_dial_.reset();
  if (links() >= limits::neighbours_max) return;
  for (const auto& [peer, known] : known_)
    if (waits(known) && (!next_dial_ || known.dial_at < *next_dial_)) next_dial_ = known.dial_at;
}

std::optional<PeerId> Overlay::random_neighbour(base::Rng& rng) const {
  if (neighbours_.empty()) return std::nullopt;
  return std::next(neighbours_.begin(), static_cast<std::ptrdiff_t>(rng.below(neighbours_.size())))->first;
}

std::vector<std::string> Overlay::addresses_of(const PeerId& peer) const {
  const auto it = known_.find(peer);
  return it == known_.end() ? std::vector<std::string>{} : it->second.addresses;
}

std::vector<PeerId> Overlay::known() const {
  std::vector<PeerId> out;
  for (const auto& [peer, known] : known_) out.push_back(peer);
  return out;
}

void Overlay::check_invariants() const {
  STARLING_ENSURE(!known_.contains(self_) && !neighbours_.contains(self_));
  STARLING_ENSURE(known_.size() <= limits::peer_records_max + limits::inbound_links_max);
  std::size_t dialling = 0;
  std::optional<base::Instant> next;
  for (const auto& [peer, known] : known_) {
    STARLING_ENSURE(known.up_since.has_value() == neighbours_.contains(peer));
    STARLING_ENSURE(!known.dialling || !known.up_since);
    dialling += known.dialling ? 1U : 0U;
    if (waits(known) && (!next || known.dial_at < *next)) next = known.dial_at;
  }
  STARLING_ENSURE(dialling == dialling_);
  STARLING_ENSURE(next_dial_ == (links() >= limits::neighbours_max ? std::nullopt : next));
}

}  // namespace starling::protocol
