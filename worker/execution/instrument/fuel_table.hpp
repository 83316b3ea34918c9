// What an instruction costs, in fuel: about one per simple machine instruction of optimised native code. docs/fuel.md shows
// the table to users. Any change here changes signed results: raise fuel_table_version with it.
#pragma once

#include <cstdint>

namespace starling::execution::instrument::fuel {

inline constexpr std::uint32_t fuel_table_version = 3;

inline constexpr std::uint8_t nothing = 0;    // block, loop, end, else, nop, drop, constants, local.*: gone in native code
inline constexpr std::uint8_t simple = 1;     // integer arithmetic, comparisons, branches, select, global.*, memory.size
inline constexpr std::uint8_t memory = 1;     // loads and stores
inline constexpr std::uint8_t real = 1;       // float add, sub, mul, conversions, rounding
inline constexpr std::uint8_t min_max = 3;    // with WebAssembly's NaN rules
inline constexpr std::uint8_t divide = 8;     // integer division and remainder, float division
inline constexpr std::uint8_t root = 12;
inline constexpr std::uint8_t lanes = 1;      // most 128-bit instructions
inline constexpr std::uint8_t lanes_divide = 12;
inline constexpr std::uint8_t branch_table = 3;
inline constexpr std::uint8_t call = 4;
inline constexpr std::uint8_t call_indirect = 16;
inline constexpr std::uint8_t bulk = 16;      // memory.* and table.* operations, beside their length
inline constexpr std::uint8_t table = 4;      // table.get, table.set

inline constexpr std::uint32_t bytes_shift = 3;         // bulk memory operations: length / 8
inline constexpr std::uint32_t page_grown = 1024;       // memory.grow, per page that was really added
inline constexpr std::uint32_t element = 1;             // bulk table operations, per element

// Straight functions (no loop, only calls of other such functions) up to this total are charged by their callers.
inline constexpr std::uint32_t inlined_max = 256;

}  // namespace starling::execution::instrument::fuel
