// Memory latency: a random cycle through 16 MiB.
#include "kernel.h"

enum { count = 1 << 22 };
static uint32_t next[count];

int main(void) {
  uint64_t seed = 11;
  for (uint32_t i = 0; i < count; ++i) next[i] = i;
  for (uint32_t i = count - 1; i > 0; --i) {
    const uint32_t j = (uint32_t)(next_random(&seed) % i);
    const uint32_t held = next[i];
    next[i] = next[j];
    next[j] = held;
  }
  uint32_t at = 0;
  for (int i = 0; i < 5000000; ++i) at = next[at];
  printf("%u\n", at);
}
