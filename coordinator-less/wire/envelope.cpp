#include <peer.capnp.h>

#include <string_view>

#include "coordinator-less/wire/codec.hpp"
#include "coordinator-less/wire/message_io.hpp"

namespace starling::wire {
namespace {

constexpr std::uint16_t envelope_version = 3;  // 1: answers without fuel; 2: without chains, audits and heads

std::string_view label_of(protocol::StatementType type) {
  using enum protocol::StatementType;
  switch (type) {
    case manifest: return "manifest";
    case cancel: return "cancel";
    case claims: return "claims";
    case results: return "results";
    case replay: return "replay";
    case peer_record: return "peer_record";
    case fold: return "fold";
  }
  STARLING_ENSURE(false);
  return {};
}

Envelope read_envelope(schema::Envelope::Reader in) {
  require(in.getVersion() == envelope_version, "unknown envelope version");
  require(in.getType() >= 1, "unknown statement type");
  Envelope out;
  out.type = read_enum(in.getType(), protocol::StatementType::fold);
  out.author = read_id<base::PeerId>(in.getAuthor());
  out.signature = read_array<64>(in.getSignature(), "a signature is not 64 bytes long");
  out.body = base::copy(bytes_of(in.getBody()));
  require(!out.body.empty(), "a statement has no body");
  return out;
}

}  // namespace

base::Bytes encode_envelope(const Envelope& envelope) {
  constexpr std::size_t words_besides_body = 24;
  return write_message<schema::Envelope>(words_besides_body + words_of(envelope.body.size()), [&](auto out) {
    out.setVersion(envelope.version);
    out.setType(static_cast<std::uint16_t>(envelope.type));
    out.setAuthor(data_of(envelope.author.view()));
    out.setSignature(data_of(envelope.signature));
    out.setBody(data_of(envelope.body));
  });
}

base::Expected<Envelope> decode_envelope(base::ByteView raw) {
  return read_message<schema::Envelope>(raw, limits::statement_bytes_max, read_envelope);
}

base::Bytes signed_bytes(const base::NetworkId& network, const Envelope& envelope) {
  base::Bytes out = base::copy(base::view("starling/v3/"));
  base::append(out, base::view(label_of(envelope.type)));
  out.push_back(std::byte{0});
  base::append(out, network.view());
  base::append(out, envelope.author.view());
  base::append(out, envelope.body);
  return out;
}

}  // namespace starling::wire
