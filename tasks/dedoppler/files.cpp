#include "tasks/dedoppler/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace starling::dedoppler {

namespace {

Error system_error(const std::string& what, const std::string& path) {
  return what + " " + printable(path) + " failed (" + std::strerror(errno) + "); check the file and the space left";
}

}  // namespace

InputFile::InputFile(int fd, std::uint64_t size_bytes, std::string path)
    : fd_(fd), size_bytes_(size_bytes), path_(std::move(path)) {}

InputFile::InputFile(InputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_bytes_(other.size_bytes_), path_(std::move(other.path_)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(path_, other.path_);
  return *this;
}

InputFile::~InputFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<InputFile> InputFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  if (fd < 0) return std::unexpected(system_error("opening", path));
  InputFile file(fd, 0, path);
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) return std::unexpected(system_error("examining", path));
  if (!S_ISREG(facts.st_mode)) return std::unexpected(printable(path) + " is not a plain file; name a file instead");
  file.size_bytes_ = static_cast<std::uint64_t>(facts.st_size);
  return file;
}

Result<void> InputFile::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const auto got = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0) return std::unexpected(system_error("reading", path_));
    if (got == 0) return std::unexpected(printable(path_) + " ended early; fetch the file again");
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return std::unexpected(system_error("opening the folder", path));
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(folder);
  std::ranges::sort(names);
  return names;
}

bool file_exists(const std::string& path) {
  struct stat facts {};
  return ::stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode);
}

Result<std::string> read_file(const std::string& path, std::size_t limit_bytes) {
  auto file = InputFile::open(path);
  if (!file) return std::unexpected(file.error());
  if (file->size_bytes() > limit_bytes)
    return std::unexpected(printable(path) + " holds more than " + std::to_string(limit_bytes) +
                           " bytes; it is not a result of this program");
  std::string content(static_cast<std::size_t>(file->size_bytes()), '\0');
  if (auto read = file->read_at(0, std::as_writable_bytes(std::span(content))); !read)
    return std::unexpected(read.error());
  return content;
}

Result<void> write_file(const std::string& path, std::string_view content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return std::unexpected(system_error("creating", path));
  while (!content.empty()) {
    const auto wrote = ::write(fd, content.data(), content.size());
    if (wrote <= 0) {
      const auto error = system_error("writing", path);
      ::close(fd);
      return std::unexpected(error);
    }
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::close(fd) != 0) return std::unexpected(system_error("closing", path));
  return {};
}

}  // namespace starling::dedoppler
