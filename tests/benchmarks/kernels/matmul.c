// Doubles in rows: dense matrix product.
#include "kernel.h"

enum { n = 320 };
static double a[n][n], b[n][n], c[n][n];

int main(void) {
  uint64_t seed = 3;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) a[i][j] = next_unit(&seed), b[i][j] = next_unit(&seed);
  for (int turn = 0; turn < 48; ++turn)
    for (int i = 0; i < n; ++i)
      for (int k = 0; k < n; ++k) {
        const double factor = a[i][k];
        for (int j = 0; j < n; ++j) c[i][j] += factor * b[k][j];
      }
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += c[i][i] + c[i][n - 1 - i];
  printf("%.17g\n", sum);
}
