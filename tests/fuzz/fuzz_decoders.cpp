// Every decoder of wire/. The last byte picks one, the rest is its input (so words stay aligned). Promises: no crash; what is allocated stays within a
// small multiple of the input; what decodes encodes again, and to something that decodes to the same.
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/unit/wire/random_messages.hpp"

namespace starling::fuzz {
namespace {

enum Decoder : unsigned { envelope, link, ticket_text, ticket_message, first_body, decoder_count = first_body + std::size(testing::statement_types) };

constexpr std::uint64_t allocated_besides_max = 1024 * 1024;  // the traversal limit's floor is 512 KiB

// Runs a decoder and holds it to its promise about memory.
auto metered(base::ByteView input, auto decode) {
  const std::uint64_t before = allocated_bytes();
  auto decoded = decode(input);
  require(allocated_bytes() - before <= 6 * input.size() + allocated_besides_max, "a decoder allocated too much");
  return decoded;
}

bool fuzz_envelope(base::ByteView input) {
  const auto decoded = metered(input, wire::decode_envelope);
  if (!decoded) return false;
  const base::Bytes encoded = wire::encode_envelope(*decoded);
  if (encoded.size() > limits::statement_bytes_max) return true;  // fields that shared their bytes no longer do
  const auto again = wire::decode_envelope(encoded);
  require(again && testing::same(*again, *decoded), "an envelope changed on its way");
  return true;
}

bool fuzz_link(base::ByteView input) {
  const auto decoded = metered(input, wire::decode_link);
  if (!decoded) return false;
  const base::Bytes encoded = wire::encode_link(*decoded);
  if (encoded.size() > limits::frame_bytes_max) return true;  // the same: one statement named twice becomes two
  const auto again = wire::decode_link(encoded);
  require(again && testing::same(*again, *decoded), "a link message changed on its way");
  return true;
}

bool fuzz_body(protocol::StatementType type, base::ByteView input) {
  const auto decoded = metered(input, [&](base::ByteView bytes) { return wire::decode_body(type, bytes); });
  if (!decoded) return false;
  const base::Bytes encoded = wire::encode_body(*decoded);
  if (encoded.size() > limits::statement_bytes_max) return true;  // the same for texts
  const auto again = wire::decode_body(type, encoded);
  require(again && *again == *decoded, "a body changed on its way");
  return true;
}

bool fuzz_ticket(std::string_view text) {
  const auto parsed = metered(base::view(text), [&](base::ByteView) { return wire::parse_ticket(text); });
  if (!parsed) return false;
  const auto again = wire::parse_ticket(wire::ticket_text(*parsed));
  require(again && *again == *parsed, "a ticket changed on its way");
  return true;
}

// Mutations alone would never meet the checksum.
std::string with_checksum(base::ByteView message) {
  std::uint32_t crc = UINT32_MAX;
  for (const std::byte b : message) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0xedb88320U : 0U);
  }
  base::Bytes bytes = base::copy(message);
  base::append_u32(bytes, ~crc);
  return "starling1" + base::to_base32(bytes);
}

base::Bytes message_of(const std::string& text) {
  base::Bytes bytes = *base::from_base32(std::string_view(text).substr(9));
  bytes.resize(bytes.size() - 4);
  return bytes;
}

// Most mutations that change the length would otherwise end at the framing.
base::Bytes reframed(base::ByteView input) {
  base::Bytes bytes = base::copy(input);
  bytes.resize(std::max<std::size_t>(bytes.size() / 8 * 8, 8));
  const auto words = static_cast<std::uint32_t>(bytes.size() / 8 - 1);
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = std::byte{0};
  for (std::size_t i = 0; i < 4; ++i) bytes[4 + i] = static_cast<std::byte>(words >> (8 * i) & 255);
  return bytes;
}

bool decode(unsigned decoder, base::ByteView input) {
  switch (decoder) {
    case envelope: return fuzz_envelope(input);
    case link: return fuzz_link(input);
    case ticket_text: return fuzz_ticket(base::text(input));
    case ticket_message: return fuzz_ticket(with_checksum(input));
    default: return fuzz_body(testing::statement_types[decoder - first_body], input);
  }
}

base::Bytes draw_message(unsigned decoder, base::Rng& rng) {
  switch (decoder) {
    case envelope: return wire::encode_envelope(testing::random_envelope(rng));
    case link: return wire::encode_link(testing::random_link(rng, rng.below(testing::link_kinds)));
    case ticket_text: return base::copy(base::view(wire::ticket_text(testing::random_ticket(rng))));
    case ticket_message: return message_of(wire::ticket_text(testing::random_ticket(rng)));
    default: return wire::encode_body(testing::random_body(rng, testing::statement_types[decoder - first_body]));
  }
}

}  // namespace

bool fuzz_one(base::ByteView input) {
  if (input.empty()) return false;
  const unsigned decoder = std::to_integer<unsigned>(input.back()) % decoder_count;
  const base::ByteView message = input.first(input.size() - 1);
  const bool as_it_is = decode(decoder, message);
  return decode(decoder, reframed(message)) || as_it_is;
}

base::Bytes draw_seed(base::Rng& rng) {
  const auto decoder = static_cast<unsigned>(rng.below(decoder_count));
  base::Bytes input = rng.chance(0.02) ? testing::random_bytes(rng, rng.below(400)) : draw_message(decoder, rng);
  input.push_back(static_cast<std::byte>(decoder));
  return input;
}

}  // namespace starling::fuzz
