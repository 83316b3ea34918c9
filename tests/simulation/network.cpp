#include "tests/simulation/network.hpp"

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::simulation {
namespace {

constexpr std::uint64_t frame_overhead_bytes = 48;

template <class... Arms>
struct Overloaded : Arms... {
  using Arms::operator()...;
};

}  // namespace

std::uint64_t frame_bytes_of(const protocol::LinkMessage& message) {
  const std::uint64_t body = std::visit(
      Overloaded{
          [](const protocol::StatementBundle& m) {
            std::uint64_t sum = 0;
            for (const auto& raw : m.statements) sum += raw->size() + 8;
            return sum;
          },
          [](const protocol::Summary& m) { return std::uint64_t{m.buckets.size() * 8 + m.left_out.size() * 64}; },
          [](const protocol::BucketIds& m) { return std::uint64_t{m.buckets.size() + m.ids.size() * 32 + m.left_out.size() * 64}; },
          [](const protocol::Want& m) { return std::uint64_t{m.ids.size() * 32}; },
          [](const protocol::Holdings& m) { return std::uint64_t{40 + m.units.size() * 8}; },
          [](const protocol::FoldQuestion&) { return std::uint64_t{72}; },
          [](const protocol::FoldProof& m) { return std::uint64_t{200 + m.path.size() * 32}; },
          [](const protocol::BlobGet&) { return std::uint64_t{64}; },
          [](const protocol::BlobData& m) {
            constexpr std::uint64_t leaf_bytes = 16 * 1024, proof_bytes = 10 * 32;
            if (m.missing) return std::uint64_t{64};
            const std::uint64_t to_the_end = m.size_bytes - std::min(m.size_bytes, m.first_leaf * leaf_bytes);
            return 64 + std::min(m.leaf_count * leaf_bytes, to_the_end) + (m.size_bytes > leaf_bytes ? proof_bytes : 0);
          },
      },
      message);
  return body + frame_overhead_bytes;
}

Network::Network(NetworkOptions options, EventQueue& queue, base::Rng rng, PeerIndex peers, NetworkUser& user)
    : options_(std::move(options)), queue_(queue), rng_(rng), user_(user), alive_(peers, false),
      links_(static_cast<std::size_t>(peers) * peers) {
  if (!options_.cut_off.empty() && partition_breaks_links()) {
    queue_.at(options_.partition_from_ms + static_cast<std::uint64_t>(limits::heartbeat_timeout.ms), [this] { break_links_across(); });
  }
}

bool Network::apart(PeerIndex a, PeerIndex b) const {
  if (options_.cut_off.empty() || options_.cut_off[a] == options_.cut_off[b]) return false;
  return queue_.now_ms() >= options_.partition_from_ms && queue_.now_ms() < options_.partition_to_ms;
}

bool Network::kept_apart(PeerIndex a, PeerIndex b) const {
  if (siege_.besieged.empty() || queue_.now_ms() >= siege_.to_ms) return false;
  return (siege_.besieged[a] && !siege_.besiegers[b]) || (siege_.besieged[b] && !siege_.besiegers[a]);
}

bool Network::partition_breaks_links() const {
  return options_.partition_to_ms - options_.partition_from_ms > static_cast<std::uint64_t>(limits::heartbeat_timeout.ms);
}

void Network::break_links_across() {
  for (PeerIndex a = 0; a < alive_.size(); ++a) {
    for (PeerIndex b = a + 1; b < alive_.size(); ++b) {
      if (linked(a, b) && apart(a, b)) break_link(a, b, true, true);
    }
  }
}

void Network::kill(PeerIndex peer) {
  alive_[peer] = false;
  for (PeerIndex other = 0; other < alive_.size(); ++other) {
    if (other != peer && linked(peer, other)) break_link(peer, other, false, true);
  }
}

void Network::dial(PeerIndex from, PeerIndex to, bool reachable) {
  if (!reachable || from == to) {
    queue_.after(latency(), [this, from, to] { if (alive_[from]) user_.on_dial_failed(from, to); });
  } else if (apart(from, to) || kept_apart(from, to)) {
    queue_.after(static_cast<std::uint64_t>(limits::hello_timeout.ms), [this, from, to] { if (alive_[from]) user_.on_dial_failed(from, to); });
  } else {
    queue_.after(3 * latency(), [this, from, to] { finish_dial(from, to); });  // TCP, CURVE, Hello
  }
}

void Network::finish_dial(PeerIndex from, PeerIndex to) {
  if (!alive_[from]) return;
  Link& link = link_of(from, to);
  if (link.state == LinkState::up) return;  // the other one was faster: the user sees one link per peer
  if (!alive_[to] || apart(from, to) || kept_apart(from, to) || link.state == LinkState::closing) return user_.on_dial_failed(from, to);
  link.state = LinkState::up;
  ++link.epoch;
  link.last_arrival_ms[0] = link.last_arrival_ms[1] = 0;
  ++counters_.links_made;
  user_.on_link_up(to, from);
  user_.on_link_up(from, to);
}

void Network::disconnect(PeerIndex from, PeerIndex to) {
  if (linked(from, to)) break_link(from, to, true, true);
}

void Network::break_link(PeerIndex a, PeerIndex b, bool tell_a, bool tell_b) {
  Link& link = link_of(a, b);
  link.state = LinkState::closing;
  ++counters_.links_broken;
  queue_.after(latency(), [this, a, b, tell_a, tell_b] {
    link_of(a, b).state = LinkState::none;
    if (tell_a && alive_[a]) user_.on_link_down(a, b);
    if (tell_b && alive_[b]) user_.on_link_down(b, a);
  });
}

void Network::send(PeerIndex from, PeerIndex to, Message message) {
  if (!linked(from, to)) return;
  ++counters_.messages;
  std::uint64_t size_bytes = frame_bytes_of(*message);
  if (options_.wire_real && !std::holds_alternative<protocol::BlobData>(*message)) {  // simulated blobs have no bytes
    const base::Bytes frame = wire::encode_link(*message);
    size_bytes = frame.size();
    auto decoded = wire::decode_link(frame);
    STARLING_ENSURE(decoded.has_value());
    message = std::make_shared<const protocol::LinkMessage>(*std::move(decoded));
  }
  counters_.bytes += size_bytes;
  counters_.frame_bytes_largest = std::max(counters_.frame_bytes_largest, size_bytes);
  if (rng_.chance(options_.loss)) {
    ++counters_.lost;
    return;
  }
  carry(from, to, message);
  if (rng_.chance(options_.duplicate)) {
    ++counters_.duplicated;
    carry(from, to, message);
  }
}

void Network::carry(PeerIndex from, PeerIndex to, const Message& message) {
  std::uint64_t departs_ms = queue_.now_ms();
  if (apart(from, to)) {
    if (partition_breaks_links()) return;
    departs_ms = options_.partition_to_ms;
  }
  Link& link = link_of(from, to);
  std::uint64_t arrives_ms = departs_ms + latency();
  if (!rng_.chance(options_.reorder)) {
    std::uint64_t& last_ms = link.last_arrival_ms[from < to ? 0 : 1];
    arrives_ms = last_ms = std::max(last_ms, arrives_ms);
  }
  queue_.at(arrives_ms, [this, from, to, message, epoch = link.epoch] {
    const Link& now = link_of(from, to);
    if (now.state == LinkState::up && now.epoch == epoch) user_.on_message(to, from, message);
  });
}

}  // namespace starling::simulation
