// count_task N PER_ROUND [MILLIONS]: counts to N, PER_ROUND numbers in one round, and mixes each with random bytes into a sum;
// MILLIONS of idle turns per number make a round last. A fourth argument holds letters: `i` item k counts to N + k * PER_ROUND,
// `p` plain: no seed and no random bytes, so that two jobs give the same. Compiled as C and as C++.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sdk/task/starling_task.h"

static volatile unsigned long long sink;  // else the loop is optimised away

int main(int argc, char** argv) {
  unsigned long long n = argc > 1 ? strtoull(argv[1], NULL, 10) : 10;
  const unsigned long long per_round = argc > 2 ? strtoull(argv[2], NULL, 10) : 3;
  const unsigned long long millions = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
  const char* letters = argc > 4 ? argv[4] : "";
  const int plain = strchr(letters, 'p') != NULL;
  if (strchr(letters, 'i')) n += starling_item() * per_round;
  unsigned long long at = 0, sum = plain ? 1 : starling_seed_number(), rounds = 0, last_ns = 0;
  FILE* old = starling_checkpoint_open();
  if (old && fscanf(old, "%llu %llu %llu %llu", &at, &sum, &rounds, &last_ns) != 4) return 2;
  if (old) fclose(old);
  const unsigned long long end = at + per_round < n ? at + per_round : n;
  for (; at < end; ++at) {
    unsigned long long random = 0, turn = at;
    if (!plain && getentropy(&random, sizeof random) != 0) return 3;
    for (unsigned long long i = 0; i < millions * 1000000; ++i) turn = turn * 6364136223846793005ULL + 1;
    sink = turn;
    sum = (sum ^ random) * 6364136223846793005ULL + at + starling_item();
    starling_progress(at + 1, n);
  }
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const unsigned long long now_ns = (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec;
  if (now_ns <= last_ns) return 4;  // time must not go back between rounds
  printf("round %llu of item %llu: %llu of %llu, sum %llu\n", rounds, starling_item(), at, n, sum);
  if (at == n) return 0;
  FILE* file = starling_checkpoint_begin();
  if (file) fprintf(file, "%llu %llu %llu %llu\n", at, sum, rounds + 1, now_ns);
  return starling_checkpoint_end(file);
}
