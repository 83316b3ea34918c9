// A UNIX stream socket that carries frames. Blocking, with time limits; one thread at a time.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <utility>

#include "sdk/client/local_frame.hpp"

namespace starling::client {

// An open file that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

class LocalSocket {
 public:
  // not_found when nobody listens there (no socket, or one left behind by a dead worker).
  static base::Expected<LocalSocket> connect(const std::filesystem::path& path);
  explicit LocalSocket(Descriptor connected) : fd_(std::move(connected)) {}

  base::Expected<void> send(const Frame& frame);
  // timeout when nothing whole came in time, temporary when the other side closed, malformed beyond the bounds. A frame that
  // has begun must be whole within `once_begun` of its first byte, however long an idle connection may wait for one.
  base::Expected<Frame> receive(FrameBounds bounds, std::chrono::milliseconds timeout,
                                std::chrono::milliseconds once_begun = std::chrono::milliseconds::max());
  int descriptor() const { return fd_.get(); }

 private:
  Descriptor fd_;
  std::optional<FrameReader> reader_;
};

// A bound, listening socket of mode 0600. Replaces a socket that nobody listens on; temporary when somebody does.
base::Expected<Descriptor> listen_locally(const std::filesystem::path& path);

}  // namespace starling::client
