// The canonical archive of a unit: the bytes whose blob name a peer signs. One content has exactly one encoding.
//
// Layout, little-endian: "starling" | u32 version 1 | u32 items | per item, in index order:
//   u8 kind | u32 code | for kind checkpoint: u64 fuel | u64 clock in ns | u64 length, stdout | u32 files | per file, in byte order of the path:
//     u64 length, path under /out ("a/b.csv") | u64 length, bytes
// No times, owners, modes or directories without files. Items that did not run to their own end (trap, limits) carry
// nothing but kind and code, so how far they came is not part of the signed bytes. An item of kind checkpoint (code 85) goes on in
// the next segment (segment.hpp): it carries its file "checkpoint" alone, and the fuel and clock of all its rounds so far.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"

namespace starling::execution {

// How an item ended: the guest's own doing, therefore signed. Ordered from best to worst.
enum class OutcomeKind : std::uint8_t { ok = 0, exit_code = 1, trap = 2, memory_limit = 3, output_limit = 4, checkpoint = 5 };

// The code of a trap: stable numbers, the same for every tier and engine.
enum class TrapClass : std::uint8_t {
  unreachable = 1,
  divide_by_zero = 2,
  integer_overflow = 3,
  bad_conversion = 4,   // float to integer out of range
  memory_bounds = 5,
  table_bounds = 6,
  indirect_call = 7,    // null, missing or of another type: engines differ in which they report
  other = 8,
  bad_program = 9,      // not a valid module, an import we do not offer, no _start, no exported memory
  stack_overflow = 10,
  out_of_fuel = 11,
};
const char* name_of(TrapClass trap);

// Views into the archive's bytes (parse) or into the item's memory (write): they must outlive this value.
struct ArchiveFile {
  std::string_view path;
  base::ByteView bytes;
};
struct ArchiveItem {
  OutcomeKind kind = OutcomeKind::ok;
  std::int32_t code = 0;  // exit code, trap class, or 0
  base::ByteView standard_output;
  std::vector<ArchiveFile> files;
  std::uint64_t fuel = 0;      // of a checkpoint, as is the clock
  std::uint64_t clock_ns = 0;
};
struct Archive {
  std::vector<ArchiveItem> items;
};

base::Bytes write_archive(const Archive& archive);  // REQUIRES: files sorted by path, without duplicates
base::Expected<Archive> parse_archive(base::ByteView bytes);  // malformed unless these are the canonical bytes of something

// Kind and code of the worst item; of the first of them when several are equally bad.
std::pair<OutcomeKind, std::int32_t> worst_of(const Archive& archive);

bool is_archive_path(std::string_view path);  // relative, no empty, "." or ".." part, no NUL, within bounds

// What one item or file may add to an archive beside its bytes; output limits count it.
inline constexpr std::uint64_t archive_file_overhead_bytes = 16;
inline constexpr std::uint64_t archive_item_overhead_bytes = 17;
inline constexpr std::uint64_t archive_checkpoint_overhead_bytes = 16;

inline constexpr std::string_view checkpoint_name = "checkpoint";  // in /out, then in /in of the next round
inline constexpr std::int32_t checkpoint_exit_code = 85;

}  // namespace starling::execution
