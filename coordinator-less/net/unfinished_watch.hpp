// Unfinished multipart messages, kept count of per link.
//
// ZeroMQ stores the parts of a multipart message until the last one came: they are never delivered and no high-water mark
// counts them, so one stranger can fill our memory. Tracked: bytes read from the TCP connection less the wire size of the
// frames delivered. Rule: a link whose difference exceeds the limit (before or after Hello) is cut off.
// Exactness: a CURVE message frame of n bytes is n + 33 bytes of box behind a header of 2 or 9. Greeting, handshake and
// heartbeats are read but never delivered; over weeks they would add up, so they are forgiven whenever that is safe: a frame
// that is delivered after a check that found nothing new and an empty queue shows that all bytes before that check
// belonged to finished messages, because parts of two messages never interleave on a link.
// Attack: parts sent slowly gain nothing, as their last part makes a multipart message, which is cut off by itself.
// Cost: three words per link, one TCP_INFO per link and check.
#pragma once

#include <cstddef>
#include <cstdint>

namespace starling::net {

class UnfinishedWatch {
 public:
  void on_hello() { hello_passed_ = true; }
  void on_frame(std::size_t payload_bytes);
  // `queue_empty`: every message complete by now was delivered. True: cut the link off.
  bool on_check(std::uint64_t bytes_read, bool queue_empty);
  std::uint64_t bytes_ahead() const;

 private:
  bool hello_passed_ = false;
  bool quiet_ = false;
  std::uint64_t read_ = 0;       // at the last check
  std::uint64_t delivered_ = 0;  // wire bytes of delivered frames
  std::uint64_t forgiven_ = 0;   // handshake and heartbeats
};

std::uint64_t wire_bytes(std::size_t payload_bytes);

}  // namespace starling::net
