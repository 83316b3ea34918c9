#include "coordinator-less/protocol/broadcast.hpp"

#include <algorithm>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

// Frames of statements, each well below limits::frame_bytes_max.
std::vector<StatementBundle> bundles_of(const std::vector<RawStatement>& statements) {
  constexpr std::size_t bundle_bytes_max = limits::frame_bytes_max / 2;
  std::vector<StatementBundle> out;
  std::size_t bytes = 0;
  for (const RawStatement& raw : statements) {
    const std::size_t cost = raw->size() + 16;
    if (out.empty() || bytes + cost > bundle_bytes_max || out.back().statements.size() >= limits::statements_per_bundle_max) {
      out.emplace_back();
      bytes = 0;
    }
    out.back().statements.push_back(raw);
    bytes += cost;
  }
  return out;
}

}  // namespace

void Broadcast::publish(const std::vector<RawStatement>& statements, const Neighbours& neighbours, Outbox& out) {
  for (StatementBundle& bundle : bundles_of(statements)) {
    const auto message = std::make_shared<const LinkMessage>(std::move(bundle));
    for (const auto& [peer, light] : neighbours) out.push(Send{peer, message});
  }
}

void Broadcast::send(const PeerId& to, const std::vector<RawStatement>& statements, Outbox& out) {
  for (StatementBundle& bundle : bundles_of(statements)) out.send(to, std::move(bundle));
}

void Broadcast::on_fresh(const MessageId& id, RawStatement raw, const PeerId& from, const PeerId& author, base::Instant now) {
  if (waiting_.size() >= limits::seen_statements_max || waiting_bytes_ + raw->size() > limits::relay_bytes_max) return;
  if (!place_of_.try_emplace(id, waiting_.size()).second) return;
  waiting_bytes_ += raw->size();
  waiting_.push_back({id, std::move(raw), {from, author}});
  if (!due_) due_ = now + limits::relay_delay;
}

void Broadcast::on_duplicate(const MessageId& id, const PeerId& from) {
  if (const auto it = place_of_.find(id); it != place_of_.end()) waiting_[it->second].have.insert(from);
}

// A run of the ring of those that lack it, which begins elsewhere for each relay and each statement.
std::vector<PeerId> Broadcast::relayed_to(const Waiting& waiting, const Neighbours& neighbours) const {
  std::vector<PeerId> chosen, lacking;
  for (const auto& [peer, few_links] : neighbours)
    if (!waiting.have.contains(peer)) (few_links ? chosen : lacking).push_back(peer);
  const std::size_t count = std::min(lacking.size(), limits::relay_neighbours_max);
  const std::uint64_t drawn = base::read_u64(waiting.id.view()) ^ base::read_u64(self_.view());
  for (std::size_t i = 0; i < count; ++i) chosen.push_back(lacking[(drawn % lacking.size() + i) % lacking.size()]);
  return chosen;
}

void Broadcast::poll(base::Instant now, const Neighbours& neighbours, Outbox& out) {
  if (!due_ || now < *due_) return;
  std::map<PeerId, std::vector<RawStatement>> relayed;
  for (const Waiting& waiting : waiting_)
    for (const PeerId& peer : relayed_to(waiting, neighbours)) relayed[peer].push_back(waiting.raw);
  for (const auto& [peer, statements] : relayed) send(peer, statements, out);
  waiting_.clear();
  waiting_bytes_ = 0;
  place_of_.clear();
  due_.reset();
}

std::optional<base::Instant> Broadcast::next_relay() const { return due_; }

}  // namespace starling::protocol
