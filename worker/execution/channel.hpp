// Frames (u32 length, then so many bytes) over a stream socket, with descriptors beside the first byte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/time.hpp"

namespace starling::execution {

// An owned file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Sends all of it or fails; waits for a slow reader at most `patience` in total, and no longer (interrupted) than until `cancel_fd` is
// readable. The socket may be blocking or not.
base::Expected<void> send_frame(int socket, base::ByteView body, std::span<const int> descriptors, base::Duration patience, int cancel_fd = -1);

// Collects frames from a socket. Memory grows with the bytes that came, not with the length that was announced.
class FrameReader {
 public:
  FrameReader(std::uint64_t frame_bytes_max, std::size_t descriptors_max)
      : frame_bytes_max_(frame_bytes_max), descriptors_max_(descriptors_max) {}

  void set_frame_bytes_max(std::uint64_t bytes) { frame_bytes_max_ = bytes; }

  // A whole frame that is already here, else nullopt. malformed when its length is out of bounds.
  base::Expected<std::optional<base::Bytes>> next();
  // One read. True: bytes came; false: nothing there now (non-blocking). Error: end of stream or broken.
  base::Expected<bool> fill(int socket, bool wait);
  std::vector<Fd> take_descriptors() { return std::exchange(descriptors_, {}); }

 private:
  std::uint64_t frame_bytes_max_;
  std::size_t descriptors_max_;
  base::Bytes buffer_;
  std::size_t used_ = 0;  // bytes of buffer_ that hold data
  std::vector<Fd> descriptors_;
};

}  // namespace starling::execution
