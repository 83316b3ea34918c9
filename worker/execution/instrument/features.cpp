#include "worker/execution/instrument/features.hpp"

#include <string>

#include "worker/execution/instrument/opcode.hpp"

namespace starling::execution::instrument {

base::Error unsupported(std::string_view feature) {
  return {base::ErrorCode::bad_input, "the program uses " + std::string(feature) + ", which starling does not offer",
          "compile it for wasm32-wasip1 as WebAssembly 2.0, without that feature"};
}

base::Error unsupported_opcode(std::uint8_t prefix, std::uint32_t opcode) {
  if (prefix == prefix_threads) return unsupported("threads (atomic instructions)");
  if (prefix == prefix_simd && opcode >= 0x100) return unsupported("relaxed SIMD");
  if (prefix == 0xFB) return unsupported("garbage collection (GC instructions)");
  if (prefix == 0) {
    if (opcode == 0x12 || opcode == 0x13) return unsupported("tail calls");
    if ((opcode >= 0x06 && opcode <= 0x0A) || opcode == 0x18 || opcode == 0x19 || opcode == 0x1F) return unsupported("exceptions");
    if (opcode == 0x14 || opcode == 0x15 || (opcode >= 0xD3 && opcode <= 0xD6)) return unsupported("typed function references");
  }
  static constexpr char digits[] = "0123456789abcdef";
  std::string text = "0x";
  for (const unsigned shift : {4U, 0U}) text += digits[(prefix == 0 ? opcode : prefix) >> shift & 15U];
  if (prefix != 0) text += " " + std::to_string(opcode);
  return unsupported("instruction " + text + " (not in WebAssembly 2.0)");
}

base::Error unsupported_type(std::uint8_t byte) {
  if (byte == 0x63 || byte == 0x64 || (byte >= 0x6A && byte <= 0x6E) || (byte >= 0x71 && byte <= 0x73))
    return unsupported("garbage collection or typed function references");
  if (byte == 0x69 || byte == 0x74) return unsupported("exceptions");
  return {base::ErrorCode::bad_input, "the module is damaged: unknown value type", "compile or copy it again"};
}

}  // namespace starling::execution::instrument
