#include "coordinator-less/net/connection.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace starling::net {
namespace {

std::optional<std::uint64_t> cookie_of(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return std::nullopt;
  return cookie;
}

}  // namespace

std::optional<Connection> Connection::of(int fd) {
  const auto cookie = cookie_of(fd);
  if (!cookie) return std::nullopt;
  return Connection(fd, *cookie);
}

// Only measured here; whoever acts on the figure calls shut(), which looks at the cookie again.
std::optional<std::uint64_t> Connection::bytes_read() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  if (size < offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) return std::nullopt;
  int unread = 0;
  if (ioctl(fd_, SIOCINQ, &unread) != 0) return std::nullopt;
  if (cookie_of(fd_) != cookie_) return std::nullopt;
  const auto received = static_cast<std::uint64_t>(info.tcpi_bytes_received);
  return received - std::min(received, static_cast<std::uint64_t>(std::max(unread, 0)));
}

std::string Connection::address() const {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return {};
  std::array<char, NI_MAXHOST> text{};
  if (getnameinfo(reinterpret_cast<sockaddr*>(&peer), size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  return text.data();
}

bool Connection::shut() const {
  const int pinned = fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (pinned < 0) return false;
  const bool same = cookie_of(pinned) == cookie_;
  if (same) shutdown(pinned, SHUT_RDWR);
  close(pinned);
  return same;
}

std::string address_group(const std::string& address) {
  in6_addr v6{};
  if (inet_pton(AF_INET6, address.substr(0, address.find('%')).c_str(), &v6) != 1) return address;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return address.substr(address.rfind(':') + 1);
  std::memset(v6.s6_addr + 8, 0, 8);
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, &v6, text.data(), text.size());
  return std::string(text.data()) + "/64";
}

}  // namespace starling::net
