#include "coordinator-less/net/unfinished_watch.hpp"

#include "coordinator-less/base/limits.hpp"

namespace starling::net {

std::uint64_t wire_bytes(std::size_t payload_bytes) {
  const std::uint64_t boxed = payload_bytes + 33;
  return boxed + (boxed > 255 ? 9 : 2);
}

void UnfinishedWatch::on_frame(std::size_t payload_bytes) {
  if (quiet_) forgiven_ += bytes_ahead();
  quiet_ = false;
  delivered_ += wire_bytes(payload_bytes);
}

bool UnfinishedWatch::on_check(std::uint64_t bytes_read, bool queue_empty) {
  quiet_ = queue_empty && bytes_read == read_;
  read_ = bytes_read;
  const auto limit =
      hello_passed_ ? limits::unfinished_bytes_after_hello_max : limits::unfinished_bytes_before_hello_max;
  return bytes_ahead() > limit;
}

std::uint64_t UnfinishedWatch::bytes_ahead() const {
  const auto accounted = delivered_ + forgiven_;
  return read_ > accounted ? read_ - accounted : 0;
}

}  // namespace starling::net
