#include <doctest/doctest.h>

#include "tests/unit/wire/random_messages.hpp"

namespace {

using namespace starling;
using namespace starling::testing;

constexpr std::uint64_t seeds = 150;

TEST_CASE("wire: every body comes back as it went, in the same bytes each time") {
  for (const StatementType type : statement_types) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      CAPTURE(static_cast<int>(type));
      CAPTURE(seed);
      base::Rng rng(seed), again(seed);
      const Body body = random_body(rng, type);
      const Bytes bytes = wire::encode_body(body);
      const auto decoded = wire::decode_body(type, bytes);
      REQUIRE_MESSAGE(decoded.has_value(), decoded.error().message);
      REQUIRE(*decoded == body);
      REQUIRE(wire::encode_body(random_body(again, type)) == bytes);
      REQUIRE(wire::encode_body(*decoded) == bytes);
    }
  }
}

TEST_CASE("wire: the share of audits comes back as it went, and what takes back all answers does") {
  base::Rng rng(3);
  for (const std::uint32_t percent : {5U, 20U, 33U, 40U}) {
    Manifest job = random_manifest(rng);
    job.audit_percent = percent;
    const auto decoded = wire::decode_body(StatementType::manifest, wire::encode_body(job));
    REQUIRE(decoded.has_value());
    CHECK(std::get<Manifest>(*decoded).audit_percent == percent);
  }
  Results all;
  all.job = random_id<JobId>(rng);
  const auto decoded = wire::decode_body(StatementType::results, wire::encode_body(all));
  REQUIRE(decoded.has_value());
  CHECK(std::get<Results>(*decoded) == all);
  CHECK(std::get<Results>(*decoded).takes_back());
}

TEST_CASE("wire: every link message comes back as it went, in the same bytes each time") {
  for (std::size_t kind = 0; kind < link_kinds; ++kind) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      CAPTURE(kind);
      CAPTURE(seed);
      base::Rng rng(seed);
      const LinkMessage message = random_link(rng, kind);
      REQUIRE(message.index() == kind);
      const Bytes bytes = wire::encode_link(message);
      const auto decoded = wire::decode_link(bytes);
      REQUIRE_MESSAGE(decoded.has_value(), decoded.error().message);
      REQUIRE(same(*decoded, message));
      REQUIRE(wire::encode_link(*decoded) == bytes);
    }
  }
}

TEST_CASE("wire: envelopes come back as they went") {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    base::Rng rng(seed);
    const wire::Envelope envelope = random_envelope(rng);
    const Bytes bytes = wire::encode_envelope(envelope);
    const auto decoded = wire::decode_envelope(bytes);
    REQUIRE_MESSAGE(decoded.has_value(), decoded.error().message);
    REQUIRE(same(*decoded, envelope));
    REQUIRE(wire::encode_envelope(*decoded) == bytes);
  }
}

TEST_CASE("wire: tickets come back as they went, also through a mail program") {
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    base::Rng rng(seed);
    const Ticket ticket = random_ticket(rng);
    std::string text = wire::ticket_text(ticket);
    REQUIRE(text.size() <= limits::ticket_text_bytes_max);
    for (std::size_t at = 0; at < text.size(); at += 77) text.insert(at, "\r\n ");
    const auto parsed = wire::parse_ticket(text);
    REQUIRE_MESSAGE(parsed.has_value(), parsed.error().message);
    REQUIRE(*parsed == ticket);
  }
}

TEST_CASE("wire: full batches fit a statement, full lists fit a frame") {
  base::Rng rng(1);
  wire::Envelope envelope = random_envelope(rng);
  envelope.type = StatementType::results;
  Results full = random_results(rng, limits::results_per_batch_max);
  for (auto& entry : full.entries) entry.fingerprint = random_id<Digest>(rng), entry.outcome.input = random_id<Digest>(rng);
  envelope.body = wire::encode_body(full);
  CHECK(wire::encode_envelope(envelope).size() <= limits::statement_bytes_max);
  MESSAGE("bytes of a full batch: " << wire::encode_envelope(envelope).size());
  Claims claims;
  for (UnitIndex unit = 0; unit < limits::units_per_claim_max; ++unit) claims.units.push_back(unit);
  claims.released = claims.units;
  envelope.body = wire::encode_body(claims);
  CHECK(wire::decode_body(StatementType::claims, envelope.body).has_value());
  CHECK(wire::encode_envelope(envelope).size() <= limits::statement_bytes_max);
  Want want;
  for (std::size_t i = 0; i < limits::ids_per_reconciliation_max; ++i) want.ids.push_back(random_id<MessageId>(rng));
  CHECK(wire::decode_link(wire::encode_link(want)).has_value());
  Holdings holdings;
  for (std::uint32_t i = 0; i < limits::ranges_per_holdings_max; ++i) holdings.units.emplace_back(2 * i, 2 * i + 1);
  CHECK(wire::decode_link(wire::encode_link(holdings)).has_value());
  BlobData data{{}, 1 << 20, 0, limits::leaves_per_range_max, false, Bytes(limits::leaves_per_range_max * base::leaf_bytes), {}};
  data.proof.resize(limits::proof_nodes_max);
  CHECK(wire::decode_link(wire::encode_link(data)).has_value());
}

TEST_CASE("wire: lists that mean a set are written as one") {
  Want want{{*MessageId::from(Bytes(32, std::byte{2})), *MessageId::from(Bytes(32, std::byte{1}))}};
  want.ids.push_back(want.ids.front());
  const auto decoded = wire::decode_link(wire::encode_link(want));
  REQUIRE(decoded.has_value());
  CHECK(std::get<Want>(*decoded).ids == std::vector<MessageId>{want.ids[1], want.ids[0]});
  const auto claims = wire::decode_body(StatementType::claims, wire::encode_body(Claims{{}, {9, 3, 9}, {}, 0, 0}));
  REQUIRE(claims.has_value());
  CHECK(std::get<Claims>(*claims).units == std::vector<UnitIndex>{3, 9});
}

TEST_CASE("wire: an empty blob has one empty leaf") {
  const auto decoded = wire::decode_link(wire::encode_link(BlobData{{}, 0, 0, 1, false, {}, {}}));
  CHECK(decoded.has_value());
}

TEST_CASE("wire: signed bytes are the label, the network, the author and the body") {
  wire::Envelope envelope;
  envelope.type = StatementType::peer_record;
  envelope.author.bytes.fill(std::byte{'A'});
  envelope.body = base::copy(base::view("body"));
  base::NetworkId network;
  network.bytes.fill(std::byte{'N'});
  const std::string expected = std::string("starling/v3/peer_record") + '\0' + std::string(32, 'N') + std::string(32, 'A') + "body";
  CHECK(base::text(wire::signed_bytes(network, envelope)) == expected);
}

}  // namespace
