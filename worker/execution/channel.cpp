#include "worker/execution/channel.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace starling::execution {
namespace {

constexpr std::size_t header_bytes = 4;
constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t descriptors_per_frame_max = 128;

std::int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1'000'000;
}

base::Error broken(const char* what) { return {base::ErrorCode::temporary, what, {}}; }

struct Control {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * descriptors_per_frame_max)> bytes{};
};

void attach(msghdr& message, Control& control, std::span<const int> descriptors) {
  if (descriptors.empty()) return;
  message.msg_control = control.bytes.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(head), descriptors.data(), descriptors.size_bytes());
}

void collect(msghdr& message, std::vector<Fd>& out) {
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

base::Expected<void> send_frame(int socket, base::ByteView body, std::span<const int> descriptors, base::Duration patience, int cancel_fd) {
  if (body.size() > UINT32_MAX || descriptors.size() > descriptors_per_frame_max)
    return base::fail(base::ErrorCode::internal, "a frame that is too large to send");
  base::Bytes header;
  base::append_u32(header, static_cast<std::uint32_t>(body.size()));
  const std::int64_t deadline_ms = now_ms() + patience.ms;
  Control control;
  std::size_t sent = 0;
  while (sent < header_bytes + body.size()) {
    std::array<iovec, 2> parts{};
    std::size_t count = 0;
    const auto add = [&](base::ByteView bytes) {
      if (!bytes.empty()) parts[count++] = {const_cast<std::byte*>(bytes.data()), bytes.size()};
    };
    if (sent < header_bytes) add(base::ByteView(header).subspan(sent));
    add(body.subspan(sent < header_bytes ? 0 : sent - header_bytes));
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    if (sent == 0) attach(message, control, descriptors);
    const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return std::unexpected(broken("the other side of the socket is gone"));
    const std::int64_t left_ms = deadline_ms - now_ms();
    if (left_ms <= 0) return std::unexpected(broken("the other side does not read"));
    std::array<pollfd, 2> wait{pollfd{socket, POLLOUT, 0}, pollfd{cancel_fd, POLLIN, 0}};
    ::poll(wait.data(), wait.size(), static_cast<int>(std::min<std::int64_t>(left_ms, 1000)));
    if (wait[1].revents != 0) return base::fail(base::ErrorCode::interrupted, "canceled");
  }
  return {};
}

base::Expected<std::optional<base::Bytes>> FrameReader::next() {
  if (used_ < header_bytes) return std::nullopt;
  const std::uint32_t size = base::read_u32(buffer_);
  if (size > frame_bytes_max_) return base::fail(base::ErrorCode::malformed, "a frame longer than allowed");
  const std::size_t whole = header_bytes + size;
  if (used_ < whole) return std::nullopt;
  const auto at = [&](std::size_t i) { return buffer_.begin() + static_cast<std::ptrdiff_t>(i); };
  base::Bytes frame(at(header_bytes), at(whole));
  std::memmove(buffer_.data(), buffer_.data() + whole, used_ - whole);
  used_ -= whole;
  if (buffer_.size() > 16 * read_bytes) { // do not keep a huge buffer because one unit had huge output
    buffer_.resize(std::max(used_, read_bytes));
    buffer_.shrink_to_fit();
  }
  return frame;
}

base::Expected<bool> FrameReader::fill(int socket, bool wait) {
  if (buffer_.size() - used_ < read_bytes) buffer_.resize(std::max(buffer_.size() + read_bytes, buffer_.size() * 3 / 2));
  iovec part{buffer_.data() + used_, buffer_.size() - used_};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  Control control;
  if (descriptors_max_ > 0) { // without a buffer the kernel closes whatever descriptors a hostile side sends
    message.msg_control = control.bytes.data();
    message.msg_controllen = control.bytes.size();
  }
  ssize_t n = 0;
  do n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) return false;
  if (n <= 0) return std::unexpected(broken("the other side of the socket is gone"));
  collect(message, descriptors_);
  if (descriptors_.size() > descriptors_max_) return base::fail(base::ErrorCode::malformed, "too many descriptors");
  used_ += static_cast<std::size_t>(n);
  return true;
}

}  // namespace starling::execution
