#include "worker/execution/instrument/name_section.hpp"

namespace starling::execution::instrument {
namespace {

enum Subsection : std::uint8_t { function_names = 1, local_names = 2, label_names = 3 };

void copy_name_map(Reader& in, const FunctionShift& shift, Writer& out) {
  const std::uint32_t n = in.u32();
  if (n > in.left()) return in.fail();
  out.u32(n);
  for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
    out.u32(shift(in.u32()));
    out.name(in.name());
  }
}

}  // namespace

bool rewrite_names(base::ByteView content, const FunctionShift& shift, const std::function<FunctionShift(std::uint32_t)>& locals_of, Writer& out) {
  Reader in(content);
  while (in.ok() && !in.at_end()) {
    const std::uint8_t id = in.byte();
    const base::ByteView bytes = in.take(in.u32());
    if (!in.ok()) return false;
    if (id != function_names && id != local_names && id != label_names) {
      out.section(id, bytes);
      continue;
    }
    Reader from(bytes);
    Writer to;
    const std::uint32_t n = from.u32();
    if (n > from.left()) return false;
    to.u32(n);
    for (std::uint32_t i = 0; i < n && from.ok(); ++i) {
      const std::uint32_t function = from.u32();
      to.u32(shift(function));
      if (id == function_names) to.name(from.name());
      else copy_name_map(from, id == local_names ? locals_of(function) : FunctionShift{}, to);
    }
    if (!from.ok() || !from.at_end()) return false;
    out.section(id, to.view());
  }
  return in.ok();
}

}  // namespace starling::execution::instrument
