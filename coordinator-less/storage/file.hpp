// Files as values: an owned descriptor, whole reads and writes at a place, and errno turned into an error that names
// the file and says what to do next.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"

namespace starling::storage {

class File {
 public:
  File() = default;
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(File&& other) noexcept : descriptor_(other.release()) {}
  File& operator=(File&& other) noexcept;
  ~File();

  explicit operator bool() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_ = -1;
};

// What `errno_value` means for `file`: temporary (disk or quota full, too many files), refused (no rights), not_found,
// internal.
base::Error system_error(int errno_value, const std::string& doing, const std::filesystem::path& file);
std::unexpected<base::Error> fail_errno(const std::string& doing, const std::filesystem::path& file);  // reads errno

base::Expected<File> open_file(const std::filesystem::path& file, int flags, unsigned mode = 0600);  // always O_CLOEXEC
base::Expected<File> lock_file(const std::filesystem::path& file,
                               const std::string& what);  // temporary when another holds it
base::Expected<std::uint64_t> size_of_file(const File& file, const std::filesystem::path& path);

// `path` only names the file in errors. read_at gives fewer bytes only at the end of the file.
base::Expected<void> write_at(const File& file, std::uint64_t offset, base::ByteView bytes,
                              const std::filesystem::path& path);
base::Expected<std::size_t> read_at(const File& file, std::uint64_t offset, std::span<std::byte> out,
                                    const std::filesystem::path& path);
base::Expected<void> sync_file(const File& file, const std::filesystem::path& path);
base::Expected<void> sync_folder(const std::filesystem::path& folder);
base::Expected<void> sync_file_system(const std::filesystem::path& folder);  // all that was written to it, by anyone
base::Expected<void> rename_file(const std::filesystem::path& from, const std::filesystem::path& to);
base::Expected<void> make_folder(const std::filesystem::path& folder);  // and its parents; mode 0700 for the last

}  // namespace starling::storage
