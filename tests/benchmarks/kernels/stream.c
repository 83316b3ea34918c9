// Memory bandwidth: copies, fills and a triad over 16 MiB.
#include <string.h>

#include "kernel.h"

enum { count = 1 << 20 };
static double a[count], b[count], c[count];

int main(void) {
  for (int i = 0; i < count; ++i) a[i] = i, b[i] = 2 * i;
  for (int turn = 0; turn < 120; ++turn) {
    memcpy(c, a, sizeof c);
    for (int i = 0; i < count; ++i) a[i] = b[i] + 0.5 * c[i];
    memmove(b + 1, b, sizeof b - sizeof b[0]);
    memset(c, turn, sizeof c / 4);
  }
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += a[i] - b[i];
  printf("%.17g\n", sum);
}
