// A development swarm: N workers on this machine's loopback, some of which return wrong results on purpose.
// Layout: STATE/dev/peer-I are their state folders; STATE/dev/dev.json says what was started and which are bad.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/rng.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/client/process_record.hpp"

extern char** environ;

namespace starling::cli {

namespace {

using base::ErrorCode;
using std::filesystem::path;

constexpr std::uint32_t peers_max = 64;  // the full mesh of this floor
constexpr std::chrono::seconds mesh_patience{60};
constexpr std::chrono::minutes stop_patience{2};

// After `export STARLING_STATE=.../dev/peer-0` the same commands must still mean the same swarm.
path dev_folder(const Context& context) {
  const path state = std::filesystem::absolute(context.state_folder);
  std::error_code error;
  if (std::filesystem::exists(state.parent_path() / "dev.json", error)) return state.parent_path();
  return state / "dev";
}
path peer_folder(const path& dev, std::uint32_t peer) { return dev / ("peer-" + std::to_string(peer)); }

std::vector<path> peer_folders(const path& dev) {
  std::vector<path> found;
  std::error_code error;
  for (std::uint32_t peer = 0; peer < peers_max; ++peer)
    if (std::filesystem::is_directory(peer_folder(dev, peer), error)) found.push_back(peer_folder(dev, peer));
  return found;
}

std::vector<client::ProcessRecord> running(const path& dev) {
  std::vector<client::ProcessRecord> found;
  for (const auto& folder : peer_folders(dev)) {
    const auto record = client::read_process_record(client::pid_file_of(folder));
    if (record && client::is_alive(*record)) found.push_back(*record);
  }
  return found;
}

// Runs this very program again; its own line on stderr says what went wrong.
base::Expected<void> run_self(std::vector<std::string> arguments) {
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int spawned = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (spawned != 0) return base::fail(ErrorCode::internal, "cannot start another process", "check the limits of this machine");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return base::fail(ErrorCode::internal, "a worker of the development swarm did not start", "its reason stands above; see also worker.log in its folder");
}

base::Expected<client::Client> client_of(const path& folder) {
  client::ConnectOptions options;
  options.state_folder = folder;
  options.embed = false;
  return client::Client::connect(std::move(options));
}

struct Plan {
  path dev;
  DevUpOptions options;
  std::vector<std::uint32_t> bad;
  bool is_bad(std::uint32_t peer) const { return std::ranges::find(bad, peer) != bad.end(); }
};

base::Expected<void> start_peer(const Plan& plan, std::uint32_t peer, const std::string& ticket) {
  std::vector<std::string> arguments{"starling", "--state", peer_folder(plan.dev, peer).string(), "worker", "start",
                                     "--slots", std::to_string(plan.options.slots)};
  const std::vector<std::string> how = ticket.empty() ? std::vector<std::string>{"--new", "development", "--swarm-name", "dev"}
                                                      : std::vector<std::string>{"--join", ticket};
  arguments.insert(arguments.end(), how.begin(), how.end());
  if (plan.is_bad(peer)) arguments.emplace_back("--inject-faults");
  return run_self(std::move(arguments));
}

base::Expected<void> start_all(Context& context, const Plan& plan) {
  std::string ticket;
  for (std::uint32_t peer = 0; peer < plan.options.peers; ++peer) {
    context.output.progress("starting peer " + std::to_string(peer + 1) + " of " + std::to_string(plan.options.peers));
    if (const auto started = start_peer(plan, peer, ticket); !started) return started;
    if (!ticket.empty()) continue;
    STARLING_TRY(client::Client first, client_of(peer_folder(plan.dev, 0)));
    STARLING_TRY(ticket, first.invite());
  }
  return {};
}

// Every peer sees every other one.
base::Expected<bool> is_meshed(const Plan& plan) {
  for (std::uint32_t peer = 0; peer < plan.options.peers; ++peer) {
    STARLING_TRY(client::Client client, client_of(peer_folder(plan.dev, peer)));
    STARLING_TRY(const auto peers, client.peers());
    if (std::ranges::count_if(peers, &protocol::PeerStatus::linked) + 1 < static_cast<std::ptrdiff_t>(plan.options.peers)) return false;
  }
  return true;
}

base::Expected<void> wait_for_mesh(Context& context, const Plan& plan) {
  const auto deadline = std::chrono::steady_clock::now() + mesh_patience;
  while (true) {
    STARLING_TRY(const bool meshed, is_meshed(plan));
    if (meshed) return {};
    if (context.interrupted) return base::fail(ErrorCode::interrupted, "stopped while the peers were linking", "end them: starling dev down");
    if (std::chrono::steady_clock::now() > deadline)
      return base::fail(ErrorCode::timeout, "the peers did not all find each other", "see worker.log in " + plan.dev.string() + "/peer-*");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

base::Expected<Json> describe(const Plan& plan) {
  Json peers = Json::array();
  for (std::uint32_t peer = 0; peer < plan.options.peers; ++peer) {
    const path folder = peer_folder(plan.dev, peer);
    STARLING_TRY(client::Client client, client_of(folder));
    STARLING_TRY(const client::PeerInfo info, client.info());
    const auto record = client::read_process_record(client::pid_file_of(folder));
    peers.push_back({{"index", peer},
                     {"id", info.id.base32()},
                     {"state", folder.string()},
                     {"port", info.port},
                     {"pid", info.pid},
                     {"start_time", record ? record->start_ticks : 0},
                     {"bad", plan.is_bad(peer)}});
  }
  return Json{{"schema", 1}, {"seed", plan.options.seed}, {"kind", "development"}, {"peers", std::move(peers)}};
}

Done stop_all(const path& dev) {
  Done worst;
  for (const auto& record : running(dev))
    if (const auto stopped = client::terminate(record, stop_patience); !stopped && stopped.error().code != ErrorCode::not_found) worst = stopped;
  return worst;
}

base::Expected<Json> bring_up(Context& context, const Plan& plan) {
  if (const auto started = start_all(context, plan); !started) return std::unexpected(started.error());
  if (const auto meshed = wait_for_mesh(context, plan); !meshed) return std::unexpected(meshed.error());
  STARLING_TRY(Json description, describe(plan));
  const std::string text = client::dump(description) + "\n";
  if (const auto written = client::write_file(plan.dev / "dev.json", base::view(text)); !written) return std::unexpected(written.error());
  return description;
}

Done check(const DevUpOptions& options, const path& dev) {
  if (options.peers < 1 || options.peers > peers_max)
    return base::fail(ErrorCode::usage, "a development swarm has 1 to " + std::to_string(peers_max) + " peers", "change -n");
  if (options.bad >= options.peers)
    return base::fail(ErrorCode::usage, "--bad must be smaller than -n: peer 0 is honest", "change --bad or -n");
  if (!running(dev).empty()) return base::fail(ErrorCode::refused, "a development swarm runs already in " + dev.string(), "end it: starling dev down");
  return {};
}

}  // namespace

std::vector<std::uint32_t> draw_bad_peers(std::uint32_t peers, std::uint32_t bad, std::uint64_t seed) {
  STARLING_ENSURE(bad < peers);
  base::Rng rng(seed);
  std::vector<std::uint32_t> candidates;
  for (std::uint32_t peer = 1; peer < peers; ++peer) candidates.push_back(peer);
  std::vector<std::uint32_t> drawn;
  while (drawn.size() < bad) {
    const auto at = static_cast<std::ptrdiff_t>(rng.below(candidates.size()));
    drawn.push_back(candidates[static_cast<std::size_t>(at)]);
    candidates.erase(candidates.begin() + at);
  }
  std::ranges::sort(drawn);
  return drawn;
}

Done dev_up(Context& context, const DevUpOptions& options) {
  const path dev = dev_folder(context);
  if (const auto checked = check(options, dev); !checked) return checked;
  // A new swarm each time: what an earlier one left behind would only confuse it.
  std::error_code error;
  for (const auto& folder : peer_folders(dev)) std::filesystem::remove_all(folder, error);
  if (const auto made = client::make_private_folder(dev); !made) return made;

  const Plan plan{.dev = dev, .options = options, .bad = draw_bad_peers(options.peers, options.bad, options.seed)};
  auto description = bring_up(context, plan);
  context.output.end_progress();
  if (!description) {
    if (const auto stopped = stop_all(dev); !stopped) context.output.note("some peers still run; end them: starling dev down");
    return std::unexpected(description.error());
  }
  const std::string state = peer_folder(dev, 0).string();
  const std::string human = std::to_string(options.peers) + " peers are up, each linked to all; " + std::to_string(options.bad) +
                            " of them return wrong results on purpose\nexport STARLING_STATE=" + state;
  (*description)["export"] = "STARLING_STATE=" + state;
  context.output.answer(human, *std::move(description), state);
  return {};
}

Done dev_down(Context& context) {
  const path dev = dev_folder(context);
  const auto count = running(dev).size();
  if (count == 0) return base::fail(ErrorCode::not_found, "no development swarm runs in " + dev.string(), "start one: starling dev up");
  if (const auto stopped = stop_all(dev); !stopped) return stopped;
  context.output.answer(std::to_string(count) + " peers stopped", {{"stopped", count}}, "");
  return {};
}

}  // namespace starling::cli
