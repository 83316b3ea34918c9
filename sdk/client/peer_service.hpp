// The local API: one request frame in, one reply frame out, answered by a running peer. The worker serves it on its UNIX
// socket; a client with an embedded peer calls it in place, so both ways run the same code. Thread-safe as Peer is.
//
// A request is {"op": NAME, ...}; a reply is an object, or {"error": {code, message, hint}}.
//   status                         -> id, port, network, pid, swarm {kind, name, ...}, counters, cage [{layer, state, why}...],
//                                     paused, units [{job, unit, progress}...]: what runs, of it 0 to 1 or null
//   pause, resume                  -> paused
//   invite                         -> ticket
//   peers                          -> peers [...]
//   put            + payload       -> blob, size_bytes
//   import {path}                  -> blob, size_bytes      the peer reads the file itself: same user, same machine
//   submit, cancel + envelope      -> job
//   jobs                           -> jobs [...]
//   job {job}                      -> job, note
//   accepted {job}                 -> units [[unit, kind, code, digest, bytes]...]
//   fetch {job, blob, size_bytes, offset, timeout_ms} -> size_bytes + a piece of the payload
//   evidence {job, from}           -> count, next + payload {u32 length, envelope}...
//   explain {job, unit?, segment?} -> unit {...} where one is asked for, else explanation {...}: explanation_json.hpp
//   proofs {job, peer}             -> proofs [...]          replays that prove faults of this key
//   id {peer}                      -> proven                its puzzle is checked here, or the swarm asks for none
//   confirm {job}                  -> {}                    what is not final is executed again here for a while: say it again in time
//   wait {seen, timeout_ms}        -> version               returns when something visible changed
#pragma once

#include "coordinator-less/runtime/peer.hpp"
#include "sdk/client/local_frame.hpp"

namespace starling::client {

// A layer of the executors' cage that is not on.
struct CageGap {
  std::string layer;
  std::string state;  // missing: this kernel lacks it; refused: this host forbids it
  std::string why;
};

struct RunningUnit {
  base::JobId job;
  base::UnitIndex unit = 0;
  std::optional<double> progress;  // 0 to 1, as the program says
};

// Port: the machinery that runs programs, beside the peer. A light peer has none. Thread-safe.
class LocalExecution {
 public:
  virtual ~LocalExecution() = default;
  virtual std::vector<CageGap> cage_gaps() const = 0;
  virtual std::string note_of(const base::JobId& job) const = 0;  // why its units do not run optimised here; else empty
  virtual std::vector<RunningUnit> running_units() const = 0;
  virtual bool paused() const = 0;
  // Running programs stand still when this returns, or go on; nothing new is started while paused. Outlives a restart.
  virtual base::Expected<void> set_paused(bool paused) = 0;
};

class PeerService {
 public:
  explicit PeerService(runtime::Peer& peer, LocalExecution* execution = nullptr) : peer_(peer), execution_(execution) {}
  // Hostile requests get an error reply; nothing throws.
  Frame answer(const Frame& request);

 private:
  runtime::Peer& peer_;
  LocalExecution* execution_;
};

}  // namespace starling::client
