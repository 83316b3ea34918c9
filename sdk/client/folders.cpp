#include "sdk/client/folders.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "coordinator-less/base/check.hpp"

namespace starling::client {

namespace {

using base::ErrorCode;
using std::filesystem::path;

// XDG: only absolute paths count.
path xdg(const char* variable, const char* below_home) {
  if (const char* value = std::getenv(variable); value != nullptr && value[0] == '/') return path(value) / "starling";
  const char* home = std::getenv("HOME");
  return path(home != nullptr && home[0] == '/' ? home : "/") / below_home / "starling";
}

base::Error write_error(const path& file, int number) {
  if (number == ENOSPC || number == EDQUOT)
    return {ErrorCode::temporary, "the disk is full: cannot write " + file.string(), "free some space and try again"};
  return {ErrorCode::refused, "cannot write " + file.string() + ": " + std::strerror(number), "choose a folder that you may write to"};
}

}  // namespace

path default_state_folder() {
  if (const char* value = std::getenv("STARLING_STATE"); value != nullptr && value[0] != '\0') return value;
  return xdg("XDG_STATE_HOME", ".local/state");
}
path default_owner_key_file() { return xdg("XDG_CONFIG_HOME", ".config") / "owner.key"; }
path default_cache_folder() { return xdg("XDG_CACHE_HOME", ".cache"); }

bool has_stored_swarm(const path& state) {
  std::error_code error;
  return std::filesystem::exists(state / "peer.db", error);
}

base::Expected<void> make_private_folder(const path& folder) {
  std::error_code error;
  const bool made = std::filesystem::create_directories(folder, error);
  if (error) return std::unexpected(write_error(folder, error.value()));
  if (made) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return std::unexpected(write_error(folder, errno));
  return {};
}

base::Expected<Descriptor> lock_state_folder(const path& state) {
  const path file = state / "lock";
  Descriptor fd(::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(write_error(file, errno));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return base::fail(ErrorCode::temporary, "another starling process uses " + state.string(),
                      "see: starling worker status; or choose another --state folder");
  return fd;
}

base::Expected<base::Bytes> read_file(const path& file, std::uint64_t bytes_max) {
  const Descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return base::fail(ErrorCode::not_found, "no such file: " + file.string(), "check the path");
  if (!fd) return base::fail(ErrorCode::refused, "cannot read " + file.string() + ": " + std::strerror(errno), "check the file's rights");
  base::Bytes out;
  base::Bytes chunk(1 << 20);
  while (true) {
    const ssize_t n = ::read(fd.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::fail(ErrorCode::refused, "cannot read " + file.string() + ": " + std::strerror(errno), "check the path");
    if (n == 0) return out;
    base::append(out, base::ByteView(chunk).first(static_cast<std::size_t>(n)));
    if (out.size() > bytes_max)
      return base::fail(ErrorCode::bad_input, file.string() + " is larger than " + std::to_string(bytes_max) + " bytes", "use a smaller file");
  }
}

base::Expected<void> write_file(const path& file, base::ByteView bytes, unsigned mode) {
  const path partial = file.string() + ".partial";
  const auto failed = [&](int number) {
    ::unlink(partial.c_str());
    return std::unexpected(write_error(file, number));
  };
  {
    const Descriptor fd(::open(partial.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, mode));
    if (!fd) return failed(errno);
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed(errno);
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }
  if (::rename(partial.c_str(), file.c_str()) != 0) return failed(errno);
  return {};
}

}  // namespace starling::client
