#include "sdk/client/local_socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "coordinator-less/base/check.hpp"

namespace starling::client {

namespace {

using base::ErrorCode;

// sun_path holds 107 characters and state folders may be longer, so the folder is named by a descriptor of it.
struct SocketAddress {
  Descriptor folder;
  sockaddr_un address{};
};

base::Expected<SocketAddress> address_of(const std::filesystem::path& path) {
  SocketAddress out;
  const auto folder = path.parent_path().empty() ? std::filesystem::path(".") : path.parent_path();
  out.folder = Descriptor(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!out.folder) return base::fail(ErrorCode::not_found, "there is no folder " + folder.string());
  const std::string name = "/proc/self/fd/" + std::to_string(out.folder.get()) + "/" + path.filename().string();
  out.address.sun_family = AF_UNIX;
  if (name.size() >= sizeof out.address.sun_path) return base::fail(ErrorCode::internal, "the socket's name is too long: " + name);
  std::memcpy(out.address.sun_path, name.c_str(), name.size() + 1);
  return out;
}

std::string reason() { return std::strerror(errno); }

Descriptor new_socket() { return Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

bool someone_listens(const SocketAddress& at) {
  const Descriptor probe = new_socket();
  return probe && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&at.address), sizeof at.address) == 0;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

base::Expected<LocalSocket> LocalSocket::connect(const std::filesystem::path& path) {
  STARLING_TRY(const SocketAddress at, address_of(path));
  Descriptor fd = new_socket();
  if (!fd) return base::fail(ErrorCode::internal, "no socket could be made: " + reason());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at.address), sizeof at.address) != 0) {
    if (errno == EACCES || errno == EPERM)
      return base::fail(ErrorCode::refused, "the worker of " + path.parent_path().string() + " belongs to another user",
                        "run this as the user who started it");
    return base::fail(ErrorCode::not_found, "no worker runs for " + path.parent_path().string(), "start one: starling worker start");
  }
  return LocalSocket(std::move(fd));
}

base::Expected<void> LocalSocket::send(const Frame& frame) {
  const base::Bytes bytes = encode_frame(frame);
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::fail(ErrorCode::temporary, "the worker closed the connection before it answered",
                                 "it is stopping, or serves too many commands at once: try again");
    sent += static_cast<std::size_t>(n);
  }
  return {};
}

base::Expected<Frame> LocalSocket::receive(FrameBounds bounds, std::chrono::milliseconds timeout, std::chrono::milliseconds once_begun) {
  using std::chrono::steady_clock;
  if (!reader_) reader_.emplace(bounds);
  auto deadline = steady_clock::now() + timeout;
  bool begun = false;
  std::array<std::byte, 64 * 1024> chunk;
  while (true) {
    STARLING_TRY(auto frame, reader_->poll());
    if (frame) return *std::move(frame);
    const auto now = steady_clock::now();
    if (!begun && reader_->buffered_bytes() > 0) {
      begun = true;
      if (once_begun < std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now)) deadline = now + once_begun;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now);
    pollfd wanted{fd_.get(), POLLIN, 0};
    const int ready = ::poll(&wanted, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return base::fail(ErrorCode::timeout, "the worker did not answer in time", "see worker.log in its state folder");
    const ssize_t n = ::recv(fd_.get(), chunk.data(), chunk.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return base::fail(ErrorCode::temporary, "the worker closed the connection before it answered",
                                 "it is stopping, or serves too many commands at once: try again");
    reader_->feed(base::ByteView(chunk).first(static_cast<std::size_t>(n)));
  }
}

base::Expected<Descriptor> listen_locally(const std::filesystem::path& path) {
  STARLING_TRY(const SocketAddress at, address_of(path));
  if (someone_listens(at))
    return base::fail(ErrorCode::temporary, "another program already listens on " + path.string(), "stop it: starling worker stop");
  ::unlink(at.address.sun_path);
  Descriptor fd = new_socket();
  if (!fd) return base::fail(ErrorCode::internal, "no socket could be made: " + reason());
  // The folder is 0700; the mask closes the moment between bind and chmod as well.
  const mode_t before = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at.address), sizeof at.address);
  ::umask(before);
  if (bound != 0 || ::listen(fd.get(), 16) != 0)
    return base::fail(ErrorCode::refused, "cannot listen on " + path.string() + ": " + reason(), "choose a writable --state folder");
  return fd;
}

}  // namespace starling::client
