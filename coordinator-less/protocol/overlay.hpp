// Who is linked to whom. This floor: a full mesh of up to 64 peers; HyParView and Plumtree fill the same verbs later.
//
// Tracked: every peer whose addresses are known (records, tickets, the cache) and every link. Rules:
// - Each known peer that is not linked is dialled; the lower id dials first and the other waits a second, so that one link
//   comes to be and not two; a failed dial backs off from 1 s to 60 s with jitter.
// - A record that changes an address changes where the next dial goes, never when: else any key could make everybody dial
//   addresses of its choice at any rate. Only a ticket (or this machine's own cache) is dialled at once.
// - At most limits::dials_at_once_max dials are on their way, those that waited longest first, peers that were linked once
//   (or named by the ticket) before strangers; dials_for_strangers_min places stay for strangers that wait. So neither
//   fakes with low ids nor a cache full of dead peers keeps a reachable one waiting for ever.
// - Loopback and link-local addresses of a record are taken only where they are the rule: this peer itself listens on
//   nothing else (or on nothing, and its ticket or cache names such addresses), or the ticket or cache names one for that very
//   peer. So nobody makes a peer of the open network dial services of its own machine.
// - A peer that broke the protocol is neither dialled nor accepted for ten minutes; a ban renews that while it holds.
// Bounds: limits::peer_records_max known peers. Who was never linked goes first, then whose dials failed most; among equals
// chance decides, so that a stream of fresh fakes does not push out one that waits. limits::neighbours_max dialled links.
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
  Overlay(const PeerId& self, const std::vector<std::string>& own_addresses);

  // trusted: from a ticket or the cache, dialled at once.
  void on_peer_known(const PeerId& peer, const std::vector<std::string>& addresses, bool trusted, base::Instant now);
  bool on_link_up(const PeerId& peer, bool light, base::Instant now);  // false: that peer is refused, close the link
  void on_link_down(const PeerId& peer, base::Instant now, base::Rng& rng);
  void on_dial_failed(const PeerId& peer, base::Instant now, base::Rng& rng);
  void refuse(const PeerId& peer, base::Instant now);  // broke the protocol, or is banned

  void poll_dials(base::Instant now, Outbox& out);
  std::optional<base::Instant> next_dial() const { return next_dial_; }  // nothing while there is no room for a link or a dial

  const std::map<PeerId, bool>& neighbours() const { return neighbours_; }  // peer -> light
  bool linked(const PeerId& peer) const { return neighbours_.contains(peer); }
  bool refused(const PeerId& peer, base::Instant now) const;
  std::optional<PeerId> random_neighbour(base::Rng& rng) const;
  std::vector<std::string> addresses_of(const PeerId& peer) const;
  std::vector<PeerId> known() const;

  // How much room a peer deserves in a full table.
  enum class Standing : std::uint8_t { unreachable, untried, met };
  Standing standing(const PeerId& peer) const;

  void check_invariants() const;

 private:
  struct Known {
    std::vector<std::string> addresses;
    std::size_t next_address = 0;
    std::uint64_t arrival = 0;  // breaks ties: the ticket's peers are known before the cached ones
    base::Instant dial_at;
    base::Duration backoff;
    bool dialling = false;
    bool met = false;                       // was linked, or is named by the ticket or the cache
    bool local = false;                     // the ticket or the cache names a local address of it
    std::optional<base::Instant> up_since;  // while linked
  };

  static bool waits(const Known& known) { return !known.dialling && !known.up_since && !known.addresses.empty(); }
  static Standing standing_of(const Known& known);
  std::vector<std::string> believed(const PeerId& peer, const std::vector<std::string>& addresses) const;
  void back_off(Known& known, base::Instant now, base::Rng& rng);
  void make_room(const PeerId& newest);
  bool has_room() const;
  std::size_t links() const { return neighbours_.size() + dialling_; }
  void plan();  // recomputes next_dial_

  PeerId self_;
  bool can_be_dialled_;
  bool local_only_;                          // local addresses are the rule here
  base::Rng chance_;
  std::map<PeerId, Known> known_;
  std::map<PeerId, bool> neighbours_;
  std::map<PeerId, base::Instant> refused_;  // until then
  std::size_t dialling_ = 0;
  std::uint64_t arrivals_ = 0;
  std::optional<base::Instant> next_dial_;   // asked for after every input, so it is kept and not searched for
};

}  // namespace starling::protocol
