#include "coordinator-less/runtime/notary.hpp"

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/unit/runtime/support.hpp"

using namespace starling;
using namespace starling::runtime;
using namespace starling::runtime::testing;

namespace {

struct Keys {
  base::NetworkId network = network_id_of(swarm_named("notary"));
  crypto::Identity key = crypto::Identity::generate();
  SigningNotary notary{network, key};
};

}  // namespace

TEST_CASE("what was sealed opens to the same statement, and peek knows its id") {
  Keys keys;
  const auto manifest = JobBlobs(3).manifest;
  const auto sealed = keys.notary.seal(manifest);
  const auto opened = keys.notary.open(sealed.raw);
  REQUIRE(opened);
  CHECK(opened->id == sealed.id);
  CHECK(opened->author == keys.key.id());
  CHECK(std::get<protocol::Manifest>(opened->body) == manifest);
  CHECK(keys.notary.peek(*sealed.raw) == sealed.id);
  CHECK(keys.notary.verified_count() == 1);
}

TEST_CASE("a changed byte of an envelope is refused, or means nothing: the same author's same statement") {
  Keys keys;
  const auto sealed = keys.notary.seal(protocol::Cancel{});
  for (std::size_t i = 0; i < sealed.raw->size(); ++i) {
    auto changed = *sealed.raw;
    changed[i] ^= std::byte{1};
    const auto opened = keys.notary.open(std::make_shared<const Bytes>(std::move(changed)));
    if (opened) CHECK((opened->id == sealed.id && opened->author == sealed.author));  // padding, outside the signed bytes
  }
  CHECK(keys.notary.refused_count() > sealed.raw->size() * 9 / 10);
}

TEST_CASE("a statement of one swarm means nothing in another") {
  Keys keys;
  const auto sealed = keys.notary.seal(protocol::Cancel{});
  CHECK_FALSE(open(network_id_of(swarm_named("another")), sealed.raw));
  CHECK(open(keys.network, sealed.raw));
}

TEST_CASE("an oversized envelope is refused before it is decoded") {
  Keys keys;
  const auto huge = std::make_shared<const Bytes>(limits::evidence_envelope_bytes_max + 1);
  CHECK(keys.notary.open(huge).error().code == base::ErrorCode::malformed);
  CHECK(keys.notary.peek(*huge).error().code == base::ErrorCode::malformed);
}

TEST_CASE("an owner's key seals like any other") {
  Keys keys;
  const auto owner = crypto::Identity::generate();
  const auto sealed = seal(keys.network, owner, JobBlobs(1).manifest);
  CHECK(keys.notary.open(sealed.raw)->author == owner.id());
}
