#include "coordinator-less/runtime/inbox.hpp"

#include <chrono>

#include "coordinator-less/base/limits.hpp"

namespace starling::runtime {
namespace {

std::size_t bytes_of(const net::Event& event) {
  const auto* frame = std::get_if<net::FrameReceived>(&event);
  return frame ? frame->bytes.size() : 0;
}

}  // namespace

std::size_t frame_bytes(const Event& event) {
  const auto* link = std::get_if<net::Event>(&event);
  return link ? bytes_of(*link) : 0;
}

bool Inbox::offer(net::Event&& event) {
  const auto bytes = bytes_of(event);
  const std::lock_guard lock(mutex_);
  if (closed_ || link_events_ >= limits::inbound_events_max) return false;
  if (link_bytes_ > 0 && link_bytes_ + bytes > limits::inbound_bytes_max) return false;
  ++link_events_;
  link_bytes_ += bytes;
  events_.emplace_back(std::move(event));
  news_.notify_one();
  return true;
}

void Inbox::push(Event event) {
  const std::lock_guard lock(mutex_);
  if (std::holds_alternative<Call>(event)) ++calls_;
  events_.push_back(std::move(event));
  news_.notify_one();
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  news_.notify_one();
}

void Inbox::wait(std::unique_lock<std::mutex>& lock, std::optional<base::Duration> wait_max, const std::function<bool()>& over) {
  if (wait_max)
    news_.wait_for(lock, std::chrono::milliseconds(wait_max->ms), over);
  else
    news_.wait(lock, over);
}

std::deque<Event> Inbox::take(std::size_t count_max, std::optional<base::Duration> wait_max) {
  std::unique_lock lock(mutex_);
  wait(lock, wait_max, [this] { return closed_ || !events_.empty(); });
  std::deque<Event> taken;
  while (!events_.empty() && taken.size() < count_max) {
    if (const auto* link = std::get_if<net::Event>(&events_.front())) {
      --link_events_;
      link_bytes_ -= bytes_of(*link);
    }
    if (std::holds_alternative<Call>(events_.front())) --calls_;
    taken.push_back(std::move(events_.front()));
    events_.pop_front();
  }
  return taken;
}

std::deque<Event> Inbox::take_calls(std::size_t count_max, std::optional<base::Duration> wait_max) {
  std::unique_lock lock(mutex_);
  wait(lock, wait_max, [this] { return closed_ || calls_ > 0; });
  std::deque<Event> taken, left;
  if (calls_ == 0) return taken;
  for (auto& event : events_) {
    const bool wanted = std::holds_alternative<Call>(event) && taken.size() < count_max;
    (wanted ? taken : left).push_back(std::move(event));
  }
  events_ = std::move(left);
  calls_ -= taken.size();
  return taken;
}

bool Inbox::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

bool Inbox::finished() const {
  const std::lock_guard lock(mutex_);
  return closed_ && events_.empty();
}

}  // namespace starling::runtime
