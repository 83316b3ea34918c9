// Calls and little else: the naive recursion.
#include "kernel.h"

__attribute__((noinline)) static uint32_t fib(uint32_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

int main(void) { printf("%u\n", fib(41)); }
