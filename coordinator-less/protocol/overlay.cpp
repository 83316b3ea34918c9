#include "coordinator-less/protocol/overlay.hpp"

#include <algorithm>
#include <tuple>
#include <functional>
#include <iterator>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/address.hpp"

namespace starling::protocol {

Overlay::Overlay(const PeerId& self, const std::vector<std::string>& own_addresses)
    : self_(self),
      can_be_dialled_(!own_addresses.empty()),
      local_only_(!own_addresses.empty() && std::ranges::all_of(own_addresses, is_local_address)),
      chance_(base::read_u64(self.view())) {}

std::vector<std::string> Overlay::believed(const PeerId& peer, const std::vector<std::string>& addresses) const {
  const auto it = known_.find(peer);
  if (local_only_ || (it != known_.end() && it->second.local)) return addresses;
  std::vector<std::string> out;
  std::ranges::remove_copy_if(addresses, std::back_inserter(out), is_local_address);
  return out;
}

void Overlay::on_peer_known(const PeerId& peer, const std::vector<std::string>& addresses, bool trusted, base::Instant now) {
  if (peer == self_) return;
  const bool local = trusted && std::ranges::any_of(addresses, is_local_address);
  if (local && !can_be_dialled_) local_only_ = true;
  const auto believable = trusted ? addresses : believed(peer, addresses);
  if (believable.empty()) return;
  const auto [it, fresh] = known_.try_emplace(peer);
  Known& known = it->second;
  if (fresh) known.arrival = ++arrivals_;
  known.met = known.met || trusted;
  known.local = known.local || local;
  if (known.addresses == believable && !trusted) return;
  known.addresses = believable;
  known.next_address = 0;
  if (fresh && neighbours_.contains(peer)) {
    known.up_since = now;
    known.met = true;
  }
  if (!known.dialling && (fresh || trusted)) {
    const bool wait = !trusted && can_be_dialled_ && self_ > peer;
    known.dial_at = wait ? now + limits::dial_courtesy : now;
    known.backoff = limits::dial_backoff_min;
  }
  if (fresh) make_room(peer);
  plan();
}

Overlay::Standing Overlay::standing_of(const Known& known) {
  if (known.met) return Standing::met;
  return known.backoff > limits::dial_backoff_min ? Standing::unreachable : Standing::untried;
}

Overlay::Standing Overlay::standing(const PeerId& peer) const {
  if (linked(peer) || peer == self_) return Standing::met;
  const auto it = known_.find(peer);
  return it == known_.end() ? Standing::untried : standing_of(it->second);
}

void Overlay::make_room(const PeerId& newest) {
  while (known_.size() > limits::peer_records_max) {
    auto victim = known_.end();
    std::uint64_t equals = 0;
    for (auto it = known_.begin(); it != known_.end(); ++it) {
      if (it->second.up_since || it->second.dialling || it->first == newest) continue;
      const auto rank = [](const Known& known) { return std::pair(!known.met, known.backoff); };
      if (victim != known_.end() && rank(it->second) < rank(victim->second)) continue;
      if (victim == known_.end() || rank(it->second) > rank(victim->second)) equals = 0;
      if (chance_.below(++equals) == 0) victim = it;
    }
    if (victim == known_.end() || (victim->second.met && !known_.at(newest).met)) victim = known_.find(newest);
    if (victim->second.up_since) return;
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
    it->second.met = true;
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
  if (!refused_.contains(peer) && refused_.size() >= limits::peer_records_max)
    refused_.erase(std::ranges::min_element(refused_, {}, [](const auto& entry) { return entry.second; }));
  refused_[peer] = now + limits::refused_link;
  if (const auto it = known_.find(peer); it != known_.end()) it->second.dial_at = now + limits::refused_link;
  plan();
}

bool Overlay::refused(const PeerId& peer, base::Instant now) const {
  const auto it = refused_.find(peer);
  return it != refused_.end() && now < it->second;
}

void Overlay::back_off(Known& known, base::Instant now, base::Rng& rng) {
  if (std::exchange(known.dialling, false)) --dialling_;
  const auto jitter_ms = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(known.backoff.ms / 2 + 1)));
  known.dial_at = std::max(known.dial_at, now + known.backoff + base::milliseconds(jitter_ms));
  known.backoff = std::min(known.backoff * 2, limits::dial_backoff_max);
}

bool Overlay::has_room() const { return links() < limits::neighbours_max && dialling_ < limits::dials_at_once_max; }

void Overlay::poll_dials(base::Instant now, Outbox& out) {
  if (!next_dial_ || now < *next_dial_) return;
  using Due = std::tuple<base::Instant, std::uint64_t, PeerId>;
  std::vector<Due> met, strangers;
  std::size_t met_dialling = 0;
  for (const auto& [peer, known] : known_) {
    met_dialling += known.dialling && known.met ? 1U : 0U;
    if (waits(known) && now >= known.dial_at) (known.met ? met : strangers).emplace_back(known.dial_at, known.arrival, peer);
  }
  std::ranges::sort(met, std::greater{});
  std::ranges::sort(strangers, std::greater{});
  while (has_room() && !(met.empty() && strangers.empty())) {
    const bool places_left = met_dialling < limits::dials_at_once_max - limits::dials_for_strangers_min;
    auto& from = !met.empty() && (places_left || strangers.empty()) ? met : strangers;
    const PeerId peer = std::get<PeerId>(from.back());
    from.pop_back();
    Known& known = known_.at(peer);
    known.dialling = true;
    ++dialling_;
    met_dialling += known.met ? 1U : 0U;
    out.push(Dial{peer, known.addresses[known.next_address++ % known.addresses.size()]});
  }
  plan();
}

void Overlay::plan() {
  next_dial_.reset();
  if (!has_room()) return;
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
  STARLING_ENSURE(dialling == dialling_ && dialling <= limits::dials_at_once_max);
  STARLING_ENSURE(next_dial_ == (has_room() ? next : std::nullopt));
  STARLING_ENSURE(refused_.size() <= limits::peer_records_max);
}

}  // namespace starling::protocol
