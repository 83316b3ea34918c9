#include "sdk/client/local_frame.hpp"

namespace starling::client {

namespace {
constexpr std::size_t header_bytes = 8;
}

base::Bytes encode_frame(const Frame& frame) {
  base::Bytes out;
  out.reserve(header_bytes + frame.json.size() + frame.payload.size());
  base::append_u32(out, static_cast<std::uint32_t>(frame.json.size()));
  base::append_u32(out, static_cast<std::uint32_t>(frame.payload.size()));
  base::append(out, base::view(frame.json));
  base::append(out, frame.payload);
  return out;
}

base::Expected<std::optional<Frame>> FrameReader::poll() {
  if (buffer_.size() < header_bytes) return std::nullopt;
  const base::ByteView bytes = buffer_;
  const std::size_t json_bytes = base::read_u32(bytes);
  const std::size_t payload_bytes = base::read_u32(bytes.subspan(4));
  if (json_bytes > bounds_.json_bytes_max || payload_bytes > bounds_.payload_bytes_max)
    return base::fail(base::ErrorCode::malformed, "a frame on the local socket is longer than allowed");
  const std::size_t frame_bytes = header_bytes + json_bytes + payload_bytes;
  if (buffer_.size() < frame_bytes) return std::nullopt;
  Frame frame{.json = std::string(base::text(bytes.subspan(header_bytes, json_bytes))),
              .payload = base::copy(bytes.subspan(header_bytes + json_bytes, payload_bytes))};
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(frame_bytes));
  return frame;
}

}  // namespace starling::client
