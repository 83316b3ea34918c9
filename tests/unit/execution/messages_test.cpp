#include "worker/execution/messages.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"
#include "worker/execution/channel.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

UnitOrder order() {
  UnitOrder out;
  out.native_path = "x.so";
  out.arguments = {"a", "b"};
  out.job_text = "job";
  out.inputs.push_back({"voyager.fil", 123456, false});
  out.files.push_back({"parts/0", base::view("bytes")});
  out.items.push_back({{}, base::view("item")});
  out.items.push_back({{}, base::view("item"), 3, 5'000, 4'000, base::view("checkpoint")});
  out.items.push_back({.seed = {}, .bytes = {}, .runs = false});
  out.rounds_max = 8;
  out.checkpoint_interval_ms = 10;
  out.fuel_max = 77;
  out.fingerprint_seeds.resize(2);
  out.fingerprint_seeds[1].bytes[3] = std::byte{9};
  out.items[1].fingerprints = out.fingerprint_seeds;
  return out;
}

base::Bytes random_bytes(base::Rng& rng, std::size_t size) {
  base::Bytes out(size);
  for (auto& byte : out) byte = static_cast<std::byte>(rng.below(256));
  return out;
}

}  // namespace

TEST_CASE("messages: orders survive the round trip") {
  const auto bytes = encode(order());
  const auto message = decode_from_host(bytes);
  REQUIRE(message);
  const auto& back = std::get<UnitOrder>(*message);
  CHECK(back.arguments == order().arguments);
  CHECK(back.inputs[0].size_bytes == 123456);
  CHECK(base::text(back.files[0].bytes) == "bytes");
  CHECK(base::text(back.items[0].bytes) == "item");
  CHECK(back.items[1].round == 3);
  CHECK(base::text(back.items[1].checkpoint) == "checkpoint");
  CHECK(back.fuel_max == 77);
  CHECK(back.fingerprint_seeds == order().fingerprint_seeds);
  CHECK(back.items[0].fingerprints.empty());
  CHECK(back.items[1].fingerprints == order().fingerprint_seeds);
  CHECK(encode(back) == bytes);
  auto unequal = order();
  unequal.items[1].fingerprints.pop_back();
  CHECK_FALSE(decode_from_host(encode(unequal)));
  auto many = order();
  many.items.resize(1);  // its fingerprints would be too few
  many.fingerprint_seeds.resize(limits::fingerprint_seeds_max);
  CHECK(decode_from_host(encode(many)));
  many.fingerprint_seeds.emplace_back();
  CHECK_FALSE(decode_from_host(encode(many)));
}

TEST_CASE("messages: random and damaged bytes are refused or mean what they say") {
  base::Rng rng(11);
  const std::vector<base::Bytes> seeds{encode(Hello{1, "engine"}), encode(Need{1, 2, 3, 4}), encode(UnitReport{1, 2, 3, "tail", base::view("archive"), {base::Digest{}}}),
                                       encode(UnitFailure{FailureKind::local, "why"}),
                                       encode(Checkpoint{1, 2, 3, 4, base::view("state")})};
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = round % 2 == 0 ? random_bytes(rng, rng.below(64)) : seeds[rng.below(seeds.size())];
    if (round % 2 == 1) bytes[rng.below(bytes.size())] = static_cast<std::byte>(rng.below(256));
    if (const auto message = decode_from_executor(bytes))
      CHECK(std::visit([](const auto& one) { return encode(one); }, *message) == bytes);
    (void)decode_from_host(bytes);
  }
  const auto good = encode(order());
  for (std::size_t size = 0; size < good.size(); ++size) CHECK_FALSE(decode_from_host(base::ByteView(good).first(size)));
}

TEST_CASE("channel: frames arrive whole whatever the pieces, with their descriptors") {
  std::array<int, 2> pair{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  const Fd left(pair[0]);
  const Fd right(pair[1]);
  FrameReader reader(1000, 4);
  const std::array<int, 1> descriptors{1};
  REQUIRE(send_frame(left.get(), base::view("first"), {}, base::seconds(1)));
  REQUIRE(send_frame(left.get(), base::view("second"), descriptors, base::seconds(1)));
  std::vector<std::string> got;
  while (got.size() < 2) {
    auto frame = reader.next();
    REQUIRE(frame);
    if (*frame) got.emplace_back(base::text(**frame));
    else REQUIRE(reader.fill(right.get(), true));
  }
  CHECK(got == std::vector<std::string>{"first", "second"});
  CHECK(reader.take_descriptors().size() == 1);
}

TEST_CASE("channel: an announced giant costs nothing and a long one is refused") {
  std::array<int, 2> pair{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) == 0);
  const Fd left(pair[0]);
  const Fd right(pair[1]);
  FrameReader reader(1000, 0);
  const std::array<unsigned char, 4> header{0xff, 0xff, 0xff, 0xff};
  REQUIRE(::write(left.get(), header.data(), header.size()) == 4);
  REQUIRE(reader.fill(right.get(), true));
  CHECK_FALSE(reader.next());
}

TEST_CASE("messages: progress is a part of the whole") {
  const auto back = decode_from_executor(encode(Progress{250'000}));
  REQUIRE(back);
  CHECK(std::get<Progress>(*back).millionths == 250'000);
  CHECK_FALSE(decode_from_executor(encode(Progress{1'000'001})));
}
