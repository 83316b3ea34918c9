// Uses what ordinary C programs use and prints what it saw: arguments, environment, standard input, clocks, random
// numbers, files, directories. Every byte of the output must be the same on every machine and tier.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void fail(const char* what) {
  fprintf(stderr, "tour: %s: %s\n", what, strerror(errno));
  exit(9);
}

static void list(const char* path) {
  DIR* dir = opendir(path);
  if (!dir) fail(path);
  printf("%s:", path);
  for (struct dirent* entry; (entry = readdir(dir));) printf(" %s", entry->d_name);
  printf("\n");
  closedir(dir);
}

static void write_file(const char* path, const char* text) {
  FILE* file = fopen(path, "w");
  if (!file || fputs(text, file) < 0 || fclose(file) != 0) fail(path);
}

static void clocks(void) {
  const time_t now = time(NULL);
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  usleep(250000);
  clock_gettime(CLOCK_MONOTONIC, &after);
  const long slept_us = (after.tv_sec - before.tv_sec) * 1000000L + (after.tv_nsec - before.tv_nsec) / 1000;
  printf("time %lld slept %ld us\n", (long long)now, slept_us);
}

static void files(void) {
  char line[256];
  FILE* in = fopen("/in/greeting.txt", "r");
  if (!in || !fgets(line, sizeof line, in)) fail("/in/greeting.txt");
  fclose(in);
  printf("greeting %s\n", line);
  printf("write to /in: %s\n", fopen("/in/greeting.txt", "w") ? "allowed" : strerror(errno));
  printf("escape: %s\n", fopen("/in/../../etc/passwd", "r") ? "allowed" : strerror(errno));
  if (mkdir("/out/table", 0777) != 0) fail("mkdir");
  write_file("/out/table/b.csv", "b\n");
  write_file("/out/table/a.csv", "a,1\n");
  write_file("/out/table.txt", "sorts before table/\n");
  write_file("/out/old.txt", "renamed\n");
  if (rename("/out/old.txt", "/out/new.txt") != 0) fail("rename");
  write_file("/out/gone.txt", "x");
  if (unlink("/out/gone.txt") != 0) fail("unlink");
  write_file("/tmp/scratch", "not part of the result");
  FILE* both = fopen("/out/new.txt", "r+");
  if (!both || fseek(both, -1, SEEK_END) != 0 || fputs("!\n", both) < 0 || ftell(both) != 9) fail("seek");
  fclose(both);
  struct stat info;
  if (stat("/out/new.txt", &info) != 0) fail("stat");
  printf("new.txt %lld bytes, mtime %lld\n", (long long)info.st_size, (long long)info.st_mtime);
  printf("rmdir: %s\n", rmdir("/out/table") == 0 ? "done" : strerror(errno));
  list("/");
  list("/in");
  list("/out");
  list("/out/table");
}

int main(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) printf("argv[%d]=%s\n", i, argv[i]);
  for (const char* const* name = (const char* const[]){"STARLING_JOB", "STARLING_UNIT", "STARLING_ITEM", "STARLING_SEED", "HOME", 0}; *name; ++name)
    printf("%s=%s\n", *name, getenv(*name) ? getenv(*name) : "(none)");
  char item[4096];
  const size_t size = fread(item, 1, sizeof item, stdin);
  printf("stdin %zu bytes: %.*s\n", size, (int)size, item);
  clocks();
  unsigned random = 0;
  if (getentropy(&random, sizeof random) != 0) fail("getentropy");
  printf("random %u\n", random);
  printf("pi %.17g sin %.17g\n", acos(-1.0), sin(1e6));
  files();
  fprintf(stderr, "tour is over\n");
  return 0;
}
