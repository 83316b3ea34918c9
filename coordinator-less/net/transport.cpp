#include "coordinator-less/net/transport.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/net/link_sockets.hpp"
#include "coordinator-less/net/socket_thread.hpp"

namespace starling::net {
namespace {

// Best effort: where the hard limit is lower, the caps on links still hold.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limits::file_descriptors_wanted) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, limits::file_descriptors_wanted);
  setrlimit(RLIMIT_NOFILE, &limit);
}

Context new_context() {
  Context context(zmq_ctx_new());
  STARLING_ENSURE(context != nullptr && zmq_has("curve") == 1);
  STARLING_ENSURE(zmq_ctx_set(context.get(), ZMQ_IO_THREADS, io_threads) == 0);
  return context;
}

class ZmqTransport final : public Transport {
 public:
  ZmqTransport(TransportConfig config, std::unique_ptr<Authenticator> auth)
      : config_(std::move(config)),
        auth_(std::move(auth)),
        budgets_(limits::send_budget_bytes),
        commands_(limits::transport_commands_max),
        context_(new_context()) {}

  ~ZmqTransport() override {
    commands_.stop();
    if (thread_.joinable()) thread_.join();
  }

  base::Expected<void> run(EventSink sink) {
    std::promise<base::Expected<std::uint16_t>> started;
    auto answer = started.get_future();
    thread_ = std::thread([this, sink = std::move(sink), started = std::move(started)]() mutable {
      SocketThread sockets(context_.get(), config_, *auth_, std::move(sink), budgets_, commands_, counters_);
      sockets.run(std::move(started));
    });
    STARLING_TRY(port_, answer.get());
    return {};
  }

  std::uint16_t port() const override { return port_; }

  void dial(const base::PeerId& peer, const std::string& address) override { commands_.push(DialCommand{peer, address}); }

  bool send(const base::PeerId& peer, std::shared_ptr<const base::Bytes> frame) override {
    STARLING_ENSURE(frame != nullptr && frame->size() <= limits::frame_bytes_max);
    auto [reservation, refusal] = budgets_.reserve(peer, frame->size());
    if (reservation && commands_.try_push(SendCommand{peer, {std::move(frame), std::move(*reservation)}})) return true;
    if (refusal != SendBudgets::Refusal::not_linked) counters_.dropped_over_budget += 1;
    return false;
  }

  void kick(const base::PeerId& peer, const std::string& reason) override { commands_.push(KickCommand{peer, reason}); }

  TransportCounters counters() const override { return counters_.snapshot(); }

 private:
  const TransportConfig config_;
  std::unique_ptr<Authenticator> auth_;
  Counters counters_;
  SendBudgets budgets_;
  CommandQueue commands_;
  Context context_;     // goes after the thread that owns its sockets
  std::thread thread_;
  std::uint16_t port_ = 0;
};

}  // namespace

base::Expected<std::unique_ptr<Transport>> Transport::start(TransportConfig config, std::unique_ptr<Authenticator> auth,
                                                            EventSink sink) {
  raise_descriptor_limit();
  auto transport = std::make_unique<ZmqTransport>(std::move(config), std::move(auth));
  if (auto running = transport->run(std::move(sink)); !running) return std::unexpected(std::move(running).error());
  return transport;
}

}  // namespace starling::net
