// Flooding over the full mesh of this floor (Plumtree replaces it). Own statements go to every neighbour at once; others'
// statements are relayed once, a little later and in bundles, only to neighbours that are not known to have them: in a
// mesh most have them from the author, and those who relayed first have said so by relaying. Of these each relay chooses a few, for
// each statement others (with 60 in a mesh, all relaying to all, each got each statement 59 times [m]); always those
// with few links, light ones and whom nobody can dial: what a hub drops, claims among it, no other neighbour brings them.
// Bounds: limits::seen_statements_max waiting relays of limits::relay_bytes_max in all; what is dropped is repaired by
// reconciliation.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/outbox.hpp"

namespace starling::protocol {

using RawStatement = std::shared_ptr<const Bytes>;

class Broadcast {
 public:
  explicit Broadcast(const PeerId& self) : self_(self) {}

  using Neighbours = std::map<PeerId, bool>;  // peer -> has few links

  static void publish(const std::vector<RawStatement>& statements, const Neighbours& neighbours, Outbox& out);
  static void send(const PeerId& to, const std::vector<RawStatement>& statements, Outbox& out);  // in frames of bounded size

  void on_fresh(const MessageId& id, RawStatement raw, const PeerId& from, const PeerId& author, base::Instant now);
  void on_duplicate(const MessageId& id, const PeerId& from);
  void poll(base::Instant now, const Neighbours& neighbours, Outbox& out);
  std::optional<base::Instant> next_relay() const;
  std::size_t waiting_bytes() const { return waiting_bytes_; }

 private:
  struct Waiting {
    MessageId id;
    RawStatement raw;
    std::set<PeerId> have;
  };
  std::vector<PeerId> relayed_to(const Waiting& waiting, const Neighbours& neighbours) const;

  PeerId self_;
  std::vector<Waiting> waiting_;  // as they came: a manifest before what speaks of it
  std::map<MessageId, std::size_t> place_of_;
  std::size_t waiting_bytes_ = 0;
  std::optional<base::Instant> due_;
};

}  // namespace starling::protocol
