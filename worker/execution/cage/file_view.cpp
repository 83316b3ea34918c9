// What of the file system is left: by a root file system of its own, and by Landlock rules. Either alone suffices.
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "worker/execution/cage/layers.hpp"

namespace starling::execution::cage {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

bool is_folder(const std::filesystem::path& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// --- mounts

// An empty file or folder at the path's place below `root`, for a mount to cover.
int make_place(int root, const std::filesystem::path& path, bool folder) {
  std::string at;
  const auto relative = path.relative_path();
  for (auto part = relative.begin(); part != relative.end(); ++part) {
    at += (at.empty() ? "" : "/") + part->string();
    const bool last = std::next(part) == relative.end();
    if (last && !folder) {
      const Fd made(::openat(root, at.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      return made ? 0 : errno;
    }
    if (::mkdirat(root, at.c_str(), 0700) != 0 && errno != EEXIST) return errno;
  }
  return 0;
}

struct Piece {
  std::filesystem::path path;
  bool folder;
  Fd tree;
};

int take(std::vector<Piece>& pieces, const std::filesystem::path& path, bool writable) {
  Fd tree(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree) return errno == ENOENT ? 0 : errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (writable ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_RDONLY);
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) return errno;
  pieces.push_back({path, is_folder(path), std::move(tree)});
  return 0;
}

int change_root(const Plan& plan) {
  if (::unshare(CLONE_NEWNS) != 0) return errno;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  std::vector<Piece> pieces;
  for (const auto& path : plan.readable)
    if (const int error = take(pieces, path, false); error != 0) return error;
  if (!plan.writable.empty())
    if (const int error = take(pieces, plan.writable, true); error != 0) return error;

  const Fd kind(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!kind || ::fsconfig(kind.get(), FSCONFIG_SET_STRING, "size", "64k", 0) != 0 ||
      ::fsconfig(kind.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return errno;
  const Fd root(::fsmount(kind.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!root) return errno;
  if (::move_mount(root.get(), "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) != 0) return errno;
  for (const auto& piece : pieces) {
    if (const int error = make_place(root.get(), piece.path, piece.folder); error != 0) return error;
    if (::move_mount(piece.tree.get(), "", root.get(), piece.path.relative_path().c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) return errno;
  }
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(root.get(), "", AT_EMPTY_PATH, &read_only, sizeof read_only) != 0) return errno;
  if (::fchdir(root.get()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0)
    return errno;
  return 0;
}

// --- Landlock

constexpr std::uint64_t read_rights = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t write_rights = read_rights | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                       LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE;

// All rights that a kernel of this ABI can take away.
std::uint64_t rights_of(int abi) {
  std::uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (abi >= 2) all |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) all |= LANDLOCK_ACCESS_FS_TRUNCATE;
  if (abi >= 5) all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
  return all;
}

int allow(int ruleset, const std::filesystem::path& path, std::uint64_t rights) {
  const Fd at(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!at) return errno == ENOENT ? 0 : errno;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = rights;
  rule.parent_fd = at.get();
  return ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? errno : 0;
}

}  // namespace

Layer view_by_mounts(const Plan& plan) { return layer("mount-view", change_root(plan), "mounts"); }

Layer view_by_landlock(const Plan& plan) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 0) return layer("landlock", errno == EOPNOTSUPP ? ENOSYS : errno, "landlock");
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = rights_of(static_cast<int>(abi));
  if (abi >= 4) attributes.handled_access_net = LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP;
  if (abi >= 6) attributes.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!ruleset) return layer("landlock", errno, "landlock");
  for (const auto& path : plan.readable)
    if (const int error = allow(ruleset.get(), path, read_rights); error != 0) return layer("landlock", error, path.string());
  if (!plan.writable.empty()) {
    const auto rights = write_rights | (abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
    if (const int error = allow(ruleset.get(), plan.writable, rights); error != 0) return layer("landlock", error, plan.writable.string());
  }
  // Without capabilities the kernel wants this first; with them it does no harm.
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const long done = ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0);
  return layer("landlock", done < 0 ? errno : 0, "landlock");
}

}  // namespace starling::execution::cage
