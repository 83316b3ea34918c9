#include <peer.capnp.h>

#include <cctype>
#include <iterator>
#include <string>

#include "coordinator-less/wire/codec.hpp"
#include "coordinator-less/wire/message_io.hpp"

namespace starling::wire {
namespace {

using protocol::Ticket;
using protocol::TicketPeer;

constexpr std::string_view prefix = "starling1";
constexpr std::size_t checksum_bytes = 4;
constexpr const char* hint = "copy the whole ticket that `starling swarm invite` printed";

// CRC-32 (IEEE 802.3): finds slips of copying, not malice.
std::uint32_t crc32(base::ByteView bytes) {
  std::uint32_t crc = UINT32_MAX;
  for (const std::byte b : bytes) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
  }
  return ~crc;
}

// Mail programs and terminals break long lines.
std::string without_spaces(std::string_view text) {
  std::string out;
  std::ranges::copy_if(text, std::back_inserter(out), [](unsigned char c) { return std::isspace(c) == 0; });
  return out;
}

base::Expected<base::Bytes> checked_message(std::string_view digits) {
  auto bytes = base::from_base32(digits);
  if (!bytes || bytes->size() < checksum_bytes) {
    return base::fail(base::ErrorCode::bad_input, "the ticket is cut off or holds characters that no ticket has", hint);
  }
  const base::ByteView all(*bytes);
  const base::ByteView message = all.first(all.size() - checksum_bytes);
  if (base::read_u32(all.last(checksum_bytes)) != crc32(message)) {
    return base::fail(base::ErrorCode::bad_input, "the ticket's checksum is wrong: a character is missing or changed", hint);
  }
  bytes->resize(message.size());
  return *std::move(bytes);
}

Ticket read_ticket(schema::Ticket::Reader in) {
  Ticket out;
  out.swarm.kind = read_enum(in.getKind(), protocol::SwarmKind::development);
  out.swarm.name = read_label(in.getName());
  out.swarm.puzzle_difficulty_bits = in.getPuzzleDifficultyBits();
  out.swarm.salt = read_array<16>(in.getSalt(), "the swarm's salt is not 16 bytes long");
  if (in.hasSecret()) out.secret = read_array<32>(in.getSecret(), "the swarm's secret is not 32 bytes long");
  const auto peers = counted(in.getPeers(), limits::ticket_peers_max, "the ticket names too many peers");
  out.peers.reserve(peers.size());
  for (const auto peer : peers) out.peers.push_back({read_id<base::PeerId>(peer.getId()), read_addresses(peer.getAddresses())});
  return out;
}

std::size_t words_needed(const Ticket& ticket) {
  std::size_t words = 32 + words_of(ticket.swarm.name.size());
  for (const auto& peer : ticket.peers) {
    words += 8;
    for (const auto& address : peer.addresses) words += 1 + words_of(address.size());
  }
  return words;
}

base::Bytes encode_ticket(const Ticket& ticket) {
  return write_message<schema::Ticket>(words_needed(ticket), [&](auto out) {
    out.setKind(static_cast<schema::SwarmKind>(ticket.swarm.kind));
    out.setName(text_of(ticket.swarm.name));
    out.setPuzzleDifficultyBits(ticket.swarm.puzzle_difficulty_bits);
    out.setSalt(data_of(ticket.swarm.salt));
    if (ticket.secret) out.setSecret(data_of(*ticket.secret));
    auto peers = out.initPeers(count_of(ticket.peers));
    for (kj::uint i = 0; i < peers.size(); ++i) {
      peers[i].setId(data_of(ticket.peers[i].id.view()));
      write_texts(peers[i].initAddresses(count_of(ticket.peers[i].addresses)), ticket.peers[i].addresses);
    }
  });
}

}  // namespace

std::string ticket_text(const Ticket& ticket) {
  base::Bytes message = encode_ticket(ticket);
  base::append_u32(message, crc32(message));
  return std::string(prefix) + base::to_base32(message);
}

base::Expected<Ticket> parse_ticket(std::string_view text) {
  if (text.size() > limits::ticket_text_bytes_max) return base::fail(base::ErrorCode::bad_input, "the ticket is too long", hint);
  const std::string digits = without_spaces(text);
  if (!digits.starts_with(prefix)) {
    return base::fail(base::ErrorCode::bad_input, "this is no ticket: a ticket begins with starling1", hint);
  }
  STARLING_TRY(const base::Bytes message, checked_message(std::string_view(digits).substr(prefix.size())));
  auto ticket = read_message<schema::Ticket>(message, limits::ticket_text_bytes_max, read_ticket);
  if (ticket) return ticket;
  return base::fail(base::ErrorCode::bad_input, "the ticket cannot be used: " + ticket.error().message,
                    "ask for a new ticket; it may come from a newer version of starling");
}

}  // namespace starling::wire
