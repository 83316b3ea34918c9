#include "worker/execution/instrument/decode.hpp"

#include "worker/execution/instrument/features.hpp"
#include "worker/execution/instrument/module.hpp"

namespace starling::execution::instrument {

Immediates read_immediates(Reader& in, Immediate kind) {
  Immediates out;
  const auto only_memory_zero = [&] {
    if (in.byte() != 0) in.fail();
  };
  switch (kind) {
    case Immediate::none:
    case Immediate::label_table: break;
    case Immediate::block_type: out.block = in.s33(); break;
    case Immediate::label:
    case Immediate::function:
    case Immediate::local:
    case Immediate::global:
    case Immediate::table:
    case Immediate::data:
    case Immediate::element: out.index = in.u32(); break;
    case Immediate::type_and_table:
    case Immediate::element_and_table:
    case Immediate::two_tables:
      out.index = in.u32();
      out.second = in.u32();
      break;
    case Immediate::memory_argument:
    case Immediate::memory_argument_lane:
      if (in.u32() >= 32) in.fail();  // bit 6 would name another memory
      out.second = in.u32();
      if (kind == Immediate::memory_argument_lane) in.byte();
      break;
    case Immediate::lane: in.byte(); break;
    case Immediate::i32: in.s32(); break;
    case Immediate::i64: in.s64(); break;
    case Immediate::f32: out.bytes = in.take(4); break;
    case Immediate::f64: out.bytes = in.take(8); break;
    case Immediate::v128: out.bytes = in.take(16); break;
    case Immediate::shuffle: out.bytes = in.take(16); break;
    case Immediate::memory: only_memory_zero(); break;
    case Immediate::two_memories:
      only_memory_zero();
      only_memory_zero();
      break;
    case Immediate::data_and_memory:
      out.index = in.u32();
      only_memory_zero();
      break;
    case Immediate::reference_type:
      out.type = read_value_type(in);
      if (!is_reference(out.type)) in.fail();
      break;
    case Immediate::types:
      if (in.u32() != 1) in.fail();
      out.type = read_value_type(in);
      break;
  }
  return out;
}

void skip_label_table(Reader& in) {
  const std::uint32_t n = in.u32();
  if (n >= in.left()) return in.fail();
  for (std::uint32_t i = 0; i <= n && in.ok(); ++i) in.u32();
}

base::Error explain(const Decoded& decoded, const Reader& in) {
  return in.ok() ? unsupported_opcode(decoded.prefix, decoded.code) : damaged("code");
}

}  // namespace starling::execution::instrument
