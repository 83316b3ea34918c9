// Protocol structs to bytes and back, bounded (Cap'n Proto; schema in peer.capnp). Hostile bytes give `malformed`, never more
// memory than a small multiple of what came in, never an exception. Encoding is deterministic: equal structs give equal bytes.
#pragma once

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/protocol/message.hpp"
#include "coordinator-less/protocol/swarm.hpp"

namespace starling::wire {

struct Envelope {
  std::uint16_t version = 3;
  protocol::StatementType type{};
  base::PeerId author;
  base::Signature signature{};
  base::Bytes body;
};

base::Bytes encode_envelope(const Envelope& envelope);
base::Expected<Envelope> decode_envelope(base::ByteView raw);
// What is signed and hashed: "starling/v3/<type>" 0x00 | network id | author | body.
base::Bytes signed_bytes(const base::NetworkId& network, const Envelope& envelope);

base::Bytes encode_body(const protocol::Body& body);
// Checks every bound of limits.hpp and every relation a body must satisfy by itself (unit_count = ceil(items / per unit),
// ascending ranges, no empty batch, known enum values, inputs' names unique and plain file names, ...).
base::Expected<protocol::Body> decode_body(protocol::StatementType type, base::ByteView bytes);

base::Bytes encode_link(const protocol::LinkMessage& message);
base::Expected<protocol::LinkMessage> decode_link(base::ByteView frame);

// "starling1" + base32 of a Cap'n Proto message and a checksum. Errors: bad_input, with what is wrong with the pasted text.
std::string ticket_text(const protocol::Ticket& ticket);
base::Expected<protocol::Ticket> parse_ticket(std::string_view text);

}  // namespace starling::wire
