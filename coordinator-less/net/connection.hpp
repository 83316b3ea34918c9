// One TCP connection that ZeroMQ owns, seen from outside: its descriptor number and the kernel's cookie for the socket
// behind it. ZeroMQ may close the descriptor at any moment and the kernel may give the number to a stranger, so every act
// on it pins a duplicate first and compares the cookie of that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace starling::net {

class Connection {
 public:
  static std::optional<Connection> of(int fd);  // nullopt: no socket any more

  // Bytes that this process has read from the peer: what the kernel received less what still waits there.
  std::optional<std::uint64_t> bytes_read() const;
  int fd() const { return fd_; }
  // The peer's numeric address; empty when it is gone.
  std::string address() const;
  // Ends the connection in both directions; false when the number belongs to another socket by now.
  bool shut() const;

 private:
  Connection(int fd, std::uint64_t cookie) : fd_(fd), cookie_(cookie) {}
  int fd_;
  std::uint64_t cookie_;
};

// Whose share of inbound links an address uses up: itself, or for version 6 its /64.
std::string address_group(const std::string& address);

}  // namespace starling::net
