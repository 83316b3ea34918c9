#include <algorithm>
#include <charconv>
#include <thread>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/cli/quantities.hpp"
#include "sdk/client/owner_key.hpp"
#include "sdk/client/process_record.hpp"

namespace starling::cli {

namespace {

using base::ErrorCode;

constexpr std::chrono::minutes stop_patience{2};  // a unit that is running may be told to stop, a disk to flush

base::Expected<void> check_puzzle(const WorkerStartOptions& options) {
  if (options.puzzle_bits == 0) return {};
  if (options.create != client::name_of(protocol::SwarmKind::public_swarm))
    return base::fail(ErrorCode::usage, "--puzzle-bits is for new public swarms", "use it with --new public; to private ones a ticket is the key");
  if (options.puzzle_bits <= limits::puzzle_difficulty_bits_max) return {};
  return base::fail(ErrorCode::usage, "a puzzle of " + std::to_string(options.puzzle_bits) + " bits takes years",
                    "choose at most " + std::to_string(limits::puzzle_difficulty_bits_max) + "; 12 bits cost a peer a minute, once");
}

base::Expected<std::optional<protocol::SwarmParameters>> new_swarm(const WorkerStartOptions& options) {
  if (auto fit = check_puzzle(options); !fit) return std::unexpected(std::move(fit).error());
  if (options.create.empty()) return std::nullopt;
  protocol::SwarmParameters swarm;
  swarm.name = options.swarm_name;
  swarm.puzzle_difficulty_bits = static_cast<std::uint8_t>(options.puzzle_bits);
  crypto::fill_random(swarm.salt);
  for (const auto kind : {protocol::SwarmKind::public_swarm, protocol::SwarmKind::private_swarm, protocol::SwarmKind::development})
    if (options.create == client::name_of(kind)) return (swarm.kind = kind, swarm);
  return base::fail(ErrorCode::usage, "there is no kind of swarm \"" + options.create + "\"", "choose private, public or development");
}

base::Expected<std::uint16_t> port_of(const std::string& text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error == std::errc{} && end == text.data() + text.size()) return port;
  return base::fail(ErrorCode::usage, "\"" + text + "\" is no port", "give a number up to 65535; 0 takes any free one");
}

base::Expected<base::Duration> interval_of(const std::string& text) {
  if (text.empty()) return limits::checkpoint_interval_default;
  if (const auto time = parse_duration(text)) return base::milliseconds(time->count());
  return base::fail(ErrorCode::usage, "--checkpoint-interval does not understand \"" + text + "\"", "write a time as 500ms, 10s or 5m");
}

// OWNER, JOB, OWNER=2 or JOB=0.
base::Expected<protocol::ProjectChoice> project_of(const std::string& text) {
  const auto equals = text.find('=');
  protocol::ProjectChoice choice;
  const auto key = base::Digest::from_base32_text(text.substr(0, equals));
  if (!key) return base::fail(ErrorCode::usage, "\"" + text + "\" names no project", "--project takes a whole owner key or job id in base32, or one with =WEIGHT");
  choice.key = *key;
  if (equals == std::string::npos) return choice;
  const std::string_view weight = std::string_view(text).substr(equals + 1);
  const auto [end, error] = std::from_chars(weight.data(), weight.data() + weight.size(), choice.weight);
  if (error == std::errc{} && end == weight.data() + weight.size() && choice.weight <= limits::project_weight_max) return choice;
  return base::fail(ErrorCode::usage, "--project does not understand the weight in \"" + text + "\"", "give a number from 0, never, up to " + std::to_string(limits::project_weight_max));
}

Done parse_projects(const WorkerStartOptions& options, WorkerOptions& out) {
  if (options.projects.size() > limits::projects_max) return base::fail(ErrorCode::usage, "there are too many projects", "name at most " + std::to_string(limits::projects_max));
  for (const auto& text : options.projects) {
    STARLING_TRY(const auto choice, project_of(text));
    if (std::ranges::contains(out.projects, choice.key, &protocol::ProjectChoice::key))
      return base::fail(ErrorCode::usage, "--project names " + choice.key.base32() + " twice", "name it once");
    out.projects.push_back(choice);
  }
  out.only_projects = options.only_projects;
  if (out.only_projects && std::ranges::none_of(out.projects, [](const auto& project) { return project.weight > 0; }))
    return base::fail(ErrorCode::usage, "--only-projects leaves nobody to work for", "name one: --project OWNER");
  return {};
}

base::Expected<std::optional<base::PeerId>> beneficiary_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  if (text == "me") {
    STARLING_TRY(const auto owner, client::load_owner_key(client::default_owner_key_file()));
    return owner.id();
  }
  const auto key = base::PeerId::from_base32_text(text);
  if (!key) return base::fail(ErrorCode::usage, "\"" + text + "\" is no key", "--credit-to takes a whole owner key in base32, or: me");
  return *key;
}

base::Expected<std::chrono::milliseconds> pace_of(const std::string& text) {
  if (text.empty()) return std::chrono::milliseconds(0);
  if (const auto time = parse_duration(text)) return *time;
  return base::fail(ErrorCode::usage, "--pace does not understand \"" + text + "\"", "write a time as 500ms, 10s or 5m");
}

base::Expected<WorkerOptions> parse(const Context& context, const WorkerStartOptions& options) {
  WorkerOptions out;
  out.state_folder = context.state_folder;
  STARLING_TRY(out.join, ticket_of(context.join));
  STARLING_TRY(out.create, new_swarm(options));
  STARLING_TRY(out.port, port_of(options.port));
  STARLING_TRY(out.roots, keys_of(options.roots));
  if (const auto parsed = parse_projects(options, out); !parsed) return std::unexpected(parsed.error());
  STARLING_TRY(out.credit_to, beneficiary_of(options.credit_to));
  STARLING_TRY(out.checkpoint_interval, interval_of(options.checkpoint_interval));
  out.bind_host = options.bind;
  out.slots = options.slots > 0 ? options.slots : std::max(1U, std::thread::hardware_concurrency() / 2);
  out.foreground = options.foreground;
  out.inject_faults = options.inject_faults;
  out.attack = options.attack;
  STARLING_TRY(out.pace, pace_of(options.pace));
  out.require_cage = options.require_cage;
  if (out.join && out.create) return base::fail(ErrorCode::usage, "--join and --new exclude each other", "give one of them");
  return out;
}

std::string percent(double part) { return std::to_string(static_cast<int>(part * 100)) + " %"; }

base::Expected<client::ProcessRecord> running_worker(const std::filesystem::path& state) {
  const auto record = client::read_process_record(client::pid_file_of(state));
  if (record && client::is_alive(*record)) return *record;
  return base::fail(ErrorCode::not_found, "no worker runs for " + state.string(), "start one: starling worker start");
}

}  // namespace

Done worker_start(Context& context, const WorkerStartOptions& options) {
  STARLING_TRY(const WorkerOptions worker, parse(context, options));
  return context.ports.workers.launch(worker, [&](const WorkerReady& ready) {
    const std::string id = ready.id.base32();
    const std::string paused = ready.paused ? "; it is paused, go on with: starling worker resume" : "";
    context.output.answer("worker " + id + " serves on port " + std::to_string(ready.port) + ", state in " + worker.state_folder.string() + paused,
                          {{"id", id}, {"port", ready.port}, {"state", worker.state_folder.string()}, {"paused", ready.paused}}, id);
  });
}

Done worker_stop(Context& context) {
  STARLING_TRY(const client::ProcessRecord worker, running_worker(context.state_folder));
  if (const auto stopped = client::terminate(worker, stop_patience); !stopped) return stopped;
  context.output.answer("worker stopped", {{"pid", worker.pid}, {"state", "stopped"}}, "");
  return {};
}

Done worker_pause(Context& context) {
  STARLING_TRY(client::Client client, connect(context, false));
  if (const auto done = client.set_paused(true); !done) return done;
  context.output.answer("worker paused; go on with: starling worker resume", {{"paused", true}}, "");
  return {};
}

Done worker_resume(Context& context) {
  STARLING_TRY(client::Client client, connect(context, false));
  if (const auto done = client.set_paused(false); !done) return done;
  context.output.answer("worker goes on", {{"paused", false}}, "");
  return {};
}

Done worker_status(Context& context) {
  STARLING_TRY(client::Client client, connect(context, false));
  STARLING_TRY(const client::PeerInfo info, client.info());
  STARLING_TRY(const auto peers, client.peers());
  STARLING_TRY(const auto jobs, client.jobs());
  const auto linked = std::ranges::count_if(peers, &protocol::PeerStatus::linked);
  const auto active = std::ranges::count_if(jobs, [](const auto& job) { return !client::has_ended(job.state); });
  std::uint32_t running = 0;
  for (const auto& job : jobs) running += job.running_here;
  std::string human = table({{"worker", info.id.base32()},
                                   {"process", std::to_string(info.pid)},
                                   {"state", info.paused ? "paused; go on with: starling worker resume" : "working"},
                                   {"port", std::to_string(info.port)},
                                   {"swarm", std::string(client::name_of(info.swarm.kind)) + " " + printable(info.swarm.name) +
                                                 (info.swarm.puzzle_difficulty_bits > 0 ? ", ids cost " + std::to_string(info.swarm.puzzle_difficulty_bits) + " puzzle bits" : "")},
                                   {"links", std::to_string(linked)},
                                   {"jobs", std::to_string(active) + " active, " + std::to_string(running) + " units running here"},
                                   {"blobs", bytes_text(info.counters.blob_bytes)},
                                   {"refused", std::to_string(info.counters.frames_refused) + " frames, " +
                                                   std::to_string(info.counters.statements_refused) + " statements"}});
  Json cage = Json::array();
  for (const auto& gap : info.cage) {
    human += "cage lacks " + printable(gap.layer) + ": " + gap.state + ", " + printable(gap.why) + "\n";
    cage.push_back({{"layer", gap.layer}, {"state", gap.state}, {"why", gap.why}});
  }
  Json units = Json::array();
  for (const auto& one : info.units) {
    human += "unit " + std::to_string(one.unit) + " of job " + one.job.brief() + ": " + (one.progress ? percent(*one.progress) : "running") + "\n";
    units.push_back({{"job", one.job.base32()}, {"unit", one.unit}, {"progress", one.progress ? Json(*one.progress) : Json()}});
  }
  if (info.trouble) human += "trouble: " + printable(info.trouble->message) + "; " + printable(info.trouble->hint) + "\n";
  context.output.answer(human,
                        {{"id", info.id.base32()},
                         {"pid", info.pid},
                         {"port", info.port},
                         {"network", info.network.base32()},
                         {"swarm", {{"kind", client::name_of(info.swarm.kind)}, {"name", info.swarm.name}, {"puzzle_difficulty_bits", info.swarm.puzzle_difficulty_bits}}},
                         {"trouble", info.trouble ? client::to_json(*info.trouble) : Json()},
                         {"cage", std::move(cage)},
                         {"paused", info.paused},
                         {"units", std::move(units)},
                         {"links", linked},
                         {"active_jobs", active},
                         {"running_here", running},
                         {"blob_bytes", info.counters.blob_bytes},
                         {"bytes_sent", info.counters.bytes_sent},
                         {"bytes_received", info.counters.bytes_received},
                         {"statements_verified", info.counters.statements_verified},
                         {"statements_refused", info.counters.statements_refused},
                         {"frames_refused", info.counters.frames_refused}},
                        info.id.base32());
  return {};
}

}  // namespace starling::cli
