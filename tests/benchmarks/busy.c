// busy TURNS: that many turns of a loop that nothing can shorten, then one number: a unit of a chosen length.
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  const unsigned long long turns = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
  unsigned long long unit = 0, x = 88172645463325252ULL;
  if (scanf("%llu", &unit) != 1) return 2;
  x += unit;
  for (unsigned long long i = 0; i < turns; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  printf("%llu\n", x);
  return 0;
}
