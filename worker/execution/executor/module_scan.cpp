#include "worker/execution/executor/module_scan.hpp"

#include <cstdint>

#include "coordinator-less/base/limits.hpp"

namespace starling::execution {
namespace {

constexpr std::string_view magic{"\0asm", 4};
constexpr std::uint32_t version = 1;

std::optional<std::uint32_t> read_leb(base::ByteView& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 35 && !in.empty(); shift += 7) {
    const auto byte = std::to_integer<std::uint64_t>(in.front());
    in = in.subspan(1);
    value |= (byte & 127) << shift;
    if ((byte & 128) == 0) return value <= UINT32_MAX ? std::optional(static_cast<std::uint32_t>(value)) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<base::ByteView> take(base::ByteView& in, std::uint32_t size) {
  if (size > in.size()) return std::nullopt;
  const auto out = in.first(size);
  in = in.subspan(size);
  return out;
}

}  // namespace

std::optional<ScanProblem> scan_module(base::ByteView wasm) {
  const char* how = "pass a .wasm file compiled for wasm32-wasip1";
  if (wasm.size() > limits::program_bytes_max) return ScanProblem{"the program is larger than 256 MiB", "strip it"};
  if (wasm.size() < 8 || base::text(wasm.first(4)) != magic) return ScanProblem{"not a WebAssembly module", how};
  if (base::read_u32(wasm.subspan(4)) != version)
    return ScanProblem{"a WebAssembly component or a module of an unknown version", how};
  base::ByteView rest = wasm.subspan(8);
  while (!rest.empty()) {
    const auto id = std::to_integer<unsigned>(rest.front());
    rest = rest.subspan(1);
    const auto size = read_leb(rest);
    auto section = size ? take(rest, *size) : std::nullopt;
    if (!section) return ScanProblem{"a WebAssembly module that is cut short or damaged", "compile or copy it again"};
    if (id != 0) continue;
    const auto name_size = read_leb(*section);
    const auto name = name_size ? take(*section, *name_size) : std::nullopt;
    if (name && base::text(*name) == "wasmedge")
      return ScanProblem{"the module carries native code", "submit the plain module; every peer compiles it itself"};
  }
  return std::nullopt;
}

}  // namespace starling::execution
