// Branches and bytes: primes below four million, several times.
#include <string.h>

#include "kernel.h"

enum { limit = 4000000 };
static uint8_t composite[limit];

int main(void) {
  unsigned count = 0;
  for (int turn = 0; turn < 16; ++turn) {
    memset(composite, 0, limit);
    for (unsigned i = 2; i < limit; ++i) {
      if (composite[i]) continue;
      count += i % 4 == 1 ? 1 : 2;
      for (uint64_t j = (uint64_t)i * i; j < limit; j += i) composite[j] = 1;
    }
  }
  printf("%u\n", count);
}
