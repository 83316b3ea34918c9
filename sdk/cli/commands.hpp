// One function per command. Options come parsed as texts and flags; each function checks them, does the work through the
// SDK, and answers through `Output`. An error value becomes the one line on stderr and the exit code.
#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "sdk/cli/output.hpp"
#include "sdk/cli/ports.hpp"
#include "sdk/client/client.hpp"

namespace starling::cli {

struct Context {
  Output& output;
  Ports& ports;
  std::filesystem::path state_folder;
  std::string join;                      // a ticket's text, or empty
  const std::atomic<bool>& interrupted;  // set by Ctrl-C
};
using Done = base::Expected<void>;

struct JobOptions {
  client::JobSelector job;
};

struct SubmitOptions {
  std::string program;
  std::vector<std::string> arguments;
  std::string split;
  std::vector<std::string> inputs;  // FILE or NAME=FILE
  std::string items, array;
  std::uint32_t items_per_unit = 1, rounds = 0, segment_rounds = 0;
  std::string name, verification, epsilon, audits, memory, time_limit, output_limit, fuel, expires;
  bool wait = false, detach = false;
};
Done submit(Context& context, const SubmitOptions& options);

struct ListOptions {
  bool all = false;
};
Done job_list(Context& context, const ListOptions& options);
Done job_info(Context& context, const JobOptions& options);
struct WaitOptions {
  client::JobSelector job;
  std::string timeout;
  bool final = false;
};
Done job_wait(Context& context, const WaitOptions& options);
Done job_cancel(Context& context, const JobOptions& options);
struct ExplainOptions {
  client::JobSelector job;  // its id may end with /UNIT or /UNIT.SEGMENT
  bool all = false;
};
Done job_explain(Context& context, const ExplainOptions& options);

struct ResultsOptions {
  client::JobSelector job;
  std::string folder;
  bool partial = false;
};
Done results(Context& context, const ResultsOptions& options);

struct RunOptions {
  std::string program;
  std::vector<std::string> arguments, inputs;
  std::string memory, time_limit, output_limit, fuel;
  std::string folder;  // for what it wrote to /out
  bool local = false;
};
Done run_local(Context& context, const RunOptions& options);
struct ProgramCheckOptions {
  std::string program;
};
Done program_check(Context& context, const ProgramCheckOptions& options);

struct EvidenceOptions {
  client::JobSelector job;
  std::string file;
};
Done evidence_export(Context& context, const EvidenceOptions& options);
struct VerifyOptions {
  std::string file;
  std::vector<std::string> roots;
  bool all = false;
};
Done evidence_verify(Context& context, const VerifyOptions& options);

struct PeerOptions {
  std::string peer;  // its id or a beginning of it; empty: this machine's
};
Done peer_info(Context& context, const PeerOptions& options);
struct CreditOptions {
  std::string job;
  bool all = false;
};
Done credit(Context& context, const CreditOptions& options);

Done swarm_invite(Context& context);
Done swarm_peers(Context& context);

struct WorkerStartOptions {
  std::string create, swarm_name, bind = "127.0.0.1", port = "0";
  unsigned puzzle_bits = 0;
  std::uint32_t slots = 0;  // 0: half of the processors
  std::vector<std::string> roots;
  std::string checkpoint_interval, attack, pace;
  std::vector<std::string> projects;
  std::string credit_to;
  bool only_projects = false;
  bool foreground = false, inject_faults = false, require_cage = false;
};
Done worker_start(Context& context, const WorkerStartOptions& options);
Done worker_stop(Context& context);
Done worker_pause(Context& context);
Done worker_resume(Context& context);
Done worker_status(Context& context);

struct DevUpOptions {
  std::uint32_t peers = 5, bad = 0;
  std::uint64_t seed = 1;
  std::uint32_t slots = 1;
};
Done dev_up(Context& context, const DevUpOptions& options);
Done dev_down(Context& context);
// Which of `peers` return wrong results: `bad` of them, drawn from the seed, never peer 0. REQUIRES: bad < peers
std::vector<std::uint32_t> draw_bad_peers(std::uint32_t peers, std::uint32_t bad, std::uint64_t seed);

Done version(Context& context);

// --- shared by the commands
base::Expected<client::Client> connect(const Context& context, bool embed = true);
base::Expected<std::optional<protocol::Ticket>> ticket_of(const std::string& text);
base::Expected<std::vector<base::PeerId>> keys_of(const std::vector<std::string>& texts);  // of --root
// Shows progress until the job ends. interrupted, timeout; job_failed when it did not end as `finished`.
Done watch(Context& context, client::Client& client, const base::JobId& job, std::optional<std::chrono::milliseconds> timeout);
// The same until it is final too. refused: it cannot become so here.
Done watch_final(Context& context, client::Client& client, const base::JobId& job, std::optional<std::chrono::milliseconds> timeout);
std::string progress_line(const protocol::JobStatus& status);
std::string finality_text(const protocol::JobStatus& status);  // how many units are final, and what the others wait for
std::string verified_text(const protocol::JobStatus& status);  // how many units are verified and final, by how many executions

}  // namespace starling::cli
