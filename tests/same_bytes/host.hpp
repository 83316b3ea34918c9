// The host of one run of one instrumented program, free of any engine: the production's (worker/execution/item_host.hpp) and what
// is compared. Every tier, WasmEdge's and V8's alike, goes through this code, so that a difference between two rows is the
// engine's or the instrumenter's.
//
// Several fingerprints are taken, from an early octave on, so that programs of a few hundred instructions already have some, and
// slices are cut at many checks. Globals that JavaScript cannot read bit for bit (floats, lanes) count as zeros.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "worker/execution/item_host.hpp"

namespace starling::testing {

struct RunLimits {
  std::uint64_t fuel_max = 20'000'000;
  std::uint64_t memory_pages = 64;
  std::uint64_t table_elements = 10'000;  // that all tables together may still grow by
  std::int64_t slice_fuel = 20'000;
  std::size_t fingerprints = 8;
};

// 64 bits are enough to notice an accident, and need no library in any of the hosts.
class Hash {
 public:
  void add(std::uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15ULL;
    state_ ^= state_ >> 29;
  }
  void add(base::ByteView bytes);
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xCBF29CE484222325ULL;
};

// What was seen of one run. Everything but stack_bytes must be equal for every tier.
struct Row {
  std::string kind;        // ok, exit, trap, stack, fuel, output, or what must not be: refused, crash, host
  std::string code;        // exit code, trap class
  std::uint64_t output = 0;       // hash of standard output and /out
  std::uint64_t memory = 0;       // hash of memory and exported globals at the end
  std::uint64_t fuel = 0;         // as it would be signed
  std::uint64_t fingerprint = 0;  // of all seeds together
  std::uint64_t stack_bytes = 0;  // touched by the run; not compared
  double cpu_s = 0;               // of the guest alone; neither compared nor written
};
std::string to_line(const Row& row);
std::optional<Row> row_of(std::string_view line);

struct NumberedGlobal {
  std::uint32_t number = 0;
  std::uint64_t bits = 0;
};

class Host {
 public:
  Host(const RunLimits& limits, const std::vector<std::string>& arguments, base::ByteView input);
  ~Host();

  // As ItemHost's. `globals`: bits of the exported integers by their number; others of their type zero.
  std::optional<std::int64_t> slice(std::int64_t balance, std::span<const std::uint64_t, 4> live, std::span<const NumberedGlobal> globals,
                                    std::span<std::byte> memory);
  void fail(std::uint32_t reason);
  // A WASI function by its index in wasi::functions().
  execution::wasi::Errno call(std::size_t function, std::span<std::byte> memory, execution::wasi::Args args, std::int64_t& balance);
  bool ended() const;  // the guest must not go on

  // `trap`: name of its class, empty when the run came to its end.
  Row finish(std::string_view trap, std::int64_t balance, std::span<const NumberedGlobal> globals, base::ByteView memory);

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
  std::uint32_t failure_ = 0;
};

}  // namespace starling::testing
