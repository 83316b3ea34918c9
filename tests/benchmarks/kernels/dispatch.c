// Indirect calls of tiny functions, as an interpreter makes them.
#include "kernel.h"

typedef uint32_t (*step)(uint32_t, uint32_t);
static uint32_t plus(uint32_t a, uint32_t b) { return a + b; }
static uint32_t minus(uint32_t a, uint32_t b) { return a - b; }
static uint32_t times(uint32_t a, uint32_t b) { return a * (b | 1); }
static uint32_t mixed(uint32_t a, uint32_t b) { return a ^ (b << 5) ^ (a >> 3); }
static uint32_t chosen(uint32_t a, uint32_t b) { return a > b ? a - b : b - a + 1; }
static const step steps[8] = {plus, minus, times, mixed, chosen, times, plus, mixed};

int main(void) {
  static uint8_t program[4096];
  uint64_t seed = 9;
  for (int i = 0; i < 4096; ++i) program[i] = (uint8_t)(next_random(&seed) >> 20 & 7);
  uint32_t value = 1;
  for (int turn = 0; turn < 15000; ++turn)
    for (int i = 0; i < 4096; ++i) value = steps[program[i]](value, (uint32_t)(i + turn));
  printf("%u\n", value);
}
