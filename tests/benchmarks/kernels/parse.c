// Text: numbers and words from lines with commas, byte by byte.
#include <string.h>

#include "kernel.h"

static char text[1 << 20];

int main(void) {
  uint64_t seed = 19;
  size_t size = 0;
  while (size + 64 < sizeof text) {
    const uint64_t r = next_random(&seed);
    size += (size_t)snprintf(text + size, 64, "%lld,%.3f,name%u%c", (long long)(int32_t)r, (double)(r % 100000) / 7, (unsigned)(r >> 50), r & 1024 ? ',' : '\n');
  }
  uint64_t sum = 0, words = 0, lines = 0;
  double total = 0;
  for (int turn = 0; turn < 120; ++turn) {
    const char *at = text, *end = text + size;
    while (at < end) {
      const int negative = *at == '-';
      if (negative) ++at;
      if (*at >= '0' && *at <= '9') {
        uint64_t value = 0;
        while (*at >= '0' && *at <= '9') value = value * 10 + (uint64_t)(*at++ - '0');
        if (*at == '.') {
          double fraction = 0, place = 0.1;
          for (++at; *at >= '0' && *at <= '9'; place *= 0.1) fraction += place * (*at++ - '0');
          total += (double)value + fraction;
        }
        sum += negative ? 0 - value : value;
      } else {
        const char* begin = at;
        while (at < end && *at != ',' && *at != '\n') ++at;
        words += (uint64_t)(at - begin);
      }
      if (at < end && *at++ == '\n') ++lines;
    }
  }
  printf("%llu %llu %llu %.17g\n", (unsigned long long)sum, (unsigned long long)words, (unsigned long long)lines, total);
}
