#include "sdk/client/local_frame.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/rng.hpp"

using namespace starling;
using client::Frame;
using client::FrameReader;

namespace {

constexpr client::FrameBounds small{.json_bytes_max = 64, .payload_bytes_max = 128};

Frame frame_of(std::string json, std::size_t payload_bytes) { return {.json = std::move(json), .payload = base::Bytes(payload_bytes, std::byte{7})}; }

base::Bytes header(std::uint32_t json_bytes, std::uint32_t payload_bytes) {
  base::Bytes out;
  base::append_u32(out, json_bytes);
  base::append_u32(out, payload_bytes);
  return out;
}

}  // namespace

TEST_CASE("frames survive any cutting of the stream") {
  base::Bytes stream;
  base::append(stream, client::encode_frame(frame_of("{}", 0)));
  base::append(stream, client::encode_frame(frame_of(R"({"op":"jobs"})", 100)));
  base::append(stream, client::encode_frame(frame_of("", 3)));
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    FrameReader reader(small);
    std::vector<Frame> got;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      reader.feed(base::ByteView(stream).subspan(at, std::min(step, stream.size() - at)));
      for (auto frame = reader.poll(); frame && *frame; frame = reader.poll()) got.push_back(**frame);
    }
    REQUIRE(got.size() == 3);
    CHECK(got[0].json == "{}");
    CHECK(got[1].payload.size() == 100);
    CHECK(got[2].json.empty());
    CHECK(reader.buffered_bytes() == 0);
  }
}

TEST_CASE("a frame beyond the bounds is refused by its header alone") {
  for (const auto& hostile : {header(65, 0), header(0, 129), header(0xffffffff, 0xffffffff), header(0xffffffff, 9)}) {
    FrameReader reader(small);
    reader.feed(hostile);
    const auto frame = reader.poll();
    REQUIRE_FALSE(frame.has_value());
    CHECK(frame.error().code == base::ErrorCode::malformed);
  }
}

TEST_CASE("an unfinished frame keeps only what came") {
  FrameReader reader(client::request_bounds);
  reader.feed(header(1000, limits::local_payload_bytes_max));
  const auto frame = reader.poll();
  REQUIRE(frame.has_value());
  CHECK_FALSE(frame->has_value());
  CHECK(reader.buffered_bytes() == 8);
}

TEST_CASE("random bytes never give more than the bounds") {
  base::Rng rng(1);
  for (int round = 0; round < 2000; ++round) {
    base::Bytes noise(rng.below(300));
    for (auto& byte : noise) byte = static_cast<std::byte>(rng.below(rng.chance(0.5) ? 3 : 256));
    FrameReader reader(small);
    reader.feed(noise);
    for (auto frame = reader.poll(); frame && *frame; frame = reader.poll()) {
      CHECK((*frame)->json.size() <= small.json_bytes_max);
      CHECK((*frame)->payload.size() <= small.payload_bytes_max);
    }
  }
}
