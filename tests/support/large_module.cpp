#include "tests/support/large_module.hpp"

#include "tests/support/wasm_writer.hpp"

namespace starling::testing {
namespace {


constexpr std::uint32_t functions_reached = 8;
// (param i32) (result i32), locals: i32 counter, i32 sum, f64. Differs with `number`, so that nothing can be folded together.
Wasm body_of(std::uint32_t number, std::uint32_t callee, bool calls) {
  Wasm out;
  out.get(0).i32(static_cast<std::int32_t>(number * 2654435761U)).op(0x73).set(2);  // sum = parameter ^ number
  out.i32(static_cast<std::int32_t>(number % 7 + 1)).set(1);
  out.op(0x03).u8(0x40);  // loop
  for (std::uint32_t step = 0; step < 6 + number % 9; ++step) {
    const auto address = static_cast<std::int32_t>((number * 64 + step * 8) % 60000);
    out.i32(address).get(2).op(0x36).u32(2).u32(0);                                  // store
    out.i32(address).op(0x28).u32(2).u32(0).get(1).op(0x6C).get(2).op(0x6A).set(2);  // sum += load * counter
    out.get(2).op(0xB7).get(3).op(0xA0).f64(0x3FF0000000000000ULL + number).op(0xA2).set(3);
    out.get(2).i32(static_cast<std::int32_t>(step * 977 + number)).op(0x73).i32(static_cast<std::int32_t>(step % 31 + 1)).op(0x77).set(2);
  }
  out.get(1).i32(1).op(0x6B).op(0x22).u32(1).op(0x0D).u32(0).end();  // until the counter is 0
  if (calls) out.get(2).call(callee).set(2);
  return out.get(2).get(3).op(0xBD).op(0xA7).op(0x6A);
}

}  // namespace

base::Bytes large_module(std::size_t bytes) {
  WasmModule module;
  const auto fd_write = module.import("wasi_snapshot_preview1", "fd_write", module.type("iiii", "i"));
  const auto exit = module.import("wasi_snapshot_preview1", "proc_exit", module.type("i", ""));
  module.memory({2, true, 2});
  const auto work = module.type("i", "i");
  std::size_t size = 0;
  std::uint32_t first = 0, last = 0;
  for (std::uint32_t number = 0; size < bytes || number < functions_reached; ++number) {
    const Wasm body = body_of(number, last, number % functions_reached != 0);
    last = module.function(work, "iiF", body);
    if (number == 0) first = last;
    size += body.size();
  }
  Wasm start;
  start.i32(1).call(first + functions_reached - 1).op(0x1A);  // a chain of calls through the first of them
  start.i32(70000).i32(70016).op(0x36).u32(2).u32(0);         // {address, length} of the text
  start.i32(70004).i32(4).op(0x36).u32(2).u32(0);
  start.i32(70016).i32(0x0A6E6172).op(0x36).u32(2).u32(0);    // "ran\n"
  start.i32(1).i32(70000).i32(1).i32(70008).call(fd_write).call(exit);
  module.export_as("_start", 0, module.function(module.type("", ""), "", start));
  module.export_as("memory", 2, 0);
  return module.finish();
}

}  // namespace starling::testing
