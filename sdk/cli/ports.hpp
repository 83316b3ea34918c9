// What the commands need of the worker, which sdk/ never includes: main hands these over.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/protocol/fair_share.hpp"
#include "coordinator-less/protocol/swarm.hpp"
#include "sdk/client/program_runner.hpp"

namespace starling::cli {

struct WorkerOptions {
  std::filesystem::path state_folder;
  std::optional<protocol::Ticket> join;
  std::optional<protocol::SwarmParameters> create;
  std::string bind_host = "127.0.0.1";
  std::uint16_t port = 0;
  std::uint32_t slots = 1;
  std::vector<base::PeerId> roots;
  std::vector<protocol::ProjectChoice> projects;
  bool only_projects = false;
  std::optional<base::PeerId> credit_to;
  bool foreground = false;
  bool inject_faults = false;
  std::string attack;                  // development only; what it says is the worker's business, as is a pace
  std::chrono::milliseconds pace{0};   // 0: none
  base::Duration checkpoint_interval = limits::checkpoint_interval_default;  // own work that a kill may cost, of items in rounds
  bool require_cage = false;  // refuse to run programs unless every layer of their cage is on
};

struct WorkerReady {
  base::PeerId id;
  std::uint16_t port = 0;
  bool paused = false;  // since before it was stopped
};

class WorkerLauncher {
 public:
  virtual ~WorkerLauncher() = default;
  // Foreground: calls `ready` once, serves until SIGTERM or SIGINT, then returns. Otherwise `ready` is called when a
  // process of its own, detached from the terminal, serves.
  virtual base::Expected<void> launch(const WorkerOptions& options, const std::function<void(const WorkerReady&)>& ready) = 0;
};

struct Ports {
  client::ProgramRunner& programs;
  WorkerLauncher& workers;
};

}  // namespace starling::cli
