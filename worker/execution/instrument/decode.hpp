// Steps through a function's code: one instruction and its immediates at a time, without judging types.
#pragma once

#include <optional>

#include "coordinator-less/base/error.hpp"
#include "worker/execution/instrument/opcode.hpp"
#include "worker/execution/instrument/reader.hpp"

namespace starling::execution::instrument {

struct Decoded {
  const Instruction* what = nullptr;  // null: unknown or damaged; then explain()
  std::uint8_t prefix = 0;
  std::uint32_t code = 0;

  bool is(std::uint8_t plain) const { return prefix == 0 && code == plain; }
  bool is_misc(std::uint32_t number) const { return prefix == prefix_misc && code == number; }
};

inline Decoded read_opcode(Reader& in) {
  Decoded out;
  out.code = in.byte();
  const Instruction* what = nullptr;
  if (out.code < prefix_misc - 1) {
    what = &plain_instructions[out.code];
  } else {
    out.prefix = static_cast<std::uint8_t>(out.code);
    out.code = in.u32();
    if (out.prefix == prefix_simd && out.code < simd_instructions.size()) what = &simd_instructions[out.code];
    if (out.prefix == prefix_misc && out.code < misc_instructions.size()) what = &misc_instructions[out.code];
  }
  if (what != nullptr && what->known && in.ok()) out.what = what;
  return out;
}

// The immediates that the passes look at; others are only stepped over.
struct Immediates {
  std::uint32_t index = 0;     // label, function, local, global, type, table, segment
  std::uint32_t second = 0;    // table of call_indirect and of table.*; offset of a memory access
  std::int64_t block = 0;      // block type
  base::ByteView bytes;        // constants of f32, f64, v128, a shuffle; a br_table's labels stay in the reader (see below)
  Type type = Type::none;      // select, ref.null
};

// br_table is not stepped over: its labels follow, count first.
Immediates read_immediates(Reader& in, Immediate kind);
void skip_label_table(Reader& in);


base::Error explain(const Decoded& decoded, const Reader& in);

}  // namespace starling::execution::instrument
