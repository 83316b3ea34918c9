// starling-executor: the process that runs, compiles or checks guest programs. Started by the daemon's Spawner.
//   starling-executor --serve [--background]       units over the socket that is its standard input
//   starling-executor --compile IN OUT LEVEL       native code for IN into OUT; prints "ok" or what is wrong
//   starling-executor --check FILE                 prints JSON: is this a program that starling can run?
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <wasmedge/wasmedge.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "coordinator-less/base/limits.hpp"
#include "worker/execution/executor/engine.hpp"
#include "worker/execution/executor/module_scan.hpp"
#include "worker/execution/executor/unit.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

void limit(__rlimit_resource resource, std::uint64_t value) {
  const rlimit both{value, value};
  ::setrlimit(resource, &both);
}

void limit_process() {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, 256);
  const rlimit stack{limits::executor_stack_bytes, limits::executor_stack_bytes};
  ::setrlimit(RLIMIT_STACK, &stack);
}

void run_in_background() {
  const sched_param none{};
  ::sched_setscheduler(0, SCHED_IDLE, &none);
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

int serve(bool background) {
  const int socket = take_socket();
  limit_process();
  if (background) run_in_background();
  HostLink link(socket);
  UnitRunner runner(link);
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
  limit_process();
  limit(RLIMIT_AS, limits::compile_memory_bytes_max);
  limit(RLIMIT_CPU, static_cast<std::uint64_t>(limits::compile_timeout.ms / 1000));
  run_in_background();
  std::string wrong;
  if (const auto scanned = scan_module(read_file(in))) wrong = scanned->message;
  else if (const auto found = compile_module(in, out, level)) wrong = found->message;
  std::puts(wrong.empty() ? "ok" : wrong.c_str());
  std::fflush(stdout);
  return wrong.empty() ? 0 : 2;
}

int check(const char* path) {
  limit_process();
  limit(RLIMIT_AS, limits::compile_memory_bytes_max);
  limit(RLIMIT_CPU, static_cast<std::uint64_t>(limits::check_timeout.ms / 1000));
  nlohmann::json out;
  const auto module = Module::from_bytes(read_file(path));
  out["ok"] = module.has_value();
  if (module) {
    out["engine"] = engine_version();
    out["imports"] = (*module)->imports();
    out["memory_bytes_min"] = (*module)->memory_pages_min() * 65536;
    if (const auto pages = (*module)->memory_pages_max()) out["memory_bytes_max"] = *pages * 65536;
  } else {
    out["error"] = module.error().message;
    out["hint"] = module.error().hint;
  }
  std::puts(out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  return module ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  WasmEdge_LogOff();
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "--serve") return serve(argc > 2 && std::string_view(argv[2]) == "--background");
  if (mode == "--compile" && argc == 5) return compile(argv[2], argv[3], std::atoi(argv[4]));
  if (mode == "--check" && argc == 3) return check(argv[2]);
  std::fputs("starling-executor is started by starling; by hand: --check FILE\n", stderr);
  return 2;
}
