#include "worker/execution/checkpoint_saver.hpp"

namespace starling::execution {

void CheckpointSaver::post(std::uint32_t item, StoredCheckpoint checkpoint) {
  const std::scoped_lock lock(mutex_);
  waiting_.insert_or_assign(item, std::move(checkpoint));
  if (busy_) return;
  busy_ = true;
  elsewhere_([self = shared_from_this()] { self->save_all(); });
}

void CheckpointSaver::save_all() {
  std::unique_lock lock(mutex_);
  while (!waiting_.empty()) {
    const auto next = waiting_.extract(waiting_.begin());
    lock.unlock();
    store_.save(unit_, next.key(), next.mapped());
    lock.lock();
  }
  busy_ = false;
  idle_.notify_all();
}

void CheckpointSaver::finish() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return !busy_; });
}

}  // namespace starling::execution
