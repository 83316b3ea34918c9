// Bytes that no encoder of ours makes: Cap'n Proto's own encoding, bent. Pointers are put together by hand from the
// encoding specification (capnproto.org/encoding.html).
#include <doctest/doctest.h>

#include "tests/unit/wire/random_messages.hpp"

namespace {

using namespace starling;
using namespace starling::testing;
using Words = std::vector<std::uint64_t>;

constexpr std::uint64_t struct_pointer(std::int64_t offset, std::uint64_t data_words, std::uint64_t pointers) {
  return (static_cast<std::uint64_t>(offset) << 2 & 0xffffffffU) | data_words << 32 | pointers << 48;
}
enum Elements : std::uint64_t { voids = 0, bits = 1, bytes = 2, eight_bytes = 5, pointers = 6, composite = 7 };
constexpr std::uint64_t list_pointer(std::int64_t offset, Elements elements, std::uint64_t count) {
  return 1 | (static_cast<std::uint64_t>(offset) << 2 & 0xffffffffU) | std::uint64_t{elements} << 32 | count << 35;
}
constexpr std::uint64_t composite_tag(std::uint64_t count, std::uint64_t data_words, std::uint64_t pointer_count) {
  return (count << 2) | data_words << 32 | pointer_count << 48;
}
constexpr std::uint64_t far_pointer(std::uint64_t segment, std::uint64_t word) { return 2 | word << 3 | segment << 32; }

constexpr std::uint64_t elements_max = (1ULL << 29) - 1;

Bytes framed(const Words& words) {
  Bytes out;
  base::append_u32(out, 0);
  base::append_u32(out, static_cast<std::uint32_t>(words.size()));
  for (const std::uint64_t word : words) base::append_u64(out, word);
  return out;
}

// A LinkMessage struct: one data word that holds the union's discriminant, one pointer.
enum Arm : std::uint64_t { statements = 1, summary = 2, bucket_ids = 3, want = 4, holdings = 5, blob_get = 6, unknown_arm = 99 };
Words link_words(Arm arm, std::uint64_t pointer) { return {struct_pointer(0, 1, 1), arm, pointer}; }

template <class T>
bool malformed(const base::Expected<T>& decoded) {
  return !decoded && decoded.error().code == base::ErrorCode::malformed && !decoded.error().message.empty();
}

bool link_malformed(const Words& words) { return malformed(wire::decode_link(framed(words))); }

// All that a decoder can be asked for, on the same bytes.
bool all_malformed(base::ByteView bytes) {
  bool all = malformed(wire::decode_envelope(bytes)) && malformed(wire::decode_link(bytes));
  for (const StatementType type : statement_types) all = all && malformed(wire::decode_body(type, bytes));
  return all;
}

Bytes valid_link(std::size_t kind, std::uint64_t seed = 3) {
  base::Rng rng(seed);
  return wire::encode_link(random_link(rng, kind));
}

TEST_CASE("wire: the pointers made here are Cap'n Proto's") {
  Words words = link_words(want, list_pointer(0, bytes, 32));
  words.insert(words.end(), {1, 2, 3, 4});
  const auto decoded = wire::decode_link(framed(words));
  REQUIRE(decoded.has_value());
  CHECK(std::get<Want>(*decoded).ids.size() == 1);
}

TEST_CASE("wire: nothing, noise and zeros") {
  CHECK(all_malformed({}));
  CHECK(all_malformed(Bytes(8)));
  CHECK(malformed(wire::decode_link(framed({0}))));
  CHECK(malformed(wire::decode_envelope(framed({0}))));
  base::Rng rng(1);
  for (int i = 0; i < 200; ++i) CHECK(all_malformed(random_bytes(rng, rng.below(300))));
}

TEST_CASE("wire: cut off at any byte") {
  base::Rng rng(5);
  const Bytes envelope = wire::encode_envelope(random_envelope(rng));
  for (std::size_t size = 0; size < envelope.size(); ++size) CHECK(malformed(wire::decode_envelope(base::ByteView(envelope).first(size))));
  for (const StatementType type : statement_types) {
    const Bytes body = wire::encode_body(random_body(rng, type));
    for (std::size_t size = 0; size < body.size(); size += 4) CHECK(malformed(wire::decode_body(type, base::ByteView(body).first(size))));
  }
}

TEST_CASE("wire: a cut message whose framing was mended") {
  const Bytes whole = valid_link(4);
  for (std::size_t words = 0; words < whole.size() / 8 - 1; ++words) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(8 + words * 8));
    cut[4] = static_cast<std::byte>(words & 255);
    cut[5] = static_cast<std::byte>(words >> 8);
    CHECK(malformed(wire::decode_link(cut)));
  }
}

TEST_CASE("wire: bytes left over") {
  for (const std::size_t extra : {1U, 4U, 8U, 4096U}) {
    Bytes bytes = valid_link(3);
    bytes.resize(bytes.size() + extra);
    CHECK(malformed(wire::decode_link(bytes)));
  }
}

TEST_CASE("wire: unaligned input is read like any other") {
  const Bytes frame = valid_link(0);
  for (std::size_t shift = 1; shift < 8; ++shift) {
    Bytes shifted(shift);
    base::append(shifted, frame);
    const auto decoded = wire::decode_link(base::ByteView(shifted).subspan(shift));
    REQUIRE(decoded.has_value());
    CHECK(wire::encode_link(*decoded) == frame);
  }
}

TEST_CASE("wire: several segments") {
  Bytes two;
  for (const std::uint32_t number : {1U, 1U, 3U, 0U}) base::append_u32(two, number);  // two segments of 1 and 3 words
  base::append_u64(two, far_pointer(1, 0));
  for (const std::uint64_t word : link_words(want, list_pointer(0, bytes, 0))) base::append_u64(two, word);
  CHECK(all_malformed(two));
  Bytes claims_many = framed({0, 0});
  for (std::size_t i = 0; i < 4; ++i) claims_many[i] = std::byte{0xff};
  CHECK(all_malformed(claims_many));
}

TEST_CASE("wire: far pointers lead nowhere") {
  CHECK(link_malformed({far_pointer(1, 0)}));
  CHECK(link_malformed({far_pointer(0, 5000)}));
  CHECK(link_malformed({far_pointer(0, 0)}));
  CHECK(link_malformed(link_words(want, far_pointer(7, 0))));
  CHECK(link_malformed(link_words(statements, far_pointer(0, 2))));
}

TEST_CASE("wire: pointers past the end and before the start") {
  for (const std::int64_t offset : {2L, 1000L, (1L << 29) - 1, -4L, -(1L << 29)}) {
    CHECK(link_malformed(link_words(want, list_pointer(offset, bytes, 64))));
    CHECK(link_malformed({struct_pointer(offset, 1, 1)}));
  }
}

TEST_CASE("wire: structs that hold themselves") {
  CHECK(link_malformed({struct_pointer(-1, 1, 0)}));
  CHECK(link_malformed({struct_pointer(0, 0, 1), struct_pointer(-1, 0, 1)}));
  for (const Arm arm : {statements, summary, bucket_ids, want, holdings, blob_get}) {
    CHECK(link_malformed(link_words(arm, struct_pointer(-3, 1, 1))));
    CHECK(link_malformed(link_words(arm, list_pointer(-1, pointers, 1))));
  }
}

TEST_CASE("wire: deep nesting is not followed") {
  Words deep = link_words(bucket_ids, struct_pointer(0, 0, 5));
  deep.insert(deep.end(), {0, 0, 0, 0, struct_pointer(0, 0, 1)});  // a field of a newer schema
  for (int depth = 0; depth < 10'000; ++depth) deep.push_back(struct_pointer(0, 0, 1));
  deep.push_back(0);
  CHECK(wire::decode_link(framed(deep)).has_value());
  Words lists = link_words(statements, list_pointer(0, pointers, 1));
  for (int depth = 0; depth < 10'000; ++depth) lists.push_back(list_pointer(0, pointers, 1));
  lists.push_back(0);
  CHECK(link_malformed(lists));
}

TEST_CASE("wire: lists of nothing claim half a billion elements") {
  for (const Arm arm : {statements, summary, want}) {
    CHECK(link_malformed(link_words(arm, list_pointer(0, voids, elements_max))));
    Words words = link_words(arm, list_pointer(0, composite, 0));
    words.push_back(composite_tag(elements_max, 0, 0));
    CHECK(link_malformed(words));
  }
  Words ranges = link_words(holdings, struct_pointer(0, 1, 2));
  ranges.insert(ranges.end(), {0, list_pointer(1, bytes, 32), list_pointer(4, composite, 0), 1, 2, 3, 4});
  Words many = ranges;
  many.push_back(composite_tag(elements_max, 0, 0));
  CHECK(link_malformed(many));
  many.back() = composite_tag(limits::ranges_per_holdings_max, 0, 0);
  CHECK(link_malformed(many));
  ranges.back() = 4;
  ranges.push_back(composite_tag(0, 0, 0));
  CHECK(wire::decode_link(framed(ranges)).has_value());
}

TEST_CASE("wire: a batch of results that take no bytes") {
  Words words = {struct_pointer(0, 1, 2), 0, list_pointer(1, bytes, 32), list_pointer(4, composite, 0), 1, 2, 3, 4};
  words.push_back(composite_tag(elements_max, 0, 0));
  CHECK(malformed(wire::decode_body(StatementType::results, framed(words))));
  words.back() = composite_tag(limits::results_per_batch_max, 0, 0);
  CHECK(malformed(wire::decode_body(StatementType::results, framed(words))));
}

// One statement, named again and again: 24 KiB that would unfold to 16 MiB.
TEST_CASE("wire: traversal bomb") {
  constexpr std::uint64_t count = limits::statements_per_bundle_max, statement_words = limits::statement_bytes_max / 8;
  const auto bundle = [&](std::uint64_t names) {
    Words words = link_words(statements, list_pointer(0, pointers, names));
    for (std::uint64_t i = 0; i < names; ++i) {
      words.push_back(list_pointer(static_cast<std::int64_t>(names - i - 1), bytes, limits::statement_bytes_max));
    }
    words.resize(words.size() + statement_words, 1);
    return words;
  };
  CHECK(link_malformed(bundle(count)));
  CHECK(wire::decode_link(framed(bundle(8))).has_value());
}

TEST_CASE("wire: unknown members of unions and enums") {
  CHECK(link_malformed(link_words(unknown_arm, 0)));
  CHECK(link_malformed({struct_pointer(0, 1, 1), 0, 0}));
  base::Rng rng(2);
  Manifest job = random_manifest(rng);
  job.verification = static_cast<VerificationClass>(4);
  CHECK(malformed(wire::decode_body(StatementType::manifest, wire::encode_body(job))));
  Results results = random_results(rng, 1);
  results.entries[0].outcome.kind = static_cast<OutcomeKind>(6);
  CHECK(malformed(wire::decode_body(StatementType::results, wire::encode_body(results))));
  wire::Envelope envelope = random_envelope(rng);
  for (const unsigned type : {0U, 8U, 65535U}) {
    envelope.type = static_cast<StatementType>(type);
    CHECK(malformed(wire::decode_envelope(wire::encode_envelope(envelope))));
    CHECK(malformed(wire::decode_body(envelope.type, envelope.body)));
  }
}

TEST_CASE("wire: text without its final NUL, and text that points at nothing") {
  base::Rng rng(4);
  Manifest job = random_manifest(rng);
  job.name = "unmistakable";
  Bytes bytes = wire::encode_body(job);
  const auto at = std::ranges::search(bytes, base::view(job.name)).begin();
  at[static_cast<std::ptrdiff_t>(job.name.size())] = std::byte{'x'};
  CHECK(malformed(wire::decode_body(StatementType::manifest, bytes)));
}

// Every single byte of valid messages changed: never a crash, and what still decodes is a message of ours.
TEST_CASE("wire: any byte changed") {
  for (std::size_t kind = 0; kind < 6; ++kind) {
    const Bytes frame = valid_link(kind, 11);
    for (std::size_t i = 0; i < frame.size(); ++i) {
      for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
        Bytes changed = frame;
        changed[i] ^= static_cast<std::byte>(flip);
        const auto decoded = wire::decode_link(changed);
        if (decoded) CHECK(wire::decode_link(wire::encode_link(*decoded)).has_value());
      }
    }
  }
}

}  // namespace
