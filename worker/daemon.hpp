// One worker: a peer with an executor and a local door, serving a state folder until SIGTERM. At most one per folder.
#pragma once

#include "sdk/cli/ports.hpp"

namespace starling::worker {

class Daemon final : public cli::WorkerLauncher {
 public:
  Daemon(std::filesystem::path executor, std::filesystem::path cache_folder)
      : executor_(std::move(executor)), cache_folder_(std::move(cache_folder)) {}

  base::Expected<void> launch(const cli::WorkerOptions& options, const std::function<void(const cli::WorkerReady&)>& ready) override;

 private:
  using Ready = std::function<void(const cli::WorkerReady&)>;
  base::Expected<void> serve(const cli::WorkerOptions& options, const Ready& ready);
  base::Expected<void> detach(const cli::WorkerOptions& options, const Ready& ready);

  std::filesystem::path executor_, cache_folder_;
};

}  // namespace starling::worker
