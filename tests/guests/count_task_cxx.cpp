#include "tests/guests/count_task.c"  // the same program: the header is C and C++
