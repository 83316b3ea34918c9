#include "tests/simulation/notary.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::simulation {
namespace {

constexpr std::array<std::uint64_t, 4> lane_seeds = {0x243f6a8885a308d3ULL, 0x13198a2e03707344ULL, 0xa4093822299f31d0ULL,
                                                     0x082efa98ec4e6c89ULL};
constexpr std::array<std::uint64_t, 4> lane_factors = {0x9e3779b97f4a7c15ULL, 0xc2b2ae3d27d4eb4fULL, 0x165667b19e3779f9ULL,
                                                       0xff51afd7ed558ccdULL};

std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

struct Lanes {
  std::array<std::uint64_t, 4> lanes = lane_seeds;
  std::uint64_t words = 0;

  void add(std::uint64_t word) {
    ++words;
    for (std::size_t i = 0; i < 4; ++i) {
      lanes[i] = (std::rotl(lanes[i], 27) ^ word) * lane_factors[i];
      lanes[i] ^= lanes[i] >> 29;
    }
  }
  base::Digest finish(std::uint64_t length) {
    base::Digest out;
    std::uint64_t all = mixed(length + words);
    for (int round = 0; round < 2; ++round) {
      for (auto& lane : lanes) lane = all = mixed(lane ^ std::rotl(all, 19));
    }
    std::memcpy(out.bytes.data(), lanes.data(), 32);
    return out;
  }
};

base::Signature signature_of(const base::PeerId& author, base::ByteView signed_bytes) {
  std::uint64_t secret = 0;
  std::memcpy(&secret, author.bytes.data() + 3, 8);
  const auto first = fast_digest(signed_bytes, mixed(secret ^ 0x5ec5e7));
  const auto second = fast_digest(first.view(), mixed(secret ^ 0x5ec5e8));
  base::Signature signature;
  std::ranges::copy(first.bytes, signature.begin());
  std::ranges::copy(second.bytes, signature.begin() + 32);
  return signature;
}

base::Expected<protocol::Statement> open_afresh(const base::NetworkId& network, const std::shared_ptr<const base::Bytes>& raw) {
  STARLING_TRY(const wire::Envelope envelope, wire::decode_envelope(*raw));
  const base::Bytes covered = wire::signed_bytes(network, envelope);
  if (envelope.signature != signature_of(envelope.author, covered)) {
    return base::fail(base::ErrorCode::malformed, "the signature does not fit");
  }
  STARLING_TRY(protocol::Body body, wire::decode_body(envelope.type, envelope.body));
  return protocol::Statement{base::retag<base::MessageId>(fast_digest(covered)), envelope.author, std::move(body), raw};
}

}  // namespace

base::Digest fast_digest(base::ByteView bytes, std::uint64_t key) {
  Lanes lanes;
  lanes.add(key);
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    lanes.add(word);
  }
  if (at < bytes.size()) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, bytes.size() - at);
    lanes.add(word);
  }
  return lanes.finish(bytes.size());
}

base::Digest digest_of_words(std::initializer_list<std::uint64_t> words) {
  Lanes lanes;
  for (const std::uint64_t word : words) lanes.add(word);
  return lanes.finish(0);
}

base::Expected<base::MessageId> SimNotary::peek(base::ByteView raw) {
  if (const auto known = office_.opened.find(raw.data()); known != office_.opened.end() && known->second.second) {
    return known->second.second->id;
  }
  STARLING_TRY(const wire::Envelope envelope, wire::decode_envelope(raw));
  return base::retag<base::MessageId>(fast_digest(wire::signed_bytes(office_.network, envelope)));
}

base::Expected<protocol::Statement> SimNotary::open(std::shared_ptr<const base::Bytes> raw) {
  ++opened_count_;
  if (!office_.remembers) return open_afresh(office_.network, raw);
  const auto known = office_.opened.find(raw->data());
  if (known != office_.opened.end()) return known->second.second;
  auto opened = open_afresh(office_.network, raw);
  const std::byte* address = raw->data();
  return office_.opened.emplace(address, std::pair(std::move(raw), std::move(opened))).first->second.second;
}

protocol::Statement SimNotary::seal(protocol::Body body) {
  wire::Envelope envelope;
  envelope.type = static_cast<protocol::StatementType>(body.index() + 1);
  envelope.author = self_;
  envelope.body = wire::encode_body(body);
  const base::Bytes covered = wire::signed_bytes(office_.network, envelope);
  envelope.signature = signature_of(self_, covered);
  auto raw = std::make_shared<const base::Bytes>(wire::encode_envelope(envelope));
  STARLING_ENSURE(raw->size() <= limits::statement_bytes_max);
  return {base::retag<base::MessageId>(fast_digest(covered)), self_, std::move(body), std::move(raw)};
}

}  // namespace starling::simulation
