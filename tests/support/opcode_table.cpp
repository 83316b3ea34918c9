#include "tests/support/opcode_table.hpp"

#include <array>
#include <cstdio>

namespace starling::testing {
namespace {

struct Range {
  std::uint8_t prefix;
  std::uint32_t first, last;
  std::string_view in;
  char out;
  Imm imm = Imm::none;
  std::uint8_t arg = 0;
};

constexpr Range ranges[] = {
    // Loads and stores.
    {0, 0x28, 0x28, "i", 'i', Imm::memory, 2}, {0, 0x29, 0x29, "i", 'I', Imm::memory, 3}, {0, 0x2A, 0x2A, "i", 'f', Imm::memory, 2},
    {0, 0x2B, 0x2B, "i", 'F', Imm::memory, 3}, {0, 0x2C, 0x2D, "i", 'i', Imm::memory, 0}, {0, 0x2E, 0x2F, "i", 'i', Imm::memory, 1},
    {0, 0x30, 0x31, "i", 'I', Imm::memory, 0}, {0, 0x32, 0x33, "i", 'I', Imm::memory, 1}, {0, 0x34, 0x35, "i", 'I', Imm::memory, 2},
    {0, 0x36, 0x36, "ii", 0, Imm::memory, 2}, {0, 0x37, 0x37, "iI", 0, Imm::memory, 3}, {0, 0x38, 0x38, "if", 0, Imm::memory, 2},
    {0, 0x39, 0x39, "iF", 0, Imm::memory, 3}, {0, 0x3A, 0x3A, "ii", 0, Imm::memory, 0}, {0, 0x3B, 0x3B, "ii", 0, Imm::memory, 1},
    {0, 0x3C, 0x3C, "iI", 0, Imm::memory, 0}, {0, 0x3D, 0x3D, "iI", 0, Imm::memory, 1}, {0, 0x3E, 0x3E, "iI", 0, Imm::memory, 2},
    {0, 0x3F, 0x3F, "", 'i', Imm::special}, {0, 0x40, 0x40, "i", 'i', Imm::special},
    // Numbers.
    {0, 0x45, 0x45, "i", 'i'}, {0, 0x46, 0x4F, "ii", 'i'}, {0, 0x50, 0x50, "I", 'i'}, {0, 0x51, 0x5A, "II", 'i'},
    {0, 0x5B, 0x60, "ff", 'i'}, {0, 0x61, 0x66, "FF", 'i'}, {0, 0x67, 0x69, "i", 'i'}, {0, 0x6A, 0x78, "ii", 'i'},
    {0, 0x79, 0x7B, "I", 'I'}, {0, 0x7C, 0x8A, "II", 'I'}, {0, 0x8B, 0x91, "f", 'f'}, {0, 0x92, 0x98, "ff", 'f'},
    {0, 0x99, 0x9F, "F", 'F'}, {0, 0xA0, 0xA6, "FF", 'F'}, {0, 0xA7, 0xA7, "I", 'i'}, {0, 0xA8, 0xA9, "f", 'i'},
    {0, 0xAA, 0xAB, "F", 'i'}, {0, 0xAC, 0xAD, "i", 'I'}, {0, 0xAE, 0xAF, "f", 'I'}, {0, 0xB0, 0xB1, "F", 'I'},
    {0, 0xB2, 0xB3, "i", 'f'}, {0, 0xB4, 0xB5, "I", 'f'}, {0, 0xB6, 0xB6, "F", 'f'}, {0, 0xB7, 0xB8, "i", 'F'},
    {0, 0xB9, 0xBA, "I", 'F'}, {0, 0xBB, 0xBB, "f", 'F'}, {0, 0xBC, 0xBC, "f", 'i'}, {0, 0xBD, 0xBD, "F", 'I'},
    {0, 0xBE, 0xBE, "i", 'f'}, {0, 0xBF, 0xBF, "I", 'F'}, {0, 0xC0, 0xC1, "i", 'i'}, {0, 0xC2, 0xC4, "I", 'I'},
    {0xFC, 0, 1, "f", 'i'}, {0xFC, 2, 3, "F", 'i'}, {0xFC, 4, 5, "f", 'I'}, {0xFC, 6, 7, "F", 'I'},
    // Bulk memory and tables; operands and immediates are made by hand.
    {0xFC, 8, 8, "iii", 0, Imm::special}, {0xFC, 9, 9, "", 0, Imm::special}, {0xFC, 10, 12, "iii", 0, Imm::special},
    {0xFC, 13, 13, "", 0, Imm::special}, {0xFC, 14, 14, "iii", 0, Imm::special}, {0xFC, 15, 15, "ri", 'i', Imm::special},
    {0xFC, 16, 16, "", 'i', Imm::special}, {0xFC, 17, 17, "iri", 0, Imm::special}, {0, 0x25, 0x25, "i", 'r', Imm::special},
    {0, 0x26, 0x26, "ir", 0, Imm::special}, {0, 0xD1, 0xD1, "r", 'i'},
    // v128: memory, lanes.
    {0xFD, 0, 0, "i", 'v', Imm::memory, 4}, {0xFD, 1, 6, "i", 'v', Imm::memory, 3}, {0xFD, 7, 7, "i", 'v', Imm::memory, 0},
    {0xFD, 8, 8, "i", 'v', Imm::memory, 1}, {0xFD, 9, 9, "i", 'v', Imm::memory, 2}, {0xFD, 10, 10, "i", 'v', Imm::memory, 3},
    {0xFD, 11, 11, "iv", 0, Imm::memory, 4}, {0xFD, 13, 13, "vv", 'v', Imm::shuffle}, {0xFD, 14, 14, "vv", 'v'},
    {0xFD, 15, 17, "i", 'v'}, {0xFD, 18, 18, "I", 'v'}, {0xFD, 19, 19, "f", 'v'}, {0xFD, 20, 20, "F", 'v'},
    {0xFD, 21, 22, "v", 'i', Imm::lane, 16}, {0xFD, 23, 23, "vi", 'v', Imm::lane, 16}, {0xFD, 24, 25, "v", 'i', Imm::lane, 8},
    {0xFD, 26, 26, "vi", 'v', Imm::lane, 8}, {0xFD, 27, 27, "v", 'i', Imm::lane, 4}, {0xFD, 28, 28, "vi", 'v', Imm::lane, 4},
    {0xFD, 29, 29, "v", 'I', Imm::lane, 2}, {0xFD, 30, 30, "vI", 'v', Imm::lane, 2}, {0xFD, 31, 31, "v", 'f', Imm::lane, 4},
    {0xFD, 32, 32, "vf", 'v', Imm::lane, 4}, {0xFD, 33, 33, "v", 'F', Imm::lane, 2}, {0xFD, 34, 34, "vF", 'v', Imm::lane, 2},
    {0xFD, 35, 76, "vv", 'v'}, {0xFD, 77, 77, "v", 'v'}, {0xFD, 78, 81, "vv", 'v'}, {0xFD, 82, 82, "vvv", 'v'}, {0xFD, 83, 83, "v", 'i'},
    {0xFD, 84, 84, "iv", 'v', Imm::memory_lane, 0}, {0xFD, 85, 85, "iv", 'v', Imm::memory_lane, 1},
    {0xFD, 86, 86, "iv", 'v', Imm::memory_lane, 2}, {0xFD, 87, 87, "iv", 'v', Imm::memory_lane, 3},
    {0xFD, 88, 88, "iv", 0, Imm::memory_lane, 0}, {0xFD, 89, 89, "iv", 0, Imm::memory_lane, 1},
    {0xFD, 90, 90, "iv", 0, Imm::memory_lane, 2}, {0xFD, 91, 91, "iv", 0, Imm::memory_lane, 3},
    {0xFD, 92, 92, "i", 'v', Imm::memory, 2}, {0xFD, 93, 93, "i", 'v', Imm::memory, 3},
    // v128: numbers.
    {0xFD, 94, 98, "v", 'v'}, {0xFD, 99, 100, "v", 'i'}, {0xFD, 101, 102, "vv", 'v'}, {0xFD, 103, 106, "v", 'v'},
    {0xFD, 107, 109, "vi", 'v'}, {0xFD, 110, 115, "vv", 'v'}, {0xFD, 116, 117, "v", 'v'}, {0xFD, 118, 121, "vv", 'v'},
    {0xFD, 122, 122, "v", 'v'}, {0xFD, 123, 123, "vv", 'v'}, {0xFD, 124, 129, "v", 'v'}, {0xFD, 130, 130, "vv", 'v'},
    {0xFD, 131, 132, "v", 'i'}, {0xFD, 133, 134, "vv", 'v'}, {0xFD, 135, 138, "v", 'v'}, {0xFD, 139, 141, "vi", 'v'},
    {0xFD, 142, 147, "vv", 'v'}, {0xFD, 148, 148, "v", 'v'}, {0xFD, 149, 153, "vv", 'v'}, {0xFD, 155, 159, "vv", 'v'},
    {0xFD, 160, 161, "v", 'v'}, {0xFD, 163, 164, "v", 'i'}, {0xFD, 167, 170, "v", 'v'}, {0xFD, 171, 173, "vi", 'v'},
    {0xFD, 174, 174, "vv", 'v'}, {0xFD, 177, 177, "vv", 'v'}, {0xFD, 181, 186, "vv", 'v'}, {0xFD, 188, 191, "vv", 'v'},
    {0xFD, 192, 193, "v", 'v'}, {0xFD, 195, 196, "v", 'i'}, {0xFD, 199, 202, "v", 'v'}, {0xFD, 203, 205, "vi", 'v'},
    {0xFD, 206, 206, "vv", 'v'}, {0xFD, 209, 209, "vv", 'v'}, {0xFD, 213, 223, "vv", 'v'}, {0xFD, 224, 225, "v", 'v'},
    {0xFD, 227, 227, "v", 'v'}, {0xFD, 228, 235, "vv", 'v'}, {0xFD, 236, 237, "v", 'v'}, {0xFD, 239, 239, "v", 'v'},
    {0xFD, 240, 247, "vv", 'v'}, {0xFD, 248, 255, "v", 'v'},
    // Written by hand below: control, variables, constants, references.
    {0, 0x00, 0x05, "", 0, Imm::control}, {0, 0x0B, 0x11, "", 0, Imm::control}, {0, 0x1A, 0x1C, "", 0, Imm::control},
    {0, 0x20, 0x24, "", 0, Imm::control}, {0, 0x41, 0x44, "", 0, Imm::control}, {0, 0xD0, 0xD0, "", 0, Imm::control},
    {0, 0xD2, 0xD2, "", 0, Imm::control}, {0xFD, 12, 12, "", 0, Imm::control},
};

}  // namespace

OpTable::OpTable() {
  for (const Range& range : ranges) {
    for (std::uint32_t code = range.first; code <= range.last; ++code) {
      std::array<char, 24> name{};
      if (range.prefix == 0) std::snprintf(name.data(), name.size(), "0x%02x", code);
      else std::snprintf(name.data(), name.size(), "0x%02x %u", static_cast<unsigned>(range.prefix), code);
      index[key(range.prefix, code)] = ops.size();
      if (range.imm != Imm::control) by_result[range.out].push_back(ops.size());
      ops.push_back({range.prefix, code, range.in, range.out, range.imm, range.arg});
      names.emplace_back(name.data());
    }
  }
}

const OpTable& op_table() {
  static const OpTable table;
  return table;
}

std::vector<PureOpcode> pure_opcodes() {
  std::vector<PureOpcode> out;
  for (const Op& op : op_table().ops) {
    const bool computes = op.imm == Imm::none || op.imm == Imm::lane || op.imm == Imm::shuffle;
    const bool traps = op.prefix == 0 && ((op.code >= 0x6D && op.code <= 0x70) || (op.code >= 0x7F && op.code <= 0x82) ||
                                          (op.code >= 0xA8 && op.code <= 0xAB) || (op.code >= 0xAE && op.code <= 0xB1));
    if (!computes || traps || op.in.contains('r')) continue;
    out.push_back({op.prefix, op.code, op.in, op.out, op.imm == Imm::shuffle ? std::uint8_t{32} : op.arg});
  }
  return out;
}

const std::vector<std::string>& opcode_names() { return op_table().names; }

}  // namespace starling::testing
