// Frames of the local door: {u32 json length, u32 payload length, json, payload}, lengths little-endian. The lengths are
// checked against the reader's bounds before anything of the frame is kept; a frame beyond them is `malformed`, and the
// connection that carried it is closed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::client {

struct Frame {
  std::string json;
  base::Bytes payload;
};

struct FrameBounds {
  std::size_t json_bytes_max = 0;
  std::size_t payload_bytes_max = 0;
};
inline constexpr FrameBounds request_bounds{limits::local_request_json_bytes_max, limits::local_payload_bytes_max};
inline constexpr FrameBounds reply_bounds{limits::local_reply_json_bytes_max, limits::local_payload_bytes_max};

base::Bytes encode_frame(const Frame& frame);

// Call feed() with what arrived, then poll() until it gives nothing. After an error the stream is of no more use.
class FrameReader {
 public:
  explicit FrameReader(FrameBounds bounds) : bounds_(bounds) {}
  void feed(base::ByteView bytes) { base::append(buffer_, bytes); }
  base::Expected<std::optional<Frame>> poll();
  std::size_t buffered_bytes() const { return buffer_.size(); }

 private:
  FrameBounds bounds_;
  base::Bytes buffer_;
};

}  // namespace starling::client
