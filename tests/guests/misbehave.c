// misbehave WHAT [NUMBER]: one bad (or merely unlucky) end after another.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile int zero = 0;
static volatile int minus_one = -1;
static volatile int smallest = INT_MIN;
static volatile double huge = 1e300;
static char* volatile kept;  // else the compiler knows that nobody reads the blocks

__attribute__((noinline)) static int32_t to_int(double value) {
  int32_t out;
  __asm__("local.get %1\n\ti32.trunc_f64_s\n\tlocal.set %0" : "=r"(out) : "r"(value));
  return out;
}

__attribute__((noinline)) static long deeper(long n, volatile char* above) {
  volatile char here[64];
  here[n & 63] = (char)(n + above[0]);
  return n < 0 ? 0 : deeper(n + 1, here) + here[1];
}

// No shadow stack: only the native stack grows. Unsigned, and unlike a sum, so that no optimiser makes a loop of it.
__attribute__((noinline)) static unsigned deeper_native(unsigned n) {
  return n == (unsigned)minus_one ? 1 : deeper_native(n + 1) % 7 * 3 + n;
}

static int fill_memory(void) {
  size_t blocks = 0;
  while (1) {
    char* block = malloc(1 << 20);
    if (!block) break;
    kept = block;
    memset(block, 1, 1 << 20);
    ++blocks;
  }
  printf("%zu blocks\n", blocks);
  return 3;
}

static int fill_output(const char* path) {
  static char block[65536];
  FILE* out = path ? fopen(path, "w") : stdout;
  while (fwrite(block, 1, sizeof block, out) == sizeof block) {}
  return 5;
}

// Empty files until there is no more room.
static int fill_with_files(const char* folder) {
  const int directory = open(folder, O_RDONLY | O_DIRECTORY);
  unsigned count = 0;
  for (char name[16];; ++count) {
    snprintf(name, sizeof name, "%u", count);
    const int file = openat(directory, name, O_WRONLY | O_CREAT, 0600);
    if (file < 0) break;
    close(file);
  }
  printf("%u files, errno %d\n", count, errno);
  return 6;
}

static void write_output(int mib) {
  static char block[1 << 20];
  FILE* out = fopen("/out/result", "w");
  for (int i = 0; i < mib; ++i) fwrite(block, 1, sizeof block, out);
  fclose(out);
}

// Files whose paths are sixty times as long as the room that they take.
static int fill_with_paths(unsigned count) {
  char name[256];
  memset(name, 'd', sizeof name - 1);
  name[sizeof name - 1] = 0;
  int directory = open("/out", O_RDONLY | O_DIRECTORY);
  for (int depth = 0; depth < 60; ++depth) {
    mkdirat(directory, name, 0700);
    const int inner = openat(directory, name, O_RDONLY | O_DIRECTORY);
    close(directory);
    directory = inner;
  }
  for (unsigned i = 0; i < count; ++i) {
    snprintf(name, sizeof name, "%u", i);
    close(openat(directory, name, O_WRONLY | O_CREAT, 0600));
  }
  return 0;
}

// Every limit of names and descriptors, and what the host answers beyond.
static int exhaust_names(void) {
  int directory = open("/tmp", O_RDONLY | O_DIRECTORY);
  unsigned depth = 0, open_files = 0;
  while (mkdirat(directory, "d", 0700) == 0) {
    const int inner = openat(directory, "d", O_RDONLY | O_DIRECTORY);
    close(directory);
    directory = inner;
    ++depth;
  }
  printf("depth %u, errno %d\n", depth, errno);
  close(directory);
  symlink("b", "/tmp/a");
  symlink("a", "/tmp/b");
  printf("link to itself %d", open("/tmp/a", O_RDONLY));
  printf(", errno %d\n", errno);
  static char path[65536];
  memset(path, 'x', sizeof path - 1);
  memcpy(path, "/tmp/", 5);
  printf("64 KiB path %d", open(path, O_WRONLY | O_CREAT, 0600));
  printf(", errno %d\n", errno);
  while (open("/tmp", O_RDONLY | O_DIRECTORY) >= 0) ++open_files;
  printf("descriptors %u, errno %d\n", open_files, errno);
  return 0;
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  const int number = argc > 2 ? atoi(argv[2]) : 0;
  if (!strcmp(what, "exit")) exit(number);
  if (!strcmp(what, "exit-per-item")) {
    char line[64] = "";
    if (fgets(line, sizeof line, stdin)) printf("item %s says %s", getenv("STARLING_ITEM"), line);
    exit(atoi(line));
  }
  if (!strcmp(what, "unreachable")) __builtin_trap();
  if (!strcmp(what, "divide")) return number / zero;
  if (!strcmp(what, "overflow")) return smallest / minus_one;
  if (!strcmp(what, "convert")) return to_int(huge);
  if (!strcmp(what, "convert-nan")) return to_int(huge * 1e300 * zero);
  if (!strcmp(what, "memory")) return *(volatile char*)(uintptr_t)0xfffffff0u;
  if (!strcmp(what, "call")) return ((int (*)(void))(uintptr_t)(unsigned)(1000000 + zero))();
  if (!strcmp(what, "fill-memory")) return fill_memory();
  if (!strcmp(what, "fill-stdout")) return fill_output(NULL);
  if (!strcmp(what, "fill-out")) return fill_output("/out/big");
  if (!strcmp(what, "fill-tmp")) return fill_output("/tmp/big");
  if (!strcmp(what, "write")) return write_output(number), 0;
  if (!strcmp(what, "write-trap")) write_output(number), __builtin_trap();
  if (!strcmp(what, "many-out")) return fill_with_files("/out");
  if (!strcmp(what, "many-tmp")) return fill_with_files("/tmp");
  if (!strcmp(what, "long-paths")) return fill_with_paths((unsigned)number);
  if (!strcmp(what, "exhaust-names")) return exhaust_names();
  if (!strcmp(what, "loop")) for (volatile unsigned i = 0;; ++i) {}
  if (!strcmp(what, "recurse")) return (int)deeper(0, (volatile char*)what);
  if (!strcmp(what, "recurse-native")) return (int)deeper_native((unsigned)zero);
  return 100;
}
