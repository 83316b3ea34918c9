#include "coordinator-less/protocol/broadcast.hpp"

#include <doctest/doctest.h>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/rng.hpp"

using namespace starling;
using namespace starling::protocol;

namespace {

template <class Id>
Id drawn(base::Rng& rng) {
  Id id;
  for (auto& byte : id.bytes) byte = static_cast<std::byte>(rng.next());
  return id;
}

struct Mesh {
  explicit Mesh(std::size_t peers) {
    for (std::size_t i = 0; i < peers; ++i) ids.push_back(drawn<PeerId>(rng));
  }
  Broadcast::Neighbours neighbours_of(std::size_t self) const {
    Broadcast::Neighbours out;
    for (std::size_t i = 0; i < ids.size(); ++i)
      if (i != self) out[ids[i]] = lights.contains(i);
    return out;
  }
  base::Rng rng{5};
  std::vector<PeerId> ids;
  std::set<std::size_t> lights;
};

const base::Instant begun{1000};
const RawStatement raw = std::make_shared<const base::Bytes>(base::Bytes(200));

// How many copies of one statement each peer gets when these relay it, who had it from its author, who is none of the mesh.
std::map<PeerId, int> copies_of_one(Mesh& mesh, std::size_t relays) {
  std::map<PeerId, int> copies;
  const auto id = drawn<MessageId>(mesh.rng);
  const auto author = drawn<PeerId>(mesh.rng);
  for (std::size_t relay = 0; relay < relays; ++relay) {
    Broadcast broadcast(mesh.ids[relay]);
    Outbox out;
    broadcast.on_fresh(id, raw, author, author, begun);
    broadcast.poll(begun + limits::relay_delay, mesh.neighbours_of(relay), out);
    while (auto effect = out.take()) ++copies[std::get<Send>(*effect).to];
  }
  return copies;
}

}  // namespace

TEST_CASE("in a mesh of sixty each relay chooses four, and together they reach nearly all") {
  Mesh mesh(60);
  std::size_t reached = 0;
  for (int statement = 0; statement < 50; ++statement) {
    const auto copies = copies_of_one(mesh, 60);
    int sum = 0;
    for (const auto& [peer, count] : copies) sum += count;
    CHECK(sum == 60 * 4);
    reached += copies.size();
  }
  CHECK(reached > 50 * 60 * 95 / 100);
}

TEST_CASE("in a small mesh all that are not known to have it get it, and light peers always do") {
  Mesh small(5);
  CHECK(copies_of_one(small, 1).size() == 4);
  Mesh mesh(60);
  mesh.lights = {30, 59};
  const auto copies = copies_of_one(mesh, 1);
  CHECK(copies.size() == 6);
  CHECK(copies.contains(mesh.ids[30]));
  CHECK(copies.contains(mesh.ids[59]));
}

TEST_CASE("who relayed it, or wrote it, is not chosen") {
  Mesh mesh(4);
  Broadcast broadcast(mesh.ids[0]);
  Outbox out;
  const auto id = drawn<MessageId>(mesh.rng);
  broadcast.on_fresh(id, raw, mesh.ids[1], mesh.ids[2], begun);
  broadcast.on_duplicate(id, mesh.ids[3]);
  broadcast.poll(begun + limits::relay_delay, mesh.neighbours_of(0), out);
  CHECK_FALSE(out.take().has_value());
}
