// Writes one unit's checkpoints behind its back, so that neither pause nor stop waits for a disk. Of an item's checkpoints only the
// newest that was not begun is kept. finish() writes itself what no other thread has begun, so it waits for no thread that is busy.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "worker/execution/checkpoint_store.hpp"

namespace starling::execution {

class CheckpointSaver : public std::enable_shared_from_this<CheckpointSaver> {
 public:
  // `elsewhere` runs a task on another thread; `store` outlives all tasks. Held by a shared_ptr.
  CheckpointSaver(CheckpointStore& store, const base::Digest& unit, std::function<void(std::function<void()>)> elsewhere)
      : store_(store), unit_(unit), elsewhere_(std::move(elsewhere)) {}

  void post(std::uint32_t item, StoredCheckpoint checkpoint);
  // Nothing is written after it. What is not begun is on the disk then if `keep`, else dropped.
  void finish(bool keep);

 private:
  void save_all(std::unique_lock<std::mutex>& lock);

  CheckpointStore& store_;
  base::Digest unit_;
  std::function<void(std::function<void()>)> elsewhere_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::map<std::uint32_t, StoredCheckpoint> waiting_;
  bool scheduled_ = false;  // a task is on its way
  bool busy_ = false;       // a thread writes
};

}  // namespace starling::execution
