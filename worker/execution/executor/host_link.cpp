#include "worker/execution/executor/host_link.hpp"

#include <unistd.h>

#include "coordinator-less/base/limits.hpp"

namespace starling::execution {
namespace {

constexpr base::Duration forever{24LL * 3600 * 1000};
[[noreturn]] void leave() { ::_exit(0); }

}  // namespace

HostLink::HostLink(int socket) : socket_(socket), reader_(limits::executor_frame_bytes_max, limits::inputs_per_job_max + 1) {}

base::Bytes HostLink::read_frame() {
  while (true) {
    auto frame = reader_.next();
    if (!frame) leave();
    if (*frame) return std::move(**frame);
    if (!reader_.fill(socket_, true)) leave();
  }
}

HostLink::Order HostLink::next_order() {
  Order out;
  out.frame = read_frame();
  auto message = decode_from_host(out.frame);
  if (!message || !std::holds_alternative<UnitOrder>(*message)) leave();
  out.order = std::move(std::get<UnitOrder>(*message));
  out.descriptors = reader_.take_descriptors();
  return out;
}

void HostLink::send(base::ByteView frame) {
  if (!send_frame(socket_, frame, {}, forever)) leave();
}

void HostLink::checkpoint(const Checkpoint& message) {
  const auto frame = encode(message);
  const std::scoped_lock lock(mutex_);
  send(frame);
}

void HostLink::progress(const Progress& message) {
  const std::scoped_lock lock(mutex_);
  send(encode(message));
}

bool HostLink::need(std::uint32_t input, std::uint64_t first_leaf, std::uint64_t count) {
  std::unique_lock lock(mutex_);
  const std::uint32_t id = next_id_++;
  send(encode(Need{id, input, first_leaf, count}));
  while (true) {
    if (const auto found = answers_.find(id); found != answers_.end()) {
      const bool ok = found->second;
      answers_.erase(found);
      return ok;
    }
    if (reading_) {
      answered_.wait(lock);
      continue;
    }
    reading_ = true;
    lock.unlock();
    const auto frame = read_frame();
    lock.lock();
    reading_ = false;
    const auto message = decode_from_host(frame);
    if (!message || !std::holds_alternative<Have>(*message)) leave();
    const Have& have = std::get<Have>(*message);
    answers_[have.id] = have.ok;
    answered_.notify_all();
  }
}

}  // namespace starling::execution
