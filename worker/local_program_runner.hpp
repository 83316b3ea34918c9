// client::ProgramRunner over an executor pool of its own: for `split` and `merge`, and for checking a program at submit.
#pragma once

#include <map>
#include <memory>

#include "sdk/client/program_runner.hpp"
#include "worker/execution/executor_pool.hpp"

namespace starling::worker {

class LocalProgramRunner final : public client::ProgramRunner {
 public:
  LocalProgramRunner(std::filesystem::path executor, std::filesystem::path cache_folder)
      : executor_(std::move(executor)), cache_folder_(std::move(cache_folder)) {}

  base::Expected<void> prepare() override;
  base::Expected<void> check(const std::filesystem::path& program) override;
  base::Expected<client::ProgramFacts> look_at(const std::filesystem::path& program) override;
  base::Expected<client::LocalRunEnd> run(const client::LocalRun& run) override;

 private:
  // Inputs of the one run: whole files of this machine.
  class Files final : public execution::InputSource {
   public:
    base::Expected<execution::InputFile> add(const std::string& name, const std::filesystem::path& file);
    void clear() { files_.clear(); }
    base::Expected<int> open(const base::Digest& blob) override;
    bool is_whole(const base::Digest&) override { return true; }
    base::Expected<void> ensure(const base::Digest&, std::uint64_t, std::uint64_t) override { return {}; }

   private:
    std::map<base::Digest, std::filesystem::path> files_;
  };

  base::Expected<execution::UnitRequest> request_of(const client::LocalRun& run);
  base::Expected<void> start_pool();

  std::filesystem::path executor_, cache_folder_;
  std::unique_ptr<execution::Spawner> spawner_;
  Files files_;
  std::unique_ptr<execution::ExecutorPool> pool_;
};

}  // namespace starling::worker
