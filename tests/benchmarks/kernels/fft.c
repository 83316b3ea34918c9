// Doubles with strides: complex transforms of 2^15 points, in place.
#include <math.h>

#include "kernel.h"

enum { bits = 15, count = 1 << bits };
static double re[count], im[count], cosine[count / 2], sine[count / 2];

static void transform(void) {
  for (unsigned i = 1, j = 0; i < count; ++i) {
    unsigned bit = count >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i >= j) continue;
    double held = re[i];
    re[i] = re[j], re[j] = held;
    held = im[i];
    im[i] = im[j], im[j] = held;
  }
  for (int half = 1; half < count; half *= 2)
    for (int block = 0; block < count; block += 2 * half)
      for (int k = 0; k < half; ++k) {
        const double c = cosine[k * (count / 2 / half)], s = sine[k * (count / 2 / half)];
        const int a = block + k, b = a + half;
        const double x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x, im[b] = im[a] - y;
        re[a] += x, im[a] += y;
      }
}

int main(void) {
  // Rotations by products instead of libm, whose last bits differ between libraries.
  double c = 1, s = 0;
  const double dc = 0.99999998161642933, ds = -0.00019174759731070331;
  for (int i = 0; i < count / 2; ++i) {
    cosine[i] = c, sine[i] = s;
    const double held = c * dc - s * ds;
    s = c * ds + s * dc, c = held;
  }
  uint64_t seed = 17;
  for (int i = 0; i < count; ++i) re[i] = next_unit(&seed), im[i] = 0;
  for (int turn = 0; turn < 500; ++turn) {
    transform();
    for (int i = 0; i < count; ++i) re[i] *= 0.005, im[i] *= 0.005;
  }
  printf("%.17g %.17g\n", re[1] + re[count / 3], im[5]);
}
