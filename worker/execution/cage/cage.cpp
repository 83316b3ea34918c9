#include "worker/execution/cage/cage.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ranges>

#include "coordinator-less/base/limits.hpp"
#include "worker/execution/cage/layers.hpp"

namespace starling::execution::cage {
namespace {

constexpr std::array states{LayerState::on, LayerState::missing, LayerState::refused};

std::uint64_t seconds(base::Duration time) { return static_cast<std::uint64_t>(time.ms / 1000); }

bool is_on(const Layers& layers, std::string_view name) {
  return std::ranges::any_of(layers, [&](const Layer& one) { return one.name == name && one.state == LayerState::on; });
}

}  // namespace

Layer layer(std::string name, int error, const std::string& what) {
  if (error == 0) return {std::move(name), LayerState::on, ""};
  const bool unknown = error == ENOSYS || error == EINVAL || error == EOPNOTSUPP || error == ENODEV || error == ENOENT;
  return {std::move(name), unknown ? LayerState::missing : LayerState::refused, what + ": " + std::strerror(error)};
}

Plan executor_plan(int socket, const std::filesystem::path& cache, bool background) {
  Plan plan;
  plan.kind = Kind::executor;
  plan.background = background;
  plan.descriptors = {socket};
  if (!cache.empty()) plan.readable = {cache};
  return plan;
}

Plan compiler_plan(const std::filesystem::path& program, const std::filesystem::path& folder) {
  Plan plan;
  plan.kind = Kind::compiler;
  plan.readable = {program, "/proc/cpuinfo"};  // where LLVM finds the CPU's model on arm64
  plan.writable = folder;
  plan.address_space_bytes_max = limits::compile_memory_bytes_max;
  plan.cpu_seconds_max = seconds(limits::compile_timeout);
  plan.file_bytes_max = limits::compiled_bytes_max;
  return plan;
}

Plan checker_plan(const std::filesystem::path& program) {
  Plan plan;
  plan.kind = Kind::checker;
  plan.background = false;
  plan.readable = {program};
  plan.address_space_bytes_max = limits::compile_memory_bytes_max;
  plan.cpu_seconds_max = seconds(limits::check_timeout);
  plan.file_bytes_max = 1 << 20;  // its answer, when standard output is a file
  return plan;
}

// The order matters: namespaces while the process may still write its own id maps and move mounts, privileges after all
// that needs them.
Layers enter(const Plan& plan) {
  const int parent = ::getppid();
  Layers out;
  out.push_back(close_descriptors(plan));
  out.push_back(set_limits(plan));
  if (plan.background) out.push_back(lower_priority());
  out.push_back(make_user_namespace());
  out.push_back(make_network_namespace());
  out.push_back(view_by_mounts(plan));
  out.push_back(view_by_landlock(plan));
  out.push_back(drop_privileges(parent));
  return out;
}

Layers lacking(const Layers& layers) {
  const bool files = is_on(layers, "landlock") || is_on(layers, "mount-view");
  Layers out;
  for (const auto& one : layers) {
    if (one.state == LayerState::on) continue;
    if (files && (one.name == "landlock" || one.name == "mount-view")) continue;
    out.push_back(one);
  }
  return out;
}

std::string name_of(LayerState state) {
  switch (state) {
    case LayerState::on: return "on";
    case LayerState::missing: return "missing";
    case LayerState::refused: return "refused";
  }
  return "missing";
}

std::string to_text(const Layers& layers) {
  std::string out;
  for (const auto& one : layers) out += one.name + "\t" + name_of(one.state) + "\t" + one.why + "\n";
  return out;
}

Layers from_text(std::string_view text) {
  Layers out;
  for (const auto line : std::views::split(text, '\n')) {
    std::vector<std::string> cells;
    for (const auto cell : std::views::split(line, '\t')) cells.emplace_back(cell.begin(), cell.end());
    if (cells.size() != 3) continue;
    for (const auto state : states)
      if (name_of(state) == cells[1]) out.push_back({cells[0], state, cells[2]});
  }
  return out;
}

}  // namespace starling::execution::cage
