// The system calls of a caged process, by libseccomp. Three answers to a call:
//   allowed     what the engine, TBB and libc really do, with their arguments pinned where an argument decides
//   an errno    harmless probes that libraries make and cope without (clone3, /sys, priorities of their own threads)
//   the end     everything else. The process is dead to us: an engine that makes a call no engine makes has been taken over, so its
//               results are worth nothing, and an errno would let its guest try the next door. The unit is released, not signed.
// Two ways to the end: calls that no honest library ever makes kill on the spot; the rest enters a handler that names the
// call to the host, because there a new version of a library may be the cause. The call itself is never executed.
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <initializer_list>

#include "coordinator-less/base/check.hpp"
#include "worker/execution/cage/layers.hpp"

namespace starling::execution::cage {
namespace {

// A signal handler can reach nothing else.
struct HandlerNotice {
  int fd = -1;
  std::size_t size = 0;
  std::size_t number_at = 0;
  std::array<char, 512> text{};
};
HandlerNotice told;

void on_forbidden(int, siginfo_t* info, void*) {
  unsigned number = static_cast<unsigned>(info->si_syscall);
  for (std::size_t digit = 4; digit-- > 0; number /= 10) told.text[told.number_at + digit] = static_cast<char>('0' + number % 10);
  if (::write(told.fd, told.text.data(), told.size) < 0) {}  // nobody listens: the end is the message
  ::_exit(159);
}

using Calls = std::initializer_list<const char*>;

// What every kind does: memory, threads, time, its descriptors, its end.
constexpr Calls allowed = {
    "read", "readv", "pread64", "write", "writev", "sendmsg", "recvmsg", "sendto", "recvfrom", "poll", "ppoll", "close", "lseek",
    "fstat", "newfstatat", "stat", "lstat", "statx", "fstatfs", "statfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
    "munmap", "mremap", "madvise", "brk", "futex", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "getcpu",
    "exit", "exit_group", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "set_robust_list", "get_robust_list", "rseq",
    "restart_syscall", "membarrier", "clock_gettime", "clock_getres", "gettimeofday", "time", "nanosleep", "clock_nanosleep", "getrandom",
    "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getppid", "uname", "getrusage", "times", "dup", "arch_prctl", "getrlimit",
    "set_tid_address"};
// And what a compiler does to its own folder, which the file layers confine.
constexpr Calls compiler_allowed = {"open", "openat", "creat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "ftruncate",
                                    "fallocate", "pwrite64", "getdents64", "umask", "chmod", "fchmod", "fchmodat", "msync", "fsync", "fdatasync",
                                    "fadvise64"};
constexpr Calls not_there = {"clone3", "openat2", "get_mempolicy", "set_mempolicy", "mbind", "pkey_alloc", "epoll_create1", "close_range",
                             "map_shadow_stack"};
constexpr Calls not_permitted = {"sched_setaffinity", "setpriority", "prctl", "ioctl", "sysinfo", "getdents64", "fadvise64", "mlock", "munlock"};
constexpr Calls deadly = {
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_open",
    "pidfd_getfd", "pidfd_send_signal", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "socket", "socketpair", "connect", "bind",
    "listen", "accept", "accept4", "sendmmsg", "recvmmsg", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
    "fsmount", "fsconfig", "fspick", "mount_setattr", "unshare", "setns", "bpf", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "io_setup", "keyctl", "add_key", "request_key", "perf_event_open", "seccomp", "personality", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "setfsuid", "setfsgid", "capset", "setsid", "setpgid", "sched_setscheduler", "sched_setattr",
    "sched_setparam", "ioprio_set", "setrlimit", "reboot", "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "swapon",
    "swapoff", "syslog", "quotactl", "acct", "iopl", "ioperm", "modify_ldt", "open_by_handle_at", "name_to_handle_at", "memfd_create",
    "memfd_secret", "shmget", "shmat", "shmctl", "semget", "msgget", "mq_open", "fanotify_init", "inotify_init1", "inotify_init", "timer_create",
    "timerfd_create", "signalfd4", "eventfd2", "landlock_create_ruleset", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "mkdir",
    "mkdirat", "rmdir", "truncate", "chown", "fchown", "lchown", "fchownat", "setxattr", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "sethostname", "setdomainname", "vhangup", "vmsplice", "splice", "tee", "lookup_dcookie", "remap_file_pages", "flock"};

class Filter {
 public:
  explicit Filter(std::uint32_t otherwise) : context_(::seccomp_init(otherwise)) {}
  ~Filter() {
    if (context_ != nullptr) ::seccomp_release(context_);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  // Names that this architecture lacks are left out: nobody can make such a call.
  void rule(std::uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions = {}) {
    const int call = ::seccomp_syscall_resolve_name(name);
    if (call < 0) return;
    const int wrong = ::seccomp_rule_add_array(context_, action, call, static_cast<unsigned>(conditions.size()), conditions.begin());
    if (wrong != 0 && error_ == 0) error_ = -wrong;
  }
  void rules(std::uint32_t action, Calls names) {
    for (const char* name : names) rule(action, name);
  }
  void set(scmp_filter_attr attribute, std::uint32_t value) {
    if (const int wrong = ::seccomp_attr_set(context_, attribute, value); wrong != 0 && error_ == 0) error_ = -wrong;
  }
  int load() {
    if (context_ == nullptr) return ENOMEM;
    if (error_ != 0) return error_;
    return -::seccomp_load(context_);
  }

 private:
  scmp_filter_ctx context_;
  int error_ = 0;
};

scmp_arg_cmp equals(unsigned argument, std::uint64_t value) { return {argument, SCMP_CMP_EQ, value, 0}; }
scmp_arg_cmp bits(unsigned argument, std::uint64_t mask, std::uint64_t value) { return {argument, SCMP_CMP_MASKED_EQ, mask, value}; }

// Threads of this process and nothing else: no process, no namespace, nobody's parent.
void allow_threads(Filter& filter) {
  constexpr std::uint64_t needed = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  constexpr std::uint64_t never = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
                                  CLONE_PARENT | CLONE_PTRACE | CLONE_VFORK | CLONE_IO | CLONE_PIDFD;
  filter.rule(SCMP_ACT_ALLOW, "clone", {bits(0, needed | never, needed)});
  filter.rule(SCMP_ACT_ALLOW, "tgkill", {equals(0, static_cast<std::uint64_t>(::getpid()))});  // abort
}

// Code comes from files alone, and an executor can write none: native code of the guest's making has no way in.
void allow_memory(Filter& filter, Kind kind) {
  constexpr std::uint64_t sharing = 0x0f;  // MAP_TYPE
  constexpr std::uint64_t droppable = 0x08;  // glibc keeps random state in such pages, or does without
  filter.rule(SCMP_ACT_ERRNO(EINVAL), "mmap", {bits(3, sharing, droppable)});
  filter.rule(SCMP_ACT_ALLOW, "mprotect", {bits(2, PROT_EXEC, 0)});
  filter.rule(SCMP_ACT_ALLOW, "mmap", {bits(2, PROT_EXEC, 0), bits(3, sharing, MAP_PRIVATE)});
  if (kind == Kind::executor) filter.rule(SCMP_ACT_ALLOW, "mmap", {bits(2, PROT_EXEC, PROT_EXEC), bits(3, sharing | MAP_ANONYMOUS, MAP_PRIVATE)});
  // The engine reads files, and the linker writes its output, through shared mappings. Shared memory without a file escapes
  // the limits and is refused.
  filter.rule(SCMP_ACT_ALLOW, "mmap", {bits(2, PROT_EXEC, 0), bits(3, sharing | MAP_ANONYMOUS, MAP_SHARED)});
}

// F_SETOWN and F_SETSIG would make the kernel send any signal to any process of the user.
void allow_descriptors(Filter& filter) {
  for (const int command : {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL})
    filter.rule(SCMP_ACT_ALLOW, "fcntl", {equals(1, static_cast<std::uint64_t>(command))});
}

void allow_opening(Filter& filter) {
  constexpr std::uint64_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY) | O_PATH;
  filter.rule(SCMP_ACT_ALLOW, "openat", {bits(2, writing, 0)});
  filter.rule(SCMP_ACT_ALLOW, "open", {bits(1, writing, 0)});
}

void fill(Filter& filter, Kind kind) {
  filter.rules(SCMP_ACT_ALLOW, allowed);
  filter.rules(SCMP_ACT_ERRNO(ENOSYS), not_there);
  allow_threads(filter);
  allow_memory(filter, kind);
  allow_descriptors(filter);
  // Whoever could replace the handler could outlive a forbidden call. LLVM tries, with every signal there is.
  filter.rule(SCMP_ACT_ALLOW, "rt_sigaction", {{0, SCMP_CMP_NE, SIGSYS, 0}});
  filter.rule(SCMP_ACT_ERRNO(EPERM), "rt_sigaction", {equals(0, SIGSYS)});
  filter.rule(SCMP_ACT_ALLOW, "prlimit64", {equals(0, 0), equals(2, 0)});  // to ask, not to set
  if (kind == Kind::compiler) {
    filter.rules(SCMP_ACT_ALLOW, compiler_allowed);
    for (const char* name : not_permitted)
      if (std::string_view(name) != "getdents64" && std::string_view(name) != "fadvise64") filter.rule(SCMP_ACT_ERRNO(EPERM), name);
  } else {
    allow_opening(filter);
    filter.rules(SCMP_ACT_ERRNO(EPERM), not_permitted);
  }
  filter.rules(SCMP_ACT_KILL_PROCESS, deadly);
}

int install_handler(const Notice& notice) {
  STARLING_ENSURE(notice.text.size() <= told.text.size() && notice.number_at + 4 <= notice.text.size());
  told.fd = notice.fd;
  told.size = notice.text.size();
  told.number_at = notice.number_at;
  std::memcpy(told.text.data(), notice.text.data(), notice.text.size());
  struct sigaction action{};
  action.sa_sigaction = on_forbidden;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  return ::sigaction(SIGSYS, &action, nullptr) < 0 ? errno : 0;
}

}  // namespace

Layer lock(const Plan& plan, const Notice& notice) {
  if (const int error = install_handler(notice); error != 0) return layer("system-calls", error, "sigaction");
  Filter filter(SCMP_ACT_TRAP);
  filter.set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  filter.set(SCMP_FLTATR_CTL_TSYNC, 1);
  filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2);
  fill(filter, plan.kind);
  return layer("system-calls", filter.load(), "seccomp");
}

std::string call_name(int number) {
  char* name = ::seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
  if (name == nullptr) return std::to_string(number);
  std::string out = name;
  ::free(name);  // libseccomp's contract
  return out;
}

}  // namespace starling::execution::cage
