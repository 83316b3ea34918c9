#include "worker/daemon.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/runtime/log.hpp"
#include "sdk/client/connection.hpp"
#include "sdk/client/folders.hpp"
#include "sdk/client/process_record.hpp"
#include "worker/execution/cage/cage.hpp"
#include "worker/fault_injection.hpp"
#include "worker/local_server.hpp"
#include "worker/pacer.hpp"
#include "worker/unit_runner.hpp"

namespace starling::worker {

namespace {

using base::ErrorCode;
using client::Descriptor;
using client::Json;

constexpr std::chrono::seconds join_patience{10};

// SIGTERM and SIGINT are taken by the serving thread alone; blocked before any other thread exists, so that all inherit it.
class StopSignals {
 public:
  StopSignals() {
    ::sigemptyset(&set_);
    ::sigaddset(&set_, SIGTERM);
    ::sigaddset(&set_, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~StopSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  void wait() const {
    int taken = 0;
    ::sigwait(&set_, &taken);
    // A second one ends the process at once, whatever a slow disk does.
    ::signal(SIGTERM, SIG_DFL);
    ::signal(SIGINT, SIG_DFL);
    ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }

 private:
  sigset_t set_{}, before_{};
};

base::Digest random_mark() {
  base::Digest mark;
  crypto::fill_random(mark.bytes);
  return mark;
}

// Empty: nothing was asked for that only a development swarm has.
std::string development_option(const cli::WorkerOptions& options) {
  if (options.inject_faults) return "--inject-faults";
  if (!options.attack.empty()) return "--attack";
  return options.pace.count() > 0 ? "--pace" : "";
}

base::Expected<void> check_options(const cli::WorkerOptions& options) {
  if (options.slots < 1 || options.slots > 1024) return base::fail(ErrorCode::usage, "--slots must be 1 to 1024", "change it and try again");
  if (!options.attack.empty())
    if (const auto attack = parse_attack(options.attack, {}); !attack) return std::unexpected(attack.error());
  const std::string option = development_option(options);
  if (option.empty()) return {};
  if (options.join) return check_fault_injection(options.join->swarm.kind, option);
  if (options.create) return check_fault_injection(options.create->kind, option);
  return {};
}

base::Expected<Attack> attack_of(const cli::WorkerOptions& options) {
  const base::Digest own_mark = random_mark();
  return options.attack.empty() ? Attack{.mark = own_mark} : parse_attack(options.attack, own_mark);
}

// What a copier sees: this very peer's evidence, and archives that its neighbours serve.
class Spectator final : public SeenAnswers {
 public:
  explicit Spectator(runtime::Peer& peer) : peer_(peer) {}
  std::optional<runtime::UnitDone> leading(const base::JobId& job, base::UnitIndex unit, bool accepted) override {
    const auto seen = peer_.explain(job, unit, std::nullopt);
    if (!seen || !seen->outcome || (accepted && seen->state != protocol::UnitState::accepted)) return std::nullopt;
    const protocol::Outcome& outcome = *seen->outcome;
    auto archive = peer_.fetch(job, {outcome.digest, outcome.archive_bytes}, copy_patience);
    if (!archive) return std::nullopt;
    return runtime::UnitDone{.kind = outcome.kind, .code = outcome.code, .archive = *std::move(archive), .stderr_tail = {}, .fuel = outcome.fuel};
  }

 private:
  static constexpr std::chrono::milliseconds copy_patience{2000};
  runtime::Peer& peer_;
};

// From when the swarm is known to be a development one until the peer goes.
class Armed {
 public:
  Armed(FaultInjector& injector, runtime::Peer& peer) : spectator_(peer), injector_(injector) { injector_.arm(&spectator_); }
  ~Armed() { injector_.disarm(); }
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;

 private:
  Spectator spectator_;
  FaultInjector& injector_;
};

// A pause is kept as a file: who paused his machine does not want it to work after the next start either.
bool is_marked_paused(const std::filesystem::path& state) {
  std::error_code error;
  return std::filesystem::exists(client::pause_mark_of(state), error);
}

base::Expected<void> mark_paused(const std::filesystem::path& state, bool paused) {
  if (paused) return client::write_file(client::pause_mark_of(state), {}, 0600);
  std::error_code error;
  std::filesystem::remove(client::pause_mark_of(state), error);
  if (error) return base::fail(ErrorCode::refused, "the pause cannot be taken back for the next start: " + error.message(), "check the state folder's rights");
  return {};
}

runtime::PeerOptions peer_options(const cli::WorkerOptions& options, std::shared_ptr<runtime::Log> log) {
  runtime::PeerOptions out;
  out.state_folder = options.state_folder;
  out.join = options.join;
  out.create = options.create;
  out.slots = options.slots;
  out.paused = is_marked_paused(options.state_folder);
  out.bind_host = options.bind_host;
  out.bind_port = options.port;
  out.roots = options.roots;
  out.projects = options.projects;
  out.only_projects = options.only_projects;
  out.credit_to = options.credit_to;
  out.doubts_itself = !options.inject_faults && options.attack.empty();
  out.log = std::move(log);
  return out;
}

base::Expected<void> check_swarm(const cli::WorkerOptions& options) {
  if (options.join || options.create || client::has_stored_swarm(options.state_folder)) return {};
  return base::fail(ErrorCode::usage, "this machine is in no swarm yet", "join one: --join TICKET; or make one: --new private");
}

base::Expected<void> check_joined(const cli::WorkerOptions& options, runtime::Peer& peer) {
  if (!options.join) return {};  // a restart serves its user at once and links when it can
  const bool alone = std::ranges::all_of(options.join->peers, [&](const auto& known) { return known.id == peer.id(); });
  if (alone || client::wait_for_link(peer, join_patience)) return {};
  return base::fail(ErrorCode::temporary, "no peer of the ticket answered within " + std::to_string(join_patience.count()) + " s",
                    "check the network and that a member still runs, or ask for a new ticket: starling swarm invite");
}

// Tried in a throw-away process: nothing of it stays in this one.
base::Expected<execution::cage::Layers> probe_cage(execution::Spawner& spawner, const std::filesystem::path& executor) {
  STARLING_TRY(const auto output, execution::run_process(spawner, executor.string(), {"--probe-cage"}, limits::executor_start_timeout, 64 * 1024));
  auto layers = execution::cage::from_text(output.text);
  if (output.exit_code != 0 || layers.empty())
    return base::fail(ErrorCode::internal, "the executor cannot tell what cage this host allows", "install starling again");
  return execution::cage::lacking(layers);
}

base::Expected<void> check_cage(const cli::WorkerOptions& options, const execution::cage::Layers& lacking) {
  if (!options.require_cage || lacking.empty()) return {};
  std::string names;
  for (const auto& layer : lacking) names += (names.empty() ? "" : ", ") + layer.name + " (" + layer.why + ")";
  return base::fail(ErrorCode::refused, "this host cannot cage programs completely, it lacks: " + names,
                    "allow it on the host, or leave out --require-cage");
}

class Execution final : public client::LocalExecution {
 public:
  Execution(std::filesystem::path state, execution::cage::Layers lacking, runtime::Peer& peer, UnitRunner& runner)
      : state_(std::move(state)), lacking_(std::move(lacking)), peer_(peer), runner_(runner), paused_(is_marked_paused(state_)) {}
  std::vector<client::CageGap> cage_gaps() const override {
    std::vector<client::CageGap> out;
    for (const auto& layer : lacking_) out.push_back({layer.name, execution::cage::name_of(layer.state), layer.why});
    return out;
  }
  std::string note_of(const base::JobId& job) const override { return runner_.note_of(job); }
  std::vector<client::RunningUnit> running_units() const override { return runner_.running_units(); }
  bool paused() const override { return paused_; }
  base::Expected<void> set_paused(bool paused) override {
    const std::lock_guard lock(mutex_);
    // What the owner wants now comes first; a full disk only keeps the wish from outliving this process.
    runner_.set_paused(paused);
    peer_.set_paused(paused);
    paused_ = paused;
    return mark_paused(state_, paused);
  }

 private:
  std::filesystem::path state_;
  execution::cage::Layers lacking_;
  runtime::Peer& peer_;
  UnitRunner& runner_;
  std::mutex mutex_;
  std::atomic<bool> paused_;
};

unsigned threads_per_unit(unsigned slots) { return std::max(1U, std::thread::hardware_concurrency() / 2 / slots); }

// --- what the detached child tells the parent that waits for it

void tell(int fd, const Json& report) {
  const std::string text = client::dump(report);
  // The parent may have been killed meanwhile; the worker serves on.
  [[maybe_unused]] const ssize_t written = ::write(fd, text.data(), text.size());
}

std::string hear(int fd) {
  std::string text;
  std::array<char, 4096> chunk{};
  for (ssize_t n; (n = ::read(fd, chunk.data(), chunk.size())) != 0;) {
    if (n < 0 && errno != EINTR) break;
    if (n > 0) text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return text;
}

base::Expected<cli::WorkerReady> read_report(const std::string& text, const std::filesystem::path& state) {
  const Json report = client::parse_json(text);
  if (report.is_object() && report.contains("error")) return std::unexpected(client::error_from(report["error"]));
  if (report.is_object() && report.contains("id") && report.contains("port")) {
    const auto id = base::PeerId::from_base32_text(report["id"].get<std::string>());
    if (id) return cli::WorkerReady{.id = *id, .port = report["port"].get<std::uint16_t>(), .paused = report.value("paused", false)};
  }
  return base::fail(ErrorCode::internal, "the worker died while it started", "see " + client::log_of(state).string());
}

// Leaves the terminal: its own session, no input, and what is left of output goes to the log.
void leave_terminal(const std::filesystem::path& state) {
  ::setsid();
  ::umask(077);
  const int null = ::open("/dev/null", O_RDONLY);
  const int log = ::open(client::log_of(state).c_str(), O_CREAT | O_APPEND | O_WRONLY, 0600);
  ::dup2(null, 0);
  ::dup2(log >= 0 ? log : null, 1);
  ::dup2(log >= 0 ? log : null, 2);
  ::close(null);
  if (log >= 0) ::close(log);
}

}  // namespace

base::Expected<void> Daemon::launch(const cli::WorkerOptions& asked, const Ready& ready) {
  cli::WorkerOptions options = asked;
  options.state_folder = std::filesystem::absolute(asked.state_folder);
  if (const auto checked = check_options(options); !checked) return checked;
  if (const auto checked = check_swarm(options); !checked) return checked;
  if (const auto made = client::make_private_folder(options.state_folder); !made) return made;
  return options.foreground ? serve(options, ready) : detach(options, ready);
}

base::Expected<void> Daemon::serve(const cli::WorkerOptions& options, const Ready& ready) {
  const StopSignals signals;
  STARLING_TRY(const Descriptor lock, client::lock_state_folder(options.state_folder));
  STARLING_TRY(const auto log, options.foreground ? base::Expected<std::shared_ptr<runtime::Log>>(runtime::stderr_log(false))
                                                  : runtime::file_log(client::log_of(options.state_folder), false));
  // The helper is forked while this process has one thread and no socket.
  STARLING_TRY(const auto spawner, execution::Spawner::start());
  STARLING_TRY(const auto lacking, probe_cage(*spawner, executor_));
  if (const auto caged = check_cage(options, lacking); !caged) return caged;
  for (const auto& layer : lacking) log->warning("the cage lacks " + layer.name + ": " + layer.why);
  STARLING_TRY(const auto runner, UnitRunner::start({.executor = executor_,
                                                     .cache_folder = cache_folder_,
                                                     .slots = options.slots,
                                                     .threads_per_unit = threads_per_unit(options.slots),
                                                     .require_cage = options.require_cage,
                                                     .checkpoint_folder = options.state_folder / "checkpoints",
                                                     .checkpoint_interval = options.checkpoint_interval},
                                                    *spawner));
  if (is_marked_paused(options.state_folder)) runner->set_paused(true);
  STARLING_TRY(const Attack attack, attack_of(options));
  const std::string only_in_development = development_option(options);
  Pacer paced(*runner, options.pace);
  FaultInjector attacker(paced, attack);
  runtime::UnitExecutor& executor = only_in_development.empty() ? static_cast<runtime::UnitExecutor&>(*runner) : attacker;
  STARLING_TRY(const auto peer, runtime::Peer::start(peer_options(options, log), &executor));
  std::optional<Armed> armed;
  if (!only_in_development.empty())
    if (const auto allowed = check_fault_injection(peer->swarm().kind, only_in_development); !allowed) return allowed;
  if (options.inject_faults || !options.attack.empty()) armed.emplace(attacker, *peer);
  if (const auto joined = check_joined(options, *peer); !joined) return joined;

  Execution execution(options.state_folder, lacking, *peer, *runner);
  client::PeerService service(*peer, &execution);
  STARLING_TRY(const auto server, LocalServer::start(client::socket_of(options.state_folder), service));
  const auto own = client::process_record_of(::getpid());
  STARLING_ENSURE(own.has_value());
  const auto pid_file = client::pid_file_of(options.state_folder);
  if (const auto written = client::write_process_record(pid_file, *own); !written) return written;
  ready({.id = peer->id(), .port = peer->port(), .paused = execution.paused()});
  signals.wait();
  log->info("stopping");
  std::error_code error;
  std::filesystem::remove(pid_file, error);
  return {};
}

base::Expected<void> Daemon::detach(const cli::WorkerOptions& options, const Ready& ready) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return base::fail(ErrorCode::internal, "no pipe could be made", "check this machine's limits on open files");
  Descriptor read_end(ends[0]), write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return base::fail(ErrorCode::internal, "no process could be made", "check this machine's limits on processes");
  if (child == 0) {
    read_end = Descriptor();
    leave_terminal(options.state_folder);
    const auto served = serve(options, [&](const cli::WorkerReady& up) {
      tell(write_end.get(), {{"id", up.id.base32()}, {"port", up.port}, {"paused", up.paused}});
      write_end = Descriptor();
    });
    if (!served && write_end) tell(write_end.get(), {{"error", client::to_json(served.error())}});
    // The parent's buffers and handlers were copied with the rest of it and are none of ours.
    ::_exit(served ? 0 : base::exit_code(served.error().code));
  }
  write_end = Descriptor();
  const auto report = read_report(hear(read_end.get()), options.state_folder);
  if (!report) {
    int status = 0;
    ::waitpid(child, &status, 0);
    return std::unexpected(report.error());
  }
  ready(*report);
  return {};
}

}  // namespace starling::worker
