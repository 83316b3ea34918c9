#include "coordinator-less/net/connection.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

using starling::net::Connection;

namespace {

// Both ends of one TCP connection on 127.0.0.1: `ours` as ZeroMQ would own it, `theirs` at the far end.
struct Pair {
  Pair() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener, 1) == 0);
    REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    theirs = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::connect(theirs, reinterpret_cast<sockaddr*>(&address), size) == 0);
    ours = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    REQUIRE(ours >= 0);
    ::close(listener);
  }
  ~Pair() {
    ::close(ours);
    ::close(theirs);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  bool lives() const {
    char byte = 'x';
    return ::send(theirs, &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(ours, &byte, 1, 0) == 1 && ::send(ours, &byte, 1, MSG_NOSIGNAL) == 1 &&
           ::recv(theirs, &byte, 1, 0) == 1;
  }

  int ours = -1, theirs = -1;
};

}  // namespace

TEST_CASE("connection: a kick ends the connection that it knew") {
  const Pair pair;
  const auto known = Connection::of(pair.ours);
  REQUIRE(known);
  CHECK(known->address() == "127.0.0.1");
  CHECK(pair.lives());
  CHECK(known->bytes_read() == 1U);
  CHECK(known->shut());
  char byte = 0;
  CHECK(::recv(pair.theirs, &byte, 1, 0) == 0);
  CHECK_FALSE(pair.lives());
}

TEST_CASE("connection: a kick spares the stranger who has the number by now") {
  const Pair kicked, stranger;
  const auto known = Connection::of(kicked.ours);
  REQUIRE(known);
  REQUIRE(::dup2(stranger.ours, kicked.ours) == kicked.ours);  // closed, and its number given to another connection
  CHECK_FALSE(known->shut());
  CHECK(stranger.lives());
  CHECK_FALSE(known->bytes_read().has_value());  // nor is the stranger's traffic counted against it
  CHECK(Connection::of(kicked.ours)->shut());    // the same number, known afresh, can be kicked
  CHECK_FALSE(stranger.lives());
}

TEST_CASE("connection: a number that is closed, or no socket, is nobody's connection") {
  int fd = -1;
  std::optional<Connection> known;
  {
    const Pair pair;
    fd = pair.ours;
    known = Connection::of(fd);
  }
  CHECK_FALSE(known->shut());
  int pipe_ends[2];
  REQUIRE(::pipe(pipe_ends) == 0);
  CHECK_FALSE(Connection::of(pipe_ends[0]));
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  CHECK_FALSE(Connection::of(-1));
}
