// Who is linked to whom. This floor: a full mesh of up to 64 peers; HyParView and Plumtree fill the same verbs later.
//
// Tracked: every peer whose addresses are known (records, tickets, the cache) and every link. Rules: dial each known peer
// that is not linked; the lower id dials first and the other waits a second, so that one link comes to be and not two; a
// failed dial backs off from 1 s to 60 s with jitter; a peer that broke the protocol is neither dialled nor accepted for ten minutes.
// Bounds: limits::peer_records_max known peers (the longest unlinked go first), limits::neighbours_max dialled links.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/outbox.hpp"

namespace starling::protocol {

class Overlay {
 public:
  Overlay(const PeerId& self, bool can_be_dialled);

  // eager: from a ticket, dialled at once.
  void on_peer_known(const PeerId& peer, const std::vector<std::string>& addresses, bool eager, base::Instant now);
  bool on_link_up(const PeerId& peer, bool light, base::Instant now);  // false: that peer is refused, close the link
  void on_link_down(const PeerId& peer, base::Instant now, base::Rng& rng);
  void on_dial_failed(const PeerId& peer, base::Instant now, base::Rng& rng);
  void refuse(const PeerId& peer, base::Instant now);  // broke the protocol, or is banned

  void poll_dials(base::Instant now, Outbox& out);
  std::optional<base::Instant> next_dial() const { return next_dial_; }  // nothing while there is no room for a link

  const std::map<PeerId, bool>& neighbours() const { return neighbours_; }  // peer -> light
  bool linked(const PeerId& peer) const { return neighbours_.contains(peer); }
  std::optional<PeerId> random_neighbour(base::Rng& rng) const;
  std::vector<std::string> addresses_of(const PeerId& peer) const;
  std::vector<PeerId> known() const;

  void check_invariants() const;

 private:
  struct Known {
    std::vector<std::string> addresses;
    std::size_t next_address = 0;
    base::Instant dial_at;
    base::Duration backoff;
    bool dialling = false;
    std::optional<base::Instant> up_since;  // while linked
  };

  static bool waits(const Known& known) { return !known.dialling && !known.up_since && !known.addresses.empty(); }
  void back_off(Known& known, base::Instant now, base::Rng& rng);
  void make_room();
  std::size_t links() const { return neighbours_.size() + dialling_; }
  void plan();  // recomputes next_dial_

  PeerId self_;
  bool can_be_dialled_;
  std::map<PeerId, Known> known_;
  std::map<PeerId, bool> neighbours_;
  std::map<PeerId, base::Instant> refused_;  // until then
  std::size_t dialling_ = 0;
  std::optional<base::Instant> next_dial_;   // asked for after every input, so it is kept and not searched for
};

}  // namespace starling::protocol
