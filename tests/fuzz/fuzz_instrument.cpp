// The instrumenter. Promises: no crash; what is allocated stays within a multiple of the input; the output is refused as input;
// the same input gives the same output.
#include <algorithm>
#include <utility>

#include "tests/fuzz/fuzz_target.hpp"
#include "tests/unit/instrument/module_builder.hpp"
#include "worker/execution/instrument/instrument.hpp"
#include "worker/execution/instrument/reader.hpp"
#include "worker/execution/instrument/writer.hpp"

namespace starling::fuzz {
namespace {

using testing::Code;

using execution::instrument::Writer;

constexpr std::string_view module_magic("\0asm", 4), pieces_magic("\0sec", 4);
constexpr std::uint8_t code_section = 10;

bool begins_with(base::ByteView input, std::string_view magic) {
  return input.size() >= magic.size() && base::text(input.first(magic.size())) == magic;
}

// A length of two bytes and as much of that as there is.
base::ByteView take_piece(base::ByteView& in) {
  if (in.size() < 2) return std::exchange(in, {});
  const std::size_t size = std::min<std::size_t>(std::to_integer<std::size_t>(in[0]) | std::to_integer<std::size_t>(in[1]) << 8, in.size() - 2);
  const auto out = in.subspan(2, size);
  in = in.subspan(2 + size);
  return out;
}

void put_piece(Writer& out, base::ByteView piece) {
  out.byte(static_cast<std::uint8_t>(piece.size()));
  out.byte(static_cast<std::uint8_t>(piece.size() >> 8));
  out.raw(piece);
}

base::Bytes bodies_of(base::ByteView pieces) {
  Writer bodies;
  std::uint32_t count = 0;
  for (; !pieces.empty(); ++count) {
    const auto body = take_piece(pieces);
    bodies.u32(body.size());
    bodies.raw(body);
  }
  Writer out;
  out.u32(count);
  out.raw(bodies.view());
  return std::move(out.bytes());
}

// Sections as pieces, bodies as pieces of their section: whatever a mutation does, the lengths are right.
base::Bytes module_of_pieces(base::ByteView in) {
  Writer out;
  out.raw(base::view(std::string_view("\0asm\1\0\0\0", 8)));
  while (!in.empty()) {
    const auto id = std::to_integer<std::uint8_t>(in.front());
    in = in.subspan(1);
    const auto content = take_piece(in);
    out.section(id, id == code_section ? base::ByteView(bodies_of(content)) : content);
  }
  return std::move(out.bytes());
}

base::Bytes pieces_of(base::ByteView module) {
  execution::instrument::Reader in(module.subspan(8));
  Writer out;
  out.raw(base::view(pieces_magic));
  while (!in.at_end() && in.ok()) {
    const std::uint8_t id = in.byte();
    const auto content = in.take(in.u32());
    out.byte(id);
    if (id != code_section) {
      put_piece(out, content);
      continue;
    }
    execution::instrument::Reader bodies(content);
    Writer pieces;
    for (std::uint32_t n = bodies.u32(); n > 0; --n) put_piece(pieces, bodies.take(bodies.u32()));
    put_piece(out, pieces.view());
  }
  return std::move(out.bytes());
}

// One of every section, around that code.
base::Bytes rich_module(const Code& code, base::Rng& rng) {
  testing::ModuleBuilder builder;
  Code body = code;
  body.push_back(0x0B);
  builder.add(body, {4, 2, 0x7F, 1, 0x7D, 2, 0x7C, 2, 0x7B}, {0x60, 1, 0x7F, 0});
  builder.add({0x0B});
  builder.add({0x20, 0, 0x20, 1, 0x0B}, {0}, {0x60, 2, 0x7C, 0x7B, 2, 0x7C, 0x7B});
  builder.imports = {1, 1, 'm', 1, 'f', 0, 1};  // function 0, of type () -> ()
  builder.tables = {2, 0x70, 1, 2, 9, 0x6F, 0, 1};
  builder.globals = {3, 0x7F, 1, 0x41, 5, 0x0B, 0x7C, 0, 0x44, 0, 0, 0, 0, 0, 0, 0xF8, 0x7F, 0x0B, 0x70, 1, 0xD2, 2, 0x0B};
  builder.exports = {2, 1, 'm', 2, 0, 1, 's', 0, 2};
  if (rng.next() % 2 == 0) builder.start = {2};
  builder.elements = {3, 0, 0x41, 0, 0x0B, 1, 1, 1, 0, 1, 2, 5, 0x70, 1, 0xD2, 1, 0x0B};
  if (rng.next() % 2 == 0) builder.data_count = {2};
  builder.data = {2, 0, 0x41, 0, 0x0B, 2, 'h', 'i', 1, 1, 'x'};
  builder.custom = {4, 'n', 'a', 'm', 'e', 1, 4, 1, 1, 1, 'f'};
  return builder.build();
}

// Mutations seldom keep the sections' lengths right: most inputs are only a function's code, or pieces.
base::Bytes module_of(base::ByteView input) {
  if (begins_with(input, module_magic)) return base::copy(input);
  if (begins_with(input, pieces_magic)) return module_of_pieces(input.subspan(pieces_magic.size()));
  testing::ModuleBuilder builder;
  Code code;
  for (const auto b : input) code.push_back(std::to_integer<std::uint8_t>(b));
  code.push_back(0x0B);
  builder.add(code, {4, 2, 0x7F, 1, 0x7D, 2, 0x7C, 2, 0x7B}, {0x60, 1, 0x7F, 0});
  builder.tables = {1, 0x70, 0, 1};
  builder.globals = {1, 0x7F, 1, 0x41, 0, 0x0B};
  return builder.build();
}

}  // namespace

bool fuzz_one(base::ByteView input) {
  constexpr execution::instrument::KnownImport imports[] = {{"m", "f", "", false}};
  execution::instrument::Options options;
  options.imports = imports;
  const base::Bytes module = module_of(input);
  const std::uint64_t before = allocated_bytes();
  const auto out = execution::instrument::instrument(module, options);
  require(allocated_bytes() - before <= 2048 * module.size() + 64 * 1024 * 1024, "the instrumenter allocated too much");
  if (!out) {
    require(!out.error().message.empty() && !out.error().hint.empty(), "a refusal says nothing");
    return false;
  }
  require(!execution::instrument::instrument(out->module, options), "the output was accepted as input");
  const auto again = execution::instrument::instrument(module, options);
  require(again && again->module == out->module, "two runs differ");
  return true;
}

base::Bytes draw_seed(base::Rng& rng) {
  static const std::vector<Code> pieces = {
      {0x41, 1, 0x04, 0x40, 0x0B}, {0x03, 0x40, 0x41, 0, 0x0D, 0, 0x0B}, {0x20, 1, 0x22, 2, 0x1A}, {0x10, 0},
      {0x20, 4, 0x20, 5, 0xA0, 0x21, 4}, {0x41, 0, 0x20, 4, 0x39, 3, 0}, {0x20, 6, 0x20, 7, 0xFD, 0xE4, 0x01, 0x21, 6},
      {0x41, 0, 0x20, 6, 0xFD, 0x0B, 4, 0}, {0x41, 0, 0x41, 0, 0x41, 8, 0xFC, 0x0B, 0}, {0x41, 1, 0x40, 0, 0x1A},
      {0x02, 0x40, 0x41, 0, 0x0E, 1, 0, 0, 0x0B}, {0x41, 0, 0x41, 0, 0x11, 0, 0}, {0x23, 0, 0x24, 0}, {0x0F}, {0x00},
  };
  Code code;
  for (std::uint64_t n = rng.next() % 12; n > 0; --n) {
    const auto& piece = pieces[rng.next() % pieces.size()];
    code.insert(code.end(), piece.begin(), piece.end());
  }
  base::Bytes out;
  for (const auto b : code) out.push_back(static_cast<std::byte>(b));
  switch (rng.next() % 4) {
    case 0: return out;
    case 1: return module_of(out);
    case 2: return rich_module(code, rng);
    default: return pieces_of(rich_module(code, rng));
  }
}

}  // namespace starling::fuzz
