// The only code that knows WasmEdge: loading, checking and compiling modules, and running one item of a unit.
// Features: WebAssembly 2.0 with SIMD128 and extended const; threads, tail calls, relaxed SIMD, memory64, several memories,
// exceptions and GC are off. Thread-safe as noted.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "coordinator-less/base/bytes.hpp"
#include "worker/execution/instrument/instrument.hpp"
#include "worker/execution/item_host.hpp"

namespace starling::execution {

std::string engine_version();  // "wasmedge 0.14.1"

struct ModuleProblem {
  bool guests_fault = true;  // the same on every machine; else this machine could not read or map it
  std::string message;
  std::string hint;
};

// A loaded, validated module. Shared by threads.
class Module {
 public:
  struct Handle;
  // A program as it was submitted; instrumented, then interpreted.
  static std::expected<std::shared_ptr<const Module>, ModuleProblem> from_bytes(base::ByteView program);
  // Compiled by compile_module(). The file must be one that this machine made and has checked.
  static std::expected<std::shared_ptr<const Module>, ModuleProblem> from_native(const std::string& path);

  Module(std::unique_ptr<Handle> handle, instrument::Report report);
  ~Module();
  const Handle& handle() const { return *handle_; }
  std::uint64_t memory_pages_min() const;
  std::optional<std::uint64_t> memory_pages_max() const;
  std::string imports() const;  // comma-separated names
  const instrument::Report& report() const { return report_; }  // empty of native code

 private:
  std::unique_ptr<Handle> handle_;
  instrument::Report report_;
};

// The program as every engine runs it: checked and instrumented.
std::expected<instrument::Instrumented, ModuleProblem> instrumented(base::ByteView program);

// `wasm` is the module of instrumented().
std::optional<ModuleProblem> compile_module(base::ByteView wasm, const std::string& out, int optimisation_level);

// Runs items one at a time, each in an instance of its own; one Lane per thread. What is costly to make (the engine's
// context, the imported functions) stays from item to item, nothing that a guest can see does.
class Lane {
 public:
  Lane();
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  // Takes `fingerprints` on the way. How many there are changes nothing else.
  ItemEnd run(const Module& module, wasi::State& state, std::uint64_t memory_bytes_max, std::uint64_t fuel_max = unlimited_fuel,
              std::span<Fingerprint> fingerprints = {});

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace starling::execution
