/* The smallest guest: an ordinary C program. One run handles one item: a line "FROM TO" on stdin; the answer is stdout. */
#include <stdio.h>

static int is_prime(unsigned long n) {
  if (n < 2) return 0;
  for (unsigned long d = 2; d * d <= n; ++d)
    if (n % d == 0) return 0;
  return 1;
}

int main(void) {
  unsigned long from = 0, to = 0, count = 0;
  if (scanf("%lu %lu", &from, &to) != 2) {
    fprintf(stderr, "an item is a line: FROM TO\n");
    return 1;
  }
  for (unsigned long n = from; n < to; ++n) count += (unsigned long)is_prime(n);
  printf("%lu\n", count);
  return 0;
}
