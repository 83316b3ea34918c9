#include "worker/execution/spawner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "coordinator-less/base/check.hpp"

namespace starling::execution {
namespace {

constexpr std::size_t request_bytes_max = 32 * 1024;  // a binary's path and its arguments
constexpr std::int64_t watch_ms = 25;                 // how often a watched process is looked at, and told to stop or go on

struct Reply {
  int error = 0;
  pid_t pid = 0;
};

std::int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

// ---- in the helper process

[[noreturn]] void become(const std::vector<char*>& argv, int socket, pid_t helper) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != helper) ::_exit(126);  // the helper died before the line above took effect
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(socket, 0);
  ::dup2(socket, 1);
  ::dup2(null, 2);
  ::close_range(3, ~0U, 0);
  std::array<char*, 2> environment{const_cast<char*>("LC_ALL=C"), nullptr};
  ::execve(argv[0], argv.data(), environment.data());
  ::_exit(127);
}

class Helper {
 public:
  explicit Helper(int control) : control_(control) {}

  [[noreturn]] void run() {
    sigset_t children;
    ::sigemptyset(&children);
    ::sigaddset(&children, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &children, nullptr);
    const int signals = ::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
    while (true) {
      std::array<pollfd, 2> wait{pollfd{control_, POLLIN, 0}, pollfd{signals, POLLIN, 0}};
      ::poll(wait.data(), wait.size(), -1);
      if (wait[1].revents != 0) reap(signals);
      if (wait[0].revents != 0) serve();
    }
  }

 private:
  void reap(int signals) {
    signalfd_siginfo info{};
    while (::read(signals, &info, sizeof info) > 0) {}
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto child = std::ranges::find(children_, pid, &Running::pid);
      if (child == children_.end()) continue;
      if (::write(child->notice.get(), &status, sizeof status) < 0) {}  // nobody may be interested any more
      children_.erase(child);
    }
  }

  void serve() {
    std::vector<char> request(request_bytes_max);
    const ssize_t size = ::recv(control_, request.data(), request.size(), 0);
    if (size <= 0) ::_exit(0);  // the daemon is gone; the children's death signals do the rest
    std::vector<char*> argv;
    for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(std::strlen(&request[static_cast<std::size_t>(at)])) + 1)
      argv.push_back(&request[static_cast<std::size_t>(at)]);
    argv.push_back(nullptr);

    std::array<int, 2> sockets{-1, -1};
    std::array<int, 2> notice{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) return answer({errno, 0}, {});
    const Fd ours(sockets[0]);
    const Fd theirs(sockets[1]);
    if (::pipe2(notice.data(), O_CLOEXEC | O_NONBLOCK) != 0) return answer({errno, 0}, {});
    const Fd notice_out(notice[0]);
    Fd notice_in(notice[1]);
    const pid_t self = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become(argv, theirs.get(), self);
    if (pid < 0) return answer({errno, 0}, {});
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // glibc's header lacks C linkage
    children_.push_back({pid, std::move(notice_in)});
    const std::array<int, 3> fds{ours.get(), pidfd.get(), notice_out.get()};
    answer({0, pid}, fds);
  }

  void answer(Reply reply, std::span<const int> fds) const {
    iovec part{&reply, sizeof reply};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 3)> control{};
    if (!fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* head = CMSG_FIRSTHDR(&message);
      head->cmsg_level = SOL_SOCKET;
      head->cmsg_type = SCM_RIGHTS;
      head->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
    }
    if (::sendmsg(control_, &message, MSG_NOSIGNAL) < 0) ::_exit(0);
  }

  struct Running {
    pid_t pid;
    Fd notice;
  };
  int control_;
  std::vector<Running> children_;
};

[[noreturn]] void run_helper(int control, pid_t daemon) {
  ::prctl(PR_SET_NAME, "starling-spawn");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != daemon) ::_exit(0);
  ::setsid();  // Ctrl-C in the daemon's terminal is the daemon's business
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(signal, signal == SIGPIPE ? SIG_IGN : SIG_DFL);
  const int kept = ::dup2(control, 3);
  const int null = ::open("/dev/null", O_RDWR);
  for (const int stream : {0, 1}) ::dup2(null, stream);
  ::close_range(4, ~0U, 0);
  ::fcntl(kept, F_SETFD, FD_CLOEXEC);
  Helper(kept).run();
}

base::Error cannot_start(const std::string& what) {
  return {base::ErrorCode::temporary, "cannot start a process: " + what, "check the limits on processes and open files"};
}

}  // namespace

Child::Child(pid_t pid, Fd socket, Fd pidfd, Fd exit_notice)
    : pid_(pid), socket_(std::move(socket)), pidfd_(std::move(pidfd)), exit_notice_(std::move(exit_notice)) {}

Child::~Child() { kill(); }

void Child::send_signal(int signal) const {
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}
// Asked after reading /proc/PID: as long as it lives its number is nobody else's.
bool Child::is_alive() const {
  pollfd ended{pidfd_.get(), POLLIN, 0};
  return pidfd_ && ::poll(&ended, 1, 0) == 0;
}

void Child::kill() const { send_signal(SIGKILL); }
void Child::stop() const { send_signal(SIGSTOP); }
void Child::go_on() const { send_signal(SIGCONT); }

std::optional<int> Child::wait_status(base::Duration patience) const {
  const std::int64_t deadline_ms = now_ms() + patience.ms;
  int status = 0;
  while (true) {
    const ssize_t n = ::read(exit_notice_.get(), &status, sizeof status);
    if (n == sizeof status) return status;
    if (n == 0) return std::nullopt;  // the helper is gone
    const std::int64_t left_ms = deadline_ms - now_ms();
    if (left_ms <= 0) return std::nullopt;
    pollfd wait{exit_notice_.get(), POLLIN, 0};
    ::poll(&wait, 1, static_cast<int>(left_ms));
  }
}

std::string Child::ending(base::Duration patience) const {
  const auto status = wait_status(patience);
  if (!status) return "still there";
  if (WIFSIGNALED(*status)) return std::string("signal ") + std::to_string(WTERMSIG(*status));
  if (WEXITSTATUS(*status) == 127) return "its binary cannot be run";
  return "exit code " + std::to_string(WEXITSTATUS(*status));
}

Child::Usage Child::usage() const {
  const std::string path = "/proc/" + std::to_string(pid_) + "/stat";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> text{};
  if (!file || ::read(file.get(), text.data(), text.size() - 1) <= 0 || !is_alive()) return {};
  const char* rest = std::strrchr(text.data(), ')');  // the name before it may hold anything
  long user = 0;
  long system = 0;
  long threads = 0;
  long resident = 0;
  // state (3rd), 10 fields, user and system ticks (14th), 4 fields, threads (20th), 3 fields, resident pages (24th)
  if (rest == nullptr || std::sscanf(rest + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %ld %ld %*s %*s %*s %*s %ld %*s %*s %*s %ld", &user, &system, &threads, &resident) != 4)
    return {};
  return {static_cast<std::uint64_t>(std::max(resident, 0L)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)),
          static_cast<std::uint64_t>(std::max(threads, 0L)), (user + system) * 1000 / ::sysconf(_SC_CLK_TCK)};
}

std::uint64_t Child::peak_resident_bytes() const {
  const std::string path = "/proc/" + std::to_string(pid_) + "/status";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};
  if (!file || ::read(file.get(), text.data(), text.size() - 1) <= 0 || !is_alive()) return 0;
  const char* line = std::strstr(text.data(), "\nVmHWM:");
  unsigned long kib = 0;
  if (line == nullptr || std::sscanf(line, "\nVmHWM: %lu", &kib) != 1) return 0;
  return std::uint64_t{kib} * 1024;
}

bool Pauses::follow() {
  const bool wanted = wanted_ != nullptr && *wanted_;
  if (wanted == stopped_) return wanted;
  if (wanted) {
    child_.stop();
    since_ms_ = now_ms();
  } else {
    total_ms_ += now_ms() - since_ms_;
    child_.go_on();
  }
  return stopped_ = wanted;
}

std::int64_t Pauses::elapsed_ms() const { return total_ms_ + (stopped_ ? now_ms() - since_ms_ : 0); }

base::Expected<std::unique_ptr<Spawner>> Spawner::start() {
  std::array<int, 2> sockets{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0)
    return std::unexpected(cannot_start(std::strerror(errno)));
  Fd ours(sockets[0]);
  const Fd theirs(sockets[1]);
  const pid_t self = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(cannot_start(std::strerror(errno)));
  if (pid == 0) run_helper(theirs.get(), self);
  return std::unique_ptr<Spawner>(new Spawner(pid, std::move(ours)));
}

Spawner::~Spawner() {
  socket_ = Fd();  // end of file: the helper leaves
  int status = 0;
  while (::waitpid(helper_, &status, 0) < 0 && errno == EINTR) {}
}

base::Expected<Child> Spawner::spawn(const std::string& binary, const std::vector<std::string>& arguments) {
  std::string request = binary + '\0';
  for (const auto& argument : arguments) request += argument + '\0';
  if (request.size() > request_bytes_max) return std::unexpected(cannot_start("its arguments are too long"));

  const std::scoped_lock lock(mutex_);
  if (::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return std::unexpected(cannot_start("the helper process is gone; restart the worker"));
  Reply reply;
  iovec part{&reply, sizeof reply};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 3)> control{};
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = 0;
  do size = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
  while (size < 0 && errno == EINTR);
  if (size != static_cast<ssize_t>(sizeof reply))
    return std::unexpected(cannot_start("the helper process is gone; restart the worker"));
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (reply.error != 0 || head == nullptr || head->cmsg_len != CMSG_LEN(sizeof(int) * 3))
    return std::unexpected(cannot_start(std::strerror(reply.error)));
  std::array<int, 3> fds{};
  std::memcpy(fds.data(), CMSG_DATA(head), sizeof fds);
  return Child(reply.pid, Fd(fds[0]), Fd(fds[1]), Fd(fds[2]));
}

namespace {

std::string too_long(base::Duration time_max) {
  return time_max.ms < 1000 ? "it took longer than " + std::to_string(time_max.ms) + " ms" : "it took longer than " + std::to_string(time_max.ms / 1000) + " s";
}

// What it has crossed of its bounds.
std::optional<base::Error> crossed(const Child& child, const ProcessBounds& bounds) {
  const auto usage = child.usage();
  if (bounds.resident_bytes_max > 0 && usage.resident_bytes > bounds.resident_bytes_max)
    return base::Error{base::ErrorCode::refused, "it needed more than " + std::to_string(bounds.resident_bytes_max >> 20) + " MiB of memory", ""};
  if (bounds.processor_time_max.ms > 0 && usage.processor_ms > bounds.processor_time_max.ms)
    return base::Error{base::ErrorCode::timeout, too_long(bounds.processor_time_max), ""};
  return std::nullopt;
}

base::Expected<ProcessOutput> ended(const Child& child, const std::string& binary, ProcessOutput out) {
  const auto status = child.wait_status(base::seconds(10));
  if (!status) return base::fail(base::ErrorCode::internal, "it closed its output and went on");
  if (WIFSIGNALED(*status))
    return base::fail(base::ErrorCode::internal, "it was ended by signal " + std::to_string(WTERMSIG(*status)));
  out.exit_code = WEXITSTATUS(*status);
  if (out.exit_code == 127)
    return base::fail(base::ErrorCode::internal, "cannot run " + binary, "install starling again, or build starling-executor");
  return out;
}

}  // namespace

base::Expected<ProcessOutput> run_process(Spawner& spawner, const std::string& binary, const std::vector<std::string>& arguments,
                                          const ProcessBounds& bounds) {
  STARLING_TRY(const Child child, spawner.spawn(binary, arguments));
  const bool watched = bounds.resident_bytes_max > 0 || bounds.processor_time_max.ms > 0 || bounds.paused != nullptr;
  const std::int64_t start_ms = now_ms();
  Pauses pauses(child, bounds.paused);
  ProcessOutput out;
  while (true) {
    const bool paused = pauses.follow();
    if (watched && !paused)
      if (auto wrong = crossed(child, bounds)) return std::unexpected(std::move(*wrong));
    const std::int64_t left_ms = bounds.time_max.ms - (now_ms() - start_ms - pauses.elapsed_ms());
    if (left_ms <= 0 && !paused) return base::fail(base::ErrorCode::timeout, too_long(bounds.time_max));
    std::array<pollfd, 2> wait{pollfd{child.socket(), POLLIN, 0}, pollfd{bounds.cancel_fd, POLLIN, 0}};
    ::poll(wait.data(), wait.size(), static_cast<int>(std::clamp<std::int64_t>(left_ms, 1, watched ? watch_ms : 60'000)));
    if (wait[1].revents != 0) return base::fail(base::ErrorCode::interrupted, "canceled");
    if (wait[0].revents == 0) continue;
    std::array<char, 4096> part{};
    const ssize_t n = ::recv(child.socket(), part.data(), part.size(), MSG_DONTWAIT);
    if (n > 0 && out.text.size() < bounds.output_bytes_max) out.text.append(part.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return ended(child, binary, std::move(out));
  }
}

}  // namespace starling::execution
