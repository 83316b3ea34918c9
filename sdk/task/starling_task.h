/* starling_task.h: what a guest program may tell and ask the platform. One header, C and C++, no library; all of it is
 * optional, and a program that uses it still runs anywhere: outside starling the getters give their defaults.
 * See README.md beside it. */
#ifndef STARLING_TASK_H
#define STARLING_TASK_H

#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Exit code: "run me again; what I need is in the checkpoint". Without a checkpoint it is a failure like any other. */
#define STARLING_EXIT_CHECKPOINT 85

/* Which work this is. Job and seed are hex digits; "" and 0 outside starling. */
static inline const char* starling_text(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}
static inline const char* starling_job(void) { return starling_text("STARLING_JOB"); }
static inline const char* starling_seed(void) { return starling_text("STARLING_SEED"); }
static inline unsigned long long starling_unit(void) { return strtoull(starling_text("STARLING_UNIT"), NULL, 10); }
static inline unsigned long long starling_item(void) { return strtoull(starling_text("STARLING_ITEM"), NULL, 10); }
/* The seed's first 64 bits: for a generator of your own. */
static inline unsigned long long starling_seed_number(void) {
  char digits[17] = "";
  snprintf(digits, sizeof digits, "%s", starling_seed());
  return strtoull(digits, NULL, 16);
}

/* Shown to people who watch, never compared and never trusted. Call it as often as you like, every per cent is plenty. */
static inline void starling_progress(unsigned long long done, unsigned long long total) {
  fprintf(stderr, "starling:progress %llu/%llu\n", done, total);
}

/* Checkpoints. At the start: open the old one; NULL means begin at the beginning. To pause: write everything that you need to
 * go on (partial results too: files in /out and printed text of this round are dropped), then return
 * starling_checkpoint_end(file). Randomness goes on by itself, the clock too. */
static inline const char* starling_checkpoint_path(void) { return "/out/checkpoint"; }
static inline FILE* starling_checkpoint_open(void) { return fopen("/in/checkpoint", "rb"); }
static inline FILE* starling_checkpoint_begin(void) { return fopen(starling_checkpoint_path(), "wb"); }
/* The exit code: 85, or 1 when the checkpoint could not be written. */
static inline int starling_checkpoint_end(FILE* file) {
  if (!file) return 1;
  const int failed = ferror(file);
  return fclose(file) == 0 && !failed ? STARLING_EXIT_CHECKPOINT : 1;
}

#ifdef __cplusplus
}
#endif

#endif
