// What programs say of their progress: found in standard error, shown by the pool, and never a reason for anything.
#include <doctest/doctest.h>

#include "worker/execution/wasi/progress_lines.hpp"

#ifdef STARLING_HAS_EXECUTOR
#include <chrono>
#include <fstream>
#include <thread>

#include "coordinator-less/crypto/digest.hpp"
#include "tests/support/executor_bench.hpp"
#include "tests/support/scratch.hpp"
#include "tests/support/wasm_writer.hpp"
#endif

using namespace starling;
using namespace starling::execution;

namespace {

std::optional<std::uint32_t> said(std::string_view text) { return wasi::ProgressLines().feed(base::view(text)); }

}  // namespace

TEST_CASE("progress: only whole lines that make sense count, the last of them") {
  CHECK(said("starling:progress 1/4\n") == 250'000);
  CHECK(said("hello\nstarling:progress 1/4\nstarling:progress 3/4\nbye") == 750'000);
  CHECK(said("starling:progress 18446744073709551615/18446744073709551615\n") == 1'000'000);
  CHECK(said("starling:progress 0/7\n") == 0);
  for (const char* none : {"starling:progress 1/4", " starling:progress 1/4\n", "starling:progress 5/4\n", "starling:progress 0/0\n",
                           "starling:progress 1/4 \n", "starling:progress -1/4\n", "starling:progress /\n", "starling:progress \n", "\n",
                           "starling:progress 118446744073709551615/118446744073709551615\n", "starling:progress 1/0000000000000000000000000000000000000000000004\n"})
    CHECK_MESSAGE(said(none) == std::nullopt, none);
}

TEST_CASE("progress: a line may come in pieces, and others of any length beside it") {
  wasi::ProgressLines lines;
  std::optional<std::uint32_t> last;
  const std::string noise(1 << 16, 'x');
  for (const char c : noise + "\nstarling:progress 1/2\n" + "starling:pro\n" + noise + "starling:progress 3/4\n")
    if (const auto part = lines.feed(base::view(std::string_view(&c, 1)))) last = part;
  CHECK(last == 500'000);
  CHECK(lines.feed(base::view("starling:progr")) == std::nullopt);
  CHECK(lines.feed(base::view("ess 7/8\n")) == 875'000);
}

#ifdef STARLING_HAS_EXECUTOR

namespace {

// Says so on standard error, then loops for ever.
base::Bytes talking_program(std::string_view line) {
  testing::WasmModule module;
  const auto fd_write = module.import("wasi_snapshot_preview1", "fd_write", module.type("iiii", "i"));
  module.memory({1, true, 1});
  testing::Wasm start;
  for (std::size_t i = 0; i < line.size(); ++i) start.i32(static_cast<std::int32_t>(64 + i)).i32(line[i]).op(0x3A).u32(0).u32(0);
  start.i32(0).i32(64).op(0x36).u32(2).u32(0);
  start.i32(4).i32(static_cast<std::int32_t>(line.size())).op(0x36).u32(2).u32(0);
  start.i32(2).i32(0).i32(1).i32(8).call(fd_write).op(0x1A);
  start.op(0x03).u8(0x40).op(0x0C).u32(0).end();
  module.export_as("_start", 0, module.function(module.type("", ""), "", start));
  module.export_as("memory", 2, 0);
  return module.finish();
}

}  // namespace

TEST_CASE("progress: the pool shows what a running unit says, of all its items") {
  const testing::ScratchFolder folder;
  testing::ExecutorBench bench([](PoolConfig& config) { config.optimisation_level = 0; });
  const auto program = talking_program("starling:progress 3/4\n");
  auto request = testing::ExecutorBench::request("noop");
  request.program = folder.path() / "talking.wasm";
  std::ofstream(request.program, std::ios::binary).write(reinterpret_cast<const char*>(program.data()), static_cast<std::streamsize>(program.size()));
  request.program_digest = crypto::sha256(program);
  request.items.resize(3);  // one thread: the others have not begun
  auto running = bench.begin(7, request);
  std::optional<double> progress;
  for (int i = 0; i < 3000 && !progress; ++i) {
    for (const auto& unit : bench.pool->status().units)
      if (unit.token == 7) progress = unit.progress;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(progress.value_or(0) == doctest::Approx(0.25));
  bench.pool->cancel(7);
  CHECK(std::holds_alternative<Released>(running.get()));
  CHECK(bench.pool->status().units.empty());
}

#endif  // STARLING_HAS_EXECUTOR
