// square [ROUNDS]: the square of the number on stdin, after ROUNDS million turns of a loop (about 1.5 ms each as native code).
#include <stdio.h>
#include <stdlib.h>

static volatile unsigned long long sink;  // else the loop is optimised away

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? atol(argv[1]) : 0;
  unsigned long long n = 0, turn = 1;
  if (scanf("%llu", &n) != 1) return 2;
  for (long i = 0; i < rounds * 1000000; ++i) turn = turn * 6364136223846793005ULL + n;
  sink = turn;
  printf("%llu\n", n * n);
  return 0;
}
