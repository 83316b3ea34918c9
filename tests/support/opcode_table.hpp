// Every opcode of WebAssembly 2.0: what it takes, what it gives, what follows it in the code. Value types by letter, see wasm_writer.hpp.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace starling::testing {

enum class Imm : std::uint8_t { none, memory, lane, memory_lane, shuffle, special, control };

struct Op {
  std::uint8_t prefix = 0;
  std::uint32_t code = 0;
  std::string_view in;
  char out = 0;  // 0: no result
  Imm imm = Imm::none;
  std::uint8_t arg = 0;  // log2 of the natural alignment, or the number of lanes
};

struct OpTable {
  std::vector<Op> ops;
  std::vector<std::string> names;
  std::map<std::uint64_t, std::size_t> index;  // by prefix and code
  std::map<char, std::vector<std::size_t>> by_result;

  OpTable();
  static std::uint64_t key(std::uint8_t prefix, std::uint32_t code) { return std::uint64_t{prefix} << 32 | code; }
};
const OpTable& op_table();

const std::vector<std::string>& opcode_names();  // every opcode of WebAssembly 2.0, "0x6a" or "0xfd 174"

// The opcodes that only compute: no memory, no table, no trap, no control.
struct PureOpcode {
  std::uint8_t prefix = 0;  // 0: none
  std::uint32_t code = 0;
  std::string_view in;      // value types by letter, see wasm_writer.hpp
  char out = 0;
  std::uint8_t lanes = 0;   // 0: the instruction has no immediate; 32: sixteen of them (shuffle)
};
std::vector<PureOpcode> pure_opcodes();

}  // namespace starling::testing
