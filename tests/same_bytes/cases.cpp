// The explicit cases. Each is a small module around one body; what must happen is written beside it.
#include <functional>
#include <algorithm>
#include <limits>
#include <span>

#include "tests/same_bytes/corpus.hpp"
#include "tests/support/opcode_table.hpp"
#include "tests/support/wasm_writer.hpp"

namespace starling::testing {
namespace {

constexpr std::uint8_t unreachable = 0x00, block = 0x02, loop = 0x03, if_ = 0x04, else_ = 0x05, br = 0x0C, br_if = 0x0D, return_ = 0x0F,
                       drop = 0x1A, nothing = 0x40, i32_eqz = 0x45, i32_ne = 0x47, i32_lt_u = 0x49, i64_ne = 0x52, i32_add = 0x6A,
                       i32_sub = 0x6B, i64_add = 0x7C, i64_mul = 0x7E, i64_xor = 0x85, i64_rotl = 0x89, i64_load = 0x29, f32_load = 0x2A,
                       f64_load = 0x2B, i32_load = 0x28, i64_store = 0x37, i32_store = 0x36, f32_store = 0x38, f64_store = 0x39,
                       i64_extend_u = 0xAD, i32_reinterpret = 0xBC, i64_reinterpret = 0xBD;
constexpr std::uint32_t result_at = 65504;  // where _start leaves what it computed, for the comparison of memories

// Types, functions, globals of a case: function 0 is fd_write, 1 proc_exit.
struct Builder {
  WasmModule module;
  std::uint32_t start_type = 0;
  bool with_memory = true;
  Limits memory{1, true, 100};

  Builder() {
    module.import("wasi_snapshot_preview1", "fd_write", module.type("iiii", "i"));
    module.import("wasi_snapshot_preview1", "proc_exit", module.type("i", ""));
    start_type = module.type("", "");
  }
  base::Bytes finish(std::string_view locals, const Wasm& body) {
    const auto index = module.function(start_type, locals, body);
    module.memory(memory);
    module.export_as("memory", 2, 0);
    module.export_as("_start", 0, index);
    return module.finish();
  }
};

Wasm& store_i64(Wasm& code, std::uint32_t at, const std::function<void(Wasm&)>& value) {
  code.i32(static_cast<std::int32_t>(at));
  value(code);
  return code.op(i64_store).u32(3).u32(0);
}

Wasm active(std::uint32_t at, base::ByteView bytes) {
  return Wasm().u32(0).i32(static_cast<std::int32_t>(at)).end().u32(bytes.size()).bytes(bytes);
}

class Cases {
 public:
  std::vector<Case> list;

  void add(std::string name, std::string expected, base::Bytes wasm, RunLimits limits = {}) {
    list.push_back({std::move(name), std::move(wasm), std::move(expected), limits, {}, {}});
  }
  // A body in a plain module; tables 0 (funcref, 10) and 1 (externref, 4); a passive segment of each kind, 8 bytes and 2 elements.
  void plain(std::string name, std::string expected, const Wasm& body, RunLimits limits = {}) {
    Builder b;
    const auto other = b.module.function(b.module.type("i", "i"), "", Wasm().get(0));
    b.module.table('r', {10, true, 50});
    b.module.table('e', {4, true, 50});
    b.module.data(Wasm().u32(1).u32(8).fixed(0x7FF4000000000001, 8));
    b.module.element(Wasm().u32(1).u8(0).u32(2).u32(other).u32(0));
    b.module.element(Wasm().u32(0).i32(0).end().u32(2).u32(other).u32(0));
    add(std::move(name), std::move(expected), b.finish("iIfFv", body), limits);
  }
};

// ------------------------------------------------------------------------------------------------ floats

constexpr std::uint64_t f64_special[] = {
    0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0x7FFC123456789ABC, 0xFFFFFFFFFFFFFFFF, 0x7FF0000000000001,
    0xFFF4000000000001, 0x7FF00000000007A2, 0x7FF0000000000000, 0xFFF0000000000000, 0x0000000000000000, 0x8000000000000000,
    0x3FF0000000000000, 0xBFF8000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF};
constexpr std::uint64_t f64_denormal[] = {
    0x0000000000000001, 0x8000000000000001, 0x000FFFFFFFFFFFFF, 0x800FFFFFFFFFFFFF, 0x0010000000000000, 0x8010000000000000,
    0x0008000000000000, 0x3CA0000000000000, 0x3FE0000000000000, 0x4000000000000000, 0x36A0000000000000, 0x380FFFFFFFFFFFFF,
    0x3810000000000000, 0xB6A0000000000001, 0x1E60000000000000, 0x3FF0000000000001};
constexpr std::uint32_t f32_special[] = {0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7FE12345, 0xFFFFFFFF, 0x7F800001, 0xFFA00001, 0x7F8007A2,
                                         0x7F800000, 0xFF800000, 0x00000000, 0x80000000, 0x3F800000, 0xBFC00000, 0x7F7FFFFF, 0xFF7FFFFF};
constexpr std::uint32_t f32_denormal[] = {0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x80800000, 0x00400000, 0x33800000,
                                          0x3F000000, 0x40000000, 0x34000000, 0x1E3CE508, 0x7EFFFFFF, 0x00000003, 0x1FC00000, 0x3F800001};

// Hashes the i64 on the stack into local `into`.
Wasm& mix(Wasm& code, std::uint32_t into) {
  return code.get(into).op(i64_xor).i64(1099511628211).op(i64_mul).i64(29).op(i64_rotl).set(into);
}

// Every operation of `codes` on every pair of the sixteen values at 0 (f64) or 128 (f32); one operand for unary ones.
base::Bytes all_pairs(bool wide, bool special) {
  Builder b;
  Wasm table;
  for (const auto value : special ? f64_special : f64_denormal) table.fixed(value, 8);
  for (const auto value : special ? f32_special : f32_denormal) table.fixed(value, 4);
  b.module.data(active(0, table.content()));
  const std::uint32_t width = wide ? 8 : 4, from = wide ? 0 : 128;
  // Locals: 0 i, 1 j, 2 hash, 3 a, 4 b
  Wasm code;
  const auto load = [&](std::uint32_t index) {
    code.get(index).op(wide ? f64_load : f32_load).u32(0).u32(from);
  };
  const auto result = [&] {
    if (wide) code.op(i64_reinterpret);
    else code.op(i32_reinterpret).op(i64_extend_u);
    mix(code, 2);
  };
  code.op(loop).u8(nothing).i32(0).set(1).op(loop).u8(nothing);
  load(0);
  code.set(3);
  load(1);
  code.set(4);
  const std::uint8_t first_unary = wide ? 0x99 : 0x8B;
  for (std::uint8_t op = first_unary; op < first_unary + 7; ++op) {
    code.get(3).op(op);
    result();
  }
  for (std::uint8_t op = static_cast<std::uint8_t>(first_unary + 7); op < first_unary + 14; ++op) {
    code.get(3).get(4).op(op);
    result();
  }
  // A sum of products and the other width, where payloads travel far.
  code.get(3).get(4).op(wide ? 0xA2 : 0x94).get(4).op(wide ? 0xA0 : 0x92).get(3).op(wide ? 0xA1 : 0x93);
  result();
  code.get(3).op(wide ? 0xB6 : 0xBB).op(wide ? 0xBB : 0xB6);
  result();
  // The same in lanes: 103.. rounding, abs, neg, sqrt, add.. pmax.
  for (std::uint32_t op = wide ? 236 : 224; op <= (wide ? 247U : 235U); ++op) {
    if (op == 226 || op == 238) continue;
    const bool unary = op < (wide ? 240U : 228U);
    code.get(3).op(0xFD, wide ? 20 : 19);
    if (!unary) code.get(4).op(0xFD, wide ? 20 : 19);
    code.op(0xFD, op).op(0xFD, 29).u8(1);
    mix(code, 2);
  }
  code.get(1).i32(static_cast<std::int32_t>(width)).op(i32_add).op(0x22).u32(1).i32(static_cast<std::int32_t>(16 * width)).op(i32_lt_u).op(br_if).u32(0).end();
  code.get(0).i32(static_cast<std::int32_t>(width)).op(i32_add).op(0x22).u32(0).i32(static_cast<std::int32_t>(16 * width)).op(i32_lt_u).op(br_if).u32(0).end();
  store_i64(code, result_at, [](Wasm& c) { c.get(2); });
  return b.finish(wide ? "iiIFF" : "iiIff", code);
}

// Copies must keep every bit; traps where one changes. The value goes through locals, select, block results, a call, a global,
// neg twice, and lanes.
base::Bytes payload_copies() {
  Builder b;
  Wasm table;
  for (const auto value : f64_special) table.fixed(value, 8);
  for (const auto value : f32_special) table.fixed(value, 4);
  b.module.data(active(0, table.content()));
  const auto same64 = b.module.function(b.module.type("F", "F"), "", Wasm().get(0));
  const auto same32 = b.module.function(b.module.type("f", "f"), "", Wasm().get(0));
  const auto g64 = b.module.global('F', true, Wasm().f64(0));
  const auto g32 = b.module.global('f', true, Wasm().f32(0));
  Wasm code;
  const auto one_width = [&](bool wide) {
    const std::uint32_t local = wide ? 1 : 2, from = wide ? 0 : 128;
    code.i32(0).set(0).op(loop).u8(nothing);
    code.get(0).op(wide ? f64_load : f32_load).u32(0).u32(from).set(local);
    code.op(block).u8(wide ? 0x7C : 0x7D).get(local).get(local).get(0).op(0x1B).end();
    code.call(wide ? same64 : same32).set_global(wide ? g64 : g32);
    code.get_global(wide ? g64 : g32).op(wide ? 0x9A : 0x8C).op(wide ? 0x9A : 0x8C);
    code.op(0xFD, wide ? 20 : 19).op(0xFD, wide ? 33 : 31).u8(1).set(local);
    code.i32(512).get(local).op(wide ? f64_store : f32_store).u32(0).u32(0);
    code.i32(512).op(wide ? i64_load : i32_load).u32(0).u32(0);
    code.get(0).op(wide ? i64_load : i32_load).u32(0).u32(from).op(wide ? i64_ne : i32_ne);
    code.op(if_).u8(nothing).op(unreachable).end();
    const std::int32_t width = wide ? 8 : 4;
    code.get(0).i32(width).op(i32_add).op(0x22).u32(0).i32(16 * width).op(i32_lt_u).op(br_if).u32(0).end();
  };
  one_width(true);
  one_width(false);
  return b.finish("iFf", code);
}

// Arithmetic on NaNs must give the canonical one; traps where it does not.
base::Bytes canonical_results() {
  Builder b;
  Wasm table;
  for (unsigned i = 0; i < 8; ++i) table.fixed(f64_special[i], 8);
  for (unsigned i = 0; i < 8; ++i) table.fixed(f32_special[i], 4);
  b.module.data(active(0, table.content()));
  Wasm code;
  code.op(loop).u8(nothing);
  for (std::uint8_t op = 0xA0; op <= 0xA5; ++op) {
    for (const bool first : {true, false}) {
      const auto nan = [&] { code.get(0).op(f64_load).u32(0).u32(0); };
      if (first) nan();
      code.f64(0x3FF8000000000000);
      if (!first) nan();
      code.op(op).op(i64_reinterpret).i64(0x7FF8000000000000).op(i64_ne).op(if_).u8(nothing).op(unreachable).end();
    }
  }
  code.get(0).i32(8).op(i32_add).op(0x22).u32(0).i32(64).op(i32_lt_u).op(br_if).u32(0).end();
  code.i32(0).set(0).op(loop).u8(nothing);
  for (std::uint8_t op = 0x92; op <= 0x97; ++op) {
    code.get(0).op(f32_load).u32(0).u32(64).f32(0x3FC00000).op(op);
    code.op(i32_reinterpret).i32(0x7FC00000).op(i32_ne).op(if_).u8(nothing).op(unreachable).end();
  }
  code.get(0).i32(4).op(i32_add).op(0x22).u32(0).i32(32).op(i32_lt_u).op(br_if).u32(0).end();
  code.f64(0xBFF0000000000000).op(0x9F).op(i64_reinterpret).i64(0x7FF8000000000000).op(i64_ne).op(if_).u8(nothing).op(unreachable).end();
  return b.finish("i", code);
}

// Stores that may be done together: one to four through one local, made and moved values in turn, with reads in between that miss or
// hit what was stored. Traps where a made NaN is not canonical or a moved value has changed.
base::Bytes neighbouring_stores(bool wide) {
  constexpr std::uint32_t to = 512;
  Builder b;
  Wasm table;
  for (const auto value : f64_special) table.fixed(value, 8);
  for (const auto value : f32_special) table.fixed(value, 4);
  b.module.data(active(0, table.content()));
  const std::uint32_t width = wide ? 8 : 4, from = wide ? 0 : 128;
  const std::uint8_t store = wide ? f64_store : f32_store, load = wide ? f64_load : f32_load, sum = wide ? 0xA0 : 0x92;
  const auto last = static_cast<std::int32_t>(16 * width), step = static_cast<std::int32_t>(width);
  // Locals: 0 i, 1 j, 2 hash, 3 a, 4 b, 5 the base
  Wasm code;
  const auto made = [&](std::uint32_t offset, std::uint8_t op) { code.get(5).get(3).get(4).op(op).op(store).u32(0).u32(offset); };
  const auto seen = [&](std::uint32_t offset) {
    code.i32(static_cast<std::int32_t>(to)).op(wide ? i64_load : i32_load).u32(0).u32(offset);
    if (!wide) code.op(i64_extend_u);
  };
  const auto must = [&] { code.op(i64_ne).op(if_).u8(nothing).op(unreachable).end(); };
  const auto canonical = [&](std::uint32_t offset) {  // or no NaN
    code.i32(static_cast<std::int32_t>(to)).op(load).u32(0).u32(offset).i32(static_cast<std::int32_t>(to)).op(load).u32(0).u32(offset);
    code.op(wide ? 0x62 : 0x5C).op(if_).u8(nothing);
    seen(offset);
    code.i64(wide ? 0x7FF8000000000000 : 0x7FC00000);
    must();
    code.end();
    seen(offset);
    mix(code, 2);
  };
  code.op(loop).u8(nothing).i32(0).set(1).op(loop).u8(nothing);
  code.get(0).op(load).u32(0).u32(from).set(3).get(1).op(load).u32(0).u32(from).set(4).i32(static_cast<std::int32_t>(to)).set(5);
  for (std::uint32_t count = 1; count <= 5; ++count) {
    for (std::uint32_t i = 0; i < count; ++i) made(width * i, static_cast<std::uint8_t>(sum + i % 3));
    for (std::uint32_t i = 0; i < count; ++i) canonical(width * i);
  }
  made(0, sum);
  code.get(5).get(3).op(store).u32(0).u32(width);  // moved
  made(2 * width, static_cast<std::uint8_t>(sum + 2));
  seen(width);
  code.get(0).op(wide ? i64_load : i32_load).u32(0).u32(from);
  if (!wide) code.op(i64_extend_u);
  must();
  canonical(0);
  canonical(2 * width);
  made(0, sum);
  code.get(5).get(5).op(load).u32(0).u32(3 * width).get(4).op(sum).op(store).u32(0).u32(width);  // reads beside the group
  code.get(5).get(5).op(load).u32(0).u32(width / 2).get(4).op(sum).op(store).u32(0).u32(2 * width);  // reads two of them in halves
  made(width / 2, sum);  // and overlaps
  for (std::uint32_t i = 0; i < 3; ++i) {
    seen(width * i);
    mix(code, 2);
  }
  canonical(width / 2);
  code.get(5).get(3).get(4).op(sum).get(5).i32(step).op(i32_add).set(5).op(store).u32(0).u32(0);  // the base moves under the address
  made(0, sum);
  canonical(0);
  canonical(width);
  code.get(1).i32(step).op(i32_add).op(0x22).u32(1).i32(last).op(i32_lt_u).op(br_if).u32(0).end();
  code.get(0).i32(step).op(i32_add).op(0x22).u32(0).i32(last).op(i32_lt_u).op(br_if).u32(0).end();
  store_i64(code, result_at, [](Wasm& c) { c.get(2); });
  return b.finish(wide ? "iiIFFi" : "iiIffi", code);
}

// Every opcode that only computes, on pairs of words that are special as some type or other; a hash for each at 8 * its place.
base::Bytes opcode_results(std::span<const PureOpcode> opcodes) {
  constexpr std::uint32_t table_at = 8192, words = 30;
  Builder b;
  Wasm table;
  for (const auto value : f64_special) table.fixed(value, 8);
  for (unsigned i = 0; i < 16; i += 2) table.fixed(f32_special[i], 4).fixed(f32_special[i + 1], 4);
  for (const auto value : {0x7FFFFFFF80000000ULL, 0x8000000000000000ULL, 0x00FF80017FFF8000ULL, 0x43E0000000000000ULL, 0x4F0000005F000000ULL,
                           0x41EFFFFFFFF00000ULL, 0x0000000100000020ULL, 0xBFEFFFFFFFFFFFFFULL, 0x4EFFFFFFCF000001ULL})
    table.fixed(value, 8);
  b.module.data(active(table_at, table.content()));
  // Locals: 0 first word, 1 second, 2 hash, 3 a v128 result.
  Wasm code;
  const auto load = [&](char type, std::uint32_t local) {
    switch (type) {
      case 'i': code.get(local).op(i32_load).u32(0).u32(table_at); break;
      case 'I': code.get(local).op(i64_load).u32(0).u32(table_at); break;
      case 'f': code.get(local).op(f32_load).u32(0).u32(table_at); break;
      case 'F': code.get(local).op(f64_load).u32(0).u32(table_at); break;
      default: code.get(local).op(0xFD, 0).u32(0).u32(table_at);
    }
  };
  const auto next = [&](std::uint32_t local) {
    code.get(local).i32(4).op(i32_add).op(0x22).u32(local).i32(8 * words).op(i32_lt_u).op(br_if).u32(0).end();
  };
  std::uint32_t place = 0;
  for (const PureOpcode& one : opcodes) {
    code.i64(0).set(2).i32(0).set(0).op(loop).u8(nothing).i32(0).set(1).op(loop).u8(nothing);
    for (std::uint32_t i = 0; i < one.in.size(); ++i) load(one.in[i], i % 2);
    if (one.prefix == 0) code.op(static_cast<std::uint8_t>(one.code));
    else code.op(one.prefix, one.code);
    if (one.lanes == 32)
      for (std::uint8_t lane = 0; lane < 16; ++lane) code.u8(static_cast<std::uint8_t>(lane * 7 % 32));
    else if (one.lanes > 0) code.u8(static_cast<std::uint8_t>(one.lanes - 1));
    if (one.out == 'v') {
      code.op(0x22).u32(3).op(0xFD, 29).u8(0);
      mix(code, 2);
      code.get(3).op(0xFD, 29).u8(1);
    } else if (one.out == 'f') {
      code.op(i32_reinterpret).op(i64_extend_u);
    } else if (one.out == 'F') {
      code.op(i64_reinterpret);
    } else if (one.out == 'i') {
      code.op(i64_extend_u);
    }
    mix(code, 2);
    next(1);
    next(0);
    store_i64(code, 8 * place++, [](Wasm& c) { c.get(2); });
  }
  return b.finish("iiIv", code);
}

void opcodes(Cases& out) {
  const auto all = pure_opcodes();
  constexpr std::size_t chunk = 50;
  for (std::size_t at = 0; at < all.size(); at += chunk)
    out.add("opcodes/" + std::to_string(at), "ok", opcode_results(std::span(all).subspan(at, std::min(chunk, all.size() - at))));
}

// Signalling NaNs as results beyond the second floating one, by call and by call_indirect; as an indirect call of a type that differs
// from the function's in one result only.
base::Bytes many_results(bool other_type) {
  constexpr std::uint64_t quiet64 = 0x7FFC123456789ABC, signalling64 = 0x7FF7FFFFFFFFFFFF;
  constexpr std::uint32_t signalling32 = 0xFFA00001;
  Builder b;
  const auto type = b.module.type("i", "vFfF"), other = b.module.type("i", "vIfF");
  // A block of the same results, left by a branch in one case: blocks keep their types.
  const auto function = b.module.function(
      type, "", Wasm().op(block).u32(b.module.type("", "vFfF")).v128(signalling64, signalling32).f64(quiet64).f32(signalling32).f64(signalling64)
                    .get(0).op(br_if).u32(0).get(0).op(br_if).u32(1).op(return_).end());
  b.module.table('r', {1, true, 1});
  b.module.element(Wasm().u32(0).i32(0).end().u32(1).u32(function));
  Wasm code;
  const auto check = [&](std::uint32_t local, std::uint64_t bits) {
    code.get(local).op(i64_reinterpret).i64(static_cast<std::int64_t>(bits)).op(i64_ne).op(if_).u8(nothing).op(unreachable).end();
  };
  for (const int way : {0, 1, 2}) {
    code.i32(way % 2);
    if (way == 2) code.i32(0).op(0x11).u32(other_type ? other : type).u32(0);
    else code.call(function);
    code.set(0).set(1);
    if (way == 2 && other_type) code.op(0xBF);
    code.set(2).set(3);
    check(0, signalling64);
    check(2, quiet64);
    code.get(1).op(i32_reinterpret).i32(static_cast<std::int32_t>(signalling32)).op(i32_ne).op(if_).u8(nothing).op(unreachable).end();
  }
  return b.finish("FfFv", code);
}

void floats(Cases& out) {
  out.add("nan/many_results", "ok", many_results(false));
  out.add("trap/indirect_almost_same_type", "trap:table", many_results(true));
  out.add("nan/all_pairs_f64", "ok", all_pairs(true, true));
  out.add("nan/all_pairs_f32", "ok", all_pairs(false, true));
  out.add("nan/payload_copies", "ok", payload_copies());
  out.add("nan/canonical_results", "ok", canonical_results());
  out.add("nan/neighbouring_stores_f64", "ok", neighbouring_stores(true));
  out.add("nan/neighbouring_stores_f32", "ok", neighbouring_stores(false));
  out.add("denormal/all_pairs_f64", "ok", all_pairs(true, false));
  out.add("denormal/all_pairs_f32", "ok", all_pairs(false, false));
}

// ------------------------------------------------------------------------------------------------ stack

// f(n) = n == 0 ? 0 : f(n - 1) + 1 with `live` locals of `type` that are set before the call and read after it.
base::Bytes recursion(std::uint32_t depth, unsigned live, char type, bool indirect) {
  Builder b;
  const auto self_type = b.module.type("i", "i");
  const auto self = b.module.declare(self_type);
  Wasm code;
  for (unsigned i = 0; i < live; ++i) {
    code.get(0).i32(static_cast<std::int32_t>(i)).op(i32_add);
    if (type == 'I') code.op(i64_extend_u);
    if (type == 'F') code.op(0xB8);
    if (type == 'v') code.op(0xFD, 17);
    code.set(1 + i);
  }
  code.get(0).op(i32_eqz).op(if_).u8(0x7F).i32(0).op(else_).get(0).i32(1).op(i32_sub);
  if (indirect) code.i32(0).op(0x11).u32(self_type).u32(0);
  else code.call(self);
  code.i32(1).op(i32_add).end();
  for (unsigned i = 0; i < live; ++i) {
    code.get(1 + i);
    if (type == 'I') code.op(0xA7);
    if (type == 'F') code.op(0xFC, 2);
    if (type == 'v') code.op(0xFD, 27).u8(3);
    code.op(i32_add);
  }
  b.module.define(self, std::string(live, type), code);
  b.module.table('r', {1, false, 0});
  b.module.element(Wasm().u32(0).i32(0).end().u32(1).u32(self));
  Wasm start;
  start.i32(static_cast<std::int32_t>(result_at)).i32(static_cast<std::int32_t>(depth)).call(self).op(i32_store).u32(2).u32(0);
  return b.finish("", start);
}

// Every frame keeps `pending` operands on the stack across the call.
base::Bytes operands_recursion(std::uint32_t depth, unsigned pending) {
  Builder b;
  const auto self = b.module.declare(b.module.type("i", "i"));
  Wasm code;
  code.get(0).op(i32_eqz).op(if_).u8(nothing).i32(0).op(return_).end();
  for (unsigned i = 0; i < pending; ++i) code.get(0).i32(static_cast<std::int32_t>(i)).op(0x73);
  code.get(0).i32(1).op(i32_sub).call(self);
  for (unsigned i = 0; i < pending; ++i) code.op(i32_add);
  b.module.define(self, "", code);
  return b.finish("", Wasm().i32(static_cast<std::int32_t>(result_at)).i32(static_cast<std::int32_t>(depth)).call(self).op(i32_store).u32(2).u32(0));
}

// f(n) = n == 0 ? 0 : f(n - 1) + 1, behind something that makes native frames larger than what is counted.
base::Bytes recursion_after(std::uint32_t depth, std::string_view locals, const std::function<void(Builder&, Wasm&)>& before, const std::function<void(Wasm&)>& after = {}) {
  Builder b;
  const auto self = b.module.declare(b.module.type("i", "i"));
  Wasm code;
  code.get(0).op(i32_eqz).op(if_).u8(nothing).i32(0).op(return_).end();
  before(b, code);
  code.get(0).i32(1).op(i32_sub).call(self);
  if (after) after(code);
  code.i32(1).op(i32_add);
  b.module.define(self, locals, code);
  return b.finish("", Wasm().i32(static_cast<std::int32_t>(result_at)).i32(static_cast<std::int32_t>(depth)).call(self).op(i32_store).u32(2).u32(0));
}

// `count` values, one at a time, each alive across a call: unoptimised code has a place in the frame for every one.
base::Bytes many_temporaries(std::uint32_t depth, unsigned count, bool wide) {
  return recursion_after(depth, wide ? "iv" : "i", [&](Builder& b, Wasm& code) {
    const auto other = b.module.function(b.module.type("i", "i"), "", Wasm().op(loop).u8(0x7F).get(0).end());
    for (unsigned i = 0; i < count; ++i) {
      code.get(0).i32(static_cast<std::int32_t>(i)).op(i32_add);
      if (wide) code.op(0xFD, 17).get(0).call(other).op(0xFD, 17).op(0xFD, 174).set(2);
      else code.get(0).call(other).op(i32_add).set(1);
    }
  });
}

// A function with `live` values across a call, called from one rare place: optimised code may put its frame into f's.
base::Bytes inlined_frame(std::uint32_t depth, unsigned live) {
  return recursion_after(depth, "", [&](Builder& b, Wasm& code) {
    const auto other = b.module.function(b.module.type("i", "i"), "", Wasm().op(loop).u8(0x7F).get(0).end());
    Wasm large;
    for (unsigned i = 0; i < live; ++i) large.get(0).call(other).set(1 + i);
    large.get(0);
    for (unsigned i = 0; i < live; ++i) large.get(1 + i).op(0x73).call(other);
    const auto callee = b.module.function(b.module.type("i", "i"), std::string(live, 'i'), large);
    code.get(0).i32(-1).op(0x46).op(if_).u8(nothing).get(0).call(callee).op(drop).end();
  });
}

// The same costly expressions before and after the call: optimised code keeps their values instead.
base::Bytes common_expressions(std::uint32_t depth, unsigned count) {
  const auto sum = [=](Wasm& code) {
    for (unsigned i = 0; i < count; ++i) code.get(0).i32(static_cast<std::int32_t>(2 * i + 3)).op(0x70).get(1).op(i32_add).set(1);
  };
  return recursion_after(depth, "i", [&](Builder&, Wasm& code) { sum(code); }, [&](Wasm& code) { sum(code); code.get(1).op(i32_add); });
}

// What the native frames of one tier may be larger than; the rows' last column has the bytes (decision 0017).
void frames(Cases& out) {
  constexpr std::uint32_t depth = 200;
  const RunLimits plenty{200'000'000, 64, 10'000};
  out.add("frames/2000_operands", "ok", operands_recursion(depth, 2000), plenty);
  out.add("frames/1000_temporaries", "ok", many_temporaries(depth, 1000, false), plenty);
  out.add("frames/1000_wide_temporaries", "ok", many_temporaries(depth, 1000, true), plenty);
  out.add("frames/1000_in_a_rare_call", "ok", inlined_frame(depth, 1000), plenty);
  out.add("frames/1000_common_expressions", "ok", common_expressions(depth, 1000), plenty);
}

void stack(Cases& out) {
  constexpr std::uint32_t forever = 0x7FFFFFFF;
  const RunLimits plenty{200'000'000, 64, 10'000};
  out.add("stack/recursion_within", "ok", recursion(10'000, 2, 'i', false), plenty);
  out.add("stack/deep_recursion", "stack", recursion(forever, 0, 'i', false), plenty);
  out.add("stack/deep_indirect_recursion", "stack", recursion(forever, 1, 'I', true), plenty);
  out.add("stack/2000_live_i32", "stack", recursion(forever, 2000, 'i', false), plenty);
  out.add("stack/2000_live_i64", "stack", recursion(forever, 2000, 'I', false), plenty);
  out.add("stack/2000_live_f64", "stack", recursion(forever, 2000, 'F', true), plenty);
  out.add("stack/2000_live_v128", "stack", recursion(forever, 2000, 'v', false), plenty);
  out.add("stack/2000_live_within", "ok", recursion(100, 2000, 'I', false), plenty);
  out.add("stack/500_operands", "stack", operands_recursion(forever, 500), plenty);
}

// ------------------------------------------------------------------------------------------------ limits

void limits(Cases& out) {
  const RunLimits small{50'000, 64, 10'000};
  out.plain("fuel/endless_loop", "fuel", Wasm().op(loop).u8(nothing).op(br).u32(0).end(), small);
  out.plain("fuel/endless_loop_with_stores", "fuel",
            Wasm().op(loop).u8(nothing).get(0).i32(1).op(i32_add).op(0x22).u32(0).i32(0x3FF8).op(0x71).get(1).op(i64_store).u32(0).u32(0)
                .get(1).i64(7).op(i64_add).set(1).op(br).u32(0).end(), small);
  out.plain("fuel/one_giant_fill", "fuel",
            Wasm().i32(60).op(0x40).u8(0).op(drop).i32(0).i32(7).i32(3'900'000).op(0xFC, 11).u8(0)
                .op(loop).u8(nothing).op(br).u32(0).end(), small);
  // Grows by one page until refused, and keeps the number of pages.
  const auto grow_all = Wasm().op(loop).u8(nothing).i32(1).op(0x40).u8(0).i32(-1).op(i32_ne).op(br_if).u32(0).end()
                            .i32(static_cast<std::int32_t>(result_at)).op(0x3F).u8(0).op(i32_store).u32(2).u32(0);
  out.plain("memory_limit/grow_until_refused", "ok", grow_all, {1'000'000, 7, 10'000});
  out.plain("memory_limit/grow_until_own_maximum", "ok", grow_all, {1'000'000, 1000, 10'000});
  out.plain("memory_limit/grow_by_too_much", "ok",
            Wasm().i32(static_cast<std::int32_t>(result_at)).i32(-1).op(0x40).u8(0).op(i32_store).u32(2).u32(0)
                .i32(static_cast<std::int32_t>(result_at + 4)).i32(64).op(0x40).u8(0).op(i32_store).u32(2).u32(0)
                .i32(static_cast<std::int32_t>(result_at + 8)).i32(63).op(0x40).u8(0).op(i32_store).u32(2).u32(0)
                .i32(static_cast<std::int32_t>(result_at + 12)).i32(0).op(0x40).u8(0).op(i32_store).u32(2).u32(0));
  const auto table_all = Wasm().op(loop).u8(nothing).op(0xD0).u8(0x70).i32(3).op(0xFC, 15).u32(0).i32(-1).op(i32_ne).op(br_if).u32(0).end()
                             .i32(static_cast<std::int32_t>(result_at)).op(0xFC, 16).u32(0).op(i32_store).u32(2).u32(0);
  out.plain("table_limit/grow_until_refused", "ok", table_all, {1'000'000, 64, 30});
  out.plain("table_limit/grow_until_own_maximum", "ok", table_all, {1'000'000, 64, 10'000});
  out.plain("table_limit/grow_by_too_much", "ok",
            Wasm().i32(static_cast<std::int32_t>(result_at)).op(0xD0).u8(0x6F).i32(-1).op(0xFC, 15).u32(1).op(i32_store).u32(2).u32(0)
                .i32(static_cast<std::int32_t>(result_at + 4)).op(0xD0).u8(0x6F).i32(0).op(0xFC, 15).u32(1).op(i32_store).u32(2).u32(0));
}

// ------------------------------------------------------------------------------------------------ traps and bulk operations

void traps(Cases& out) {
  const auto trap = [&](const char* name, const char* kind, const Wasm& body) {
    // Something written before shows that what came before the trap did happen.
    out.plain(std::string("trap/") + name, std::string("trap:") + kind, Wasm().i32(100).i32(77).op(i32_store).u32(2).u32(0).add(body));
  };
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  constexpr std::int32_t least32 = std::numeric_limits<std::int32_t>::min();
  trap("unreachable", "unreachable", Wasm().op(unreachable));
  for (std::uint8_t op = 0x6D; op <= 0x70; ++op)
    trap(("divide_i32_" + std::to_string(op)).c_str(), "divide_by_zero", Wasm().i32(5).get(0).op(op).op(drop));
  for (std::uint8_t op = 0x7F; op <= 0x82; ++op)
    trap(("divide_i64_" + std::to_string(op)).c_str(), "divide_by_zero", Wasm().i64(5).get(1).op(op).op(drop));
  trap("least_i32_by_minus_one", "not_representable", Wasm().i32(least32).i32(-1).op(0x6D).op(drop));
  trap("least_i64_by_minus_one", "not_representable", Wasm().i64(least).i64(-1).op(0x7F).op(drop));
  out.plain("trap/remainder_of_least_is_zero", "ok", Wasm().i32(least32).i32(-1).op(0x6F).op(if_).u8(nothing).op(unreachable).end());
  for (const std::uint8_t op : std::initializer_list<std::uint8_t>{0xA8, 0xA9, 0xAE, 0xAF}) {
    trap(("truncate_f32_nan_" + std::to_string(op)).c_str(), "not_representable", Wasm().f32(0x7FC00000).op(op).op(drop));
    trap(("truncate_f32_large_" + std::to_string(op)).c_str(), "not_representable", Wasm().f32(0x5F800000).op(op).op(drop));
  }
  for (const std::uint8_t op : std::initializer_list<std::uint8_t>{0xAA, 0xAB, 0xB0, 0xB1}) {
    trap(("truncate_f64_nan_" + std::to_string(op)).c_str(), "not_representable", Wasm().f64(0xFFF0000000000001).op(op).op(drop));
    trap(("truncate_f64_low_" + std::to_string(op)).c_str(), "not_representable", Wasm().f64(0xC3F0000000000000).op(op).op(drop));
  }
  trap("load_at_the_end", "memory_bounds", Wasm().i32(65529).op(i64_load).u32(0).u32(0).op(drop));
  trap("load_far_offset", "memory_bounds", Wasm().i32(-1).op(i32_load).u32(0).u32(0xFFFFFFFF).op(drop));
  trap("store_across_the_end", "memory_bounds", Wasm().i32(65533).i32(-1).op(i32_store).u32(0).u32(0));
  trap("store_v128_across_the_end", "memory_bounds", Wasm().i32(65521).get(4).op(0xFD, 11).u32(0).u32(0));
  trap("load_lane_beyond", "memory_bounds", Wasm().i32(65535).get(4).op(0xFD, 85).u32(0).u32(0).u8(1).op(drop));
  trap("indirect_null", "table", Wasm().i32(1).i32(5).op(0x11).u32(2 + 1).u32(0).op(drop));
  trap("indirect_beyond", "table", Wasm().i32(1).i32(10).op(0x11).u32(2 + 1).u32(0).op(drop));
  trap("indirect_other_type", "table", Wasm().i32(0).op(0x11).u32(2).u32(0));
  trap("table_get_beyond", "table", Wasm().i32(10).op(0x25).u32(0).op(drop));
  trap("table_set_beyond", "table", Wasm().i32(-1).op(0xD0).u8(0x6F).op(0x26).u32(1));
  // Bulk operations: nothing may be written when one of them traps.
  // Fuel is charged by length first, so there must be enough for a length of 2^32.
  const RunLimits plenty{2'000'000'000, 64, 10'000};
  const auto bulk = [&](const char* name, const char* kind, const Wasm& body) { out.plain(std::string("bulk/") + name, kind, body, plenty); };
  const auto three = [](std::int32_t a, std::int32_t b, std::int32_t c) { return Wasm().i32(a).i32(b).i32(c); };
  bulk("fill_across_the_end", "trap:memory_bounds", three(65500, 1, 100).op(0xFC, 11).u8(0));
  bulk("fill_nothing_at_the_end", "ok", three(65536, 1, 0).op(0xFC, 11).u8(0));
  bulk("fill_nothing_beyond", "trap:memory_bounds", three(65537, 1, 0).op(0xFC, 11).u8(0));
  bulk("fill_wraps_around", "trap:memory_bounds", three(100, 1, -1).op(0xFC, 11).u8(0));
  bulk("copy_across_the_end", "trap:memory_bounds", three(0, 65500, 100).op(0xFC, 10).u8(0).u8(0));
  Wasm overlap;
  overlap.add(three(8, 0, 8)).op(0xFC, 8).u32(0).u8(0);
  for (const auto& [to, from] : {std::pair{11, 8}, std::pair{9, 12}, std::pair{300, 8}}) overlap.add(three(to, from, 100)).op(0xFC, 10).u8(0).u8(0);
  bulk("copy_overlapping", "ok", overlap);
  bulk("init_beyond_the_segment", "trap:memory_bounds", three(0, 4, 5).op(0xFC, 8).u32(0).u8(0));
  bulk("init_after_drop", "trap:memory_bounds", Wasm().op(0xFC, 9).u32(0).add(three(0, 0, 1)).op(0xFC, 8).u32(0).u8(0));
  bulk("init_nothing_after_drop", "ok", Wasm().op(0xFC, 9).u32(0).add(three(0, 0, 0)).op(0xFC, 8).u32(0).u8(0));
  bulk("table_init", "ok", three(3, 0, 2).op(0xFC, 12).u32(0).u32(0).i32(1).i32(3).op(0x11).u32(3).u32(0).op(drop));
  bulk("table_init_beyond", "trap:table", three(9, 0, 2).op(0xFC, 12).u32(0).u32(0));
  bulk("table_init_after_drop", "trap:table", Wasm().op(0xFC, 13).u32(0).add(three(0, 0, 1)).op(0xFC, 12).u32(0).u32(0));
  bulk("table_init_active_is_dropped", "trap:table", three(0, 0, 1).op(0xFC, 12).u32(1).u32(0));
  bulk("table_copy_beyond", "trap:table", three(5, 0, 6).op(0xFC, 14).u32(0).u32(0));
  bulk("table_copy_overlapping", "ok", three(1, 0, 9).op(0xFC, 14).u32(0).u32(0));
  bulk("table_fill_beyond", "trap:table", Wasm().i32(8).op(0xD0).u8(0x70).i32(3).op(0xFC, 17).u32(0));
  bulk("table_fill_nothing_at_the_end", "ok", Wasm().i32(10).op(0xD0).u8(0x70).i32(0).op(0xFC, 17).u32(0));
}

void starts(Cases& out) {
  Builder trapping;
  trapping.module.start(trapping.module.function(trapping.start_type, "", Wasm().op(unreachable)));
  out.add("start/traps", "trap:unreachable", trapping.finish("", Wasm()));
  Builder writes;
  writes.module.start(writes.module.function(writes.start_type, "", Wasm().i32(8).i32(9).op(i32_store).u32(2).u32(0)));
  out.add("start/runs_first", "ok", writes.finish("", Wasm().i32(8).op(i32_load).u32(2).u32(0).i32(9).op(i32_ne).op(if_).u8(nothing).op(unreachable).end()));
  Builder endless;
  endless.module.start(endless.module.function(endless.start_type, "", Wasm().op(loop).u8(nothing).op(br).u32(0).end()));
  out.add("start/endless", "fuel", endless.finish("", Wasm()), {50'000, 64, 10'000});
  Builder leaves;
  leaves.module.start(leaves.module.function(leaves.start_type, "", Wasm().i32(5).call(1)));
  out.add("start/exits", "exit:5", leaves.finish("", Wasm().op(unreachable)));
  Builder data;
  data.module.data(active(65530, base::view("too long to fit")));
  out.add("start/data_does_not_fit", "trap:memory_bounds", data.finish("", Wasm()));
}

}  // namespace

std::vector<Case> explicit_cases() {
  Cases out;
  floats(out);
  opcodes(out);
  stack(out);
  frames(out);
  limits(out);
  traps(out);
  starts(out);
  return std::move(out.list);
}

}  // namespace starling::testing
