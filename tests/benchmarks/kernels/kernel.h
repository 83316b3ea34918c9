// What the kernels share. Each prints one number that depends on all it computed; natively and as wasm it must be the same.
#pragma once
#include <stdint.h>
#include <stdio.h>

static inline uint64_t next_random(uint64_t* state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}
static inline double next_unit(uint64_t* state) { return (double)(next_random(state) >> 11) * 0x1p-53; }
