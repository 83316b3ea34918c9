// What C programs do with files, text and numbers through wasi-libc. The test knows every line of the output.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char* said(int result) { return result == 0 ? "ok" : strerror(errno); }

static void write_file(const char* path, const char* mode, const char* text) {
  FILE* file = fopen(path, mode);
  if (!file) {
    printf("%s: %s\n", path, strerror(errno));
    return;
  }
  fputs(text, file);
  fclose(file);
}

static void show(const char* path) {
  char text[256] = "";
  FILE* file = fopen(path, "r");
  const size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
  printf("%s: %zu <%s>\n", path, size, file ? text : strerror(errno));
  if (file) fclose(file);
}

static int by_value(const void* a, const void* b) { return *(const int*)a - *(const int*)b; }
static int every(const struct dirent* entry) { return entry->d_name[0] != '.'; }

static void numbers(void) {
  int values[] = {5, -3, 12, 0, 7};
  qsort(values, 5, sizeof values[0], by_value);
  for (int i = 0; i < 5; ++i) printf("%d ", values[i]);
  printf("| %.3f %g %e %a %10.2f|%-8d|%+05d|%x %lld\n", 3.14159, 1e-7, 123456.789, 0.5, -2.5, 42, 17, 255u, -9000000000LL);
  printf("%.17g %s %ld\n", strtod("0.1", NULL), strtod("inf", NULL) > 1e308 ? "inf" : "?", strtol("0x7f", NULL, 0));
  int n = 0;
  double d = 0;
  printf("%d %d %.2f\n", sscanf("12 4.5", "%d %lf", &n, &d), n, d);
  const time_t noon = 1577880000;
  char date[64];
  strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", gmtime(&noon));
  printf("%s %s\n", date, getenv("STARLING_ITEM"));
}

static void renames(void) {
  mkdir("/out/empty", 0777);
  mkdir("/out/full", 0777);
  write_file("/out/full/x", "w", "x");
  write_file("/out/a", "w", "first");
  write_file("/out/b", "w", "second");
  printf("over a file: %s\n", said(rename("/out/a", "/out/b")));
  show("/out/b");
  printf("over a full directory: %s\n", said(rename("/out/empty", "/out/full")));
  printf("over an empty one: %s\n", said(rename("/out/full", "/out/empty")));
  printf("into itself: %s\n", said(rename("/out/empty", "/out/empty/in")));
  printf("a file over a directory: %s\n", said(rename("/out/b", "/out/empty")));
  printf("to /tmp: %s\n", said(rename("/out/b", "/tmp/b")));
  printf("rmdir: %s, unlink of a directory: %s\n", said(rmdir("/out/empty")), said(unlink("/out/empty")));
  printf("remove: %s\n", said(remove("/out/empty/x")));
  printf("rmdir: %s\n", said(rmdir("/out/empty")));
}

static void links(void) {
  char target[64] = "";
  struct stat info;
  printf("symlink: %s, again: %s, absolute: %s\n", said(symlink("b", "/out/s")), said(symlink("b", "/out/s")), said(symlink("/out/b", "/out/t")));
  const ssize_t length = readlink("/out/s", target, sizeof target);
  printf("readlink %zd %s\n", length, target);
  show("/out/s");
  lstat("/out/s", &info);
  printf("lstat link %d size %lld\n", S_ISLNK(info.st_mode), (long long)info.st_size);
  stat("/out/s", &info);
  printf("stat file %d size %lld\n", S_ISREG(info.st_mode), (long long)info.st_size);
  printf("link: %s\n", said(link("/out/b", "/out/hard")));
  stat("/out/hard", &info);
  printf("links %d\n", (int)info.st_nlink);
  symlink("loop", "/out/loop");
  printf("loop: %s\n", said(access("/out/loop", R_OK)));
  printf("out of the sandbox: %s\n", said(access("/out/../../etc/passwd", R_OK)));
}

static void positions(void) {
  const int fd = open("/out/p", O_RDWR | O_CREAT | O_EXCL, 0666);
  char text[16] = "";
  write(fd, "0123456789", 10);
  pwrite(fd, "AB", 2, 3);
  lseek(fd, -4, SEEK_END);
  read(fd, text, 2);
  printf("p %s at %lld\n", text, (long long)lseek(fd, 0, SEEK_CUR));
  printf("negative: %s\n", lseek(fd, -1, SEEK_SET) < 0 ? strerror(errno) : "?");
  ftruncate(fd, 5);
  struct stat info;
  fstat(fd, &info);
  printf("truncated %lld, exclusive: %s\n", (long long)info.st_size, open("/out/p", O_RDWR | O_CREAT | O_EXCL, 0666) < 0 ? strerror(errno) : "?");
  const struct timespec times[2] = {{1000, 5}, {2000, 7}};
  printf("futimens: %s\n", said(futimens(fd, times)));
  fstat(fd, &info);
  printf("times %lld %lld\n", (long long)info.st_atim.tv_sec, (long long)info.st_mtim.tv_sec);
  printf("/in: %s\n", open("/in/data.txt", O_RDWR) < 0 ? strerror(errno) : "?");
  close(fd);
  write_file("/out/p", "a", "+tail");
  show("/out/p");
  printf("write to a directory: %s\n", open("/out", O_RDWR) < 0 ? strerror(errno) : "?");
  printf("closed: %s\n", read(fd, text, 1) < 0 ? strerror(errno) : "?");
}

static void directories(void) {
  mkdir("/tmp/many", 0777);
  for (int i = 0; i < 300; ++i) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/many/entry-%03d", i);
    write_file(path, "w", "");
  }
  DIR* dir = opendir("/tmp/many");
  int seen = 0, removed = 0;
  for (struct dirent* entry; (entry = readdir(dir));) {  // removing while reading
    if (entry->d_name[0] == '.') continue;
    ++seen;
    char path[300];
    snprintf(path, sizeof path, "/tmp/many/%s", entry->d_name);
    if (seen % 3 == 0 && unlink(path) == 0) ++removed;
  }
  rewinddir(dir);
  int left = 0;
  while (readdir(dir)) ++left;
  closedir(dir);
  printf("seen %d removed %d left %d\n", seen, removed, left - 2);
  struct dirent** names;
  const int count = scandir("/out", &names, every, alphasort);
  for (int i = 0; i < count; ++i) printf("%s%s", names[i]->d_name, i + 1 < count ? " " : "\n");
  chdir("/out");
  show("b");
}

int main(void) {
  numbers();
  renames();
  links();
  positions();
  directories();
  show("/in/data.txt");
  return 0;
}
