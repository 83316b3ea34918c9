// Unpredictable branches and recursion with work between the calls: quicksort with insertion sort at the leaves.
#include "kernel.h"

enum { count = 1 << 20 };
static uint32_t values[count];

static void sort(uint32_t* from, uint32_t* to) {
  while (to - from > 16) {
    const uint32_t pivot = from[(to - from) / 2];
    uint32_t *low = from, *high = to - 1;
    while (low <= high) {
      while (*low < pivot) ++low;
      while (*high > pivot) --high;
      if (low > high) break;
      const uint32_t held = *low;
      *low++ = *high;
      *high-- = held;
    }
    sort(from, high + 1);
    from = low;
  }
  for (uint32_t* i = from + 1; i < to; ++i) {
    const uint32_t held = *i;
    uint32_t* at = i;
    for (; at > from && at[-1] > held; --at) *at = at[-1];
    *at = held;
  }
}

int main(void) {
  uint64_t seed = 13, sum = 0;
  for (int turn = 0; turn < 4; ++turn) {
    for (int i = 0; i < count; ++i) values[i] = (uint32_t)next_random(&seed);
    sort(values, values + count);
    for (int i = 0; i < count; ++i) sum = sum * 31 + values[i];
  }
  printf("%llu\n", (unsigned long long)sum);
}
