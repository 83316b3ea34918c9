#include "worker/execution/executor_pool.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "worker/execution/cage/cage.hpp"
#include "worker/execution/checkpoint_saver.hpp"
#include "worker/execution/executor_process.hpp"
#include "worker/execution/segment.hpp"

namespace starling::execution {
namespace {

constexpr std::uint64_t executor_own_bytes = 512ULL << 20;  // engine, compiled code, and room for its tables

// A few threads, made when needed, for calls that block: fetching leaves, and callbacks that no slot can make.
class HelperThreads {
 public:
  ~HelperThreads() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void post(std::function<void()> task) {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back(std::move(task));
    if (idle_ < tasks_.size() && threads_.size() < limits::fetch_threads_max) threads_.emplace_back([this] { run(); });
    wake_.notify_one();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      --idle_;
      if (tasks_.empty()) return;
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

struct Job {
  CompileCache::Code code;  // when it has a slot
  std::uint64_t token = 0;
  UnitRequest request;
  ExecutorPool::Done done;
};

// Runs the jobs of one slot, one after the other, in one executor as long as it stays clean.
class SlotRunner {
 public:
  SlotRunner(const PoolConfig& config, InputSource& inputs, CompileCache& cache, CheckpointStore& checkpoints, const std::atomic<bool>& paused,
             Elsewhere elsewhere)
      : config_(config), inputs_(inputs), cache_(cache), checkpoints_(checkpoints), paused_(paused), elsewhere_(std::move(elsewhere)),
        cancel_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), pause_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  // Nothing: the native code does not load, or crashed; other code must be found.
  std::optional<UnitResult> run(const UnitRequest& request, const CompileCache::Code& code) {
    SegmentStart from;
    if (request.segment && !request.segment->archive.empty()) {
      auto start = segment_start(request.segment->archive, request.items.size());
      if (!start) return Released{start.error().message};
      from = std::move(*start);
    }
    if (process_ && request.program_digest != last_program_ && process_->resident_bytes() > limits::executor_kept_bytes_max) drop_process();
    last_program_ = request.program_digest;
    if (auto started = ensure_process(); !started) return Released{started.error().message};
    const Tier tier = request.tier == Tier::aot && code.native ? Tier::aot : Tier::interpreter;
    auto end = execute(request, from, tier, tier == Tier::aot ? code.native->path : std::string());
    if (!end) return Released{end.error().message};
    if (auto* interrupted = std::get_if<Interrupted>(&*end)) {
      drop_process();
      if (!interrupted->crashed || tier != Tier::aot) return Released{std::move(interrupted->reason)};
      cache_.give_up(request.program_digest, code.native->level, interrupted->reason);
      return std::nullopt;
    }
    if (auto* reported = std::get_if<Reported>(&*end)) {
      process_->rest();
      if (keeps(request)) checkpoints_.forget(name_of(request));
      UnitResult result = outcome_of(*reported, request, from, tier, request.tier == Tier::aot ? code.note : std::string());
      std::get<UnitOutcome>(result).rounds_saved = rounds_saved_;
      if (tier == Tier::aot) std::get<UnitOutcome>(result).level = code.native->level;
      if (request.items.size() == 1) std::get<UnitOutcome>(result).peak_resident_bytes = process_->peak_resident_bytes();
      return result;
    }
    const auto& failure = std::get<UnitFailure>(*end);
    if (failure.kind == FailureKind::forbidden) {
      drop_process();
      return Released{"the cage ended the executor: " + in_words(failure.reason)};
    }
    process_->rest();
    if (failure.kind != FailureKind::native_unusable || tier != Tier::aot) return Released{failure.reason};
    cache_.discard(request.program_digest, code.native->level, failure.reason);
    return std::nullopt;
  }

  void cancel() { signal(cancel_fd_); }
  void pause_changed() { signal(pause_fd_); }
  bool clear_cancel() {  // whether there was one
    std::uint64_t count = 0;
    return ::read(cancel_fd_.get(), &count, sizeof count) > 0;
  }
  void drop_process() {
    pid_ = 0;
    process_.reset();
  }
  void forget_progress() { progress_millionths_ = -1; }
  std::optional<double> progress() const {
    const std::int64_t millionths = progress_millionths_;
    return millionths < 0 ? std::nullopt : std::optional(static_cast<double>(millionths) / 1e6);
  }
  pid_t pid() const { return pid_; }  // of the executor, 0 without one; from any thread

 private:
  static void signal(const Fd& eventfd) {
    const std::uint64_t one = 1;
    if (::write(eventfd.get(), &one, sizeof one) < 0) {}  // already signalled
  }

  base::Expected<void> ensure_process() {
    if (process_) return {};
    const StartOptions options{config_.executor.string(), std::filesystem::absolute(config_.cache_folder).string(), config_.background,
                               config_.require_cage, config_.caged};
    STARLING_TRY(process_, ExecutorProcess::start(*config_.spawner, options, cancel_fd_.get()));
    pid_ = process_->pid();
    return {};
  }

  // "forbidden system call 0041" with the call's name. The text comes from a process that we do not trust.
  static std::string in_words(const std::string& reason) {
    const auto digits = reason.find_last_not_of("0123456789") + 1;
    if (digits >= reason.size() || reason.size() - digits > 6) return "forbidden system call";
    return "forbidden system call " + cage::call_name(std::stoi(reason.substr(digits)));
  }

  // Error: this machine could not even begin.
  base::Expected<OrderEnd> execute(const UnitRequest& request, const SegmentStart& from, Tier tier, const std::string& native) {
    UnitOrder order;
    order.program = request.program_digest;
    order.tier = tier;
    order.native_path = native;
    order.threads = std::clamp<unsigned>(request.threads, 1, limits::threads_per_unit_max);
    order.memory_bytes_max = request.memory_bytes_max;
    order.output_bytes_max = request.output_bytes_max;
    order.arguments = request.arguments;
    order.job_text = request.job_text;
    order.unit = request.unit;
    order.first_item_index = request.first_item_index;
    std::vector<Fd> held;
    if (tier == Tier::interpreter) {
      held.emplace_back(::open(request.program.c_str(), O_RDONLY | O_CLOEXEC));
      if (!held.back()) return base::fail(base::ErrorCode::not_found, "the program's file is gone");
    }
    for (const auto& input : request.inputs) {
      STARLING_TRY(const int fd, inputs_.open(input.blob));
      held.emplace_back(fd);
      order.inputs.push_back({input.name, input.size_bytes, inputs_.is_whole(input.blob)});
    }
    for (const auto& [name, bytes] : request.in_files_in_memory) order.files.push_back({name, bytes});
    order.rounds_max = std::min(request.rounds_max, limits::checkpoint_rounds_max);
    order.leaves_checkpoints = request.segment && !request.segment->last;
    order.fuel_max = request.fuel_max;
    order.fingerprint_seeds = request.fingerprint_seeds;
    order.checkpoint_interval_ms = static_cast<std::uint64_t>(config_.checkpoint_interval.ms);
    const base::Digest name = keeps(request) ? name_of(request) : base::Digest{};
    rounds_saved_ = 0;
    std::vector<StoredCheckpoint> starts(request.items.size());
    std::uint64_t request_bytes = 0;
    for (std::size_t i = 0; i < request.items.size(); ++i) {
      if (!from.runs(i)) {
        order.items.push_back({.seed = {}, .bytes = {}, .runs = false});
        continue;
      }
      if (keeps(request)) starts[i] = checkpoints_.load(name, static_cast<std::uint32_t>(i), order.rounds_max);
      rounds_saved_ = std::max(rounds_saved_, starts[i].round);
      if (starts[i].round == 0 && !from.before.items.empty()) {
        const ArchiveItem& left = from.before.items[i];
        starts[i] = {request.segment->first_round, left.clock_ns, left.fuel, base::copy(left.files.front().bytes)};
      }
      order.items.push_back({item_seed(request.seed, request.first_item_index + i), request.items[i], starts[i].round,
                             starts[i].clock_ns, starts[i].fuel, starts[i].bytes, starts[i].fingerprints});
      request_bytes += request.items[i].size() + starts[i].bytes.size();
    }
    for (const auto& file : order.files) request_bytes += file.bytes.size();
    std::vector<int> descriptors;
    for (const auto& fd : held) descriptors.push_back(fd.get());
    const auto saver = std::make_shared<CheckpointSaver>(checkpoints_, name, elsewhere_);
    const auto keep = [&](const Checkpoint& one) { if (keeps(request)) saver->post(one.item, {one.round, one.clock_ns, one.fuel, base::copy(one.bytes), one.fingerprints}); };
    if (tier == Tier::interpreter) request_bytes += interpreted_bytes(request.program);
    const OrderLimits bounds{time_max_of(request, tier), resident_bytes_max(request, order.threads, request_bytes), cancel_fd_.get(), keep, &paused_, pause_fd_.get(),
                             [this](const Progress& progress) { progress_millionths_ = progress.millionths; }};
    auto end = process_->execute(process_, order, descriptors, request.inputs, inputs_, elsewhere_, bounds);
    saver->finish(!std::holds_alternative<Reported>(end));  // a unit that ended needs none
    return end;
  }

  static bool keeps(const UnitRequest& request) { return request.rounds_max > 0 && request.keeps_checkpoints; }

  // The limit is meant for native code: whom our compiler failed gets the interpreter's share of it.
  static base::Duration time_max_of(const UnitRequest& request, Tier tier) {
    if (tier == request.tier) return request.time_max;
    const std::int64_t longer_ms = std::min<std::int64_t>(request.time_max.ms * limits::interpreter_time_factor, limits::unit_time_ms_max);
    return std::max(request.time_max, base::milliseconds(longer_ms));
  }

  // What the engine makes of a program that it interprets, for the half of which resident_bytes_max() doubles it.
  static std::uint64_t interpreted_bytes(const std::filesystem::path& program) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(program, error);
    return error ? 0 : std::min(limits::interpreted_bytes_max, bytes * limits::interpreted_bytes_factor);
  }

  static base::Digest item_seed(const base::Digest& seed, std::uint64_t index) {
    base::Bytes text = base::copy(seed.view());
    base::append_u64(text, index);
    return crypto::sha256(text);
  }

  // All that decides a unit's result, our own version too: a checkpoint belongs to exactly this.
  static base::Digest name_of(const UnitRequest& request) {
    base::Bytes text;
    const auto add = [&text](base::ByteView bytes) { base::append(text, crypto::sha256(bytes).view()); };
    for (const auto& digest : {request.program_digest, request.seed}) add(digest.view());
    for (const auto& argument : request.arguments) add(base::view(argument));
    base::append_u64(text, request.arguments.size());
    for (const auto& item : request.items) add(item);
    base::append_u64(text, request.items.size());
    for (const auto& input : request.inputs) add(base::view(input.name)), add(input.blob.view());
    base::append_u64(text, request.inputs.size());
    for (const auto& [path, bytes] : request.in_files_in_memory) add(base::view(path)), add(bytes);
    add(base::view(request.job_text));
    for (const std::uint64_t number : {std::uint64_t{executor_protocol_version}, std::uint64_t{request.unit}, request.first_item_index, request.memory_bytes_max,
                                       request.output_bytes_max, std::uint64_t{request.rounds_max}, request.fuel_max})
      base::append_u64(text, number);
    for (const auto& one : request.fingerprint_seeds) base::append(text, one.view());
    if (request.segment) {
      base::append_u64(text, request.segment->last ? 1 : 0);
      add(request.segment->archive);
    }
    return crypto::sha256(text);
  }

  std::uint64_t resident_bytes_max(const UnitRequest& request, std::uint64_t threads, std::uint64_t request_bytes) const {
    const std::uint64_t parallel = std::min<std::uint64_t>(threads, std::max<std::size_t>(request.items.size(), 1));
    const std::uint64_t own = executor_own_bytes + parallel * (2 * (request.memory_bytes_max + request.output_bytes_max) + limits::executor_stack_bytes) +
                              2 * request_bytes + 4 * request.output_bytes_max;
    return config_.host_memory_bytes_max == 0 ? own : std::min(own, config_.host_memory_bytes_max);
  }

  static UnitResult outcome_of(const Reported& reported, const UnitRequest& request, const SegmentStart& from, Tier tier, const std::string& note) {
    UnitOutcome out;
    const Archive archive = joined(from, reported.archive, request.output_bytes_max);
    std::tie(out.kind, out.code) = worst_of(archive);
    out.archive = from.before.items.empty() ? base::copy(reported.report.archive) : write_archive(archive);
    out.stderr_tail = reported.report.stderr_tail;
    out.cpu_us = reported.report.cpu_us;
    out.wall_us = reported.report.wall_us;
    out.fuel = reported.report.fuel - std::min(reported.report.fuel, from.fuel());
    out.fingerprints = reported.report.fingerprints;
    out.tier = tier;
    out.note = note;
    return out;
  }

  const PoolConfig& config_;
  InputSource& inputs_;
  CompileCache& cache_;
  CheckpointStore& checkpoints_;
  const std::atomic<bool>& paused_;
  Elsewhere elsewhere_;
  Fd cancel_fd_;
  Fd pause_fd_;
  std::uint32_t rounds_saved_ = 0;  // of the last order
  std::shared_ptr<ExecutorProcess> process_;
  base::Digest last_program_;
  std::atomic<std::int64_t> progress_millionths_ = -1;  // of the unit that runs; negative: it has not said
  std::atomic<pid_t> pid_ = 0;
};

class Pool final : public ExecutorPool {
 public:
  Pool(PoolConfig config, InputSource& inputs)
      : config_(std::move(config)),
        cache_({.spawner = config_.spawner,
                .executor = config_.executor,
                .folder = std::filesystem::absolute(config_.cache_folder),
                .level = config_.optimisation_level,
                .wait_for_best = config_.wait_for_best,
                .bytes_max = config_.cache_bytes_max,
                .bounds = config_.compile,
                .paused = &paused_}),
        checkpoints_(config_.checkpoint_folder, limits::checkpoints_bytes_max) {
    for (unsigned i = 0; i < config_.slots; ++i)
      slots_.push_back(std::make_unique<Slot>(config_, inputs, cache_, checkpoints_, paused_, [this](auto task) { helpers_.post(std::move(task)); }));
    for (auto& slot : slots_) slot->thread = std::thread([this, &slot = *slot] { serve(slot); });
  }

  ~Pool() override {
    std::deque<Job> left;
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    cache_.stop();
    {
      const std::scoped_lock lock(mutex_);
      left.swap(queue_);
      for (auto& job : uncompiled_) left.push_back(std::move(job));
      uncompiled_.clear();
      for (auto& slot : slots_) slot->runner.cancel();
    }
    for (auto& slot : slots_) slot->wake.notify_all();
    for (auto& slot : slots_) slot->thread.join();
    for (auto& job : left) job.done(Released{"canceled"});
  }

  void run(std::uint64_t token, UnitRequest request, Done done) override {
    const std::scoped_lock lock(mutex_);
    STARLING_ENSURE(request.fingerprint_seeds.size() <= limits::fingerprint_seeds_max);
    if (stopping_ || queue_.size() + uncompiled_.size() >= limits::units_queued_max) {
      release(std::move(done), stopping_ ? "canceled" : "too many units are waiting");
      return;
    }
    dispatch({{}, token, std::move(request), std::move(done)});
  }

  void cancel(std::uint64_t token) override {
    const std::scoped_lock lock(mutex_);
    for (auto* waiting : {&queue_, &uncompiled_}) {
      for (auto it = waiting->begin(); it != waiting->end();) {
        if (it->token != token) {
          ++it;
          continue;
        }
        release(std::move(it->done), "canceled");
        it = waiting->erase(it);
      }
    }
    for (auto& slot : slots_)
      if (slot->busy && slot->token == token) slot->runner.cancel();
  }

  void pause() override { set_paused(true); }
  void resume() override { set_paused(false); }

  PoolStatus status() const override {
    const std::scoped_lock lock(mutex_);
    PoolStatus out;
    out.queued = queue_.size() + uncompiled_.size();
    out.compilations = cache_.compilations();
    for (const auto& slot : slots_) {
      if (slot->busy) out.units.push_back({slot->token, slot->runner.progress()});
      if (const pid_t pid = slot->runner.pid(); pid != 0) out.executors.push_back(pid);
    }
    out.running = out.units.size();
    return out;
  }

 private:
  struct Slot {
    Slot(const PoolConfig& config, InputSource& inputs, CompileCache& cache, CheckpointStore& checkpoints, const std::atomic<bool>& paused,
         Elsewhere elsewhere)
        : runner(config, inputs, cache, checkpoints, paused, std::move(elsewhere)) {}
    SlotRunner runner;            // used by the slot's thread alone, but for cancel()
    std::thread thread;
    std::condition_variable wake;
    std::optional<Job> job;       // assigned, not yet taken up
    bool busy = false;
    std::uint64_t token = 0;
    base::Digest program;         // what its executor ran last
  };

  void set_paused(bool paused) {
    const std::scoped_lock lock(mutex_);
    paused_ = paused;
    for (auto& slot : slots_) slot->runner.pause_changed();
  }

  void release(Done done, std::string reason) {
    helpers_.post([done = std::move(done), reason = std::move(reason)] { done(Released{reason}); });
  }

  // Has the code to run it, or needs none. Else the job waits where it holds up nobody.
  bool has_code(Job& job) {
    if (job.request.tier != Tier::aot) return true;
    job.code = cache_.find(job.request.program_digest);
    return job.code.settled;
  }

  void dispatch(Job job) {
    if (!has_code(job)) return await_code(std::move(job));
    if (Slot* slot = best_idle_slot(job.request.program_digest)) return assign(*slot, std::move(job));
    job.code = {};  // whoever waits holds no code, and takes the best there is when his turn comes
    queue_.push_back(std::move(job));
  }

  void await_code(Job job) {
    const auto program = job.request.program_digest;
    const auto file = job.request.program;
    uncompiled_.push_back(std::move(job));
    cache_.prepare(file, program, [this, program] { on_code(program); });
  }

  void on_code(const base::Digest& program) {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return;
    std::deque<Job> all;
    all.swap(uncompiled_);
    for (auto& job : all) {
      if (job.request.program_digest == program) dispatch(std::move(job));
      else uncompiled_.push_back(std::move(job));
    }
  }

  void assign_next(Slot& slot) {
    while (!stopping_ && !queue_.empty()) {
      Job next = std::move(queue_.front());
      queue_.pop_front();
      if (has_code(next)) return assign(slot, std::move(next));
      await_code(std::move(next));  // evicted, or damaged, meanwhile
    }
  }

  // A warm executor that knows the program, else a warm one, else any.
  Slot* best_idle_slot(const base::Digest& program) {
    Slot* best = nullptr;
    int best_score = -1;
    for (auto& slot : slots_) {
      if (slot->busy) continue;
      const bool warm = slot->runner.pid() != 0;
      const int score = (warm ? 2 : 0) + (warm && slot->program == program ? 1 : 0);
      if (score > best_score) best = slot.get(), best_score = score;
    }
    return best;
  }

  void assign(Slot& slot, Job job) {
    slot.runner.clear_cancel();
    slot.runner.forget_progress();
    slot.busy = true;
    slot.token = job.token;
    slot.program = job.request.program_digest;
    slot.job = std::move(job);
    slot.wake.notify_one();
  }

  void serve(Slot& slot) {
    std::unique_lock lock(mutex_);
    while (true) {
      const auto called = [&] { return stopping_ || slot.job.has_value(); };
      if (slot.runner.pid() == 0) slot.wake.wait(lock, called);
      else slot.wake.wait_for(lock, std::chrono::milliseconds(config_.idle_max.ms), called);
      if (slot.job) {
        Job job = std::move(*slot.job);
        slot.job.reset();
        lock.unlock();
        auto result = slot.runner.run(job.request, job.code);
        job.code = {};
        lock.lock();
        if (slot.runner.clear_cancel() && !result) result = Released{"canceled"};
        slot.busy = false;
        assign_next(slot);
        if (!result && !stopping_) {
          dispatch(std::move(job));
          continue;
        }
        lock.unlock();
        job.done(result ? std::move(*result) : Released{"canceled"});
        job = {};
        lock.lock();
        continue;
      }
      if (stopping_) return;
      lock.unlock();
      slot.runner.drop_process();  // idle for long enough
      lock.lock();
    }
  }

  const PoolConfig config_;
  std::atomic<bool> paused_ = false;
  CompileCache cache_;
  CheckpointStore checkpoints_;
  mutable std::mutex mutex_;
  std::deque<Job> queue_;       // ready, without a slot
  std::deque<Job> uncompiled_;  // their program is being compiled
  std::vector<std::unique_ptr<Slot>> slots_;
  bool stopping_ = false;
  HelperThreads helpers_;  // last: its threads end first, then nothing refers to the slots
};

}  // namespace

base::Expected<std::unique_ptr<ExecutorPool>> ExecutorPool::start(PoolConfig config, InputSource& inputs) {
  STARLING_ENSURE(config.spawner != nullptr && config.slots > 0);
  std::error_code error;
  config.executor = std::filesystem::absolute(config.executor, error);
  config.cache_folder = std::filesystem::absolute(config.cache_folder, error);
  if (::access(config.executor.c_str(), X_OK) != 0)
    return base::fail(base::ErrorCode::not_found, "no executor at " + config.executor.string(), "install starling again, or build starling-executor");
  std::filesystem::create_directories(config.cache_folder, error);
  if (error || ::access(config.cache_folder.c_str(), W_OK) != 0)
    return base::fail(base::ErrorCode::temporary, "the compile cache cannot be written: " + config.cache_folder.string(),
                      "check the folder's rights and the disk");
  return std::make_unique<Pool>(std::move(config), inputs);
}

}  // namespace starling::execution
