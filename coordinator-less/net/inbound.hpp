// All inbound links: one ROUTER, CURVE server.
//
// A connection is tracked from ZeroMQ's ACCEPTED event to its DISCONNECTED event under its descriptor. The numbers are
// used again, so which connection a message came by is told by three facts together: the descriptor it names, the serial that
// ZAP gave its handshake, and the rule that a connection is accepted before it is admitted; one counter numbers both acts. The routing
// id only carries answers back.
// Rules, each against an attack:
//   - nothing but Hello is read before Hello passed; silence ends after hello_timeout            (slot squatting)
//   - a message of several parts, or a frame over frame_bytes_max, ends the link                 (memory)
//   - unfinished parts are watched by TCP_INFO, see unfinished_watch.hpp                         (memory)
//   - a routing id that the peer chose ends the link; duplicates never take a name over          (hijack, lock-out)
//   - links per address and in total are counted at ZAP; connections without Hello at accept     (descriptors)
//   - a second link of the same key replaces the first only once its own Hello passed            (lock-out)
#pragma once

#include <map>
#include <memory>

#include "coordinator-less/net/connection.hpp"
#include "coordinator-less/net/counters.hpp"
#include "coordinator-less/net/links.hpp"
#include "coordinator-less/net/monitor.hpp"
#include "coordinator-less/net/unfinished_watch.hpp"

namespace starling::net {

class Inbound final : public Carrier {
 public:
  // Errors as Transport::start.
  static base::Expected<std::unique_ptr<Inbound>> listen(void* context, const TransportConfig& config, Authenticator& auth,
                                                         Links& links, Counters& counters);

  std::uint16_t port() const { return port_; }
  void* socket() const { return router_.get(); }
  void* monitor() const { return monitor_.pair(); }
  bool idle() const { return entries_.empty(); }  // nothing to watch

  // ZAP's question; see zap.hpp.
  std::optional<std::uint64_t> admit(const CurveKey& key, const std::string& address, base::Instant now);
  void on_monitor(base::Instant now);  // drains the monitor
  void read(base::Instant now);        // reads frames until none is left, the user has no room or others want a turn
  void check(base::Instant now);       // the watch and the Hello deadlines

  bool send(const base::PeerId& peer, QueuedFrame& frame) override;
  void close(const base::PeerId& peer, const std::string& reason) override;
  void check_invariants() const;

 private:
  struct Entry {
    Connection connection;
    std::string group;              // see address_group
    std::uint64_t accepted_order;   // on the same counter as admissions
    base::Instant accepted;
    UnfinishedWatch watch{};
    std::uint64_t admission = 0;    // 0: no message yet
    base::Bytes routing_id{};
    std::optional<base::PeerId> peer{};  // Hello passed, and not closed since
    bool closing = false;                // shut by us: what still comes is ignored
  };
  struct Admission {
    std::string group;
    base::Instant expires;
  };

  Inbound(void* context, Socket router, std::uint16_t port, const TransportConfig& config, Authenticator& auth, Links& links,
          Counters& counters);
  void on_accepted(int fd, base::Instant now);
  void on_disconnected(int fd);
  bool read_one(base::Instant now);
  Entry* find(int fd, std::uint64_t admission, base::Instant now);
  void on_message(Entry& entry, base::ByteView routing_id, Message& message, bool single);
  void on_hello(Entry& entry, const std::string& user_id, base::ByteView bytes);
  void cut(Entry& entry, const std::string& reason);
  void refuse(Entry& entry, const std::string& reason);

  const TransportConfig& config_;
  Authenticator& auth_;
  Links& links_;
  Counters& counters_;
  Socket router_;
  Monitor monitor_;  // after router_: it must go first
  std::uint16_t port_;
  std::uint64_t order_ = 0;
  bool drained_ = true;                                 // the last read found nothing left
  std::map<int, Entry> entries_;                        // by descriptor
  std::map<base::PeerId, int> linked_;                  // peers past Hello
  std::map<std::uint64_t, Admission> pending_;          // admitted by ZAP, Hello not passed
};

}  // namespace starling::net
