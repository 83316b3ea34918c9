// What metering and NaN canonicalisation cost: each kernel natively, as plain AOT and as instrumented AOT, in turn.
//   bench_execution FOLDER NATIVE_FOLDER GUEST_FOLDER RUNS KERNEL...
// Prints "KERNEL VARIANT RUN SECONDS" (CPU time of the kernel alone); exit code 1 when an output differs from the native one.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/same_bytes/engine.hpp"
#include "tests/same_bytes/instrumented.hpp"

using namespace starling;
using namespace starling::testing;

namespace {

struct Timed {
  double seconds = 0;
  std::uint64_t output = 0;
};

Timed run_native(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) std::abort();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], 1);
    ::execl(program.c_str(), program.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; (n = ::read(ends[0], buffer.data(), buffer.size())) > 0;) text.append(buffer.data(), static_cast<std::size_t>(n));
  ::close(ends[0]);
  rusage used{};
  int status = 0;
  ::wait4(child, &status, 0, &used);
  if (status != 0) std::exit(1);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  Hash hash;
  hash.add(base::view(text));
  return {seconds(used.ru_utime) + seconds(used.ru_stime), hash.value()};
}

Timed run_wasm(base::ByteView wasm, const std::string& folder) {
  const Row row = run_in_engine(Tier::aot_O2, {wasm, {std::uint64_t{1} << 50, 1024, 10'000, limits::fuel_slice, 1}, {}, {}}, folder);
  if (row.kind != "ok" && row.kind != "exit") {
    std::fprintf(stderr, "bench_execution: %s\n", to_line(row).c_str());
    std::exit(1);
  }
  return {row.cpu_s, row.output};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  const std::string folder = argv[1], natives = argv[2], guests = argv[3];
  const int runs = std::atoi(argv[4]);
  for (int i = 5; i < argc; ++i) {
    const std::string name = argv[i];
    std::ifstream in(guests + "/kernel_" + name + ".wasm", std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const auto metered = instrumented(base::view(text));
    if (!metered) {
      std::fprintf(stderr, "bench_execution: %s: %s\n", name.c_str(), metered.error().message.c_str());
      return 1;
    }
    for (int run = -1; run < runs; ++run) {  // the first one compiles and warms
      const Timed native = run_native(natives + "/kernel_" + name), plain = run_wasm(base::view(text), folder), ours = run_wasm(metered->module, folder);
      if (plain.output != ours.output || native.output != ours.output) {
        std::fprintf(stderr, "bench_execution: %s: outputs differ\n", name.c_str());
        return 1;
      }
      if (run < 0) continue;
      std::printf("%s native %d %.6f\n%s plain %d %.6f\n%s instrumented %d %.6f\n", name.c_str(), run, native.seconds, name.c_str(), run,
                  plain.seconds, name.c_str(), run, ours.seconds);
      std::fflush(stdout);
    }
  }
  return 0;
}
