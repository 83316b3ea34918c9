// The host of one run of one instrumented program, free of any engine: what the imports do and what is observed. Every tier,
// WasmEdge's and V8's alike, goes through this code, so that a difference between two rows is the engine's or the instrumenter's.
//
// Fuel is dealt in slices of uneven size, the first ones small, so that programs of a few thousand instructions already cross many
// checks. Observed at each: the balance, the four live values and a window of memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "worker/execution/wasi/functions.hpp"

namespace starling::tests {

struct RunLimits {
  std::uint64_t fuel_max = 20'000'000;
  std::uint64_t memory_pages = 64;
  std::uint64_t table_elements = 10'000;  // that all tables together may still grow by
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
  std::uint64_t output = 0;   // hash of standard output and /out
  std::uint64_t memory = 0;   // hash of memory and exported globals at the end
  std::uint64_t fuel = 0;     // used; of a trapped run: dealt
  std::uint64_t slices = 0;   // hash of all that slices saw
  std::uint64_t stack_bytes = 0;  // touched by the run; not compared
  double cpu_s = 0;               // of the guest alone; neither compared nor written
};
std::string to_line(const Row& row);
std::optional<Row> row_of(std::string_view line);

class Host {
 public:
  Host(const RunLimits& limits, const std::vector<std::string>& arguments, base::ByteView input);
  ~Host();

  // The new balance; nothing when there is no more fuel: the run ends.
  std::optional<std::int64_t> slice(std::int64_t balance, std::span<const std::uint64_t, 4> live, std::span<std::byte> memory);
  void fail(std::uint32_t reason) { failure_ = reason; }
  // A WASI function by its index in wasi::functions().
  execution::wasi::Errno call(std::size_t function, std::span<std::byte> memory, execution::wasi::Args args);
  bool ended() const;  // the guest must not go on

  // `trap`: name of its class, empty when the run came to its end. `globals`: bits of exported ones, in order of N.
  Row finish(std::string_view trap, std::int64_t balance, std::span<const std::uint64_t> globals, base::ByteView memory);

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
  RunLimits limits_;
  std::uint64_t dealt_ = 0;
  std::uint64_t slice_count_ = 0;
  Hash slices_;
  std::uint32_t failure_ = 0;
  bool out_of_fuel_ = false;
};

}  // namespace starling::tests
