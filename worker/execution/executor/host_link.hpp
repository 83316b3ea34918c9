// The executor's end of the socket. Orders are read by the main thread while nothing runs; during a unit any thread may
// ask for leaves, and whichever waits reads the answers for all.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "worker/execution/channel.hpp"
#include "worker/execution/messages.hpp"

namespace starling::execution {

class HostLink {
 public:
  explicit HostLink(int socket);

  struct Order {
    base::Bytes frame;  // keeps the order's views alive
    UnitOrder order;
    std::vector<Fd> descriptors;
  };
  Order next_order();  // ends the process when the host is gone or talks nonsense
  void send(base::ByteView frame);
  void checkpoint(const Checkpoint& message);  // thread-safe
  void progress(const Progress& message);      // thread-safe
  bool need(std::uint32_t input, std::uint64_t first_leaf, std::uint64_t count);  // thread-safe

 private:
  base::Bytes read_frame();

  int socket_;
  FrameReader reader_;
  std::mutex mutex_;
  std::condition_variable answered_;
  std::map<std::uint32_t, bool> answers_;
  std::uint32_t next_id_ = 0;
  bool reading_ = false;
};

}  // namespace starling::execution
