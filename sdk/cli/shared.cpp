#include <array>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/wire/codec.hpp"
#include "sdk/cli/commands.hpp"

namespace starling::cli {

using base::ErrorCode;
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

std::string progress_line(const protocol::JobStatus& status) {
  constexpr std::size_t width = 24;
  const std::uint64_t units = std::max(1U, status.units);
  const std::size_t filled = width * status.accepted / units;
  std::string line = status.id.brief() + " [" + std::string(filled, '#') + std::string(width - filled, '.') + "] " +
                     std::to_string(status.accepted) + "/" + std::to_string(status.units) + " units verified, " +
                     std::to_string(status.executions) + " executions";
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

}  // namespace

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
