#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  starling::fuzz::fuzz_one(std::as_bytes(std::span(data, size)));
  return 0;
}
