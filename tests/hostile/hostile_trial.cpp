// Runs every attempt of a taken-over executor, in and out of the cage, and demands that the cage makes the difference.
//   hostile_trial HOSTILE_EXECUTOR [FILE SOCKET]    FILE: a secret of the worker's user; SOCKET: the worker's local door
// Prints a line per attempt; exit 0 when inside all failed and the pool lived on, and outside at least a third succeeded.
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <mutex>
#include <optional>

#include "tests/hostile/attempts.hpp"
#include "worker/execution/executor_pool.hpp"

using namespace starling;
using namespace starling::execution;

namespace {

class NoInputs final : public InputSource {
 public:
  base::Expected<int> open(const base::Digest&) override { return base::fail(base::ErrorCode::not_found, "no inputs here"); }
  bool is_whole(const base::Digest&) override { return true; }
  base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }
};

// What an attacker would like to reach.
struct Surroundings {
  std::filesystem::path folder;
  std::string secret, local_socket;
  std::string abstract_name = "starling-hostile-" + std::to_string(::getpid());
  Fd tcp, unix_door, abstract_door;
  int port = 0;

  static Fd listen_unix(const std::string& name, bool abstract) {
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + (abstract ? 1 : 0), name.data(), name.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd.get(), 64) != 0) std::abort();
    return fd;
  }

  explicit Surroundings(std::filesystem::path made) : folder(std::move(made)) {
    std::filesystem::create_directories(folder / "cache");
    secret = folder / "identity";
    local_socket = folder / "door";
    std::ofstream(secret) << "secret";
    std::ofstream(folder / "program.wasm") << "any";
    std::ofstream(folder / "cache/victim.so") << "code";
    unix_door = listen_unix(local_socket, false);
    abstract_door = listen_unix(abstract_name, true);
    tcp = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(tcp.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(tcp.get(), 64) != 0) std::abort();
    ::getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
};

// One pool, one attempt after the other: a unit that ends badly must not keep the next from running.
class Trial {
 public:
  Trial(Spawner& spawner, const std::filesystem::path& executor, Surroundings& around, bool caged) : around_(around) {
    PoolConfig config;
    config.executor = executor;
    config.cache_folder = around.folder / "cache";
    config.spawner = &spawner;
    config.caged = caged;
    pool_ = std::move(ExecutorPool::start(std::move(config), none_)).value();
  }

  std::string run(const std::string& attempt) {
    UnitRequest request;
    request.program = around_.folder / "program.wasm";
    request.arguments = {attempt, around_.secret, around_.local_socket, around_.abstract_name, std::to_string(around_.port),
                         (around_.folder / "cache").string()};
    request.items.emplace_back();
    request.job_text = "job";
    request.memory_bytes_max = 16U << 20;
    request.output_bytes_max = 1U << 16;
    request.time_max = base::seconds(20);
    request.tier = Tier::interpreter;  // nothing to compile
    std::optional<UnitResult> result;
    pool_->run(1, std::move(request), [&](UnitResult end) {
      const std::scoped_lock lock(mutex_);
      result = std::move(end);
      ended_.notify_one();
    });
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return result.has_value(); });
    if (const auto* released = std::get_if<Released>(&*result)) return "stopped: " + released->reason;
    const auto archive = parse_archive(std::get<UnitOutcome>(*result).archive);
    return archive ? std::string(base::text(archive->items.at(0).standard_output)) : "stopped: no archive";
  }

 private:
  Surroundings& around_;
  NoInputs none_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::unique_ptr<ExecutorPool> pool_;
};

bool succeeded(const std::string& end) { return end.starts_with("succeeded"); }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) return std::fputs("usage: hostile_trial HOSTILE_EXECUTOR [FILE SOCKET]\n", stderr), 2;
  const auto spawner = std::move(Spawner::start()).value();
  std::string folder = (std::filesystem::temp_directory_path() / "starling-hostile-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  Surroundings around(folder);
  if (argc == 4) {
    around.secret = argv[2];
    around.local_socket = argv[3];
  }
  std::size_t inside = 0, outside = 0;
  {
    Trial caged(*spawner, argv[1], around, true);
    Trial free(*spawner, argv[1], around, false);
    for (const auto& attempt : hostile::attempts()) {
      const auto in = caged.run(attempt.name);
      const auto out = free.run(attempt.name);
      if (succeeded(in)) ++inside;
      if (succeeded(out)) ++outside;
      std::printf("%-4s %-36s caged: %-62s free: %s\n", succeeded(in) ? "BAD" : "ok", attempt.name, in.c_str(), out.c_str());
      std::fflush(stdout);
      if (!std::filesystem::exists(around.folder / "cache/victim.so")) std::ofstream(around.folder / "cache/victim.so") << "code";
    }
  }
  const bool lives = ::kill(spawner->helper_pid(), 0) == 0;
  std::error_code error;
  std::filesystem::remove_all(around.folder, error);
  std::filesystem::remove("/tmp/starling-hostile", error);
  const std::size_t all = hostile::attempts().size();
  std::printf("hostile: %zu attempts, %zu succeeded in the cage, %zu outside; the host %s\n", all, inside, outside, lives ? "lives" : "DIED");
  return inside == 0 && lives && outside * 3 >= all ? 0 : 1;
}
