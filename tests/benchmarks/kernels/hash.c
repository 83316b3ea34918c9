// Integers: a 64-bit hash over a buffer that fits the second-level cache.
#include "kernel.h"

static uint64_t words[1 << 15];

int main(void) {
  uint64_t seed = 1, hash = 0;
  for (int i = 0; i < 1 << 15; ++i) words[i] = next_random(&seed);
  for (int turn = 0; turn < 4000; ++turn)
    for (int i = 0; i < 1 << 15; ++i) {
      hash = (hash ^ words[i]) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 32;
    }
  printf("%llu\n", (unsigned long long)hash);
}
