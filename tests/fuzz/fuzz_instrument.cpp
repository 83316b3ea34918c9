// The instrumenter. Promises: no crash; what is allocated stays within a multiple of the input; the output is refused as input;
// the same input gives the same output.
#include "tests/fuzz/fuzz_target.hpp"
#include "tests/unit/instrument/module_builder.hpp"
#include "worker/execution/instrument/instrument.hpp"

namespace starling::fuzz {
namespace {

using testing::Code;

// Mutations seldom keep the sections' lengths right: half of the inputs are only a function's code.
base::Bytes module_of(base::ByteView input) {
  if (input.size() >= 4 && base::text(input.first(4)) == std::string_view("\0asm", 4)) return base::copy(input);
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
  const base::Bytes module = module_of(input);
  const std::uint64_t before = allocated_bytes();
  const auto out = execution::instrument::instrument(module, {});
  require(allocated_bytes() - before <= 2048 * module.size() + 64 * 1024 * 1024, "the instrumenter allocated too much");
  if (!out) {
    require(!out.error().message.empty() && !out.error().hint.empty(), "a refusal says nothing");
    return false;
  }
  require(!execution::instrument::instrument(out->module, {}), "the output was accepted as input");
  const auto again = execution::instrument::instrument(module, {});
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
  return rng.next() % 2 == 0 ? out : module_of(out);
}

}  // namespace starling::fuzz
