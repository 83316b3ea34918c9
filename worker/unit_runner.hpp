// The runtime's port to the executor, over the pool of executor processes: translates values, and finds the job of a blob that
// an executor reads (the pool names blobs alone). Thread-safe.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/runtime/unit_executor.hpp"
#include "sdk/client/peer_service.hpp"
#include "worker/execution/executor_pool.hpp"

namespace starling::worker {

struct UnitRunnerConfig {
  std::filesystem::path executor;
  std::filesystem::path cache_folder;
  unsigned slots = 1;
  unsigned threads_per_unit = 1;
  bool require_cage = false;
  std::filesystem::path checkpoint_folder = {};  // what units that take many rounds go on from after a restart
  base::Duration checkpoint_interval = limits::checkpoint_interval_default;
};

class UnitRunner final : public runtime::UnitExecutor {
 public:
  // `spawner` must outlive the runner.
  static base::Expected<std::unique_ptr<UnitRunner>> start(const UnitRunnerConfig& config, execution::Spawner& spawner);
  ~UnitRunner() override;

  void attach(runtime::UnitInputs& inputs) override;
  void run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) override;
  void stop(std::uint64_t token) override { pool_->cancel(token); }
  void set_paused(bool paused) { paused ? pool_->pause() : pool_->resume(); }
  std::vector<client::RunningUnit> running_units() const;  // those in a slot
  std::string note_of(const base::JobId& job) const;  // of its last unit that ended: why it did not run optimised

 private:
  class Inputs;

  explicit UnitRunner(unsigned threads_per_unit);

  void remember(const base::JobId& job, const execution::UnitResult& result);

  struct Given {
    base::JobId job;
    base::UnitIndex unit = 0;
  };

  unsigned threads_per_unit_;
  mutable std::mutex given_mutex_;
  std::map<std::uint64_t, Given> given_;  // to the pool, by token
  mutable std::mutex notes_mutex_;
  std::map<base::JobId, std::string> notes_;
  std::unique_ptr<Inputs> inputs_;
  std::unique_ptr<execution::ExecutorPool> pool_;  // after inputs_: its threads read them
};

// The executor's binary lies beside our own.
std::filesystem::path executor_binary();

}  // namespace starling::worker
