// starling-executor: the process that runs, compiles or checks guest programs. Started by the daemon's Spawner.
//   starling-executor --serve CACHE [--background] [--require-cage] [--uncaged]   units over the socket that is its standard input
//   starling-executor --compile IN OUT LEVEL       native code for IN into OUT, whose folder is its own; prints "ok" or what is wrong
//   starling-executor --check FILE                 prints JSON: is this a program that starling can run?
//   starling-executor --engine                     prints the engine's name and version
//   starling-executor --probe-cage                 prints the cage's layers and whether each is on
// All that read one enter the cage before they read a byte that is not ours; --uncaged is for measuring.
#include <fcntl.h>
#include <unistd.h>
#include <wasmedge/wasmedge.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "worker/execution/cage/cage.hpp"
#include "worker/execution/executor/engine.hpp"
#include "worker/execution/executor/last_words.hpp"
#include "worker/execution/executor/unit.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

constexpr int exit_without_cage = 3;

struct ServeOptions {
  std::string cache;
  bool background = false;
  bool require_cage = false;
  bool caged = true;
};

cage::Notice printed_notice() { return {1, "forbidden system call 0000\n", 22}; }

// No file was opened and no thread made by us yet.
cage::Layers enter_and_lock(const cage::Plan& plan, const cage::Notice& notice) {
  auto layers = cage::enter(plan);
  layers.push_back(cage::lock(plan, notice));
  return layers;
}

// Moves the socket away from the standard streams, where a library's stray line would corrupt it.
int take_socket() {
  const int socket = ::fcntl(0, F_DUPFD_CLOEXEC, 3);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (socket < 0 || null < 0) std::exit(1);
  for (const int stream : {0, 1, 2}) ::dup2(null, stream);
  ::close(null);
  return socket;
}

int serve(const ServeOptions& options) {
  const int socket = take_socket();
  crypto::sha256({});  // the library reads its configuration once, which the cage would not let it
  const auto plan = cage::executor_plan(socket, options.cache, options.background);
  auto layers = options.caged ? cage::enter(plan) : cage::Layers{};
  HostLink link(socket);
  UnitRunner runner(link);
  if (options.caged) layers.push_back(cage::lock(plan, last_words(socket)));
  if (options.require_cage && !cage::lacking(layers).empty()) return exit_without_cage;
  link.send(encode(Hello{executor_protocol_version, engine_version()}));
  while (true) {
    const auto order = link.next_order();
    link.send(runner.run(order.order, order.descriptors));
  }
}

base::Bytes read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  return base::copy(base::view(bytes));
}

int compile(const char* in, const char* out, int level) {
  enter_and_lock(cage::compiler_plan(in, std::filesystem::path(out).parent_path()), printed_notice());
  std::string wrong;
  const auto wasm = instrumented(read_file(in));
  if (!wasm) wrong = wasm.error().message;
  else if (const auto found = compile_module(wasm->module, out, level)) wrong = found->message;
  std::puts(wrong.empty() ? "ok" : wrong.c_str());
  std::fflush(stdout);
  return wrong.empty() ? 0 : 2;
}

std::string features_of(const instrument::Report& report) {
  std::string out;
  const auto add = [&out](bool used, const char* name) {
    if (used) out += (out.empty() ? "" : ",") + std::string(name);
  };
  add(report.uses_floats, "floats");
  add(report.uses_simd, "simd128");
  add(report.uses_bulk, "bulk-memory");
  add(report.uses_references, "reference-types");
  return out;
}

// What instrumenting adds: nobody knows the time that it costs before it has run.
std::string cost_of(const instrument::Report& report) {
  const std::uint64_t before = std::max<std::uint64_t>(report.code_bytes_before, 1);
  const std::uint64_t more = std::max(report.code_bytes_after, before) - before;
  return "code +" + std::to_string(more * 100 / before) + " %: " + std::to_string(report.functions) + " functions (" +
         std::to_string(report.functions_inlined) + " charged by their callers, " + std::to_string(report.functions_recursive) +
         " count their stack), " + std::to_string(report.checks) + " fuel checks, " + std::to_string(report.nan_questions) +
         " NaN checks";
}

int check(const char* file) {
  const std::string path = std::filesystem::absolute(file);  // the cage has another working directory
  enter_and_lock(cage::checker_plan(path), printed_notice());
  nlohmann::json out;
  const auto module = Module::from_bytes(read_file(path.c_str()));
  out["ok"] = module.has_value();
  if (module) {
    out["engine"] = engine_version();
    out["imports"] = (*module)->imports();
    out["features"] = features_of((*module)->report());
    out["cost"] = cost_of((*module)->report());
    out["memory_bytes_min"] = (*module)->memory_pages_min() * 65536;
    if (const auto pages = (*module)->memory_pages_max()) out["memory_bytes_max"] = *pages * 65536;
  } else {
    out["error"] = module.error().message;
    out["hint"] = module.error().hint;
  }
  std::puts(out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return module ? 0 : 2;
}

int probe_cage() {
  const int socket = ::dup(0);
  auto plan = cage::executor_plan(socket, "/usr", true);
  plan.file_bytes_max = 1 << 20;
  const auto layers = enter_and_lock(plan, printed_notice());
  std::fputs(cage::to_text(layers).c_str(), stdout);
  std::fflush(stdout);
  return 0;
}

ServeOptions serve_options(int argc, char** argv) {
  ServeOptions out;
  if (argc > 2) out.cache = argv[2];
  for (int i = 3; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--background") out.background = true;
    if (word == "--require-cage") out.require_cage = true;
    if (word == "--uncaged") out.caged = false;
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  WasmEdge_LogOff();
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "--serve") return serve(serve_options(argc, argv));
  if (mode == "--compile" && argc == 5) return compile(argv[2], argv[3], std::atoi(argv[4]));
  if (mode == "--check" && argc == 3) return check(argv[2]);
  if (mode == "--engine" && argc == 2) return std::puts(engine_version().c_str()) < 0 ? 1 : 0;
  if (mode == "--probe-cage" && argc == 2) return probe_cage();
  std::fputs("starling-executor is started by starling; by hand: --check FILE\n", stderr);
  return 2;
}
