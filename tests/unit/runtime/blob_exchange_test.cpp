#include "coordinator-less/runtime/blob_exchange.hpp"

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

constexpr base::Instant start{1000};

base::PeerId peer_numbered(int number) {
  base::PeerId id;
  id.bytes[0] = static_cast<std::byte>(number);
  return id;
}

struct Side {
  explicit Side(std::uint64_t quota_bytes = 64ULL << 20)
      : blobs(*storage::BlobStore::open(folder / "blobs", quota_bytes, crypto::sha256)), exchange(*blobs, links, [this] {
          ++rooms_asked;
          return false;
        }, [this](const Digest& blob) { lost.push_back(blob); }) {}

  protocol::LinkMessage last_sent() { return *wire::decode_link(*links.sent.back().second); }
  // The inputs of `type` in what the exchange told.
  template <class T>
  static std::vector<T> only(const std::vector<protocol::Input>& inputs) {
    std::vector<T> out;
    for (const auto& input : inputs)
      if (const auto* found = std::get_if<T>(&input)) out.push_back(*found);
    return out;
  }

  ScratchFolder folder;
  FakeTransport links;
  std::shared_ptr<storage::BlobStore> blobs;
  int rooms_asked = 0;
  std::vector<Digest> lost;
  BlobExchange exchange;
};

const base::PeerId holder = peer_numbered(1), asker = peer_numbered(2);

Bytes sky(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
  return bytes;
}

}  // namespace

TEST_CASE("ranges travel from one store to another and make the blob whole") {
  Side from, to;
  const auto bytes = sky(300'000);
  const protocol::BlobRef blob{*from.blobs->put(bytes), bytes.size()};
  const auto leaves = base::leaf_count(blob.size_bytes);
  bool whole = false;
  for (std::uint64_t first = 0; first < leaves; first += 8) {
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(8, leaves - first));
    REQUIRE(to.exchange.request({holder, blob, first, count}).empty());
    from.exchange.on_get(asker, std::get<protocol::BlobGet>(to.last_sent()), start);
    const auto told = to.exchange.on_data(holder, std::get<protocol::BlobData>(from.last_sent()));
    CHECK(Side::only<protocol::RangeArrived>(told).at(0).good);
    whole = !Side::only<protocol::BlobHeld>(told).empty();
  }
  CHECK(whole);
  CHECK(*to.blobs->read(blob.name, bytes.size()) == bytes);
  CHECK(to.exchange.bytes_moved() == bytes.size());
}

TEST_CASE("an answer that nobody asked for is refused and stored nowhere") {
  Side from, to;
  const auto bytes = sky(40'000);
  const protocol::BlobRef blob{*from.blobs->put(bytes), bytes.size()};
  from.exchange.on_get(asker, {blob.name, blob.size_bytes, 0, 3}, start);
  const auto data = std::get<protocol::BlobData>(from.last_sent());
  CHECK(to.exchange.on_data(holder, data).empty());
  to.exchange.request({holder, blob, 0, 3});
  CHECK(to.exchange.on_data(peer_numbered(3), data).empty());  // asked of somebody else
  CHECK(to.exchange.on_data(holder, data).size() == 2);
  CHECK(to.exchange.on_data(holder, data).empty());  // once is enough
  CHECK(to.exchange.refused_count() == 3);
}

TEST_CASE("wrong bytes are told and not written") {
  Side from, to;
  const auto bytes = sky(40'000);
  const protocol::BlobRef blob{*from.blobs->put(bytes), bytes.size()};
  from.exchange.on_get(asker, {blob.name, blob.size_bytes, 0, 3}, start);
  auto data = std::get<protocol::BlobData>(from.last_sent());
  data.bytes[5] ^= std::byte{1};
  to.exchange.request({holder, blob, 0, 3});
  const auto told = to.exchange.on_data(holder, data);
  REQUIRE(told.size() == 1);
  CHECK_FALSE(std::get<protocol::RangeArrived>(told[0]).good);
  CHECK_FALSE(to.blobs->has_range(blob.name, 0, 1));
}

TEST_CASE("what is not held is answered as missing, and so is another size") {
  Side side;
  const auto bytes = sky(20'000);
  const auto name = *side.blobs->put(bytes);
  side.exchange.on_get(asker, {name, bytes.size() + 1, 0, 1}, start);
  CHECK(std::get<protocol::BlobData>(side.last_sent()).missing);
  side.exchange.on_get(asker, {name_of(base::view("else")), 4, 0, 1}, start);
  CHECK(std::get<protocol::BlobData>(side.last_sent()).missing);
  side.exchange.on_get(asker, {name, bytes.size(), 0, 2}, start);
  CHECK_FALSE(std::get<protocol::BlobData>(side.last_sent()).missing);
}

TEST_CASE("a blob that rotted on disk is answered as missing and told as lost") {
  Side side;
  const auto bytes = sky(20'000);
  const auto name = *side.blobs->put(bytes);
  for (const auto& entry : std::filesystem::directory_iterator(side.folder / "blobs")) {
    if (entry.path().extension() != ".blob") continue;
    std::filesystem::permissions(entry.path(), std::filesystem::perms::owner_all);
    write_file(entry.path(), std::string(bytes.size(), 'x'));
  }
  side.exchange.on_get(asker, {name, bytes.size(), 0, 2}, start);
  CHECK(std::get<protocol::BlobData>(side.last_sent()).missing);
  CHECK(side.lost == std::vector<Digest>{name});
}

TEST_CASE("absurd requests are refused") {
  Side side;
  const auto name = *side.blobs->put(sky(20'000));
  for (const protocol::BlobGet& get : {protocol::BlobGet{name, 20'000, 0, 0}, protocol::BlobGet{name, 20'000, 0, 9},
                                       protocol::BlobGet{name, 20'000, 1, 2}, protocol::BlobGet{name, ~0ULL, ~0ULL, 8}})
    side.exchange.on_get(asker, get, start);
  CHECK(side.links.sent.empty());
  CHECK(side.exchange.refused_count() == 4);
}

TEST_CASE("a greedy peer waits for its bucket and does not make others wait") {
  Side side;
  const auto bytes = sky(128 * 1024);
  const protocol::BlobGet get{*side.blobs->put(bytes), bytes.size(), 0, 8};
  const auto burst_requests = limits::blob_serve_burst_bytes / bytes.size();
  for (std::size_t i = 0; i < burst_requests + 3; ++i) side.exchange.on_get(asker, get, start);
  CHECK(side.links.sent.size() == burst_requests);
  side.exchange.on_get(holder, get, start);
  CHECK(side.links.sent.size() == burst_requests + 1);
  const auto again = side.exchange.poll(start);
  REQUIRE(again);
  CHECK(side.links.sent.size() == burst_requests + 1);
  CHECK_FALSE(side.exchange.poll(*again + base::milliseconds(20)));
  CHECK(side.links.sent.size() == burst_requests + 4);
}

TEST_CASE("requests beyond a peer's short queue are dropped") {
  Side side;
  const auto bytes = sky(128 * 1024);
  const protocol::BlobGet get{*side.blobs->put(bytes), bytes.size(), 0, 8};
  const auto taken = limits::blob_serve_burst_bytes / bytes.size() + limits::blob_requests_waiting_max;
  for (std::size_t i = 0; i < taken + 5; ++i) side.exchange.on_get(asker, get, start);
  CHECK(side.exchange.refused_count() == 5);
}

TEST_CASE("what a restart finds here is not asked for again") {
  Side side;
  const auto bytes = sky(20'000);
  const protocol::BlobRef blob{*side.blobs->put(bytes), bytes.size()};
  const auto told = side.exchange.request({holder, blob, 0, 2});
  CHECK(Side::only<protocol::RangeArrived>(told).at(0).good);
  CHECK(Side::only<protocol::BlobHeld>(told).size() == 1);
  CHECK(side.links.sent.empty());
}

TEST_CASE("a part begun with a wrong size gives way") {
  Side from, to;
  const auto bytes = sky(40'000);
  const protocol::BlobRef blob{*from.blobs->put(bytes), bytes.size()};
  to.exchange.request({holder, {blob.name, 999'999}, 0, 8});
  to.exchange.request({holder, blob, 0, 3});
  from.exchange.on_get(asker, std::get<protocol::BlobGet>(to.last_sent()), start);
  CHECK(to.exchange.on_data(holder, std::get<protocol::BlobData>(from.last_sent())).size() == 2);
  CHECK(to.blobs->has(blob.name));
}

TEST_CASE("a full store asks for room, says so, and the range counts as not arrived") {
  Side from, to(64 * 1024);
  const auto bytes = sky(128 * 1024);
  const protocol::BlobRef blob{*from.blobs->put(bytes), bytes.size()};
  from.exchange.on_get(asker, {blob.name, blob.size_bytes, 0, 8}, start);
  auto told = to.exchange.request({holder, blob, 0, 8});
  if (told.empty()) told = to.exchange.on_data(holder, std::get<protocol::BlobData>(from.last_sent()));
  REQUIRE(told.size() == 1);
  CHECK_FALSE(std::get<protocol::RangeArrived>(told[0]).good);
  CHECK(to.rooms_asked == 1);
  REQUIRE(to.exchange.trouble());
  CHECK(to.exchange.trouble()->code == base::ErrorCode::temporary);
}
