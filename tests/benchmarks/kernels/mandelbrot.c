// Scalar doubles in a tight loop with an early end.
#include "kernel.h"

int main(void) {
  enum { side = 1200, turns_max = 400 };
  uint64_t sum = 0;
  for (int row = 0; row < side; ++row)
    for (int column = 0; column < side; ++column) {
      const double cx = -2.0 + 2.5 * column / side, cy = -1.25 + 2.5 * row / side;
      double x = 0, y = 0;
      int turns = 0;
      while (turns < turns_max && x * x + y * y < 4) {
        const double next = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = next;
        ++turns;
      }
      sum = sum * 7 + (uint64_t)turns;
    }
  printf("%llu\n", (unsigned long long)sum);
}
