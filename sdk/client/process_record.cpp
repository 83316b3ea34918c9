#include "sdk/client/process_record.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#include "sdk/client/folders.hpp"

namespace starling::client {

using base::ErrorCode;

std::optional<ProcessRecord> process_record_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  // The second field is the program's name in parentheses and may hold anything, so fields count from the last ')'.
  const auto after_name = text.rfind(')');
  if (after_name == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(after_name + 1));
  std::string field;
  for (int number = 3; number < 22; ++number) {
    fields >> field;
    if (number == 3 && (field == "Z" || field == "X")) return std::nullopt;  // dead, and not yet waited for
  }
  ProcessRecord record{.pid = pid, .start_ticks = 0};
  if (!(fields >> record.start_ticks)) return std::nullopt;
  return record;
}

base::Expected<void> write_process_record(const std::filesystem::path& file, const ProcessRecord& record) {
  const std::string text = std::to_string(record.pid) + " " + std::to_string(record.start_ticks) + "\n";
  return write_file(file, base::view(text));
}

std::optional<ProcessRecord> read_process_record(const std::filesystem::path& file) {
  std::ifstream in(file);
  ProcessRecord record;
  if (!(in >> record.pid >> record.start_ticks) || record.pid <= 0) return std::nullopt;
  return record;
}

bool is_alive(const ProcessRecord& record) { return process_record_of(record.pid) == record; }

base::Expected<void> terminate(const ProcessRecord& record, std::chrono::milliseconds patience) {
  const auto gone = base::fail(ErrorCode::not_found, "process " + std::to_string(record.pid) + " does not run any more");
  // The descriptor is taken before the identity is checked: from then on the pid cannot pass to another process.
  const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, record.pid, 0)));
  if (!process || !is_alive(record)) return gone;
  if (::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0) != 0)
    return base::fail(ErrorCode::refused, "process " + std::to_string(record.pid) + " belongs to another user", "run this as the user who started it");
  pollfd ended{process.get(), POLLIN, 0};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = ::poll(&ended, 1, static_cast<int>(std::max<std::int64_t>(0, left.count())));
    if (ready > 0) return {};
    if (ready < 0 && errno == EINTR) continue;
    return base::fail(ErrorCode::timeout, "process " + std::to_string(record.pid) + " was told to stop and still runs", "look at its log, or try again");
  }
}

}  // namespace starling::client
