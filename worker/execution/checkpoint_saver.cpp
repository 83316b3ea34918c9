#include "worker/execution/checkpoint_saver.hpp"

namespace starling::execution {

void CheckpointSaver::post(std::uint32_t item, StoredCheckpoint checkpoint) {
  const std::scoped_lock lock(mutex_);
  waiting_.insert_or_assign(item, std::move(checkpoint));
  if (busy_ || scheduled_) return;
  scheduled_ = true;
  elsewhere_([self = shared_from_this()] {
    std::unique_lock own(self->mutex_);
    self->scheduled_ = false;
    if (!self->busy_) self->save_all(own);
  });
}

void CheckpointSaver::save_all(std::unique_lock<std::mutex>& lock) {
  busy_ = true;
  while (!waiting_.empty()) {
    const auto next = waiting_.extract(waiting_.begin());
    lock.unlock();
    store_.save(unit_, next.key(), next.mapped());
    lock.lock();
  }
  busy_ = false;
  idle_.notify_all();
}

void CheckpointSaver::finish(bool keep) {
  std::unique_lock lock(mutex_);
  if (!keep) waiting_.clear();
  idle_.wait(lock, [this] { return !busy_; });
  save_all(lock);
}

}  // namespace starling::execution
