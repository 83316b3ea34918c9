// The one binary: builds the parts and hands them over.
#include <signal.h>

#include <atomic>

#include "sdk/cli/command_line.hpp"
#include "sdk/client/folders.hpp"
#include "worker/daemon.hpp"
#include "worker/local_program_runner.hpp"
#include "worker/unit_runner.hpp"

namespace {
// A signal handler can reach nothing else.
std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);
}  // namespace

int main(int argc, char** argv) {
  using namespace starling;
  struct sigaction on_interrupt{};
  on_interrupt.sa_handler = [](int) { interrupted = true; };
  ::sigaction(SIGINT, &on_interrupt, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  const auto executor = worker::executor_binary();
  const auto cache = client::default_cache_folder() / "aot";
  worker::LocalProgramRunner programs(executor, cache);
  worker::Daemon workers(executor, cache);
  cli::Ports ports{.programs = programs, .workers = workers};
  return cli::run(std::vector<std::string>(argv + 1, argv + argc), ports, interrupted);
}
