#include "worker/unit_runner.hpp"

#include "coordinator-less/base/check.hpp"
#include "worker/execution/fingerprint.hpp"

namespace starling::worker {

namespace {

execution::UnitRequest request_of(runtime::UnitWork work, unsigned threads) {
  execution::UnitRequest request;
  request.program = std::move(work.program);
  request.program_digest = work.program_digest;
  request.arguments = std::move(work.arguments);
  request.items = std::move(work.items);
  request.first_item_index = work.first_item_index;
  request.job_text = work.job.base32();
  request.unit = work.unit;
  request.seed = work.seed;
  for (auto& input : work.inputs) request.inputs.push_back({std::move(input.name), input.blob.name, input.blob.size_bytes});
  request.memory_bytes_max = work.limits.memory_bytes;
  request.output_bytes_max = work.limits.output_bytes;
  request.time_max = base::milliseconds(work.limits.time_ms);
  if (work.limits.fuel > 0) request.fuel_max = work.limits.fuel;
  for (const auto& peer : work.fingerprints_of)
    request.fingerprint_seeds.push_back(execution::fingerprint_seed(peer.view(), work.job.view(), work.unit));
  request.tier = work.tier == runtime::Tier::interpreted ? execution::Tier::interpreter : execution::Tier::aot;
  request.threads = threads;
  request.rounds_max = work.rounds_max;
  if (work.segment) request.segment = {std::move(work.segment->archive), work.segment->first_round, work.segment->last};
  request.keeps_checkpoints = !work.replay;
  return request;
}

runtime::UnitEnd end_of(execution::UnitResult result) {
  if (auto* released = std::get_if<execution::Released>(&result)) return runtime::UnitDropped{std::move(released->reason)};
  auto& outcome = std::get<execution::UnitOutcome>(result);
  return runtime::UnitDone{.kind = static_cast<protocol::OutcomeKind>(outcome.kind),
                           .code = outcome.code,
                           .archive = std::move(outcome.archive),
                           .stderr_tail = std::move(outcome.stderr_tail),
                           .tier = outcome.tier == execution::Tier::aot ? runtime::Tier::compiled : runtime::Tier::interpreted,
                           .fuel = outcome.fuel,
                           .fingerprints = std::move(outcome.fingerprints),
                           .rounds_saved = outcome.rounds_saved,
                           .wall_us = outcome.wall_us};
}

static_assert(static_cast<int>(execution::OutcomeKind::trap) == static_cast<int>(protocol::OutcomeKind::trap));
static_assert(static_cast<int>(execution::OutcomeKind::checkpoint) == static_cast<int>(protocol::OutcomeKind::checkpoint));
static_assert(static_cast<int>(execution::OutcomeKind::output_limit) == static_cast<int>(protocol::OutcomeKind::output_limit));

}  // namespace

// Blobs of running units. Several units, of several jobs, may read the same one: any of their jobs will do for asking.
class UnitRunner::Inputs final : public execution::InputSource {
 public:
  void attach(runtime::UnitInputs& inputs) { source_ = &inputs; }

  void add(const base::JobId& job, const std::vector<protocol::JobInput>& inputs) {
    const std::lock_guard lock(mutex_);
    for (const auto& input : inputs) readers_.emplace(input.blob.name, Reader{job, input.blob});
  }
  void remove(const base::JobId& job, const std::vector<protocol::JobInput>& inputs) {
    const std::lock_guard lock(mutex_);
    for (const auto& input : inputs) {
      auto [at, end] = readers_.equal_range(input.blob.name);
      while (at != end && at->second.job != job) ++at;
      if (at != end) readers_.erase(at);
    }
  }

  base::Expected<int> open(const base::Digest& blob) override {
    STARLING_TRY(const Reader reader, reader_of(blob));
    return source_->open(reader.job, reader.blob);
  }
  bool is_whole(const base::Digest& blob) override { return source_->whole(blob); }
  base::Expected<void> ensure(const base::Digest& blob, std::uint64_t first_leaf, std::uint64_t count) override {
    STARLING_TRY(const Reader reader, reader_of(blob));
    return source_->ensure(reader.job, reader.blob, first_leaf, count);
  }

 private:
  struct Reader {
    base::JobId job;
    protocol::BlobRef blob;
  };
  base::Expected<Reader> reader_of(const base::Digest& blob) {
    const std::lock_guard lock(mutex_);
    const auto at = readers_.find(blob);
    if (at == readers_.end()) return base::fail(base::ErrorCode::not_found, "no running unit reads that blob");
    return at->second;
  }

  runtime::UnitInputs* source_ = nullptr;
  std::mutex mutex_;
  std::multimap<base::Digest, Reader> readers_;
};

base::Expected<std::unique_ptr<UnitRunner>> UnitRunner::start(const UnitRunnerConfig& config, execution::Spawner& spawner) {
  std::unique_ptr<UnitRunner> runner(new UnitRunner(config.threads_per_unit));
  execution::PoolConfig pool;
  pool.executor = config.executor;
  pool.cache_folder = config.cache_folder;
  pool.slots = config.slots;
  pool.spawner = &spawner;
  pool.require_cage = config.require_cage;
  pool.checkpoint_folder = config.checkpoint_folder;
  pool.checkpoint_interval = config.checkpoint_interval;
  STARLING_TRY(runner->pool_, execution::ExecutorPool::start(std::move(pool), *runner->inputs_));
  return runner;
}

UnitRunner::UnitRunner(unsigned threads_per_unit) : threads_per_unit_(threads_per_unit), inputs_(std::make_unique<Inputs>()) {}
UnitRunner::~UnitRunner() = default;

void UnitRunner::attach(runtime::UnitInputs& inputs) { inputs_->attach(inputs); }

void UnitRunner::run(std::uint64_t token, runtime::UnitWork work, std::function<void(runtime::UnitEnd)> done) {
  const auto job = work.job;
  const auto read = work.inputs;
  inputs_->add(job, read);
  {
    const std::lock_guard lock(given_mutex_);
    given_[token] = {job, work.unit};
  }
  pool_->run(token, request_of(std::move(work), threads_per_unit_), [this, token, job, read, done = std::move(done)](execution::UnitResult result) {
    inputs_->remove(job, read);
    {
      const std::lock_guard lock(given_mutex_);
      given_.erase(token);
    }
    remember(job, result);
    done(end_of(std::move(result)));
  });
}

void UnitRunner::remember(const base::JobId& job, const execution::UnitResult& result) {
  const auto* outcome = std::get_if<execution::UnitOutcome>(&result);
  if (outcome == nullptr) return;
  const std::lock_guard lock(notes_mutex_);
  if (outcome->note.empty()) {
    notes_.erase(job);
    return;
  }
  if (notes_.size() >= limits::job_notes_max && !notes_.contains(job)) notes_.erase(notes_.begin());
  notes_[job] = outcome->note;
}

std::vector<client::RunningUnit> UnitRunner::running_units() const {
  std::vector<client::RunningUnit> out;
  const auto status = pool_->status();
  const std::lock_guard lock(given_mutex_);
  for (const auto& running : status.units)
    if (const auto at = given_.find(running.token); at != given_.end()) out.push_back({at->second.job, at->second.unit, running.progress});
  return out;
}

std::string UnitRunner::note_of(const base::JobId& job) const {
  const std::lock_guard lock(notes_mutex_);
  const auto at = notes_.find(job);
  return at == notes_.end() ? std::string() : at->second;
}

std::filesystem::path executor_binary() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "starling-executor";
}

}  // namespace starling::worker
