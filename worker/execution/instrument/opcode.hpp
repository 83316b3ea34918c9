// Every instruction of WebAssembly 2.0 as a table: what follows it, what it takes and gives, what it costs, what it does to NaNs.
// Instructions whose types depend on context (control, variables, tables, select, calls) have an empty signature: walk.cpp knows them.
#pragma once

#include <array>
#include <cstdint>

#include "coordinator-less/base/bytes.hpp"

namespace starling::execution::instrument {

enum class Type : std::uint8_t {
  none = 0, i32 = 0x7F, i64 = 0x7E, f32 = 0x7D, f64 = 0x7C, v128 = 0x7B, funcref = 0x70, externref = 0x6F,
};
inline bool is_reference(Type type) { return type == Type::funcref || type == Type::externref; }
inline bool is_floating(Type type) { return type == Type::f32 || type == Type::f64 || type == Type::v128; }
inline Type as_bits(Type type) { return type == Type::f32 ? Type::i32 : type == Type::f64 ? Type::i64 : type; }
inline std::uint32_t slots_of(Type type) { return type == Type::v128 ? 2 : 1; }

enum class Immediate : std::uint8_t {
  none, block_type, label, label_table, function, type_and_table, local, global, table, memory_argument, memory_argument_lane, lane,
  i32, i64, f32, f64, v128, shuffle, memory, two_memories, data_and_memory, data, element_and_table, element, two_tables,
  reference_type, types,
};

// What happens to NaN bits. `bits`: operands are looked at as bits, the result is made of bits. `look`: as numbers, where every
// NaN is alike. `make`: the result may be a new NaN. `exact`: the result is never NaN. `pass`: bits of the operands come through.
// `move`: whole lanes of the operands come through.
enum class NanRule : std::uint8_t { bits, look, make, exact, pass, copysign, move };
enum class Lanes : std::uint8_t { none, f32x4, f64x2 };  // how a 128-bit operand or result is seen

struct Instruction {
  bool known = false;
  bool typed = false;  // `in` and `out` are the whole truth
  Immediate immediate = Immediate::none;
  std::uint8_t in_count = 0;
  std::array<Type, 3> in{};
  Type out = Type::none;
  std::uint8_t cost = 0;
  NanRule nan = NanRule::bits;
  Lanes in_lanes = Lanes::none;
  Lanes out_lanes = Lanes::none;
};

inline constexpr std::uint8_t prefix_misc = 0xFC;
inline constexpr std::uint8_t prefix_simd = 0xFD;
inline constexpr std::uint8_t prefix_threads = 0xFE;

extern const std::array<Instruction, 256> plain_instructions;
extern const std::array<Instruction, 18> misc_instructions;   // after 0xFC
extern const std::array<Instruction, 256> simd_instructions;  // after 0xFD

// i8x16.shuffle by its sixteen indices: one that moves whole lanes moves NaNs as well.
const Instruction& shuffle_instruction(base::ByteView indices);

namespace op {
inline constexpr std::uint8_t unreachable = 0x00, nop = 0x01, block = 0x02, loop = 0x03, if_ = 0x04, else_ = 0x05, end = 0x0B, br = 0x0C,
    br_if = 0x0D, br_table = 0x0E, return_ = 0x0F, call = 0x10, call_indirect = 0x11, drop = 0x1A, select = 0x1B, select_typed = 0x1C,
    local_get = 0x20, local_set = 0x21, local_tee = 0x22, global_get = 0x23, global_set = 0x24, table_get = 0x25, table_set = 0x26,
    f32_store = 0x38, f64_store = 0x39, memory_size = 0x3F, memory_grow = 0x40, i32_const = 0x41, i64_const = 0x42, f32_const = 0x43, f64_const = 0x44, i64_lt_s = 0x53,
    i64_gt_u = 0x56, i32_add = 0x6A, i32_or = 0x72, i64_add = 0x7C, i64_sub = 0x7D, i64_mul = 0x7E, i64_shr_u = 0x88, i32_eq = 0x46,
    i64_extend_i32_u = 0xAD, f32_eq = 0x5B, f32_ne = 0x5C, f64_eq = 0x61, f64_ne = 0x62, f32_add = 0x92, f64_add = 0xA0, i32_reinterpret = 0xBC, i64_reinterpret = 0xBD, f32_reinterpret = 0xBE, f64_reinterpret = 0xBF,
    ref_null = 0xD0, ref_is_null = 0xD1, ref_func = 0xD2;
inline constexpr std::uint8_t memory_init = 8, data_drop = 9, memory_copy = 10, memory_fill = 11, table_init = 12, elem_drop = 13,
    table_copy = 14, table_grow = 15, table_size = 16, table_fill = 17;
inline constexpr std::uint8_t v128_const = 12, shuffle = 13;
}  // namespace op

}  // namespace starling::execution::instrument
