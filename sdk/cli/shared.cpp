#include <array>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "sdk/cli/commands.hpp"
#include "sdk/cli/explanation_text.hpp"
#include "sdk/cli/quantities.hpp"

namespace starling::cli {

using base::ErrorCode;
using protocol::FinalityObstacle;
using protocol::JobState;

base::Expected<std::optional<protocol::Ticket>> ticket_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  auto ticket = wire::parse_ticket(text);
  if (ticket) return *std::move(ticket);
  base::Error error = ticket.error();
  if (error.hint.empty()) error.hint = "copy the whole line that starling swarm invite printed";
  error.code = ErrorCode::bad_input;
  return std::unexpected(std::move(error));
}

base::Expected<std::vector<base::PeerId>> keys_of(const std::vector<std::string>& texts) {
  std::vector<base::PeerId> keys;
  for (const auto& text : texts) {
    const auto key = base::PeerId::from_base32_text(text);
    if (!key) return base::fail(ErrorCode::usage, "\"" + text + "\" is no key", "--root takes a whole peer or owner id in base32");
    keys.push_back(*key);
  }
  return keys;
}

base::Expected<client::Client> connect(const Context& context, bool embed) {
  client::ConnectOptions options;
  options.state_folder = context.state_folder;
  options.embed = embed;
  STARLING_TRY(options.join, ticket_of(context.join));
  return client::Client::connect(std::move(options));
}

namespace {

std::string bar_of(const protocol::JobStatus& status, std::uint32_t done) {
  constexpr std::size_t width = 24;
  const std::size_t filled = width * std::uint64_t{done} / std::max(1U, status.units);
  return status.id.brief() + " [" + std::string(filled, '#') + std::string(width - filled, '.') + "] " + std::to_string(done) + "/" + std::to_string(status.units);
}

}  // namespace

std::string progress_line(const protocol::JobStatus& status) {
  std::string line = bar_of(status, status.accepted) + " units verified, " + count_of(status.executions, "execution", "executions");
  if (status.contested > 0) line += ", " + std::to_string(status.contested) + " contested";
  if (!status.banned.empty()) line += ", " + std::to_string(status.banned.size()) + " banned";
  if (status.accepted == status.units && !client::has_ended(status.state)) line += ", collecting results";
  return line;
}

namespace {

// Why this machine gave units back, so that nobody waits for what a limit forbids.
std::string release_text(const protocol::JobStatus& status) {
  if (status.released_here == 0) return "";
  return "; units were released here (" + printable(status.last_release) + ")";
}

Done judge_end(const protocol::JobStatus& status) {
  const std::string job = "job " + status.id.brief();
  switch (status.state) {
    case JobState::finished: return {};
    case JobState::failed:
      return base::fail(ErrorCode::job_failed, job + " ended with " + std::to_string(status.accepted_failures) + (status.accepted_failures == 1 ? " failed unit" : " failed units"),
                        "see: starling results " + status.id.brief() + " -o DIR, file meta.jsonl");
    case JobState::canceled: return base::fail(ErrorCode::job_failed, job + " was canceled", "submit it again");
    default: return base::fail(ErrorCode::job_failed, job + " was aborted before every unit was verified", "see: starling job info " + status.id.brief());
  }
}

std::string obstacle_text(const protocol::JobStatus& status) {
  switch (status.finality.obstacle) {
    case FinalityObstacle::none: return status.finality.confirming ? "this machine executes some of them again" : "";
    case FinalityObstacle::not_finished: return "";
    case FinalityObstacle::stopped: return std::string("the job is ") + protocol::name_of(status.state);
    case FinalityObstacle::light: return "this machine runs no units that could check them, and nobody else need go on auditing a job that has ended";
    case FinalityObstacle::banned: return "this machine's own peer is banned in this job";
    case FinalityObstacle::paused: return "this machine's worker is paused";
    case FinalityObstacle::no_inputs: return "this machine does not have the job's program yet";
    case FinalityObstacle::released: return "this machine gave all of them back when it executed them again (" + printable(status.last_release) + ")";
  }
  return "";
}

std::string waiting_text(const protocol::JobStatus& status) {
  if (status.finality.waiting == 0) return {};
  const std::string out = "; " + count_of(status.finality.waiting, "unit waits", "units wait") + " until enough supporters have passed " + finality_rule_text() + ", or for an execution here";
  const std::string why = obstacle_text(status);
  return out + (why.empty() ? "" : "; " + why);
}

const char* obstacle_hint(FinalityObstacle obstacle) {
  switch (obstacle) {
    case FinalityObstacle::light: return "wait at a machine with a worker, or name a root that checked them: worker start --root KEY";
    case FinalityObstacle::released: return "wait at a machine that can run the program, or name a root that checked them: worker start --root KEY";
    case FinalityObstacle::banned: return "wait at another machine";
    default: return "see: starling job info";
  }
}

// Finished is what it was; final it may become.
Done judge_final(const protocol::JobStatus& status, bool interrupted) {
  const bool done = status.finality.final_units == status.units || status.finality.obstacle == FinalityObstacle::stopped;
  if (client::has_ended(status.state) && done) return judge_end(status);
  const std::string job = "job " + status.id.brief();
  if (client::cannot_become_final(status.finality.obstacle) && status.state == JobState::failed) return judge_end(status);  // that says more
  if (client::cannot_become_final(status.finality.obstacle))
    return base::fail(ErrorCode::refused, job + " cannot become final here: " + finality_text(status), obstacle_hint(status.finality.obstacle));
  if (interrupted) return base::fail(ErrorCode::interrupted, "detached, job goes on", "look again: starling job wait --wait-final " + status.id.brief());
  return base::fail(ErrorCode::timeout, job + " is not final here yet: " + (client::has_ended(status.state) ? finality_text(status) : progress_line(status) + release_text(status)),
                    "wait longer, or take what is verified: starling results " + status.id.brief() + " -o DIR");
}

}  // namespace

std::string finality_text(const protocol::JobStatus& status) {
  return std::to_string(status.finality.final_units) + " of " + std::to_string(status.units) + waiting_text(status);
}

std::string verified_text(const protocol::JobStatus& status) {
  return count_of(status.accepted, "unit", "units") + " verified, " + std::to_string(status.finality.final_units) + " of them final here, " + count_of(status.executions, "execution", "executions");
}

Done watch_final(Context& context, client::Client& client, const base::JobId& job, std::optional<std::chrono::milliseconds> timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout.value_or(std::chrono::hours(24 * 365));
  const auto status = client.wait_final(job, [&](const protocol::JobStatus& seen) {
    context.output.progress(client::has_ended(seen.state) ? bar_of(seen, seen.finality.final_units) + " units final here" + waiting_text(seen) : progress_line(seen));
    return !context.interrupted && std::chrono::steady_clock::now() < deadline;
  });
  context.output.end_progress();
  if (!status) return std::unexpected(status.error());
  return judge_final(*status, context.interrupted);
}

Done watch(Context& context, client::Client& client, const base::JobId& job, std::optional<std::chrono::milliseconds> timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout.value_or(std::chrono::hours(24 * 365));
  const auto status = client.wait(job, [&](const protocol::JobStatus& seen) {
    context.output.progress(progress_line(seen));
    return !context.interrupted && std::chrono::steady_clock::now() < deadline;
  });
  context.output.end_progress();
  if (!status) return std::unexpected(status.error());
  if (client::has_ended(status->state)) return judge_end(*status);
  if (context.interrupted)
    return base::fail(ErrorCode::interrupted, "detached, job goes on", "look again: starling job wait " + job.brief());
  return base::fail(ErrorCode::timeout, "job " + job.brief() + " is not finished yet: " + progress_line(*status) + release_text(*status),
                    status->released_here > 0 ? "submit it again with a larger limit, or wait for peers that can"
                                              : "wait longer, or take what is there: starling results " + job.brief() + " -o DIR --partial");
}

}  // namespace starling::cli
