// The few file calls the program needs, over POSIX, which wasi-libc and Linux both offer.
// Rule: every read is bounded by the caller, because file contents are outside data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tasks/dedoppler/text.hpp"

namespace starling::dedoppler {

// Where a run finds its inputs and leaves its files: /in and /out in a work unit, any two folders in tests.
struct Folders {
  std::string in = "/in";
  std::string out = "/out";
};

// A file opened for reading at any offset; only the ranges asked for are read, so the host fetches only those.
class InputFile {
 public:
  static Result<InputFile> open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  std::uint64_t size_bytes() const { return size_bytes_; }
  const std::string& path() const { return path_; }

  // Fills all of `into` from `offset`; an error when the file ends before.
  Result<void> read_at(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  InputFile(int fd, std::uint64_t size_bytes, std::string path);

  int fd_ = -1;
  std::uint64_t size_bytes_ = 0;
  std::string path_;
};

// Names inside a folder without "." and "..", in byte order.
Result<std::vector<std::string>> list_folder(const std::string& path);

bool file_exists(const std::string& path);

// The whole file; an error when it holds more than `limit_bytes`.
Result<std::string> read_file(const std::string& path, std::size_t limit_bytes);

Result<void> write_file(const std::string& path, std::string_view content);

}  // namespace starling::dedoppler
