#include "worker/execution/executor/unit.hpp"

#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "worker/execution/segment.hpp"

namespace starling::execution {
namespace {

std::int64_t clock_us(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return t.tv_sec * 1'000'000 + t.tv_nsec / 1000;
}

bool read_all(int fd, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    offset += static_cast<std::uint64_t>(n);
    out = out.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

class MemoryData final : public wasi::ReadOnlyData {
 public:
  explicit MemoryData(base::ByteView bytes) : bytes_(bytes) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  bool read(std::uint64_t offset, std::span<std::byte> out) const override {
    std::ranges::copy(bytes_.subspan(static_cast<std::size_t>(offset), out.size()), out.begin());
    return true;
  }

 private:
  base::ByteView bytes_;
};

// A file whose leaves may be read once the host has said that they are there and verified.
class InputData final : public wasi::ReadOnlyData {
 public:
  InputData(HostLink& link, std::uint32_t index, int fd, std::uint64_t size_bytes, bool whole)
      : link_(link), index_(index), fd_(fd), size_bytes_(size_bytes), whole_(whole),
        present_(whole ? 0 : static_cast<std::size_t>(base::leaf_count(size_bytes) / 64 + 1)) {}

  std::uint64_t size_bytes() const override { return size_bytes_; }
  bool read(std::uint64_t offset, std::span<std::byte> out) const override {
    return (whole_ || ensure(offset / base::leaf_bytes, (offset + out.size() - 1) / base::leaf_bytes)) && read_all(fd_, offset, out);
  }

 private:
  bool has(std::uint64_t leaf) const { return (present_[leaf / 64].load(std::memory_order_acquire) >> (leaf % 64) & 1) != 0; }

  bool ensure(std::uint64_t first, std::uint64_t last) const {
    while (first <= last) {
      if (has(first)) {
        ++first;
        continue;
      }
      std::uint64_t end = first + 1;
      while (end <= last && !has(end)) ++end;
      if (!link_.need(index_, first, end - first)) return false;
      for (; first < end; ++first) present_[first / 64].fetch_or(1ULL << (first % 64), std::memory_order_release);
    }
    return true;
  }

  HostLink& link_;
  std::uint32_t index_;
  int fd_;
  std::uint64_t size_bytes_;
  bool whole_;
  mutable std::vector<std::atomic<std::uint64_t>> present_;
};

// The shared /in tree. Inodes are dealt in the order of the manifest, so they are the same everywhere.
class InTree {
 public:
  InTree() : root_(wasi::Node::read_only_directory(next_inode_++)) {}

  bool add(std::string_view path, std::shared_ptr<const wasi::ReadOnlyData> data) {
    wasi::NodePtr directory = root_;
    for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
      const auto name = path.substr(0, slash);
      path.remove_prefix(slash + 1);
      wasi::NodePtr next = directory->child(name);
      if (!next) {
        next = wasi::Node::read_only_directory(next_inode_++);
        directory->adopt(std::string(name), next);
      }
      if (!next->is_directory()) return false;
      directory = next;
    }
    if (directory->child(path)) return false;
    const auto file = std::make_shared<wasi::Node>(wasi::Node::Kind::file, nullptr, next_inode_++);
    file->set_data(std::move(data));
    directory->adopt(std::string(path), file);
    return true;
  }
  const wasi::NodePtr& root() const { return root_; }
  std::uint64_t next_inode() const { return next_inode_; }

 private:
  std::uint64_t next_inode_ = 1;
  wasi::NodePtr root_;
};

// /in as one item sees it in a later round: the shared tree, with its checkpoint beside it.
wasi::NodePtr with_checkpoint(const InTree& in, base::ByteView bytes) {
  const auto root = wasi::Node::read_only_directory(in.root()->inode());
  for (const auto& [name, node] : in.root()->children()) root->adopt(name, node);
  const auto file = std::make_shared<wasi::Node>(wasi::Node::Kind::file, nullptr, in.next_inode());
  file->set_data(std::make_shared<MemoryData>(bytes));
  root->adopt(std::string(checkpoint_name), file);
  return root;
}

// A tree's files with their paths. Paths of deep directories and files of many names can make more bytes than the tree holds:
// it ends where they exceed `bytes_max`, which then decides the item's end.
class Collector {
 public:
  explicit Collector(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}
  void collect(const wasi::Node& directory) {
    for (const auto& [name, node] : directory.children()) {
      if (bytes_ > bytes_max_) return;
      const std::size_t length = path_.size();
      path_ += name;
      if (node->is_directory()) {
        path_ += '/';
        collect(*node);
      } else if (!node->is_link()) {
        bytes_ += archive_file_overhead_bytes + path_.size() + node->content().size();
        files.emplace_back(path_, node->content());
      }
      path_.resize(length);
    }
  }
  std::vector<std::pair<std::string, base::ByteView>> files;

 private:
  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
  std::string path_;
};

// Where an item's next round begins. The bytes are the guest's own /out/checkpoint.
struct RoundStart {
  std::uint32_t round = 0;
  std::uint64_t clock_ns = 0;
  std::uint64_t fuel = 0;  // of the rounds before
  base::Bytes checkpoint;
  std::vector<base::Digest> fingerprints;  // of the rounds before, for each seed; none: zeros
};

// An item goes on when it asks to (exit code 85) and has left something to go on from.
std::optional<RoundStart> next_round(const ItemEnd& end, wasi::State& state, std::uint32_t round) {
  if (end.kind != OutcomeKind::exit_code || end.code != checkpoint_exit_code) return std::nullopt;
  const auto file = state.out()->child(checkpoint_name);
  if (!file || file->is_directory() || file->is_link()) return std::nullopt;
  return RoundStart{round + 1, state.clock_ns(), end.fuel, base::copy(file->content()), {}};
}

// Tells the host of checkpoints, but not too often.
class CheckpointReporter {
 public:
  CheckpointReporter(HostLink& link, std::uint32_t item, std::uint64_t interval_ms) : link_(link), item_(item), interval_ms_(interval_ms) {}
  void on_round(const RoundStart& start) {
    const std::int64_t now_us = clock_us(CLOCK_MONOTONIC);
    if (now_us - last_us_ < static_cast<std::int64_t>(interval_ms_) * 1000) return;
    last_us_ = now_us;
    link_.checkpoint({item_, start.round, start.clock_ns, start.fuel, start.checkpoint, start.fingerprints});
  }

 private:
  HostLink& link_;
  std::uint32_t item_;
  std::uint64_t interval_ms_;
  std::int64_t last_us_ = clock_us(CLOCK_MONOTONIC);
};

// How much of the unit is done, as its items say and as they end; told to the host at most once a second. Thread-safe.
class ProgressMeter {
 public:
  ProgressMeter(HostLink& link, std::size_t items) : link_(link), parts_(items) {}
  void on_said(std::size_t item, std::uint32_t millionths) {
    if (!said_.exchange(true)) due_us_ = 0;  // the first word is told at once
    set(item, millionths);
  }
  void on_item_ended(std::size_t item) { set(item, wasi::progress_whole); }

 private:
  void set(std::size_t item, std::uint32_t millionths) {
    sum_ += millionths - std::int64_t{parts_[item].exchange(millionths)};
    const std::int64_t now_us = clock_us(CLOCK_MONOTONIC);
    std::int64_t due_us = due_us_;
    if (now_us < due_us || !due_us_.compare_exchange_strong(due_us, now_us + interval_us)) return;
    link_.progress({static_cast<std::uint32_t>(sum_ / static_cast<std::int64_t>(parts_.size()))});
  }

  static constexpr std::int64_t interval_us = 1'000'000;
  HostLink& link_;
  std::vector<std::atomic<std::uint32_t>> parts_;
  std::atomic<std::int64_t> sum_ = 0;
  std::atomic<bool> said_ = false;
  std::atomic<std::int64_t> due_us_ = clock_us(CLOCK_MONOTONIC) + interval_us;
};

struct FinishedItem {
  std::unique_ptr<wasi::State> state;      // none: it ended in an earlier segment
  std::optional<RoundStart> left;          // where the next segment goes on
  ItemEnd end;
  std::vector<base::Digest> fingerprints;  // for each seed
  std::vector<std::pair<std::string, base::ByteView>> files;

  bool has_output() const { return state && (end.kind == OutcomeKind::ok || end.kind == OutcomeKind::exit_code); }
  std::uint64_t output_bytes() const {
    if (left) return archive_file_overhead_bytes + checkpoint_name.size() + left->checkpoint.size();
    std::uint64_t sum = state->standard_output().size();
    for (const auto& [path, bytes] : files) sum += archive_file_overhead_bytes + path.size() + bytes.size();
    return sum;
  }
  void drop_output() {
    if (has_output()) end = {OutcomeKind::output_limit, 0, end.fuel};
    left.reset();
    files = {};
    if (state) state->forget_output();
  }
  ArchiveItem for_archive() {
    if (!state) return {};
    if (left) return {OutcomeKind::checkpoint, checkpoint_exit_code, {}, {{checkpoint_name, left->checkpoint}}, left->fuel, left->clock_ns};
    ArchiveItem out{end.kind, end.code, {}, {}};
    if (!has_output()) return out;
    std::ranges::sort(files, {}, [](const auto& file) -> const std::string& { return file.first; });
    out.standard_output = state->standard_output();
    for (const auto& [path, content] : files) out.files.push_back({path, content});
    return out;
  }
};

// The output limit holds for each item alone and, in index order, for the unit: both are the same on every machine. What does not
// fit, or comes from an item that failed, is let go at once: thousands of items must not stand in memory until the unit ends.
class OutputBudget {
 public:
  OutputBudget(std::vector<FinishedItem>& items, std::uint64_t bytes_max) : items_(items), left_(bytes_max), ended_(items.size()) {}

  // Thread-safe; items end in any order.
  void on_end(std::size_t i) {
    const std::scoped_lock lock(mutex_);
    ended_[i] = true;
    if (!fits(items_[i])) items_[i].drop_output();  // nor will it later: what is left only shrinks
    for (; next_ < items_.size() && ended_[next_]; ++next_) {
      FinishedItem& item = items_[next_];
      if (!fits(item)) item.drop_output();
      else left_ -= item.output_bytes();
    }
  }

 private:
  bool fits(const FinishedItem& item) const { return item.has_output() && item.output_bytes() <= left_; }

  std::vector<FinishedItem>& items_;
  std::uint64_t left_;
  std::mutex mutex_;
  std::vector<bool> ended_;
  std::size_t next_ = 0;
};

base::Bytes archive_of(std::vector<FinishedItem>& items) {
  Archive archive;
  for (auto& item : items) archive.items.push_back(item.for_archive());
  return write_archive(archive);
}

std::vector<Fingerprint> fingerprints_of(const UnitOrder& order, std::uint64_t item_index, const RoundStart& start) {
  std::vector<Fingerprint> out;
  for (std::size_t i = 0; i < order.fingerprint_seeds.size(); ++i)
    out.emplace_back(fingerprint_item_seed(order.fingerprint_seeds[i], item_index),
                     start.fingerprints.empty() ? base::Digest{} : start.fingerprints[i], start.fuel);
  return out;
}

std::vector<base::Digest> fingerprints_of(const UnitOrder& order, const std::vector<FinishedItem>& items) {
  std::vector<base::Digest> out;
  for (std::size_t i = 0; i < order.fingerprint_seeds.size(); ++i) {
    std::vector<base::Digest> chains;
    for (const auto& item : items) chains.push_back(item.fingerprints[i]);
    out.push_back(fingerprint_of_unit(chains));
  }
  return out;
}

std::string stderr_of(const std::vector<FinishedItem>& items) {
  const FinishedItem* shown = nullptr;
  for (const auto& item : items)
    if (item.state && !item.state->stderr_tail().empty() && (shown == nullptr || item.end.kind > shown->end.kind)) shown = &item;
  return shown == nullptr ? std::string() : shown->state->stderr_tail();
}

}  // namespace

struct UnitRunner::Arena {
  explicit Arena(std::uint32_t count)
      : threads(count),
        parallelism(tbb::global_control::max_allowed_parallelism, std::max<std::size_t>(count, 1)),
        arena(static_cast<int>(count)) {}
  std::uint32_t threads;
  tbb::global_control parallelism;
  tbb::task_arena arena;
  tbb::enumerable_thread_specific<Lane> lanes;
};

UnitRunner::UnitRunner(HostLink& link) : link_(link), arena_(std::make_unique<Arena>(1)) {}
UnitRunner::~UnitRunner() = default;

std::expected<std::shared_ptr<const Module>, ModuleProblem> UnitRunner::module_of(const UnitOrder& order,
                                                                                  const std::vector<Fd>& descriptors) {
  const auto found = std::ranges::find_if(loaded_, [&](const Loaded& one) { return one.program == order.program && one.tier == order.tier && one.native_path == order.native_path; });
  if (found != loaded_.end()) {
    std::rotate(loaded_.begin(), found, found + 1);
    return loaded_.front().module;
  }
  std::expected<std::shared_ptr<const Module>, ModuleProblem> module;
  if (order.tier == Tier::aot) {
    module = Module::from_native(order.native_path);
  } else {
    struct stat info{};
    base::Bytes bytes;
    if (descriptors.empty() || ::fstat(descriptors[0].get(), &info) != 0 ||
        static_cast<std::uint64_t>(info.st_size) > limits::program_bytes_max)
      return std::unexpected(ModuleProblem{false, "the program cannot be read", ""});
    bytes.resize(static_cast<std::size_t>(info.st_size));
    if (!read_all(descriptors[0].get(), 0, bytes)) return std::unexpected(ModuleProblem{false, "the program cannot be read", ""});
    module = Module::from_bytes(bytes);
  }
  // Native code that does not load is made again, at the same path.
  if (!module && (order.tier == Tier::aot || !module.error().guests_fault)) return module;
  loaded_.push_front({order.program, order.tier, order.native_path, module});
  if (loaded_.size() > limits::programs_loaded_max) loaded_.pop_back();
  return module;
}

base::Bytes UnitRunner::run(const UnitOrder& order, const std::vector<Fd>& descriptors) {
  const std::int64_t wall_us = clock_us(CLOCK_MONOTONIC);
  const std::int64_t cpu_us = clock_us(CLOCK_PROCESS_CPUTIME_ID);
  const auto failure = [](FailureKind kind, std::string reason) { return encode(UnitFailure{kind, std::move(reason)}); };

  const std::size_t first_input = order.tier == Tier::interpreter ? 1 : 0;
  if (descriptors.size() != first_input + order.inputs.size()) return failure(FailureKind::local, "descriptors are missing");
  const auto module = module_of(order, descriptors);
  // A compiled module that does not load says something about the cache; only the plain bytes tell about the guest.
  if (!module && order.tier == Tier::aot) return failure(FailureKind::native_unusable, module.error().message);
  if (!module && !module.error().guests_fault) return failure(FailureKind::local, module.error().message);

  InTree in;
  for (std::size_t i = 0; i < order.inputs.size(); ++i) {
    const auto& input = order.inputs[i];
    const int fd = descriptors[first_input + i].get();
    if (!in.add(input.name, std::make_shared<InputData>(link_, static_cast<std::uint32_t>(i), fd, input.size_bytes, input.whole)))
      return failure(FailureKind::local, "two inputs of one name: " + input.name);
  }
  for (const auto& file : order.files)
    if (!in.add(file.name, std::make_shared<MemoryData>(file.bytes)))
      return failure(FailureKind::local, "two inputs of one name: " + file.name);

  std::vector<FinishedItem> items(order.items.size());
  OutputBudget budget(items, order.output_bytes_max);
  std::atomic<bool> input_missing = false;
  std::atomic<bool> host_failed = false;
  ProgressMeter progress(link_, items.size());
  if (arena_->threads != order.threads) {
    arena_.reset();
    arena_ = std::make_unique<Arena>(order.threads);
  }
  const auto run_round = [&](std::size_t i, const RoundStart& start) {
    FinishedItem& item = items[i];
    wasi::ItemOptions options;
    options.arguments.emplace_back("program");
    options.arguments.insert(options.arguments.end(), order.arguments.begin(), order.arguments.end());
    options.environment = {"STARLING_JOB=" + order.job_text, "STARLING_UNIT=" + std::to_string(order.unit),
                           "STARLING_ITEM=" + std::to_string(order.first_item_index + i),
                           "STARLING_SEED=" + order.items[i].seed.hex()};
    options.standard_input = order.items[i].bytes;
    options.seed = order.items[i].seed;
    options.round = start.round;
    options.in = start.round == 0 ? in.root() : with_checkpoint(in, start.checkpoint);
    options.first_inode = in.next_inode() + (start.round == 0 ? 0 : 1);
    options.output_bytes_max = order.output_bytes_max;
    options.temporary_bytes_max = order.memory_bytes_max;
    options.on_progress = [&progress, i](std::uint32_t millionths) { progress.on_said(i, millionths); };
    item.state = std::make_unique<wasi::State>(std::move(options));
    item.state->advance_clock_to(start.clock_ns);
    if (input_missing || host_failed) return;
    auto fingerprints = fingerprints_of(order, order.first_item_index + i, start);
    item.end = module ? arena_->lanes.local().run(**module, *item.state, order.memory_bytes_max,
                                                  order.fuel_max - std::min(order.fuel_max, start.fuel), fingerprints)
                      : ItemEnd{OutcomeKind::trap, static_cast<std::int32_t>(TrapClass::bad_program)};
    item.end.fuel += start.fuel;
    item.fingerprints.clear();
    for (const auto& one : fingerprints) item.fingerprints.push_back(one.chain());
    if (item.state->ending() == wasi::Ending::input_missing) input_missing = true;
    if (item.state->ending() == wasi::Ending::host_failed) host_failed = true;
  };
  const auto run_item = [&](std::size_t i) {
    const auto& from = order.items[i];
    items[i].fingerprints.assign(order.fingerprint_seeds.size(), base::Digest{});
    if (!from.runs) {
      budget.on_end(i);
      return progress.on_item_ended(i);
    }
    CheckpointReporter reporter(link_, static_cast<std::uint32_t>(i), order.checkpoint_interval_ms);
    std::optional<RoundStart> next = RoundStart{from.round, from.clock_ns, from.fuel, base::copy(from.checkpoint), from.fingerprints};
    while (next) {
      const RoundStart start = std::move(*next);  // the guest reads from it while it runs
      run_round(i, start);
      next = input_missing || host_failed ? std::nullopt : next_round(items[i].end, *items[i].state, start.round);
      if (next && next->round >= order.rounds_max) {
        if (order.leaves_checkpoints) items[i].left = std::move(next);
        next.reset();
      }
      if (next) next->fingerprints = items[i].fingerprints;
      if (next) reporter.on_round(*next);
      else items[i].state->forget_files();
    }
    Collector collector(order.output_bytes_max);
    collector.collect(*items[i].state->out());
    items[i].files = std::move(collector.files);
    budget.on_end(i);
    progress.on_item_ended(i);
  };
  if (items.size() == 1 || order.threads == 1) {
    for (std::size_t i = 0; i < items.size(); ++i) run_item(i);
  } else {
    arena_->arena.execute([&] {
      tbb::parallel_for(tbb::blocked_range<std::size_t>(0, items.size(), 1),
                        [&](const auto& range) { for (std::size_t i = range.begin(); i < range.end(); ++i) run_item(i); },
                        tbb::simple_partitioner());
    });
  }
  if (input_missing) return failure(FailureKind::input_missing, "an input could not be fetched");
  if (host_failed) return failure(FailureKind::local, "this machine could not finish it: no memory left, or a failure of the engine");

  const base::Bytes archive = archive_of(items);
  UnitReport report;
  report.archive = archive;
  report.stderr_tail = stderr_of(items);
  for (const auto& item : items) report.fuel += item.end.fuel;
  report.fingerprints = fingerprints_of(order, items);
  report.cpu_us = clock_us(CLOCK_PROCESS_CPUTIME_ID) - cpu_us;
  report.wall_us = clock_us(CLOCK_MONOTONIC) - wall_us;
  return encode(report);
}

}  // namespace starling::execution
