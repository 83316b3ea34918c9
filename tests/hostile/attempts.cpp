#include "tests/hostile/attempts.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace starling::hostile {
namespace {

using Outcome = std::optional<int>;

Outcome of(long result) { return result >= 0 ? Outcome() : Outcome(errno); }

Outcome open_file(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  return of(fd);
}

Outcome connect_unix(const std::string& name, bool abstract) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + (abstract ? 1 : 0), name.data(), name.size());
  return of(::connect(fd, reinterpret_cast<sockaddr*>(&address),
                      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1)));
}

Outcome connect_tcp(const Target& target) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(target.tcp_port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return of(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
}

Outcome fork_bomb(const Target& target) {
  for (int i = 0; i < (target.caged ? 100'000 : 20); ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) return errno;
    if (pid == 0 && target.caged) continue;
    if (pid == 0) ::_exit(0);
  }
  return std::nullopt;
}

int sleep_long(void*) {
  while (true) ::pause();
}

// Bare kernel threads: no library keeps count of them.
Outcome thread_bomb(const Target& target) {
  for (int i = 0; i < (target.caged ? 1'000'000 : 20); ++i) {
    void* stack = ::mmap(nullptr, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) return errno;
    constexpr int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    if (::clone(sleep_long, static_cast<char*>(stack) + 16384, flags, nullptr) < 0) return errno;
  }
  return std::nullopt;
}

Outcome memory_bomb(const Target& target) {
  constexpr std::size_t block = 16U << 20;
  for (std::size_t i = 0; i < (target.caged ? 1'000'000U : 4U); ++i) {
    void* at = ::mmap(nullptr, block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return errno;
    std::memset(at, 1, block);
  }
  return std::nullopt;
}

Outcome shared_memory(const Target&) {
  return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? Outcome(errno) : Outcome();
}

Outcome code_in_memory(const Target&) {
  return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? Outcome(errno) : Outcome();
}

Outcome code_made_executable(const Target&) {
  void* at = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return of(::mprotect(at, 4096, PROT_READ | PROT_EXEC));
}

// Every descriptor beyond the standard streams and the first other one (the socket to the host).
Outcome inherited_descriptors(const Target&) {
  int others = 0;
  for (int fd = 3; fd < 4096; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) ++others;
  return others > 1 ? Outcome() : Outcome(EBADF);
}

Outcome signal_by_descriptor(const Target& target) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno;
  if (::fcntl(ends[0], F_SETOWN, ::getppid()) != 0) return errno;
  return of(::fcntl(ends[0], F_SETSIG, target.caged ? SIGKILL : 0));
}

Outcome bpf(const Target&) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 4;
  attributes.max_entries = 1;
  return of(::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes));
}

Outcome perf(const Target&) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof attributes;
  return of(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
}

Outcome io_uring(const Target&) {
  io_uring_params parameters{};
  return of(::syscall(SYS_io_uring_setup, 4, &parameters));
}

Outcome file_bomb(const Target& target) {
  const std::string path = target.cache_folder + "/bomb";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  const bool wrote = ::write(fd, "x", 1) == 1;
  ::unlink(path.c_str());
  return wrote ? Outcome() : Outcome(errno);
}

Outcome new_program(const Target& target) {
  if (target.caged) {
    ::execl("/bin/true", "true", nullptr);
    return errno;
  }
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl("/bin/true", "true", nullptr);
    ::_exit(1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status == 0 ? Outcome() : Outcome(EACCES);
}

// Outside the cage by a child that ends at once: a traced parent would be stopped by its next signal.
Outcome trace_parent(const Target& target) {
  if (target.caged) return of(::ptrace(PTRACE_ATTACH, ::getppid(), nullptr, nullptr));
  const pid_t parent = ::getppid();
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(::ptrace(PTRACE_SEIZE, parent, nullptr, nullptr) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status == 0 ? Outcome() : Outcome(EPERM);
}

Outcome raise_priority(const Target&) {
  const sched_param none{};
  return of(::sched_setscheduler(0, SCHED_OTHER, &none));
}

Outcome more_descriptors(const Target&) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  return of(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace

const std::vector<Attempt>& attempts() {
  static const std::vector<Attempt> all{
      {"open /etc/passwd", [](const Target&) { return open_file("/etc/passwd", O_RDONLY); }},
      {"open the peer's identity", [](const Target& t) { return open_file(t.secret_file, O_RDONLY); }},
      {"list the root folder", [](const Target&) { return open_file("/", O_RDONLY | O_DIRECTORY); }},
      {"write below /tmp", [](const Target&) { return open_file("/tmp/starling-hostile", O_WRONLY | O_CREAT); }},
      {"file bomb in the cache", file_bomb},
      {"remove a cached program", [](const Target& t) { return of(::unlink((t.cache_folder + "/victim.so").c_str())); }},
      {"connect by TCP to loopback", connect_tcp},
      {"connect to the worker's socket", [](const Target& t) { return connect_unix(t.local_socket, false); }},
      {"connect to an abstract socket", [](const Target& t) { return connect_unix(t.abstract_name, true); }},
      {"make an UDP socket", [](const Target&) { return of(::socket(AF_INET, SOCK_DGRAM, 0)); }},
      {"make a netlink socket", [](const Target&) { return of(::socket(AF_NETLINK, SOCK_RAW, 0)); }},
      {"make a socket pair", [](const Target&) { int ends[2]; return of(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends)); }},
      {"fork bomb", fork_bomb},
      {"thread bomb", [](const Target& t) { return thread_bomb(t); }},
      {"memory bomb", memory_bomb},
      {"shared anonymous memory", shared_memory},
      {"memory that is code", code_in_memory},
      {"make memory code", code_made_executable},
      {"memory file", [](const Target&) { return of(::memfd_create("x", 0)); }},
      {"ptrace the parent", trace_parent},
      {"kill the parent", [](const Target& t) { return of(::kill(::getppid(), t.caged ? SIGKILL : 0)); }},
      {"signal all processes", [](const Target& t) { return t.caged ? of(::kill(-1, SIGTERM)) : of(::kill(-1, 0)); }},
      {"signal the parent's thread", [](const Target& t) { return of(::syscall(SYS_tgkill, ::getppid(), ::getppid(), t.caged ? SIGKILL : 0)); }},
      {"queue a signal to the parent", [](const Target& t) { sigval v{}; return of(::sigqueue(::getppid(), t.caged ? SIGTERM : 0, v)); }},
      {"signal through a descriptor's owner", signal_by_descriptor},
      {"open the parent by pidfd", [](const Target&) { return of(::syscall(SYS_pidfd_open, ::getppid(), 0)); }},
      {"read own environment in /proc", [](const Target&) { return open_file("/proc/self/environ", O_RDONLY); }},
      {"read the parent's memory", [](const Target&) { return open_file("/proc/" + std::to_string(::getppid()) + "/mem", O_RDONLY); }},
      {"read the parent's memory by call", [](const Target&) {
         char byte = 0;
         const iovec here{&byte, 1}, there{const_cast<char*>("x"), 1};
         return of(::process_vm_readv(::getppid(), &here, 1, &there, 1, 0));
       }},
      {"execve", new_program},
      {"mount", [](const Target&) { return of(::mount("none", "/mnt", "tmpfs", 0, nullptr)) ? Outcome(errno) : of(::umount2("/mnt", 0)); }},
      {"unshare a user namespace", [](const Target&) { return of(::unshare(CLONE_NEWUSER)); }},
      {"chroot", [](const Target&) { return of(::chroot("/")); }},
      {"bpf", bpf},
      {"userfaultfd", [](const Target&) { return of(::syscall(SYS_userfaultfd, O_CLOEXEC)); }},
      {"io_uring", io_uring},
      {"keyctl", [](const Target&) { return of(::syscall(SYS_keyctl, 0 /* KEYCTL_GET_KEYRING_ID */, -3, 1)); }},
      {"perf_event_open", perf},
      {"personality", [](const Target&) { return of(::personality(ADDR_NO_RANDOMIZE)); }},
      {"be dumpable again", [](const Target&) { return of(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }},
      {"survive the parent", [](const Target&) { return of(::prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)); }},
      {"regain privileges", [](const Target&) { return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? Outcome(EPERM) : of(::setuid(0)); }},
      {"change the user", [](const Target&) { return of(::setresuid(::getuid(), ::getuid(), ::getuid())); }},
      {"raise the priority", raise_priority},
      {"raise a limit", more_descriptors},
      {"inherited descriptors", inherited_descriptors},
      {"handle SIGSYS", [](const Target&) { return ::signal(SIGSYS, SIG_IGN) == SIG_ERR ? Outcome(errno) : Outcome(); }},
      {"another kind of system call", [](const Target&) { return of(::syscall(SYS_getitimer, 0, nullptr)); }},
  };
  return all;
}

}  // namespace starling::hostile
