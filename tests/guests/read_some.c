// read_some FILE OFFSET SIZE [OFFSET SIZE ...]: the sum of the bytes in each range.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  const int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
  if (fd < 0) return 1;
  for (int i = 2; i + 1 < argc; i += 2) {
    const long long offset = atoll(argv[i]);
    const size_t size = (size_t)atoll(argv[i + 1]);
    unsigned char* bytes = malloc(size);
    const ssize_t got = pread(fd, bytes, size, offset);
    if (got < 0) return 2;
    unsigned long sum = 0;
    for (ssize_t b = 0; b < got; ++b) sum += bytes[b];
    printf("%zd %lu\n", got, sum);
    free(bytes);
  }
  return 0;
}
