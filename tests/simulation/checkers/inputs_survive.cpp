// At the end some living peer holds each blob of each job whole, whoever died.
#include <algorithm>

#include "tests/simulation/checkers/checker.hpp"

namespace starling::simulation {
namespace {

class InputsSurvive final : public Checker {
 public:
  const char* name() const override { return "inputs_survive"; }

  std::string at_end(const Simulator& run) override {
    for (const JobRun& job : run.jobs()) {
      if (!job.submitted) continue;
      std::vector<protocol::BlobRef> blobs = {job.manifest.program, job.manifest.units};
      for (const auto& input : job.manifest.inputs) blobs.push_back(input.blob);
      for (const auto& blob : blobs) {
        const bool held = std::ranges::any_of(run.hosts(), [&](const auto& host) { return host->alive() && host->shelf().whole(blob.name); });
        if (!held) return "nobody alive holds a blob of " + std::to_string(blob.size_bytes) + " bytes of " + job.manifest.name;
      }
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<Checker> inputs_survive() { return std::make_unique<InputsSurvive>(); }

}  // namespace starling::simulation
