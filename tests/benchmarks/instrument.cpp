// How long the instrumenter takes for a generated program (tests/support/large_module.hpp).
//   bench_instrument BYTES...       prints "BYTES SECONDS SECONDS_CPU" for each; BYTES as the module really has
#include <time.h>

#include <cstdio>
#include <cstdlib>

#include "tests/support/large_module.hpp"
#include "worker/execution/instrument/instrument.hpp"

using namespace starling;
using namespace starling::execution::instrument;

namespace {

double seconds(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  static constexpr KnownImport imports[] = {{"wasi_snapshot_preview1", "fd_write", "iiii", true}, {"wasi_snapshot_preview1", "proc_exit", "i", false}};
  Options options;
  options.imports = imports;
  for (int i = 1; i < argc; ++i) {
    const auto wasm = testing::large_module(std::strtoull(argv[i], nullptr, 10));
    const double wall_s = seconds(CLOCK_MONOTONIC), cpu_s = seconds(CLOCK_THREAD_CPUTIME_ID);
    const auto out = instrument(wasm, options);
    if (!out) return std::fprintf(stderr, "bench_instrument: %s\n", out.error().message.c_str()), 1;
    std::printf("%zu %.4f %.4f\n", wasm.size(), seconds(CLOCK_MONOTONIC) - wall_s, seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_s);
  }
  return 0;
}
