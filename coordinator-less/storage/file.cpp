#include "coordinator-less/storage/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace starling::storage {

using base::ErrorCode;

File& File::operator=(File&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = other.release();
  }
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

base::Error system_error(int errno_value, const std::string& doing, const std::filesystem::path& file) {
  const std::string what =
      "cannot " + doing + " " + file.string() + ": " + std::generic_category().message(errno_value);
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {ErrorCode::temporary, what, "make room on that disk, then try again; nothing was lost"};
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case EINTR:
      return {ErrorCode::temporary, what, "try again when the machine is less busy"};
    case EACCES:
    case EPERM:
    case EROFS:
      return {ErrorCode::refused, what, "give this user the right to read and write there"};
    case ENOENT:
      return {ErrorCode::not_found, what, "check the path"};
    case EISDIR:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return {ErrorCode::bad_input, what, "check the path"};
    default:
      return {ErrorCode::internal, what, "check that disk"};
  }
}

std::unexpected<base::Error> fail_errno(const std::string& doing, const std::filesystem::path& file) {
  return std::unexpected(system_error(errno, doing, file));
}

base::Expected<File> open_file(const std::filesystem::path& file, int flags, unsigned mode) {
  File opened(::open(file.c_str(), flags | O_CLOEXEC, static_cast<mode_t>(mode)));
  if (!opened) return fail_errno("open", file);
  return opened;
}

base::Expected<File> lock_file(const std::filesystem::path& file, const std::string& what) {
  auto opened = open_file(file, O_RDWR | O_CREAT);
  if (!opened || ::flock(opened->descriptor(), LOCK_EX | LOCK_NB) == 0) return opened;
  if (errno != EWOULDBLOCK) return fail_errno("lock", file);
  return base::fail(ErrorCode::temporary, what + " is in use by another running peer",
                    "stop that peer or give this one a folder of its own");
}

base::Expected<std::uint64_t> size_of_file(const File& file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0) return fail_errno("examine", path);
  return static_cast<std::uint64_t>(status.st_size);
}

base::Expected<void> write_at(const File& file, std::uint64_t offset, base::ByteView bytes,
                              const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const auto written = ::pwrite(file.descriptor(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail_errno("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

base::Expected<std::size_t> read_at(const File& file, std::uint64_t offset, std::span<std::byte> out,
                                    const std::filesystem::path& path) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got =
        ::pread(file.descriptor(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read", path);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

base::Expected<void> sync_file(const File& file, const std::filesystem::path& path) {
  if (::fdatasync(file.descriptor()) != 0) return fail_errno("write", path);
  return {};
}

base::Expected<void> sync_folder(const std::filesystem::path& folder) {
  auto opened = open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!opened) return std::unexpected(std::move(opened).error());
  if (::fsync(opened->descriptor()) != 0) return fail_errno("write", folder);
  return {};
}

base::Expected<void> sync_file_system(const std::filesystem::path& folder) {
  auto opened = open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!opened) return std::unexpected(std::move(opened).error());
  if (::syncfs(opened->descriptor()) != 0) return fail_errno("write", folder);
  return {};
}

base::Expected<void> rename_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("name", to);
  return {};
}

base::Expected<void> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  if (error) return std::unexpected(system_error(error.value(), "make", folder.parent_path()));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno("make", folder);
  if (!std::filesystem::is_directory(folder, error)) return std::unexpected(system_error(ENOTDIR, "use", folder));
  return {};
}

}  // namespace starling::storage
