// The smallest submitter: counts the primes below 100,000 in ten units, each verified by the swarm.
//   example_submit build/<preset>/guests/primes.wasm
#include <cstdio>

#include "sdk/client/client.hpp"

using namespace starling;

namespace {

int report(const base::Error& error) {
  std::fprintf(stderr, "%s; %s\n", error.message.c_str(), error.hint.c_str());
  return base::exit_code(error.code);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return report({base::ErrorCode::usage, "which program?", "example_submit primes.wasm"});
  auto client = client::Client::connect();
  if (!client) return report(client.error());
  std::vector<std::string> items;
  for (int from = 0; from < 100'000; from += 10'000) items.push_back(std::to_string(from) + " " + std::to_string(from + 10'000));

  const auto job = client->submit(client::JobSpec(argv[1]).name("primes").items(std::move(items)));
  if (!job) return report(job.error());
  if (const auto end = client->wait(*job, [](const auto&) { return true; }); !end) return report(end.error());

  unsigned long primes = 0;
  const auto summed = client->for_each_result(*job, std::chrono::minutes(1), [&](const client::Result& result) -> base::Expected<void> {
    if (result.outcome.kind != protocol::OutcomeKind::ok) return base::fail(base::ErrorCode::job_failed, "a unit failed", "look at it");
    for (const auto& item : result.items) primes += std::stoul(std::string(base::text(item.standard_output)));
    return {};
  });
  if (!summed) return report(summed.error());
  std::printf("%lu primes below 100000\n", primes);  // 9592
  return 0;
}
