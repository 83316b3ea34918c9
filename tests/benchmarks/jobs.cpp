// Submits jobs to a running worker and prints how long each took, in seconds, from the call of submit to `finished`.
//   bench_jobs STATE PROGRAM UNITS trusted|standard REPEAT [ARGUMENT...]
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "sdk/client/client.hpp"

using namespace starling;

namespace {

int report(const base::Error& error) {
  std::fprintf(stderr, "bench_jobs: %s; %s\n", error.message.c_str(), error.hint.c_str());
  return base::exit_code(error.code);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return report({base::ErrorCode::usage, "arguments are missing", "bench_jobs STATE PROGRAM UNITS trusted|standard REPEAT [ARGUMENT...]"});
  const int units = std::atoi(argv[3]), repeat = std::atoi(argv[5]);
  const bool trusted = std::string_view(argv[4]) == "trusted";
  client::ConnectOptions options;
  options.state_folder = argv[1];
  options.embed = false;
  auto client = client::Client::connect(options);
  if (!client) return report(client.error());
  std::vector<std::string> items;
  for (int unit = 0; unit < units; ++unit) items.push_back(std::to_string(unit));
  client::JobSpec spec(argv[2]);
  spec.name("bench").items(items).arguments({argv + 6, argv + argc});
  spec.verification(trusted ? protocol::VerificationClass::trusted : protocol::VerificationClass::standard);
  for (int run = 0; run < repeat; ++run) {
    const auto begun = std::chrono::steady_clock::now();
    const auto job = client->submit(spec);
    if (!job) return report(job.error());
    const auto end = client->wait(*job, [](const auto&) { return true; });
    if (!end) return report(end.error());
    if (end->state != protocol::JobState::finished) return report({base::ErrorCode::job_failed, "the job did not finish", "see worker.log"});
    std::printf("%.6f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    std::fflush(stdout);
  }
  return 0;
}
