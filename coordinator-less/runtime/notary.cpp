#include "coordinator-less/runtime/notary.hpp"

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::runtime {
namespace {

// A body is bounded by its type as well as by the envelope: a stranger's manifest is no larger than his results.
base::Expected<wire::Envelope> bounded_envelope(base::ByteView raw) {
  if (raw.size() > limits::evidence_envelope_bytes_max)
    return base::fail(base::ErrorCode::malformed, "a statement of " + std::to_string(raw.size()) + " bytes");
  STARLING_TRY(wire::Envelope envelope, wire::decode_envelope(raw));
  if (envelope.body.size() > limits::statement_bytes_max)
    return base::fail(base::ErrorCode::malformed, "a statement body of " + std::to_string(envelope.body.size()) + " bytes");
  return envelope;
}

base::Expected<protocol::Statement> parse(const wire::Envelope& envelope, base::ByteView signed_bytes,
                                          std::shared_ptr<const base::Bytes> raw) {
  STARLING_TRY(protocol::Body body, wire::decode_body(envelope.type, envelope.body));
  return protocol::Statement{base::retag<base::MessageId>(crypto::sha256(signed_bytes)), envelope.author, std::move(body),
                             std::move(raw)};
}

base::Expected<base::MessageId> peek_id(const base::NetworkId& network, base::ByteView raw) {
  STARLING_TRY(const wire::Envelope envelope, bounded_envelope(raw));
  return base::retag<base::MessageId>(crypto::sha256(wire::signed_bytes(network, envelope)));
}

}  // namespace

protocol::Statement seal(const base::NetworkId& network, const crypto::Identity& identity, protocol::Body body) {
  wire::Envelope envelope;
  envelope.type = static_cast<protocol::StatementType>(body.index() + 1);
  envelope.author = identity.id();
  envelope.body = wire::encode_body(body);
  STARLING_ENSURE(envelope.body.size() <= limits::statement_bytes_max);
  const auto bytes = wire::signed_bytes(network, envelope);
  envelope.signature = identity.sign(bytes);
  return {base::retag<base::MessageId>(crypto::sha256(bytes)), identity.id(), std::move(body),
          std::make_shared<const base::Bytes>(wire::encode_envelope(envelope))};
}

base::Expected<protocol::Statement> open(const base::NetworkId& network, std::shared_ptr<const base::Bytes> raw) {
  STARLING_TRY(const wire::Envelope envelope, bounded_envelope(*raw));
  const auto bytes = wire::signed_bytes(network, envelope);
  if (!crypto::verify(envelope.author, bytes, envelope.signature))
    return base::fail(base::ErrorCode::malformed, "a statement whose signature is not its author's");
  return parse(envelope, bytes, std::move(raw));
}

base::Expected<protocol::Statement> reopen(const base::NetworkId& network, std::shared_ptr<const base::Bytes> raw) {
  STARLING_TRY(const wire::Envelope envelope, bounded_envelope(*raw));
  return parse(envelope, wire::signed_bytes(network, envelope), std::move(raw));
}

SigningNotary::SigningNotary(const base::NetworkId& network, const crypto::Identity& identity, std::size_t threads)
    : network_(network),
      identity_(identity),
      line_({[this](base::ByteView raw) { return peek_id(network_, raw); },
             [this](const OpeningLine::Raw& raw) {
               auto statement = runtime::open(network_, raw);
               count(statement.has_value());
               return statement;
             }},
            threads) {}

base::Expected<protocol::Statement> SigningNotary::open(std::shared_ptr<const base::Bytes> raw) { return line_.open(raw); }

std::vector<base::Expected<protocol::Statement>> SigningNotary::open_stored(std::span<const StoredEnvelope> stored) {
  std::vector<base::Expected<protocol::Statement>> opened(stored.size(), std::unexpected(base::Error{}));
  line_.cores().each(stored.size(), [&](std::size_t i) {
    const auto& [raw, verified] = stored[i];
    const bool unchanged = verified && *verified == crypto::sha256(*raw);
    opened[i] = unchanged ? runtime::reopen(network_, raw) : runtime::open(network_, raw);
    if (!unchanged) count(opened[i].has_value());
  });
  return opened;
}

protocol::Statement SigningNotary::seal(protocol::Body body) { return runtime::seal(network_, identity_, std::move(body)); }

base::Digest SigningNotary::digest(base::ByteView bytes) { return crypto::sha256(bytes); }

protocol::Digester& sha256_digester() {
  static class final : public protocol::Digester {
    base::Digest digest(base::ByteView bytes) override { return crypto::sha256(bytes); }
  } digester;
  return digester;
}

}  // namespace starling::runtime
