#include "coordinator-less/net/command_queue.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include "coordinator-less/base/check.hpp"

namespace starling::net {

CommandQueue::CommandQueue(std::size_t commands_max)
    : commands_max_(commands_max), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  STARLING_ENSURE(wake_fd_ >= 0);
}

CommandQueue::~CommandQueue() { close(wake_fd_); }

bool CommandQueue::try_push(Command&& command) {
  const std::scoped_lock lock(mutex_);
  if (stopped_ || commands_.size() >= commands_max_) return false;
  add(std::move(command));
  return true;
}

void CommandQueue::push(Command&& command) {
  std::unique_lock lock(mutex_);
  room_.wait(lock, [this] { return stopped_ || commands_.size() < commands_max_; });
  if (!stopped_) add(std::move(command));
}

void CommandQueue::stop() {
  const std::scoped_lock lock(mutex_);
  stopped_ = true;
  wake();
  room_.notify_all();
}

std::deque<Command> CommandQueue::take_all() {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto size = read(wake_fd_, &count, sizeof count);
  std::deque<Command> taken;
  const std::scoped_lock lock(mutex_);
  taken.swap(commands_);
  room_.notify_all();
  return taken;
}

bool CommandQueue::stopped() const {
  const std::scoped_lock lock(mutex_);
  return stopped_;
}

// Only the first of a batch wakes: the socket thread reads the eventfd before it takes the batch.
void CommandQueue::add(Command&& command) {
  commands_.push_back(std::move(command));
  if (commands_.size() == 1) wake();
}

void CommandQueue::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto size = write(wake_fd_, &one, sizeof one);
}

}  // namespace starling::net
