#include "coordinator-less/net/socket_thread.hpp"

#include <algorithm>
#include <chrono>

namespace starling::net {
namespace {

constexpr long idle_wait_ms = 1000;    // every socket is touched that often: ZeroMQ frees dead pipes only then
constexpr long stalled_wait_ms = 1;    // ZeroMQ had no room for a frame; it does not say when it has
constexpr long blocked_wait_ms = 2;    // the sink had no room

base::Instant now() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::milliseconds>(since).count()};
}

// Dead pipes are reaped when the application touches the socket, also while nothing is read.
void touch(void* socket) {
  int events = 0;
  std::size_t size = sizeof events;
  zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);
}

}  // namespace

SocketThread::SocketThread(void* context, const TransportConfig& config, Authenticator& auth, EventSink sink,
                           SendBudgets& budgets, CommandQueue& commands, Counters& counters)
    : context_(context),
      config_(config),
      auth_(auth),
      commands_(commands),
      counters_(counters),
      outlet_(std::move(sink)),
      links_(outlet_, budgets, counters),
      zap_(context),
      outbound_(context, config, auth, links_, counters) {
  links_.set_carrier(Direction::outbound, outbound_);
}

void SocketThread::run(std::promise<base::Expected<std::uint16_t>> started) {
  auto port = open();
  const bool good = port.has_value();
  started.set_value(std::move(port));
  if (!good) return;
  while (!commands_.stopped()) turn();
}

base::Expected<std::uint16_t> SocketThread::open() {
  if (config_.bind_host.empty()) return std::uint16_t{0};
  if (!zap_refuses_strangers(context_, zap_, config_.curve_public, config_.curve_secret)) {
    return base::fail(base::ErrorCode::internal, "the check of who may connect does not work on this machine",
                      "see that 127.0.0.1 is up and that libzmq has CURVE");
  }
  STARLING_TRY(inbound_, Inbound::listen(context_, config_, auth_, links_, counters_));
  links_.set_carrier(Direction::inbound, *inbound_);
  zap_.set_policy([this](const CurveKey& key, const std::string& address) { return inbound_->admit(key, address, now()); });
  return inbound_->port();
}

void SocketThread::turn() {
  wait();
  const auto time = now();
  zap_.serve();
  for (auto& command : commands_.take_all()) obey(std::move(command), time);
  outlet_.retry();
  outbound_.on_monitors(time);
  if (inbound_) inbound_->on_monitor(time);
  read(time);
  links_.flush_stalled();
  if (time >= next_check_) check(time);
}

void SocketThread::wait() {
  items_.clear();
  items_.push_back({nullptr, commands_.wake_fd(), ZMQ_POLLIN, 0});
  items_.push_back({zap_.socket(), 0, ZMQ_POLLIN, 0});
  if (inbound_) {
    items_.push_back({inbound_->monitor(), 0, ZMQ_POLLIN, 0});
    if (!outlet_.blocked()) items_.push_back({inbound_->socket(), 0, ZMQ_POLLIN, 0});
    else touch(inbound_->socket());
  }
  outbound_.add_to(items_);
  zmq_poll(items_.data(), static_cast<int>(items_.size()), wait_ms());
}

long SocketThread::wait_ms() const {
  if (links_.stalled()) return stalled_wait_ms;
  if (outlet_.blocked()) return blocked_wait_ms;
  if (outbound_.idle() && (!inbound_ || inbound_->idle())) return idle_wait_ms;
  return std::clamp(static_cast<long>((next_check_ - now()).ms), 0L, idle_wait_ms);
}

void SocketThread::obey(Command&& command, base::Instant time) {
  if (auto* send = std::get_if<SendCommand>(&command)) links_.send(send->peer, std::move(send->frame));
  if (auto* dial = std::get_if<DialCommand>(&command)) outbound_.dial(dial->peer, dial->address, time);
  if (auto* kick = std::get_if<KickCommand>(&command)) links_.kick(kick->peer, kick->reason);
}

void SocketThread::read(base::Instant time) {
  if (outlet_.blocked()) return;
  outbound_.read();
  if (inbound_ && !outlet_.blocked()) inbound_->read(time);
}

void SocketThread::check(base::Instant time) {
  if (inbound_) inbound_->check(time);
  outbound_.check(time);
  links_.check_invariants();
  if (inbound_) inbound_->check_invariants();
  next_check_ = time + config_.unfinished_check_interval;
}

}  // namespace starling::net
