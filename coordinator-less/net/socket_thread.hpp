// The one thread that owns all sockets: waits, serves ZAP, obeys commands, reads frames, keeps time. It never blocks on
// anything else, so a full sink, a slow peer and a flood of strangers leave ZAP, monitors and watches running.
#pragma once

#include <future>
#include <memory>
#include <vector>

#include "coordinator-less/net/command_queue.hpp"
#include "coordinator-less/net/inbound.hpp"
#include "coordinator-less/net/outbound.hpp"
#include "coordinator-less/net/zap.hpp"

namespace starling::net {

class SocketThread {
 public:
  SocketThread(void* context, const TransportConfig& config, Authenticator& auth, EventSink sink, SendBudgets& budgets,
               CommandQueue& commands, Counters& counters);

  // The thread's body: reports the port or why there is none, then runs until the queue is stopped.
  void run(std::promise<base::Expected<std::uint16_t>> started);

 private:
  base::Expected<std::uint16_t> open();
  void turn();
  void wait();
  long wait_ms() const;
  void obey(Command&& command, base::Instant now);
  void read(base::Instant now);
  void check(base::Instant now);

  void* context_;
  const TransportConfig& config_;
  Authenticator& auth_;
  CommandQueue& commands_;
  Counters& counters_;
  EventOutlet outlet_;
  Links links_;
  ZapHandler zap_;
  Outbound outbound_;
  std::unique_ptr<Inbound> inbound_;  // none: a light peer
  std::vector<zmq_pollitem_t> items_;
  base::Instant next_check_{};
};

}  // namespace starling::net
