// Four floats at a time: a filter of sixteen taps over a signal, and dot products.
#include <string.h>

#include "kernel.h"

typedef float f4 __attribute__((vector_size(16)));
enum { samples = 1 << 14, taps = 16 };
static float signal[samples + taps + 4], filtered[samples];

static f4 load(const float* from) {
  f4 out;
  memcpy(&out, from, sizeof out);
  return out;
}

int main(void) {
  uint64_t seed = 5;
  float weights[taps];
  for (int i = 0; i < samples + taps + 4; ++i) signal[i] = (float)next_unit(&seed) - 0.5f;
  for (int i = 0; i < taps; ++i) weights[i] = (float)next_unit(&seed) / taps;
  f4 dot = {0, 0, 0, 0};
  for (int turn = 0; turn < 20000; ++turn) {
    for (int i = 0; i < samples; i += 4) {
      f4 sum = {0, 0, 0, 0};
      for (int t = 0; t < taps; ++t) sum += load(signal + i + t) * weights[t];
      memcpy(filtered + i, &sum, sizeof sum);
    }
    for (int i = 0; i < samples; i += 4) dot += load(filtered + i) * load(signal + i);
    signal[turn % samples] += 1e-3f;
  }
  printf("%.9g %.9g %.9g %.9g\n", dot[0], dot[1], dot[2], dot[3]);
}
