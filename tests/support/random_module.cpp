#include "tests/support/random_module.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string_view>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/rng.hpp"
#include "tests/support/opcode_table.hpp"
#include "tests/support/wasm_writer.hpp"

namespace starling::testing {
namespace {

// ---------------------------------------------------------------------------------------------- values that break things

constexpr std::uint32_t f32_values[] = {
    0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7FE12345, 0xFFFFFFFF, 0x7F800001, 0xFFA00001, 0x7FBFFFFF,  // NaN, quiet and signalling
    0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x80800000,                          // denormals and their border
    0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x3F000000,
    0x4F000000, 0xCF000000, 0x4F800000, 0x5F000000, 0xDF000000, 0x5F800000, 0x4B000001, 0x34000000, 0x1E3CE508, 0x7EFFFFFF};
constexpr std::uint64_t f64_values[] = {
    0x7FF8000000000000, 0xFFF8000000000000, 0x7FF8000000000001, 0x7FFC123456789ABC, 0xFFFFFFFFFFFFFFFF, 0x7FF0000000000001,
    0xFFF4000000000001, 0x7FF7FFFFFFFFFFFF, 0x7FF00000000007A2, 0x0000000000000001, 0x8000000000000001, 0x000FFFFFFFFFFFFF,
    0x800FFFFFFFFFFFFF, 0x0010000000000000, 0x7FF0000000000000, 0xFFF0000000000000, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF,
    0x0000000000000000, 0x8000000000000000, 0x3FF0000000000000, 0xBFF0000000000000, 0x3FE0000000000000, 0x41E0000000000000,
    0xC1E0000000000000, 0x41F0000000000000, 0x43E0000000000000, 0xC3E0000000000000, 0x43F0000000000000, 0x4330000000000001,
    0x36A0000000000000, 0x380FFFFFFFFFFFFF, 0x47EFFFFFF0000000, 0x3CB0000000000000};
constexpr std::uint64_t integer_values[] = {0, 1, 2, 7, 31, 32, 63, 64, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0x7FC00000,
    0x7F800001, 0x7FF8000000000000, 0x7FF4000000000000, 0x0101010101010101};

constexpr std::string_view numbers = "iIfFv";
constexpr std::uint32_t page_bytes = 65536;

struct Signature {
  std::uint32_t function = 0;
  std::uint32_t type = 0;
  std::string parameters;
  std::string results;
};

struct Segment {
  std::uint32_t index = 0;
  std::uint32_t size = 0;
  bool passive = false;
};

// ---------------------------------------------------------------------------------------------- what makes NaNs

// What an instruction's result may be, as a float.
enum class NanRole : std::uint8_t {
  none,         // no NaN, or no other than its operands'; no float at all
  makes,        // NaNs of its own, with bits that engines choose
  passes,       // bits of an operand, with another sign
  raw,          // any bits
  other_lanes,  // `makes` in lanes that are not the module's
};

bool is_in(std::uint32_t code, std::initializer_list<std::pair<std::uint32_t, std::uint32_t>> spans) {
  return std::ranges::any_of(spans, [&](const auto& one) { return code >= one.first && code <= one.second; });
}

NanRole role_of_lanes(const Op& which, bool lanes_are_64) {
  const std::uint32_t code = which.code;
  if (which.out != 'v') {
    if (code == 31) return lanes_are_64 ? NanRole::raw : NanRole::none;  // f32x4.extract_lane
    if (code == 33) return lanes_are_64 ? NanRole::none : NanRole::raw;
    return NanRole::none;
  }
  const bool of_32 = is_in(code, {{94, 94}, {103, 106}, {227, 233}});  // demote, ceil to nearest, sqrt to max
  const bool of_64 = is_in(code, {{95, 95}, {116, 117}, {122, 122}, {148, 148}, {239, 245}});
  if (of_32 || of_64) return of_64 == lanes_are_64 ? NanRole::makes : NanRole::other_lanes;
  if (code == (lanes_are_64 ? 237 : 225)) return NanRole::passes;  // neg
  // Splat, replace_lane, abs, pmin, pmax.
  const bool moves = lanes_are_64 ? is_in(code, {{20, 20}, {34, 34}, {236, 236}, {246, 247}}) : is_in(code, {{19, 19}, {32, 32}, {224, 224}, {234, 235}});
  return moves ? NanRole::none : NanRole::raw;
}

NanRole role_of(const Op& which, bool lanes_are_64) {
  if (which.prefix == 0xFD) return role_of_lanes(which, lanes_are_64);
  if (which.prefix != 0 || (which.out != 'f' && which.out != 'F')) return NanRole::none;
  if (is_in(which.code, {{0x2A, 0x2B}, {0xBE, 0xBF}})) return NanRole::raw;               // loads, reinterprets
  if (is_in(which.code, {{0x8C, 0x8C}, {0x98, 0x98}, {0x9A, 0x9A}, {0xA6, 0xA6}})) return NanRole::passes;  // neg, copysign
  if (is_in(which.code, {{0x8D, 0x97}, {0x9B, 0xA5}, {0xB6, 0xB6}, {0xBB, 0xBB}})) return NanRole::makes;
  return NanRole::none;
}

// ---------------------------------------------------------------------------------------------- the generator

class Generator {
 public:
  Generator(std::uint64_t seed, Flavour flavour, bool twin = false)
      : rng_(seed * 8 + static_cast<std::uint64_t>(flavour)), flavour_(flavour), is_twin_(twin) {
    used_.resize(op_table().ops.size());
    if (flavour_ != Flavour::numbers) return;
    lanes_are_64_ = chance(0.5);
    is_tainted_only_ = chance(0.5);
  }
  RandomModule make();

 private:
  // Chance.
  bool chance(double probability) { return rng_.chance(probability); }
  std::uint32_t below(std::uint64_t bound) { return static_cast<std::uint32_t>(rng_.below(bound)); }
  template <class T>
  const T& one_of(const std::vector<T>& from) { return from[below(from.size())]; }
  bool risk() { return risk_ > 0 && chance(risk_); }
  char number_type();
  char outer_type();  // of parameters, results and globals
  bool is_plain() const { return flavour_ == Flavour::integers || flavour_ == Flavour::numbers; }

  // Instructions, noted in used_.
  void note(std::uint8_t prefix, std::uint32_t code) { used_[op_table().index.at(OpTable::key(prefix, code))] = true; }
  Wasm& op(std::uint8_t code) { note(0, code); return code_.op(code); }
  Wasm& op(std::uint8_t prefix, std::uint32_t code) { note(prefix, code); return code_.op(prefix, code); }
  Wasm& plain(const Op& which) { return which.prefix == 0 ? op(static_cast<std::uint8_t>(which.code)) : op(which.prefix, which.code); }
  void i32(std::uint32_t value) { op(0x41).s64(static_cast<std::int32_t>(value)); }
  void get(std::uint32_t local) { op(0x20).u32(local); }
  void set(std::uint32_t local) { op(0x21).u32(local); }
  void binary_i32(std::uint8_t code, std::uint32_t value) { i32(value); op(code); }
  void constant(char type);

  // The module's parts.
  void make_globals();
  void make_tables();
  void make_memory();
  void make_functions();
  void make_segments();
  void make_start();
  void make_names();
  void offset(Wasm& out, std::uint32_t value);

  // Function bodies.
  void define(const Signature& of);
  void statements(unsigned count, int depth);
  void statement(int depth);
  void value(char type, int depth);
  void leaf(char type);
  void values(std::string_view types, int depth) { for (const char one : types) value(one, depth); }
  void consume(std::string_view types);  // from the stack into locals, globals or nowhere
  std::uint32_t local_of(char type);
  void spend_budget();  // leaves 1 when it is used up
  void block_type(std::string_view parameters, std::string_view results);

  void operation(const Op& which, int depth);
  void address(int depth, const Op& which);
  void special(const Op& which, int depth);
  bool guard_operands(const Op& which, int depth);
  void value_block(char type, int depth);
  const Op& op_of(const std::vector<std::size_t>& choices);  // one that the flavour allows
  void select(char type, int depth);
  bool call_for(char type, int depth);
  void call(const Signature& callee, int depth, bool indirect);
  void loop_statement(int depth);
  void typed_blocks(int depth);
  void branch(int depth);
  void branch_table(int depth);
  void leave(int depth);
  void dead_code(int depth);
  void store_and_read_back(int depth);
  void neighbouring_stores(int depth);
  bool is_allowed(const Op& which) const;
  void after(const Op& which);
  void make_canonical(bool is_64, char type, std::uint32_t scratch);
  std::size_t code_bytes() const { return code_.size() - twin_bytes_; }  // as if it were no twin
  void mix();  // the i64 on the stack into the hash

  base::Rng rng_;
  Flavour flavour_;
  WasmModule module_;
  std::vector<bool> used_;
  double risk_ = 0;

  std::vector<Signature> functions_;           // ours, callable by anybody
  std::vector<Signature> imports_;
  std::vector<std::pair<std::uint32_t, char>> globals_;  // mutable, free to use
  std::vector<std::uint32_t> slots_;           // table 0: functions_ index by slot, never changed unless in danger
  std::vector<Segment> datas_, elements_;
  std::uint32_t budget_global_ = 0, hash_global_ = 0;
  std::uint32_t fd_write_ = 0, proc_exit_ = 0;
  bool endless_ = false;
  // Of `numbers`.
  bool is_twin_ = false;
  bool lanes_are_64_ = false;     // else f32x4
  bool is_tainted_only_ = false;

  // Of the function being written.
  Wasm code_;
  std::string locals_;
  std::map<char, std::vector<std::uint32_t>> locals_by_type_;
  std::vector<std::string> labels_;  // what a branch carries; innermost last
  std::string results_;
  std::uint32_t counters_ = 0;       // loop counters in use
  std::uint32_t first_counter_ = 0;
  std::uint32_t first_scratch_ = 0;  // of `numbers`
  std::size_t twin_bytes_ = 0;       // what is_twin_ has added
  std::size_t size_max_ = 4000;
};

constexpr std::uint32_t counters_max = 8;
// Locals that make_canonical looks through: for what was never arithmetic's, for what passes arithmetic's bits on, for arithmetic's
// own, for lanes of the other kind. Were they one, the instrumenter would see all origins in each.
constexpr std::string_view scratch_types = "fFvfFvfFvv";
enum : std::uint32_t { of_raw = 0, of_passed = 3, of_made = 6, of_other_lanes = 9 };

char Generator::number_type() {
  switch (flavour_) {
    case Flavour::floats: return "fFfFfFiIv"[below(9)];
    case Flavour::lanes: return "vvvvvvifFI"[below(10)];
    case Flavour::memory: return "iiiIfFv"[below(7)];
    case Flavour::integers: return "iI"[below(2)];
    case Flavour::numbers: return "fFfFfFviIi"[below(10)];
    default: return numbers[below(numbers.size())];
  }
}

char Generator::outer_type() { return is_tainted_only_ ? "iI"[below(2)] : number_type(); }

// No NaN but the canonical one; none at all where only arithmetic makes them.
std::uint32_t known_f32(std::uint32_t bits, bool has_nan) {
  if ((bits & 0x7FFFFFFF) <= 0x7F800000) return bits;
  return has_nan ? 0x7FC00000 : 0x7F800000;
}
std::uint64_t known_f64(std::uint64_t bits, bool has_nan) {
  if ((bits & 0x7FFFFFFFFFFFFFFF) <= 0x7FF0000000000000) return bits;
  return has_nan ? 0x7FF8000000000000 : 0x7FF0000000000000;
}

void Generator::constant(char type) {
  const bool known = flavour_ == Flavour::numbers;
  const auto bits64 = [&] {
    const std::uint64_t bits = chance(0.7) ? f64_values[below(std::size(f64_values))] : rng_.next();
    return known ? known_f64(bits, !is_tainted_only_) : bits;
  };
  const auto bits32 = [&] {
    const std::uint32_t bits = chance(0.7) ? f32_values[below(std::size(f32_values))] : static_cast<std::uint32_t>(rng_.next());
    return known ? known_f32(bits, !is_tainted_only_) : bits;
  };
  const auto integer = [&] { return chance(0.8) ? integer_values[below(std::size(integer_values))] : rng_.next(); };
  switch (type) {
    case 'i': i32(static_cast<std::uint32_t>(integer())); return;
    case 'I': op(0x42).s64(static_cast<std::int64_t>(integer())); return;
    case 'f': op(0x43).fixed(bits32(), 4); return;
    case 'F': op(0x44).fixed(bits64(), 8); return;
    case 'v': {
      const auto half = [&] {
        if (known ? lanes_are_64_ : chance(0.4)) return bits64();
        const std::uint64_t high = bits32();
        return high << 32 | bits32();
      };
      op(0xFD, 12).fixed(half(), 8).fixed(half(), 8);
      return;
    }
    case 'r':
      if (functions_.empty() || is_plain() || chance(0.5)) op(0xD0).u8(0x70);
      else op(0xD2).u32(chance(0.1) ? fd_write_ : one_of(functions_).function);
      return;
    default: op(0xD0).u8(0x6F);
  }
}

std::uint32_t Generator::local_of(char type) { return one_of(locals_by_type_.at(type)); }

void Generator::leaf(char type) {
  const auto pick = below(10);
  if (pick < 4) return get(local_of(type));
  if (pick < 6) {
    std::vector<std::uint32_t> fitting;
    for (const auto& [index, of] : globals_)
      if (of == type && (!is_tainted_only_ || type == 'i' || type == 'I')) fitting.push_back(index);
    if (!fitting.empty()) {
      op(0x23).u32(one_of(fitting));
      return;
    }
  }
  constant(type);
}

void Generator::value(char type, int depth) {
  if (depth <= 0 || code_bytes() > size_max_) return leaf(type);
  const auto pick = below(100);
  if (pick < 12) return leaf(type);
  if (pick < 16) {
    value(type, depth - 1);
    op(0x22).u32(local_of(type));
    return;
  }
  if (pick < 22) return value_block(type, depth);
  if (pick < 28) return select(type, depth);
  if (pick < 33 && call_for(type, depth)) return;
  const auto& choices = op_table().by_result;
  const auto found = choices.find(type);
  if (type == 'e' || found == choices.end()) return leaf(type);
  // Lane arithmetic that makes NaNs is a small part of all that gives a v128.
  if (type == 'v' && flavour_ == Flavour::lanes && chance(0.3)) {
    static constexpr std::array<std::uint32_t, 14> codes = {227, 228, 229, 230, 231, 232, 233, 239, 240, 241, 242, 243, 244, 245};
    return operation(op_table().ops[op_table().index.at(OpTable::key(0xFD, codes[below(codes.size())]))], depth - 1);
  }
  operation(op_of(found->second), depth - 1);
}

const Op& Generator::op_of(const std::vector<std::size_t>& choices) {
  while (true) {
    const Op& which = op_table().ops[one_of(choices)];
    if (!is_plain() || is_allowed(which)) return which;
  }
}

bool Generator::is_allowed(const Op& which) const {
  const bool integers = flavour_ == Flavour::integers;
  const auto number = [&](char type) { return type == 'i' || type == 'I' || (!integers && (type == 'f' || type == 'F' || type == 'v')); };
  if (which.out != 0 && !number(which.out)) return true;
  const bool changes = which.imm == Imm::special && (which.prefix == 0 ? which.code != 0x3F : which.code < 8 || which.code > 11);
  if (changes || !std::ranges::all_of(which.in, number)) return false;
  if (!is_tainted_only_) return true;
  const NanRole role = role_of(which, lanes_are_64_);
  return role != NanRole::raw && role != NanRole::other_lanes;
}

// x == x ? x : the canonical NaN, lane by lane. The value is on top of the stack.
void Generator::make_canonical(bool is_64, char type, std::uint32_t scratch) {
  const std::uint32_t local = first_scratch_ + scratch;
  const auto again = [&] { code_.get(local); };
  code_.op(0x22).u32(local);
  if (type == 'v') {
    const std::uint64_t nan = is_64 ? 0x7FF8000000000000 : 0x7FC000007FC00000;
    code_.v128(nan, nan);
    again();
    again();
    code_.op(0xFD, is_64 ? 71 : 65).op(0xFD, 82);  // eq, bitselect
    return;
  }
  if (is_64) code_.f64(0x7FF8000000000000);
  else code_.f32(0x7FC00000);
  again();
  again();
  code_.op(is_64 ? 0x61 : 0x5B).op(0x1B);  // eq, select
}

// Behind an instruction: makes canonical what it may have put into a float, but what arithmetic makes only in the twin.
void Generator::after(const Op& which) {
  if (flavour_ != Flavour::numbers || first_scratch_ == 0) return;
  const NanRole role = role_of(which, lanes_are_64_);
  const char type = which.out;
  const std::uint32_t of_type = type == 'f' ? 0 : type == 'F' ? 1 : 2;
  const bool is_64 = type == 'F' || (type == 'v' && lanes_are_64_);
  switch (role) {
    case NanRole::none: return;
    case NanRole::raw: return make_canonical(is_64, type, of_raw + of_type);
    case NanRole::passes: return make_canonical(is_64, type, of_passed + of_type);
    case NanRole::other_lanes:
      make_canonical(!lanes_are_64_, 'v', of_other_lanes);
      return make_canonical(lanes_are_64_, 'v', of_raw + of_type);
    case NanRole::makes:
      if (!is_twin_) return;
      const std::size_t before = code_.size();
      make_canonical(is_64, type, of_made + of_type);
      twin_bytes_ += code_.size() - before;
  }
}

// Two to six floats through one local at neighbouring places, most of them arithmetic's, now and then something between.
void Generator::neighbouring_stores(int depth) {
  const std::uint32_t base = local_of('i');
  value('i', depth - 1);
  binary_i32(0x71, 0x3FF8);
  set(base);
  const bool is_64 = chance(0.6);
  const char type = is_64 ? 'F' : 'f';
  const std::uint32_t step = is_64 ? 8 : 4, first = below(4);
  const unsigned count = 2 + below(5);
  for (unsigned i = 0; i < count; ++i) {
    get(base);
    if (chance(0.7)) {
      static constexpr std::array<std::uint8_t, 7> codes = {0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0x9F};
      std::uint8_t code = codes[below(codes.size())];
      if (!is_64) code = static_cast<std::uint8_t>(code - 0x0E);
      const Op& which = op_table().ops[op_table().index.at(OpTable::key(0, code))];
      for (const char one : which.in) leaf(one);
      plain(which);
      after(which);
    } else if (chance(0.5)) {
      get(local_of(type));
    } else {
      value(type, 1);
    }
    const std::uint32_t place = chance(0.9) ? first + i : below(8);
    op(is_64 ? 0x39 : 0x38).u32(below(3)).u32(step * place + (chance(0.05) ? 2 : 0));
    if (chance(0.85)) continue;
    switch (below(3)) {
      case 0:  // what lies there now
        get(base);
        op(0x29).u32(0).u32(below(64));
        set(local_of('I'));
        break;
      case 1:
        value('I', 1);
        set(local_of('I'));
        break;
      default:
        get(base);
        binary_i32(0x6A, 8);
        set(base);
    }
  }
}

// NaNs must reach every place where bits can be seen, so bit views of floats are common there.
void Generator::store_and_read_back(int depth) {
  const std::uint32_t at = 8 * below(512);
  i32(at);
  if (chance(0.5)) {
    value('f', depth);
    op(0x38).u32(below(3)).u32(0);
  } else {
    value('F', depth);
    op(0x39).u32(below(4)).u32(0);
  }
  i32(at);
  op(0x29).u32(below(4)).u32(0);
  set(local_of('I'));
}

void Generator::address(int depth, const Op& which) {
  const std::uint32_t alignment = below(which.arg + 1U);
  std::uint32_t far = below(3) == 0 ? below(0x7000) : below(64);
  if (risk()) {
    switch (below(4)) {
      case 0: value('i', depth); break;
      case 1: i32(page_bytes - below(20)); break;
      case 2:
        op(0x3F).u8(0);
        binary_i32(0x74, 16);
        binary_i32(0x6B, below(18));
        far = 0;
        break;
      default: i32(below(page_bytes)); far = 0xFFFFFFFF - below(page_bytes); break;
    }
  } else {
    value('i', depth);
    binary_i32(0x71, chance(0.5) ? 0x7FF : 0x3FFF);
  }
  // The remaining operands stand between address and instruction.
  for (const char one : which.in.substr(1)) value(one, depth);
  plain(which);
  code_.u32(alignment).u32(far);
}

// Operands that cannot trap, for what may. False when the instruction has no such.
bool Generator::guard_operands(const Op& which, int depth) {
  if (which.prefix != 0 || risk()) return false;
  const auto is = [&](std::uint32_t first, std::uint32_t last) { return which.code >= first && which.code <= last; };
  if (is(0x6D, 0x70)) {
    values("ii", depth);
    binary_i32(0x71, 0x7FFFFFF0);
    binary_i32(0x72, 1);
  } else if (is(0x7F, 0x82)) {
    values("II", depth);
    op(0x42).s64(0x7FFFFFFFFFF0);
    op(0x83);
    op(0x42).s64(1);
    op(0x84);
  } else if (is(0xA8, 0xAB) || is(0xAE, 0xB1)) {
    value('i', depth);
    binary_i32(0x71, 0xFFFF);
    op(which.in == "f" ? 0xB3 : 0xB8);
  } else {
    return false;
  }
  return true;
}

void Generator::operation(const Op& which, int depth) {
  if (which.imm == Imm::special) return special(which, depth);
  if (which.imm == Imm::memory || which.imm == Imm::memory_lane) {
    address(depth, which);
    if (which.imm == Imm::memory_lane) code_.u8(static_cast<std::uint8_t>(below(16U >> which.arg)));
    return after(which);
  }
  if (!guard_operands(which, depth)) values(which.in, depth);
  plain(which);
  if (which.imm == Imm::lane) code_.u8(static_cast<std::uint8_t>(below(which.arg)));
  if (which.imm == Imm::shuffle)
    for (int i = 0; i < 16; ++i) code_.u8(static_cast<std::uint8_t>(below(32)));
  after(which);
}

// Tables: 0 serves indirect calls and stays as it is unless the module may trap; 1 funcref, 2 externref are free.
void Generator::special(const Op& which, int depth) {
  const bool wild = risk();
  const auto bounded = [&](std::uint32_t mask) {
    value('i', depth);
    if (!wild) binary_i32(0x71, mask);
  };
  const std::uint32_t table = wild && chance(0.3) ? 0 : 1;
  if (which.prefix == 0) {
    switch (which.code) {
      case 0x3F: op(0x3F).u8(0); return;
      case 0x40:
        if (chance(0.2)) i32(below(2) == 0 ? 0xFFFFFFFF : below(70000));
        else bounded(1);
        op(0x40).u8(0);
        return;
      case 0x25: bounded(7); op(0x25).u32(table); return;
      default: bounded(7); value('r', depth); op(0x26).u32(table); return;
    }
  }
  const auto segment = [&](const std::vector<Segment>& from) {
    std::vector<Segment> passive;
    for (const auto& one : from)
      if (one.passive && one.index + 1 < from.size()) passive.push_back(one);
    return wild || passive.empty() ? one_of(from) : one_of(passive);
  };
  const auto init = [&](const std::vector<Segment>& from, std::uint32_t to_mask, std::uint32_t destination) {
    const Segment source = segment(from);
    bounded(to_mask);
    const bool usable = source.passive && source.index + 1 < from.size();
    const std::uint32_t start = usable ? below(source.size + 1) : 0;
    i32(start);
    if (wild) value('i', depth);
    else i32(usable ? below(std::min(source.size - start, 8U) + 1) : 0);
    op(0xFC, which.code).u32(source.index).u32(destination);
  };
  const auto last = [&](const std::vector<Segment>& from) { return wild ? one_of(from).index : static_cast<std::uint32_t>(from.size() - 1); };
  switch (which.code) {
    case 8: return init(datas_, 0x3FFF, 0);
    case 9: op(0xFC, 9).u32(last(datas_)); return;
    case 10: bounded(0x3FFF); bounded(0x3FFF); bounded(chance(0.2) ? 0xFFF : 0x3F); op(0xFC, 10).u8(0).u8(0); return;
    case 11: bounded(0x3FFF); value('i', depth); bounded(chance(0.2) ? 0xFFF : 0x3F); op(0xFC, 11).u8(0); return;
    case 12: return init(elements_, 7, table);
    case 13: op(0xFC, 13).u32(last(elements_)); return;
    case 14: bounded(3); bounded(3); bounded(3); op(0xFC, 14).u32(table).u32(chance(0.5) ? 1 : 0); return;
    case 15: {
      const bool external = chance(0.3);
      value(external ? 'e' : 'r', depth);
      if (chance(0.2)) i32(below(2) == 0 ? 0xFFFFFFFF : below(0x20000000));
      else bounded(3);
      op(0xFC, 15).u32(external ? 2 : table);
      return;
    }
    case 16: op(0xFC, 16).u32(below(3)); return;
    default: {
      const bool external = chance(0.3);
      bounded(3);
      value(external ? 'e' : 'r', depth);
      bounded(3);
      op(0xFC, 17).u32(external ? 2 : table);
    }
  }
}

void Generator::block_type(std::string_view parameters, std::string_view results) {
  if (parameters.empty() && results.empty()) code_.u8(0x40);
  else if (parameters.empty() && results.size() == 1 && chance(0.8)) code_.u8(value_type(results[0]));
  else code_.s64(module_.type(parameters, results));
}

void Generator::spend_budget() {
  if (endless_) return i32(0);
  op(0x23).u32(budget_global_);
  binary_i32(0x6B, 1);
  op(0x24).u32(budget_global_);
  op(0x23).u32(budget_global_);
  binary_i32(0x48, 0);
}

void Generator::value_block(char type, int depth) {
  const std::string one(1, type);
  switch (below(4)) {
    case 0:  // left early with a value, another on the stack below it
      op(0x02);
      block_type("", one);
      labels_.push_back(one);
      value(type, depth - 1);
      value('i', depth - 1);
      op(0x0D).u32(0);
      statements(below(2), depth - 1);
      op(0x1A);
      value(type, depth - 1);
      break;
    case 1:
    case 2:
      value('i', depth - 1);
      op(0x04);
      block_type("", one);
      labels_.push_back(one);
      value(type, depth - 1);
      op(0x05);
      value(type, depth - 1);
      break;
    default:
      op(0x02);
      block_type("", one);
      labels_.push_back(one);
      op(0x03);
      block_type("", one);
      labels_.emplace_back();
      constant(type);
      spend_budget();
      op(0x0D).u32(1);
      op(0x1A);
      value(type, depth - 1);
      value('i', depth - 1);
      op(0x0D).u32(0);
      op(0x0B);
      labels_.pop_back();
  }
  op(0x0B);
  labels_.pop_back();
}

void Generator::select(char type, int depth) {
  values(std::string{type, type, 'i'}, depth - 1);
  if (type == 'r' || type == 'e' || chance(0.3)) op(0x1C).u32(1).u8(value_type(type));
  else op(0x1B);
}

void Generator::call(const Signature& callee, int depth, bool indirect) {
  values(callee.parameters, depth);
  if (!indirect) {
    op(0x10).u32(callee.function);
    return;
  }
  const auto slot = std::ranges::find(slots_, callee.function) - slots_.begin();
  if (risk()) {
    value('i', 1);
    binary_i32(0x71, 15);
  } else {
    value('i', 1);
    binary_i32(0x71, 0);
    binary_i32(0x72, static_cast<std::uint32_t>(slot));
  }
  op(0x11).u32(callee.type).u32(0);
}

bool Generator::call_for(char type, int depth) {
  std::vector<Signature> fitting;
  for (const auto& one : functions_)
    if (one.results == std::string_view(&type, 1)) fitting.push_back(one);
  if (fitting.empty()) return false;
  const Signature& callee = one_of(fitting);
  call(callee, depth - 2, chance(0.4) && std::ranges::contains(slots_, callee.function));
  return true;
}

void Generator::consume(std::string_view types) {
  for (std::size_t i = types.size(); i-- > 0;) {
    if (chance(0.3)) op(0x1A);
    else set(local_of(types[i]));
  }
}

void Generator::loop_statement(int depth) {
  if (counters_ == counters_max) return;
  const std::uint32_t counter = first_counter_ + counters_++;
  i32(1 + below(12));
  set(counter);
  op(0x02);
  block_type("", "");
  labels_.emplace_back();
  op(0x03);
  block_type("", "");
  labels_.emplace_back();
  spend_budget();
  op(0x0D).u32(1);
  statements(1 + below(4), depth - 1);
  get(counter);
  binary_i32(0x6B, 1);
  op(0x22).u32(counter);
  op(0x0D).u32(0);
  op(0x0B);
  labels_.pop_back();
  op(0x0B);
  labels_.pop_back();
  --counters_;
}

// Blocks, loops and ifs with parameters and several results.
void Generator::typed_blocks(int depth) {
  std::string types;
  for (unsigned i = 1 + below(3); i > 0; --i) types.push_back(chance(0.1) ? 'r' : number_type());
  values(types, depth - 1);
  switch (below(4)) {
    case 0:
      op(0x02);
      block_type(types, types);
      labels_.push_back(types);
      consume(types);
      statements(below(3), depth - 1);
      values(types, depth - 1);
      if (chance(0.3)) {
        value('i', depth - 1);
        op(0x0D).u32(0);
      }
      break;
    case 1:
      value('i', depth - 1);
      op(0x04);
      block_type(types, types);  // without else the parameters are the results
      labels_.push_back(types);
      consume(types);
      values(types, depth - 1);
      break;
    case 2:
      value('i', depth - 1);
      op(0x04);
      block_type(types, "Fi");
      labels_.emplace_back("Fi");
      consume(types);
      values("Fi", depth - 1);
      op(0x05);
      consume(types);
      statements(below(2), depth - 1);
      values("Fi", depth - 1);
      types = "Fi";
      break;
    default:
      op(0x02);
      block_type(types, types);
      labels_.push_back(types);
      op(0x03);
      block_type(types, types);
      labels_.push_back(types);
      spend_budget();
      op(0x0D).u32(1);
      consume(types);
      statements(1 + below(2), depth - 1);
      values(types, depth - 1);
      value('i', 1);
      binary_i32(0x71, 3);
      op(0x0D).u32(0);
      op(0x0B);
      labels_.pop_back();
  }
  op(0x0B);
  labels_.pop_back();
  consume(types);
}

void Generator::branch(int depth) {
  const std::uint32_t up = below(labels_.size());
  values(labels_[labels_.size() - 1 - up], depth - 1);
  if (chance(0.5)) {
    value('i', depth - 1);
    op(0x0D).u32(up);
    consume(labels_[labels_.size() - 1 - up]);
    return;
  }
  op(0x0C).u32(up);
  dead_code(depth);
}

void Generator::branch_table(int depth) {
  const std::uint32_t cases = below(5);
  for (std::uint32_t i = 0; i <= cases; ++i) {
    op(0x02);
    block_type("", "");
    labels_.emplace_back();
  }
  value('i', depth - 1);
  binary_i32(0x71, 7);
  op(0x0E).u32(cases);
  for (std::uint32_t i = 0; i <= cases; ++i) code_.u32(below(cases + 1));
  dead_code(depth);
  for (std::uint32_t i = 0; i <= cases; ++i) {
    op(0x0B);
    labels_.pop_back();
    if (chance(0.6)) statement(depth - 1);
  }
}

void Generator::leave(int depth) {
  if (risk()) {
    op(0x00);
  } else {
    values(results_, depth - 1);
    op(0x0F);
  }
  dead_code(depth);
}

// After a branch the stack is polymorphic: operands come from nowhere, yet everything must still validate.
void Generator::dead_code(int depth) {
  for (unsigned i = below(4); i > 0; --i) {
    switch (below(10)) {
      case 0: op(0x6A); op(0x1A); break;
      case 1: op(0x1B); op(0x1A); break;
      case 2: get(local_of('I')); op(0x7C); set(local_of('I')); break;
      case 3: op(0xFD, 228); op(0xFD, 27).u8(1); op(0x1A); break;
      case 4: op(0x0C).u32(0); break;
      case 5: op(0x0F); break;
      case 6: op(0x02).u8(0x40); labels_.emplace_back(); op(0x00); op(0x39).u32(0).u32(0); op(0x0B); labels_.pop_back(); break;
      case 7: op(0x04).u8(0x7C); op(0x00); op(0x05); op(0x00); op(0x0B); op(0x1A); break;
      case 8: op(0x24).u32(hash_global_); break;
      default: statement(std::min(depth - 1, 1)); break;
    }
  }
}

void Generator::statement(int depth) {
  if (code_bytes() > size_max_) return;
  if (depth <= 0) {
    const char type = number_type();
    leaf(type);
    set(local_of(type));
    return;
  }
  const auto pick = below(100);
  if (flavour_ == Flavour::floats && pick < 20) return store_and_read_back(depth);
  if (flavour_ == Flavour::numbers && pick < 25) return neighbouring_stores(depth);
  if (pick < 32) {
    const char type = chance(0.05) ? 'r' : number_type();
    value(type, depth);
    set(local_of(type));
  } else if (pick < 40) {
    auto [index, type] = one_of(globals_);
    while (flavour_ == Flavour::integers && type != 'i' && type != 'I') std::tie(index, type) = one_of(globals_);
    value(type, depth);
    op(0x24).u32(index);
  } else if (pick < 60) {
    operation(op_of(op_table().by_result.at(0)), depth - 1);
  } else if (pick < 66) {
    value('i', depth - 1);
    op(0x04);
    block_type("", "");
    labels_.emplace_back();
    statements(1 + below(2), depth - 1);
    if (chance(0.3)) chance(0.5) ? branch(depth - 1) : leave(depth - 1);
    if (chance(0.5)) {
      op(0x05);
      statements(1 + below(2), depth - 1);
    }
    op(0x0B);
    labels_.pop_back();
  } else if (pick < 74) {
    loop_statement(depth);
  } else if (pick < 79) {
    typed_blocks(depth);
  } else if (pick < 82) {
    branch_table(depth);
  } else if (pick < 84) {
    branch(depth);
  } else if (pick < 85) {
    op(0x01);
  } else if (pick < 87) {
    const char type = chance(0.1) ? 'e' : number_type();
    value(type, depth);
    op(0x1A);
  } else if (functions_.empty()) {
    op(0x01);
  } else if (pick < 99 || flavour_ == Flavour::calls) {
    const Signature& callee = one_of(functions_);
    call(callee, depth - 1, chance(0.4) && std::ranges::contains(slots_, callee.function));
    consume(callee.results);
  } else {
    // A clock or a random number: the host writes into the guest's memory.
    const Signature& callee = imports_[is_plain() ? 3 : 2 + below(2)];
    if (callee.parameters == "iIi") {
      i32(below(2));
      constant('I');
      i32(8 * below(512));
    } else {
      i32(8 * below(512));
      i32(below(64));
    }
    op(0x10).u32(callee.function);
    consume(callee.results);
  }
}

void Generator::statements(unsigned count, int depth) {
  for (; count > 0; --count) statement(depth);
}

void Generator::define(const Signature& of) {
  code_ = {};
  locals_ = of.parameters;
  const std::size_t first = locals_.size();
  for (const char type : std::string_view("iIfFvre")) locals_.append(2, type);
  const unsigned extra = flavour_ == Flavour::wide ? 1 + below(chance(0.3) ? 1980 : 300) : below(8);
  for (unsigned i = 0; i < extra; ++i) locals_.push_back(chance(0.02) ? 'r' : number_type());
  first_counter_ = static_cast<std::uint32_t>(locals_.size());
  locals_by_type_.clear();
  for (std::uint32_t i = 0; i < locals_.size(); ++i) locals_by_type_[locals_[i]].push_back(i);
  locals_.append(counters_max, 'i');
  first_scratch_ = flavour_ == Flavour::numbers ? static_cast<std::uint32_t>(locals_.size()) : 0;
  if (first_scratch_ != 0) locals_ += scratch_types;
  twin_bytes_ = 0;
  counters_ = 0;
  results_ = of.results;
  labels_ = {results_};

  if (!endless_) {
    spend_budget();
    op(0x04).u8(0x40);
    for (const char type : results_) constant(type);
    op(0x0F);
    op(0x0B);
  }
  const unsigned count = 2 + below(flavour_ == Flavour::wide ? 30 : 14);
  statements(count, 3 + static_cast<int>(below(3)));
  values(results_, 3);
  op(0x0B);
  // The writer adds the final end itself.
  Wasm body;
  body.bytes(code_.content().first(code_.size() - 1));
  module_.define(of.function, std::string_view(locals_).substr(first), body);
}

// ---------------------------------------------------------------------------------------------- the module's parts

// Constant expressions, plain or extended.
void Generator::offset(Wasm& out, std::uint32_t value) {
  if (chance(0.3)) {
    const std::uint32_t more = below(1000);
    out.i32(static_cast<std::int32_t>(value + more)).i32(static_cast<std::int32_t>(more)).op(0x6B);
  } else if (chance(0.1)) {
    out.i32(static_cast<std::int32_t>(value)).i32(1).op(0x6C).i32(0).op(0x6A);
  } else {
    out.i32(static_cast<std::int32_t>(value));
  }
  out.end();
}

void Generator::make_globals() {
  const auto initial = [&](char type) {
    code_ = {};
    if (type == 'I' && chance(0.3)) code_.i64(5).i64(static_cast<std::int64_t>(rng_.next() >> 4)).op(0x7E);
    else if (type == 'r') code_.op(0xD0).u8(0x70);
    else constant(type);
    return std::exchange(code_, {});
  };
  budget_global_ = module_.global('i', true, Wasm().i32(0));
  hash_global_ = module_.global('I', true, Wasm().i64(-3750763034362895579));
  for (const char type : std::string_view("iIfFvre")) {
    const unsigned count = 1 + below(2);
    for (unsigned i = 0; i < count; ++i) globals_.emplace_back(module_.global(type, true, initial(type)), type);
  }
  const std::uint32_t fixed = module_.global('F', false, initial('F'));
  if (chance(0.5)) {
    module_.export_as("constant \xE2\x98\x83", 3, fixed);
    module_.export_as("global", 3, globals_[below(5)].first);
  }
}

void Generator::make_memory() {
  const std::uint32_t min = 1 + below(3);
  Limits limits{min, chance(0.7), 0};
  limits.max = min + (chance(0.2) ? 0 : below(chance(0.1) ? 60000 : 20));
  module_.memory(limits);
  module_.export_as("memory", 2, 0);
  if (chance(0.2)) module_.export_as("", 2, 0);
}

void Generator::make_tables() {
  const auto more = static_cast<std::uint32_t>(slots_.size()) + below(4);
  module_.table('r', {more, chance(0.5), more + below(8)});
  module_.table('r', {16, chance(0.6), 16 + below(100)});
  module_.table('e', {8, chance(0.6), 8 + below(100)});
}

// One of every kind: 0 active, 1 passive, 2 active with table, 3 declarative; 4 to 7 the same with expressions.
void Generator::make_segments() {
  const auto functions = [&](const std::vector<std::uint32_t>& list) {
    Wasm out;
    out.u32(list.size());
    for (const auto one : list) out.u32(one);
    return out;
  };
  const auto expressions = [&](const std::vector<std::uint32_t>& list, bool with_null) {
    Wasm out;
    out.u32(list.size() + (with_null ? 1 : 0));
    if (with_null) out.op(0xD0).u8(0x70).end();
    for (const auto one : list) out.op(0xD2).u32(one).end();
    return out;
  };
  std::vector<std::uint32_t> all;
  for (const auto& one : functions_) all.push_back(one.function);
  const std::vector<std::uint32_t> some(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(all.size(), is_plain() ? 2 : 5)));
  const auto count = static_cast<std::uint32_t>(some.size());
  const auto add = [&](Wasm segment, std::uint32_t size, bool passive) {
    elements_.push_back({module_.element(segment), size, passive});
  };
  Wasm slots;
  slots.u32(0);
  offset(slots, 0);
  add(slots.add(functions(slots_)), static_cast<std::uint32_t>(slots_.size()), false);
  add(Wasm().u32(1).u8(0).add(functions(some)), count, true);
  Wasm active;
  active.u32(2).u32(1);
  offset(active, 2);
  add(active.u8(0).add(functions({some[0], fd_write_})), 2, false);
  std::vector<std::uint32_t> declared = is_plain() ? some : all;
  declared.push_back(fd_write_);
  add(Wasm().u32(3).u8(0).add(functions(declared)), 0, false);
  add(Wasm().u32(5).u8(0x70).add(expressions(some, true)), count + 1, true);
  Wasm by_table;
  by_table.u32(6).u32(1);
  offset(by_table, 6);
  add(by_table.u8(0x70).add(expressions({some[0]}, chance(0.5))), 1, false);
  add(Wasm().u32(7).u8(0x70).add(expressions(some, false)), 0, false);
  Wasm plain;
  plain.u32(4);
  offset(plain, 0);
  add(plain.add(expressions({slots_[0]}, false)), 1, false);
  add(Wasm().u32(1).u8(0).add(functions(some)), count, true);  // the last one may be dropped

  const auto data = [&](Wasm head, std::uint32_t words, bool passive) {
    Wasm bytes;
    bytes.u32(words * 8);
    for (std::uint32_t i = 0; i < words; ++i) {
      if (chance(0.4)) bytes.fixed(f64_values[below(std::size(f64_values))], 8);
      else if (chance(0.6)) bytes.fixed(f32_values[below(std::size(f32_values))], 4).fixed(f32_values[below(std::size(f32_values))], 4);
      else bytes.fixed(rng_.next(), 8);
    }
    datas_.push_back({module_.data(head.add(bytes)), words * 8, passive});
  };
  Wasm low;
  low.u32(0);
  offset(low, 0);
  data(low, 400, false);
  data(Wasm().u32(1), 1 + below(30), true);
  Wasm explicit_memory;
  explicit_memory.u32(2).u32(0);
  offset(explicit_memory, 8192);
  data(explicit_memory, 1 + below(64), false);
  data(Wasm().u32(1), 0, true);
  data(Wasm().u32(1), 4, true);  // the last one may be dropped
}

void Generator::make_functions() {
  const auto import = [&](std::string_view name, std::string_view parameters, std::string_view results) {
    const std::uint32_t type = module_.type(parameters, results);
    const std::uint32_t index = module_.import("wasi_snapshot_preview1", name, type);
    imports_.push_back({index, type, std::string(parameters), std::string(results)});
    return index;
  };
  fd_write_ = import("fd_write", "iiii", "i");
  proc_exit_ = import("proc_exit", "i", "");
  import("clock_time_get", "iIi", "i");
  import("random_get", "ii", "i");

  const unsigned count = 3 + below(flavour_ == Flavour::calls ? 12 : 6);
  std::vector<Signature> made;
  for (unsigned i = 0; i < count; ++i) {
    Signature one;
    const unsigned parameters = flavour_ == Flavour::calls && chance(0.2) ? 8 + below(30) : below(5);
    for (unsigned p = 0; p < parameters; ++p) one.parameters.push_back(chance(0.05) ? 'r' : chance(0.03) ? 'e' : outer_type());
    const unsigned results = chance(0.7) ? 1 : below(flavour_ == Flavour::calls ? 6 : 4);
    for (unsigned r = 0; r < results; ++r) one.results.push_back(chance(0.03) ? 'r' : outer_type());
    one.type = module_.type(one.parameters, one.results);
    one.function = module_.declare(one.type);
    made.push_back(std::move(one));
  }
  functions_ = std::move(made);
  const std::size_t called = is_plain() ? functions_.size() / 2 : functions_.size();  // the others are called by name alone
  for (unsigned i = 0; i < 8; ++i) slots_.push_back(functions_[below(static_cast<std::uint32_t>(called))].function);
}

void Generator::mix() {
  op(0x23).u32(hash_global_);
  op(0x85);
  op(0x42).s64(1099511628211);
  op(0x7E);
  op(0x42).s64(29);
  op(0x89);
  op(0x24).u32(hash_global_);
}

void Generator::make_start() {
  code_ = {};
  first_scratch_ = 0;  // nothing is computed here
  locals_ = "iIfFvreii";
  locals_by_type_.clear();
  for (std::uint32_t i = 0; i < 7; ++i) locals_by_type_[locals_[i]].push_back(i);
  labels_ = {""};
  results_ = "";
  const auto as_i64 = [&](char type) {
    switch (type) {
      case 'i': op(0xAD); break;
      case 'f': op(0xBC); op(0xAD); break;
      case 'F': op(0xBD); break;
      case 'v':
        op(0x22).u32(4);
        op(0xFD, 29).u8(0);
        mix();
        get(4);
        op(0xFD, 29).u8(1);
        break;
      case 'r':
      case 'e': op(0xD1); op(0xAD); break;
      default: break;
    }
    mix();
  };
  const std::uint32_t budget = flavour_ == Flavour::calls ? 1500 : 300;
  for (const auto& one : functions_) {
    i32(budget);
    op(0x24).u32(budget_global_);
    for (const char type : one.parameters) constant(type);
    op(0x10).u32(one.function);
    for (std::size_t i = one.results.size(); i-- > 0;) as_i64(one.results[i]);
  }
  for (const auto& [index, type] : globals_) {
    op(0x23).u32(index);
    as_i64(type);
  }
  for (std::uint32_t table = 0; table < 3; ++table) {
    op(0xFC, 16).u32(table);
    as_i64('i');
  }
  op(0x3F).u8(0);
  as_i64('i');
  // The first page, eight bytes at a time.
  op(0x03).u8(0x40);
  get(7);
  op(0x29).u32(3).u32(0);
  mix();
  get(7);
  binary_i32(0x6A, 8);
  op(0x22).u32(7);
  binary_i32(0x49, page_bytes);
  op(0x0D).u32(0);
  op(0x0B);
  // fd_write(1, [{at, 8}], 1, written)
  i32(1024);
  op(0x23).u32(hash_global_);
  op(0x37).u32(3).u32(0);
  i32(1032);
  i32(1024);
  op(0x36).u32(2).u32(0);
  i32(1036);
  i32(8);
  op(0x36).u32(2).u32(0);
  i32(1);
  i32(1032);
  i32(1);
  i32(1040);
  op(0x10).u32(fd_write_);
  op(0x1A);
  if (chance(0.1)) {
    i32(below(3));
    op(0x10).u32(proc_exit_);
  }
  const std::uint32_t type = module_.type("", "");
  const std::uint32_t index = module_.function(type, locals_, code_);
  module_.export_as("_start", 0, index);
}

void Generator::make_names() {
  Wasm functions;
  functions.u32(functions_.size());
  for (const auto& one : functions_) functions.u32(one.function).name("function " + std::to_string(one.function) + " \xC3\xA9");
  Wasm names;
  names.u8(0).u32(7).name("random");
  names.u8(1).u32(functions.size()).add(functions);
  if (chance(0.7)) module_.custom(13, "name", names.content());
  if (chance(0.3)) module_.custom(static_cast<std::uint8_t>(1 + below(10)), "producers", base::view("anything"));
  if (chance(0.3)) module_.custom(13, ".debug_line", base::view("offsets of code that moves"));
}

RandomModule Generator::make() {
  static constexpr std::array<double, 4> risks = {0.0, 0.0, 0.002, 0.01};
  risk_ = flavour_ == Flavour::danger ? 0.04 : risks[below(risks.size())];
  endless_ = flavour_ == Flavour::endless;
  make_functions();
  make_globals();
  make_tables();
  make_memory();
  make_segments();
  for (const auto& one : functions_) define(one);
  if (chance(0.4)) {
    Signature start{0, module_.type("", ""), "", ""};
    start.function = module_.declare(start.type);
    define(start);
    module_.start(start.function);
  }
  make_start();
  make_names();
  return {module_.finish(), flavour_, std::move(used_)};
}

}  // namespace

const char* name_of(Flavour flavour) {
  static constexpr std::array<const char*, flavour_count + 2> names = {"mixed", "floats", "lanes", "memory", "calls",
                                                                     "wide",  "danger", "endless", "integers", "numbers"};
  return names.at(static_cast<std::size_t>(flavour));
}

RandomModule random_module(std::uint64_t seed) { return random_module(seed, static_cast<Flavour>(seed % flavour_count)); }
RandomModule random_module(std::uint64_t seed, Flavour flavour) { return Generator(seed, flavour).make(); }
RandomModule canonical_twin(std::uint64_t seed) { return Generator(seed, Flavour::numbers, true).make(); }

}  // namespace starling::testing
