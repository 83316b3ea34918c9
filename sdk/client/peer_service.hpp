// The local API: one request frame in, one reply frame out, answered by a running peer. The worker serves it on its UNIX
// socket; a client with an embedded peer calls it in place, so both ways run the same code. Thread-safe as Peer is.
//
// A request is {"op": NAME, ...}; a reply is an object, or {"error": {code, message, hint}}.
//   status                         -> id, port, network, pid, swarm {kind, name, ...}, counters
//   invite                         -> ticket
//   peers                          -> peers [...]
//   put            + payload       -> blob, size_bytes
//   import {path}                  -> blob, size_bytes      the peer reads the file itself: same user, same machine
//   submit, cancel + envelope      -> job
//   jobs                           -> jobs [...]
//   job {job}                      -> job
//   accepted {job}                 -> units [[unit, kind, code, digest, bytes]...]
//   fetch {job, blob, size_bytes, offset, timeout_ms} -> size_bytes + a piece of the payload
//   evidence {job, from}           -> count, next + payload {u32 length, envelope}...
//   wait {seen, timeout_ms}        -> version               returns when something visible changed
#pragma once

#include "coordinator-less/runtime/peer.hpp"
#include "sdk/client/local_frame.hpp"

namespace starling::client {

class PeerService {
 public:
  explicit PeerService(runtime::Peer& peer) : peer_(peer) {}
  // Hostile requests get an error reply; nothing throws.
  Frame answer(const Frame& request);

 private:
  runtime::Peer& peer_;
};

}  // namespace starling::client
