#include "coordinator-less/wire/message_io.hpp"

#include <charconv>
#include <cstdint>

namespace starling::wire {
namespace {

constexpr std::size_t word_bytes = sizeof(capnp::word);
constexpr std::uint64_t traversal_words_min = 64 * 1024;
constexpr int nesting_max = 16;

// Length of the well-formed UTF-8 sequence at the front (RFC 3629), 0 when there is none.
std::size_t utf8_length(base::ByteView bytes) {
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  const auto continues = [&](std::size_t i) { return i < bytes.size() && (at(i) & 0xc0U) == 0x80U; };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4 || !continues(1)) return 0;
  if (first < 0xe0) return 2;
  const unsigned second = at(1);
  if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
  if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
  if (!continues(2)) return 0;
  if (first < 0xf0) return 3;
  return continues(3) ? 4 : 0;
}

bool control_character(base::ByteView sequence) {
  const auto first = std::to_integer<unsigned>(sequence[0]);
  if (sequence.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && std::to_integer<unsigned>(sequence[1]) < 0xa0;
}

bool printable_utf8(std::string_view text) {
  for (base::ByteView rest = base::view(text); !rest.empty();) {
    const std::size_t length = utf8_length(rest);
    if (length == 0 || control_character(rest.first(length))) return false;
    rest = rest.subspan(length);
  }
  return true;
}

bool host_and_port(std::string_view text) {
  const auto graphic = [](char c) { return c > ' ' && c <= '~'; };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || !std::ranges::all_of(text, graphic)) return false;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port != 0;
}

}  // namespace

kj::Array<capnp::word> aligned_segment(base::ByteView raw, std::size_t bytes_max) {
  require(raw.size() <= bytes_max, "the message is too long");
  require(raw.size() >= 2 * word_bytes && raw.size() % word_bytes == 0, "the message is cut off or has bytes left over");
  require(base::read_u32(raw) == 0, "the message has several segments");
  const std::size_t words = raw.size() / word_bytes - 1;
  require(base::read_u32(raw.subspan(4)) == words, "the message is cut off or has bytes left over");
  auto segment = kj::heapArray<capnp::word>(words);
  std::memcpy(segment.begin(), raw.data() + word_bytes, words * word_bytes);
  return segment;
}

capnp::ReaderOptions bounded_options(std::size_t words) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = std::max<std::uint64_t>(2 * words, traversal_words_min);
  options.nestingLimit = nesting_max;
  return options;
}

std::string read_text(capnp::Text::Reader text) {
  require(text.size() <= limits::name_bytes_max, "a text is too long");
  std::string out(text.begin(), text.size());
  require(out.find('\0') == std::string::npos, "a text holds a NUL byte");
  return out;
}

std::string read_label(capnp::Text::Reader text) {
  std::string label = read_text(text);
  require(printable_utf8(label), "a name is not UTF-8 or holds control characters");
  return label;
}

std::string read_address(capnp::Text::Reader text) {
  std::string address = read_text(text);
  require(host_and_port(address), "an address is not host:port");
  return address;
}

std::vector<std::string> read_addresses(capnp::List<capnp::Text>::Reader list) {
  counted(list, limits::addresses_per_peer_max, "too many addresses");
  std::vector<std::string> addresses;
  addresses.reserve(list.size());
  for (const auto text : list) addresses.push_back(read_address(text));
  return addresses;
}

base::Bytes framed(capnp::MessageBuilder& builder) {
  const auto segments = builder.getSegmentsForOutput();
  STARLING_ENSURE(segments.size() == 1);
  const auto content = segments[0].asBytes();
  base::Bytes out;
  out.reserve(word_bytes + content.size());
  base::append_u32(out, 0);
  base::append_u32(out, static_cast<std::uint32_t>(segments[0].size()));
  base::append(out, std::as_bytes(std::span(content.begin(), content.size())));
  return out;
}

}  // namespace starling::wire
