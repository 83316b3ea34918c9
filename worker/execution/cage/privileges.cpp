#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "coordinator-less/base/limits.hpp"
#include "worker/execution/cage/layers.hpp"

namespace starling::execution::cage {
namespace {

int error_of(long result) { return result < 0 ? errno : 0; }

int write_file(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = ::write(fd, text.data(), text.size()) < 0 ? errno : 0;
  ::close(fd);
  return error;
}

int limit(__rlimit_resource resource, std::uint64_t value) {
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return errno;
  now.rlim_max = std::min<rlim_t>(now.rlim_max, value);  // raising is not ours to do
  now.rlim_cur = now.rlim_max;
  return error_of(::setrlimit(resource, &now));
}

}  // namespace

Layer close_descriptors(const Plan& plan) {
  auto kept = plan.descriptors;
  std::ranges::sort(kept);
  unsigned from = 3;
  int error = 0;
  for (const int fd : kept) {
    if (static_cast<unsigned>(fd) > from) error = std::max(error, error_of(::close_range(from, static_cast<unsigned>(fd) - 1, 0)));
    from = static_cast<unsigned>(fd) + 1;
  }
  error = std::max(error, error_of(::close_range(from, ~0U, 0)));
  return layer("descriptors", error, "close_range");
}

Layer set_limits(const Plan& plan) {
  int error = 0;
  const auto set = [&](__rlimit_resource resource, std::uint64_t value) {
    if (const int wrong = limit(resource, value); wrong != 0) error = wrong;
  };
  set(RLIMIT_CORE, 0);
  set(RLIMIT_NOFILE, limits::executor_descriptors_max);
  set(RLIMIT_STACK, limits::executor_stack_bytes);
  set(RLIMIT_FSIZE, plan.file_bytes_max);
  set(RLIMIT_MEMLOCK, 0);
  set(RLIMIT_MSGQUEUE, 0);
  set(RLIMIT_SIGPENDING, limits::executor_descriptors_max);
  if (plan.address_space_bytes_max > 0) set(RLIMIT_AS, plan.address_space_bytes_max);
  if (plan.cpu_seconds_max > 0) set(RLIMIT_CPU, plan.cpu_seconds_max);
  ::signal(SIGXFSZ, SIG_IGN);  // a full file is an error value
  return layer("limits", error, "setrlimit");
}

Layer make_user_namespace() {
  const auto uid = std::to_string(::geteuid());
  const auto gid = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER) != 0) return layer("user-namespace", errno, "unshare");
  // Everybody keeps his number, so that files made here belong to whom they should.
  int error = write_file("/proc/self/uid_map", uid + " " + uid + " 1");
  if (error == 0) error = write_file("/proc/self/setgroups", "deny");
  if (error == 0) error = write_file("/proc/self/gid_map", gid + " " + gid + " 1");
  // Counted from zero in a namespace of one's own; outside it would count all that the user runs.
  if (error == 0) error = limit(RLIMIT_NPROC, limits::executor_threads_max);
  return layer("user-namespace", error, "id maps");
}

Layer make_network_namespace() {
  const int error = error_of(::unshare(CLONE_NEWNET));
  if (error != 0) return layer("network-namespace", error, "unshare");
  if (::unshare(CLONE_NEWIPC | CLONE_NEWUTS) != 0) return layer("network-namespace", errno, "unshare of IPC");
  return layer("network-namespace", 0, "");
}

Layer drop_privileges(int parent) {
  for (unsigned long one = 0; ::prctl(PR_CAPBSET_READ, one, 0, 0, 0) >= 0; ++one) ::prctl(PR_CAPBSET_DROP, one, 0, 0, 0);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  int error = error_of(::syscall(SYS_capset, &head, none.data()));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) error = errno;
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) error = errno;
  // Last: a change of credentials clears it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) error = errno;
  if (::getppid() != parent) ::_exit(126);
  return layer("no-new-privileges", error, "prctl");
}

Layer lower_priority() {
  const sched_param none{};
  const int error = error_of(::sched_setscheduler(0, SCHED_IDLE, &none));
  ::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));  // some disk schedulers have no classes
  write_file("/proc/self/oom_score_adj", "1000");
  return layer("idle-priority", error, "sched_setscheduler");
}

}  // namespace starling::execution::cage
