// Scalar doubles: gravity among a few bodies; divisions and square roots.
#include <math.h>

#include "kernel.h"

enum { bodies = 8 };
static double x[bodies][3], v[bodies][3], m[bodies];

int main(void) {
  uint64_t seed = 7;
  for (int i = 0; i < bodies; ++i) {
    m[i] = next_unit(&seed);
    for (int d = 0; d < 3; ++d) x[i][d] = next_unit(&seed) * 10, v[i][d] = next_unit(&seed) - 0.5;
  }
  for (int step = 0; step < 3000000; ++step) {
    for (int i = 0; i < bodies; ++i)
      for (int j = i + 1; j < bodies; ++j) {
        const double dx = x[i][0] - x[j][0], dy = x[i][1] - x[j][1], dz = x[i][2] - x[j][2];
        const double square = dx * dx + dy * dy + dz * dz + 0.01;
        const double pull = 0.001 / (square * sqrt(square));
        v[i][0] -= dx * m[j] * pull, v[i][1] -= dy * m[j] * pull, v[i][2] -= dz * m[j] * pull;
        v[j][0] += dx * m[i] * pull, v[j][1] += dy * m[i] * pull, v[j][2] += dz * m[i] * pull;
      }
    for (int i = 0; i < bodies; ++i)
      for (int d = 0; d < 3; ++d) x[i][d] += 0.001 * v[i][d];
  }
  double sum = 0;
  for (int i = 0; i < bodies; ++i) sum += x[i][0] + 2 * x[i][1] + 3 * x[i][2];
  printf("%.17g\n", sum);
}
