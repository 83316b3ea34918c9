#include "worker/execution/instrument/opcode.hpp"

#include <initializer_list>
#include <string_view>

#include "worker/execution/instrument/fuel_table.hpp"

namespace starling::execution::instrument {
namespace {

constexpr Type type_of(char letter) {
  switch (letter) {
    case 'i': return Type::i32;
    case 'I': return Type::i64;
    case 'f': return Type::f32;
    case 'F': return Type::f64;
    default: return Type::v128;
  }
}

// "vi>v": takes v128 and i32, gives v128.
constexpr Instruction given(std::string_view signature, std::uint8_t cost, NanRule nan = NanRule::bits, Immediate immediate = Immediate::none) {
  Instruction out;
  out.known = true;
  out.immediate = immediate;
  out.cost = cost;
  out.nan = nan;
  out.typed = !signature.empty();
  bool result = false;
  for (const char letter : signature) {
    if (letter == '>') result = true;
    else if (result) out.out = type_of(letter);
    else out.in[out.in_count++] = type_of(letter);
  }
  return out;
}

constexpr Instruction lanes(Lanes in, Lanes out, std::string_view signature, NanRule nan, std::uint8_t cost) {
  Instruction made = given(signature, cost, nan);
  made.in_lanes = in;
  made.out_lanes = out;
  return made;
}

template <std::size_t n>
constexpr void fill(std::array<Instruction, n>& table, unsigned first, unsigned last, const Instruction& instruction) {
  for (unsigned i = first; i <= last; ++i) table[i] = instruction;
}

constexpr std::array<Instruction, 256> make_plain() {
  using enum NanRule;
  using namespace fuel;
  std::array<Instruction, 256> t{};
  const auto special = [&](std::initializer_list<unsigned> codes, std::uint8_t cost, Immediate immediate) {
    for (const auto code : codes) t[code] = given("", cost, bits, immediate);
  };
  special({op::unreachable, op::nop, op::else_, op::end, op::drop}, nothing, Immediate::none);
  special({op::block, op::loop}, nothing, Immediate::block_type);
  special({op::if_}, simple, Immediate::block_type);
  special({op::br, op::br_if}, simple, Immediate::label);
  special({op::br_table}, branch_table, Immediate::label_table);
  special({op::return_, op::select}, simple, Immediate::none);
  special({op::select_typed}, simple, Immediate::types);
  special({op::call}, call, Immediate::function);
  special({op::call_indirect}, call_indirect, Immediate::type_and_table);
  special({op::local_get, op::local_set, op::local_tee}, nothing, Immediate::local);
  special({op::global_get, op::global_set}, simple, Immediate::global);
  special({op::table_get, op::table_set}, table, Immediate::table);
  special({op::ref_null}, nothing, Immediate::reference_type);
  special({op::ref_is_null}, simple, Immediate::none);
  special({op::ref_func}, table, Immediate::function);

  const auto access = [&](unsigned first, unsigned last, std::string_view signature) {
    fill(t, first, last, given(signature, memory, bits, Immediate::memory_argument));
  };
  access(0x28, 0x28, "i>i");
  access(0x29, 0x29, "i>I");
  access(0x2A, 0x2A, "i>f");
  access(0x2B, 0x2B, "i>F");
  access(0x2C, 0x2F, "i>i");
  access(0x30, 0x35, "i>I");
  access(0x36, 0x36, "ii>");
  access(0x37, 0x37, "iI>");
  access(0x38, 0x38, "if>");
  access(0x39, 0x39, "iF>");
  access(0x3A, 0x3B, "ii>");
  access(0x3C, 0x3E, "iI>");
  t[op::memory_size] = given(">i", simple, bits, Immediate::memory);
  t[op::memory_grow] = given("i>i", bulk, bits, Immediate::memory);
  t[op::i32_const] = given(">i", nothing, bits, Immediate::i32);
  t[op::i64_const] = given(">I", nothing, bits, Immediate::i64);
  t[op::f32_const] = given("", nothing, bits, Immediate::f32);
  t[op::f64_const] = given("", nothing, bits, Immediate::f64);

  t[0x45] = given("i>i", simple);
  fill(t, 0x46, 0x4F, given("ii>i", simple));
  t[0x50] = given("I>i", simple);
  fill(t, 0x51, 0x5A, given("II>i", simple));
  fill(t, 0x5B, 0x60, given("ff>i", real, look));
  fill(t, 0x61, 0x66, given("FF>i", real, look));
  fill(t, 0x67, 0x69, given("i>i", simple));
  fill(t, 0x6A, 0x78, given("ii>i", simple));
  fill(t, 0x6D, 0x70, given("ii>i", divide));
  fill(t, 0x79, 0x7B, given("I>I", simple));
  fill(t, 0x7C, 0x8A, given("II>I", simple));
  fill(t, 0x7F, 0x82, given("II>I", divide));
  const auto real_block = [&](unsigned first, std::string_view one, std::string_view two) {
    fill(t, first, first + 1, given(one, real, pass));           // abs neg
    fill(t, first + 2, first + 5, given(one, real, NanRule::make));  // ceil floor trunc nearest
    t[first + 6] = given(one, root, NanRule::make);
    fill(t, first + 7, first + 9, given(two, real, NanRule::make));  // add sub mul
    t[first + 10] = given(two, divide, NanRule::make);
    fill(t, first + 11, first + 12, given(two, min_max, NanRule::make));
    t[first + 13] = given(two, real, copysign);
  };
  real_block(0x8B, "f>f", "ff>f");
  real_block(0x99, "F>F", "FF>F");
  t[0xA7] = given("I>i", simple);
  fill(t, 0xA8, 0xA9, given("f>i", real, look));
  fill(t, 0xAA, 0xAB, given("F>i", real, look));
  fill(t, 0xAC, 0xAD, given("i>I", simple));
  fill(t, 0xAE, 0xAF, given("f>I", real, look));
  fill(t, 0xB0, 0xB1, given("F>I", real, look));
  fill(t, 0xB2, 0xB3, given("i>f", real, exact));
  fill(t, 0xB4, 0xB5, given("I>f", real, exact));
  t[0xB6] = given("F>f", real, NanRule::make);
  fill(t, 0xB7, 0xB8, given("i>F", real, exact));
  fill(t, 0xB9, 0xBA, given("I>F", real, exact));
  t[0xBB] = given("f>F", real, NanRule::make);
  t[0xBC] = given("f>i", simple);
  t[0xBD] = given("F>I", simple);
  t[0xBE] = given("i>f", simple);
  t[0xBF] = given("I>F", simple);
  fill(t, 0xC0, 0xC1, given("i>i", simple));
  fill(t, 0xC2, 0xC4, given("I>I", simple));
  return t;
}

constexpr std::array<Instruction, 18> make_misc() {
  using namespace fuel;
  std::array<Instruction, 18> t{};
  fill(t, 0, 1, given("f>i", real, NanRule::look));
  fill(t, 2, 3, given("F>i", real, NanRule::look));
  fill(t, 4, 5, given("f>I", real, NanRule::look));
  fill(t, 6, 7, given("F>I", real, NanRule::look));
  t[op::memory_init] = given("iii>", bulk, NanRule::bits, Immediate::data_and_memory);
  t[op::data_drop] = given(">", simple, NanRule::bits, Immediate::data);
  t[op::memory_copy] = given("iii>", bulk, NanRule::bits, Immediate::two_memories);
  t[op::memory_fill] = given("iii>", bulk, NanRule::bits, Immediate::memory);
  t[op::table_init] = given("iii>", bulk, NanRule::bits, Immediate::element_and_table);
  t[op::elem_drop] = given(">", simple, NanRule::bits, Immediate::element);
  t[op::table_copy] = given("iii>", bulk, NanRule::bits, Immediate::two_tables);
  t[op::table_grow] = given("", bulk, NanRule::bits, Immediate::table);
  t[op::table_size] = given(">i", simple, NanRule::bits, Immediate::table);
  t[op::table_fill] = given("", bulk, NanRule::bits, Immediate::table);
  return t;
}

constexpr std::array<Instruction, 256> make_simd() {
  using enum NanRule;
  constexpr std::uint8_t one = fuel::lanes;
  std::array<Instruction, 256> t{};
  const auto set = [&](std::initializer_list<unsigned> codes, std::string_view signature, Immediate immediate = Immediate::none) {
    for (const auto code : codes) t[code] = given(signature, one, bits, immediate);
  };
  const auto range = [&](unsigned first, unsigned last, std::string_view signature, Immediate immediate = Immediate::none) {
    fill(t, first, last, given(signature, one, bits, immediate));
  };
  range(0, 10, "i>v", Immediate::memory_argument);
  range(92, 93, "i>v", Immediate::memory_argument);
  set({11}, "iv>", Immediate::memory_argument);
  set({op::v128_const}, "", Immediate::v128);
  t[op::v128_const].cost = fuel::nothing;
  set({13}, "vv>v", Immediate::shuffle);
  set({14}, "vv>v");
  range(15, 17, "i>v");
  set({18}, "I>v");
  set({21, 22, 24, 25, 27}, "v>i", Immediate::lane);
  set({23, 26, 28}, "vi>v", Immediate::lane);
  set({29}, "v>I", Immediate::lane);
  set({30}, "vI>v", Immediate::lane);
  range(35, 64, "vv>v");
  set({77}, "v>v");
  range(78, 81, "vv>v");
  set({82}, "vvv>v");
  set({83}, "v>i");
  range(84, 87, "iv>v", Immediate::memory_argument_lane);
  range(88, 91, "iv>", Immediate::memory_argument_lane);

  set({96, 97, 98, 128, 129, 160, 161, 192, 193}, "v>v");                   // abs neg popcnt
  set({99, 100, 131, 132, 163, 164, 195, 196}, "v>i");                      // all_true bitmask
  set({101, 102, 133, 134}, "vv>v");                                        // narrow
  set({107, 108, 109, 139, 140, 141, 171, 172, 173, 203, 204, 205}, "vi>v");  // shifts
  range(110, 115, "vv>v");
  range(118, 121, "vv>v");
  set({123, 130}, "vv>v");
  range(124, 127, "v>v");  // extadd_pairwise
  range(135, 138, "v>v");
  range(167, 170, "v>v");
  range(199, 202, "v>v");  // extend
  range(142, 147, "vv>v");
  range(149, 153, "vv>v");
  range(155, 159, "vv>v");
  set({174, 177}, "vv>v");
  range(181, 186, "vv>v");
  range(188, 191, "vv>v");
  set({206, 209}, "vv>v");
  range(213, 223, "vv>v");

  const auto floats = [&](Lanes kind, std::initializer_list<unsigned> codes, std::string_view signature, NanRule rule, std::uint8_t cost) {
    for (const auto code : codes) t[code] = lanes(kind, kind, signature, rule, cost);
  };
  constexpr Lanes s = Lanes::f32x4;
  constexpr Lanes d = Lanes::f64x2;
  floats(s, {65, 66, 67, 68, 69, 70}, "vv>v", look, one);
  floats(d, {71, 72, 73, 74, 75, 76}, "vv>v", look, one);
  floats(s, {103, 104, 105, 106}, "v>v", NanRule::make, one);
  floats(d, {116, 117, 122, 148}, "v>v", NanRule::make, one);
  floats(s, {224, 225}, "v>v", pass, one);
  floats(d, {236, 237}, "v>v", pass, one);
  floats(s, {227}, "v>v", NanRule::make, fuel::lanes_divide);
  floats(d, {239}, "v>v", NanRule::make, fuel::lanes_divide);
  floats(s, {228, 229, 230}, "vv>v", NanRule::make, one);
  floats(d, {240, 241, 242}, "vv>v", NanRule::make, one);
  floats(s, {231}, "vv>v", NanRule::make, fuel::lanes_divide);
  floats(d, {243}, "vv>v", NanRule::make, fuel::lanes_divide);
  floats(s, {232, 233}, "vv>v", NanRule::make, fuel::min_max);
  floats(d, {244, 245}, "vv>v", NanRule::make, fuel::min_max);
  floats(s, {234, 235}, "vv>v", pass, one);
  floats(d, {246, 247}, "vv>v", pass, one);
  floats(s, {248, 249}, "v>v", look, one);
  floats(d, {252, 253}, "v>v", look, one);
  t[19] = lanes(Lanes::none, s, "f>v", move, one);  // splat
  t[20] = lanes(Lanes::none, d, "F>v", move, one);
  t[31] = lanes(s, Lanes::none, "v>f", move, one);  // extract_lane
  t[33] = lanes(d, Lanes::none, "v>F", move, one);
  t[32] = lanes(s, s, "vf>v", move, one);           // replace_lane
  t[34] = lanes(d, d, "vF>v", move, one);
  t[31].immediate = t[32].immediate = t[33].immediate = t[34].immediate = Immediate::lane;
  t[94] = lanes(d, s, "v>v", NanRule::make, one);           // f32x4.demote_f64x2_zero
  t[95] = lanes(s, d, "v>v", NanRule::make, one);           // f64x2.promote_low_f32x4
  t[250] = t[251] = lanes(Lanes::none, s, "v>v", exact, one);  // f32x4.convert_i32x4
  t[254] = t[255] = lanes(Lanes::none, d, "v>v", exact, one);  // f64x2.convert_low_i32x4
  return t;
}

constexpr Instruction shuffle_of(Lanes kind) {
  Instruction out = lanes(kind, kind, "vv>v", NanRule::move, fuel::lanes);
  out.immediate = Immediate::shuffle;
  return out;
}
constinit const Instruction shuffle_by_4 = shuffle_of(Lanes::f32x4), shuffle_by_8 = shuffle_of(Lanes::none);

bool moves_whole(base::ByteView indices, std::size_t size) {
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto first = std::to_integer<std::size_t>(indices[i - i % size]);
    if (first % size != 0 || std::to_integer<std::size_t>(indices[i]) != first + i % size) return false;
  }
  return true;
}

}  // namespace

const Instruction& shuffle_instruction(base::ByteView indices) {
  if (moves_whole(indices, 8)) return shuffle_by_8;
  return moves_whole(indices, 4) ? shuffle_by_4 : simd_instructions[op::shuffle];
}

constinit const std::array<Instruction, 256> plain_instructions = make_plain();
constinit const std::array<Instruction, 18> misc_instructions = make_misc();
constinit const std::array<Instruction, 256> simd_instructions = make_simd();

}  // namespace starling::execution::instrument
