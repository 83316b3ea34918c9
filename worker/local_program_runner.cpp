#include "worker/local_program_runner.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <future>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/merkle_tree.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "sdk/client/folders.hpp"
#include "worker/execution/program_check.hpp"

namespace starling::worker {

namespace {

using base::ErrorCode;

base::Expected<client::LocalRunEnd> end_of(execution::UnitResult result) {
  if (const auto* released = std::get_if<execution::Released>(&result)) {
    const bool late = released->reason.starts_with("time limit");
    return base::fail(ErrorCode::temporary, "the program could not be run here: " + released->reason, late ? "give it more with --time-limit" : "free some memory and try again");
  }
  auto& outcome = std::get<execution::UnitOutcome>(result);
  STARLING_TRY(auto items, client::read_archive(outcome.archive));
  if (items.size() != 1) return base::fail(ErrorCode::internal, "the executor gave " + std::to_string(items.size()) + " items for one");
  client::LocalRunEnd end;
  end.output = std::move(items.front());
  end.error_text = std::move(outcome.stderr_tail);
  end.digest = base::blob_name(outcome.archive, crypto::sha256);
  end.wall_us = outcome.wall_us;
  end.fuel = outcome.fuel;
  end.peak_memory_bytes = outcome.peak_resident_bytes;
  end.compiled = outcome.tier == execution::Tier::aot;
  end.note = std::move(outcome.note);
  return end;
}

}  // namespace

base::Expected<execution::InputFile> LocalProgramRunner::Files::add(const std::string& name, const std::filesystem::path& file) {
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) return base::fail(ErrorCode::not_found, "cannot read " + file.string() + ": " + error.message(), "check the path");
  // Within one run a name is as good as a hash, and costs no reading of the file.
  const auto blob = crypto::sha256(base::view(std::filesystem::absolute(file).string()));
  files_[blob] = file;
  return execution::InputFile{.name = name, .blob = blob, .size_bytes = size};
}

base::Expected<int> LocalProgramRunner::Files::open(const base::Digest& blob) {
  const auto at = files_.find(blob);
  if (at == files_.end()) return base::fail(ErrorCode::not_found, "no such input");
  const int fd = ::open(at->second.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::fail(ErrorCode::refused, "cannot read " + at->second.string() + ": " + std::strerror(errno), "check the file's rights");
  return fd;
}

base::Expected<void> LocalProgramRunner::prepare() {
  if (!spawner_) {
    STARLING_TRY(spawner_, execution::Spawner::start());
  }
  return {};
}

base::Expected<void> LocalProgramRunner::check(const std::filesystem::path& program) {
  if (const auto prepared = prepare(); !prepared) return prepared;
  return execution::check_program(*spawner_, executor_, program);
}

base::Expected<client::ProgramFacts> LocalProgramRunner::look_at(const std::filesystem::path& program) {
  if (const auto prepared = prepare(); !prepared) return std::unexpected(prepared.error());
  STARLING_TRY(auto report, execution::inspect_program(*spawner_, executor_, program));
  client::ProgramFacts out;
  out.runs = report.runs;
  out.problem = std::move(report.problem);
  out.hint = std::move(report.hint);
  out.engine = std::move(report.engine);
  out.bytes = report.bytes;
  out.imports = std::move(report.imports);
  out.features = std::move(report.features);
  out.memory_bytes_min = report.memory_bytes_min;
  out.memory_bytes_max = report.memory_bytes_max;
  out.cost = std::move(report.cost);
  return out;
}

base::Expected<void> LocalProgramRunner::start_pool() {
  if (pool_) return {};
  if (const auto prepared = prepare(); !prepared) return prepared;
  execution::PoolConfig config;
  config.executor = executor_;
  config.cache_folder = cache_folder_;
  config.spawner = spawner_.get();
  config.background = false;  // somebody is waiting for it
  STARLING_TRY(pool_, execution::ExecutorPool::start(std::move(config), files_));
  return {};
}

base::Expected<execution::UnitRequest> LocalProgramRunner::request_of(const client::LocalRun& run) {
  STARLING_TRY(const base::Bytes bytes, client::read_file(run.program, limits::program_bytes_max));
  execution::UnitRequest request;
  request.program = std::filesystem::absolute(run.program);
  request.program_digest = base::blob_name(bytes, crypto::sha256);
  request.arguments = run.arguments;
  request.items.push_back(run.standard_input);
  request.job_text = "local";
  request.memory_bytes_max = run.limits.memory_bytes;
  request.output_bytes_max = run.limits.output_bytes;
  request.time_max = base::milliseconds(run.limits.time_ms);
  if (run.limits.fuel > 0) request.fuel_max = run.limits.fuel;
  for (const auto& input : run.inputs) {
    if (const auto* content = std::get_if<base::Bytes>(&input.content)) {
      request.in_files_in_memory.emplace_back(input.path, *content);
      continue;
    }
    STARLING_TRY(auto file, files_.add(input.path, std::get<std::filesystem::path>(input.content)));
    request.inputs.push_back(std::move(file));
  }
  return request;
}

base::Expected<client::LocalRunEnd> LocalProgramRunner::run(const client::LocalRun& run) {
  files_.clear();
  STARLING_TRY(auto request, request_of(run));
  if (const auto started = start_pool(); !started) return std::unexpected(started.error());
  std::promise<execution::UnitResult> promise;
  auto result = promise.get_future();
  pool_->run(1, std::move(request), [&promise](execution::UnitResult end) { promise.set_value(std::move(end)); });
  return end_of(result.get());
}

}  // namespace starling::worker
