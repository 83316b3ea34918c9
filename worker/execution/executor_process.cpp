#include "worker/execution/executor_process.hpp"

#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"

namespace starling::execution {
namespace {

constexpr std::int64_t watch_ms = 50;  // how often a running executor's memory is looked at
constexpr std::int64_t progress_spare = 3;  // messages beyond twice the one a second that an executor may send
constexpr base::Duration send_patience = base::seconds(30);

std::int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

bool is_by(const std::string& ending, int signal) { return ending == "signal " + std::to_string(signal); }

std::string in_words(const std::string& ending) {
  if (is_by(ending, SIGSYS)) return "the cage ended the executor: it made a system call that no executor makes";
  return "dead executor (stack exhausted, or killed): " + ending;
}

// What code does to itself: frames that do not fit the guests' stack, or a compiler's mistake.
bool is_crash(const std::string& ending) {
  return std::ranges::any_of(std::array{SIGSEGV, SIGBUS, SIGILL, SIGFPE}, [&](int signal) { return is_by(ending, signal); });
}

enum class Woken : std::uint8_t { bytes, canceled, nothing };

Woken wait_for(int socket, int cancel_fd, std::int64_t ms, int pause_fd = -1) {
  std::array<pollfd, 3> wait{pollfd{socket, POLLIN, 0}, pollfd{cancel_fd, POLLIN, 0}, pollfd{pause_fd, POLLIN, 0}};
  ::poll(wait.data(), wait.size(), static_cast<int>(std::clamp<std::int64_t>(ms, 0, 60'000)));
  if (wait[1].revents != 0) return Woken::canceled;
  std::uint64_t changes = 0;
  if (wait[2].revents != 0 && ::read(pause_fd, &changes, sizeof changes) < 0) return Woken::nothing;
  return wait[0].revents != 0 ? Woken::bytes : Woken::nothing;
}

}  // namespace

struct ExecutorProcess::Waiting {
  std::mutex mutex;
  std::size_t requests = 0;
  std::int64_t since_ms = 0;
  std::int64_t total_ms = 0;

  std::size_t begin() {
    const std::scoped_lock lock(mutex);
    if (requests++ == 0) since_ms = now_ms();
    return requests;
  }
  void end() {
    const std::scoped_lock lock(mutex);
    if (--requests == 0) total_ms += now_ms() - since_ms;
  }
  std::int64_t elapsed_ms() {
    const std::scoped_lock lock(mutex);
    return total_ms + (requests > 0 ? now_ms() - since_ms : 0);
  }
  bool busy() {
    const std::scoped_lock lock(mutex);
    return requests > 0;
  }
};

ExecutorProcess::ExecutorProcess(Child child) : child_(std::move(child)), reader_(limits::executor_messages_bytes_max, 0) {}

base::Expected<std::shared_ptr<ExecutorProcess>> ExecutorProcess::start(Spawner& spawner, const StartOptions& options, int cancel_fd) {
  std::vector<std::string> arguments{"--serve", options.cache};
  if (options.background) arguments.emplace_back("--background");
  if (options.require_cage) arguments.emplace_back("--require-cage");
  if (!options.caged) arguments.emplace_back("--uncaged");
  STARLING_TRY(Child child, spawner.spawn(options.binary, arguments));
  auto process = std::make_shared<ExecutorProcess>(std::move(child));
  if (auto hello = process->read_hello(cancel_fd); !hello) return std::unexpected(hello.error());
  return process;
}

base::Expected<void> ExecutorProcess::read_hello(int cancel_fd) {
  const std::int64_t deadline_ms = now_ms() + limits::executor_start_timeout.ms;
  while (true) {
    STARLING_TRY(const auto frame, reader_.next());
    if (frame) {
      STARLING_TRY(const auto message, decode_from_executor(*frame));
      const auto* hello = std::get_if<Hello>(&message);
      if (hello == nullptr || hello->version != executor_protocol_version)
        return base::fail(base::ErrorCode::internal, "the executor is of another version", "install starling again");
      engine_ = hello->engine;
      return {};
    }
    const std::int64_t left_ms = deadline_ms - now_ms();
    if (left_ms <= 0) return base::fail(base::ErrorCode::timeout, "the executor does not start");
    switch (wait_for(child_.socket(), cancel_fd, left_ms)) {
      case Woken::canceled: return base::fail(base::ErrorCode::interrupted, "canceled");
      case Woken::nothing: break;
      case Woken::bytes:
        if (!reader_.fill(child_.socket(), false))
          return base::fail(base::ErrorCode::temporary, "the executor ended at its start: " + child_.ending(base::seconds(5)));
    }
  }
}

OrderEnd ExecutorProcess::interrupt(std::string reason) {
  child_.kill();
  return Interrupted{std::move(reason)};
}

OrderEnd ExecutorProcess::execute(const std::shared_ptr<ExecutorProcess>& self, const UnitOrder& order, std::span<const int> descriptors,
                                  const std::vector<InputFile>& inputs, InputSource& source, const Elsewhere& elsewhere,
                                  const OrderLimits& bounds) {
  const auto frame = encode(order);
  if (frame.size() > limits::executor_frame_bytes_max) return interrupt("the unit's items and files exceed 1 GiB");
  reader_.set_frame_bytes_max(order.output_bytes_max + order.items.size() * archive_item_overhead_bytes +
                              limits::executor_messages_bytes_max);
  child_.go_on();
  {
    const std::scoped_lock lock(send_mutex_);
    if (const auto sent = send_frame(child_.socket(), frame, descriptors, send_patience, bounds.cancel_fd); !sent)
      return interrupt(sent.error().code == base::ErrorCode::interrupted ? sent.error().message : "dead executor: " + child_.ending(base::milliseconds(100)));
  }
  const auto waiting = std::make_shared<Waiting>();
  const std::int64_t start_ms = now_ms();
  std::int64_t watched_ms = start_ms;
  std::int64_t progress_count = 0;
  std::vector<std::uint32_t> rounds;  // of each item, the last that was told
  for (const auto& item : order.items) rounds.push_back(item.round);
  Pauses pauses(child_, bounds.paused);
  while (true) {
    const bool paused = pauses.follow();
    auto next = reader_.next();
    if (!next) return interrupt("protocol violation by the executor: " + next.error().message);
    if (*next) {
      const auto message = decode_from_executor(**next);
      if (!message) return interrupt("protocol violation by the executor");
      if (const auto* need = std::get_if<Need>(&*message)) {
        if (auto wrong = on_need(self, *need, order, inputs, source, elsewhere, waiting)) return interrupt(std::move(*wrong));
        continue;
      }
      if (const auto* checkpoint = std::get_if<Checkpoint>(&*message)) {
        if (checkpoint->item >= rounds.size() || checkpoint->round <= rounds[checkpoint->item] ||
            checkpoint->round >= order.rounds_max || checkpoint->fingerprints.size() != order.fingerprint_seeds.size() || checkpoint->bytes.size() > order.output_bytes_max)
          return interrupt("protocol violation by the executor: a checkpoint of no round");
        rounds[checkpoint->item] = checkpoint->round;
        if (bounds.on_checkpoint) bounds.on_checkpoint(*checkpoint);
        continue;
      }
      if (const auto* progress = std::get_if<Progress>(&*message)) {
        if (++progress_count > progress_spare + 2 * (now_ms() - start_ms) / 1000) return interrupt("protocol violation by the executor: it talks too much");
        if (bounds.on_progress) bounds.on_progress(*progress);
        continue;
      }
      if (waiting->busy()) return interrupt("protocol violation by the executor: finished while it waits");
      if (const auto* report = std::get_if<UnitReport>(&*message)) return on_report(std::move(**next), *report, order);
      if (const auto* failure = std::get_if<UnitFailure>(&*message)) return *failure;
      return interrupt("protocol violation by the executor");
    }
    const std::int64_t left_ms = bounds.time_max.ms - (now_ms() - start_ms - waiting->elapsed_ms() - pauses.elapsed_ms());
    if (left_ms <= 0 && !paused) return interrupt("time limit of " + std::to_string(bounds.time_max.ms) + " ms");
    const auto woken = wait_for(child_.socket(), bounds.cancel_fd, std::min(std::max<std::int64_t>(left_ms, 1), watch_ms), bounds.pause_fd);
    if (woken == Woken::canceled) return interrupt("canceled");
    if (woken == Woken::bytes && !reader_.fill(child_.socket(), false)) {
      const std::string ending = child_.ending(base::seconds(5));
      child_.kill();
      return Interrupted{in_words(ending), is_crash(ending)};
    }
    if (now_ms() - watched_ms >= watch_ms) {
      watched_ms = now_ms();
      const auto usage = child_.usage();
      if (usage.resident_bytes > bounds.resident_bytes_max) return interrupt("host memory");
      if (usage.threads > order.threads + limits::executor_threads_spare) return interrupt("too many threads");
    }
  }
}

std::optional<std::string> ExecutorProcess::on_need(const std::shared_ptr<ExecutorProcess>& self, const Need& need, const UnitOrder& order,
                                                    const std::vector<InputFile>& inputs, InputSource& source,
                                                    const Elsewhere& elsewhere, const std::shared_ptr<Waiting>& waiting) {
  if (need.input >= inputs.size() || order.inputs[need.input].whole) return "protocol violation by the executor: a leaf of no input";
  const std::uint64_t leaves = base::leaf_count(inputs[need.input].size_bytes);
  if (need.first_leaf >= leaves || need.count > leaves - need.first_leaf) return "protocol violation by the executor: a leaf outside the input";
  if (waiting->begin() > limits::leaf_requests_waiting_max) return "protocol violation by the executor: too many requests";
  elsewhere([self, need, blob = inputs[need.input].blob, &source, waiting] {
    const bool ok = source.ensure(blob, need.first_leaf, need.count).has_value();
    waiting->end();  // before the answer: the executor may report right after it
    const std::scoped_lock lock(self->send_mutex_);
    if (!send_frame(self->child_.socket(), encode(Have{need.id, ok}), {}, send_patience)) self->child_.kill();
  });
  return std::nullopt;
}

OrderEnd ExecutorProcess::on_report(base::Bytes frame, const UnitReport& report, const UnitOrder& order) {
  auto archive = parse_archive(report.archive);  // moving the frame keeps its bytes where they are
  if (!archive || archive->items.size() != order.items.size()) return interrupt("protocol violation by the executor: a bad archive");
  if (!order.leaves_checkpoints && std::ranges::find(archive->items, OutcomeKind::checkpoint, &ArchiveItem::kind) != archive->items.end())
    return interrupt("protocol violation by the executor: a checkpoint that was not asked for");
  if (report.fingerprints.size() != order.fingerprint_seeds.size()) return interrupt("protocol violation by the executor: fingerprints for no seeds");
  Reported out{std::move(frame), report, std::move(*archive)};
  return out;
}

}  // namespace starling::execution
