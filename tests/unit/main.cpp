#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#ifdef __SANITIZE_THREAD__
// TBB's library is not built for the sanitizer, which therefore misses how a task comes from one thread to another. What the tasks
// themselves share stays watched: left out are accesses made in TBB's own headers, and the construction of atomics, which that hides as well.
extern "C" const char* __tsan_default_suppressions() { return "race_top:/oneapi/tbb/\nrace_top:std::__atomic_base\n"; }
#endif
