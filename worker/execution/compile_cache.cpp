#include "worker/execution/compile_cache.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/crypto/digest.hpp"

namespace starling::execution {
namespace {

constexpr std::string_view trailer_magic = "starling-native1";
constexpr std::size_t trailer_bytes = base::Digest::size + trailer_magic.size();
constexpr int lock_poll_ms = 20;

// Compiled code uses every instruction that the CPU has, so another model or flag set is another key.
std::string describe_cpu() {
  std::ifstream in("/proc/cpuinfo");
  std::string out;
  for (std::string line; std::getline(in, line) && !line.empty();)
    if (line.starts_with("model name") || line.starts_with("flags") || line.starts_with("Features") || line.starts_with("CPU part"))
      out += line + '\n';
  return out;
}

// A file's bytes, mapped read-only.
class Mapping {
 public:
  explicit Mapping(const std::filesystem::path& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0 || info.st_size == 0) return;
    void* at = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (at != MAP_FAILED) bytes_ = {static_cast<const std::byte*>(at), static_cast<std::size_t>(info.st_size)};
  }
  ~Mapping() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  base::ByteView bytes() const { return bytes_; }

 private:
  base::ByteView bytes_;
};

bool trailer_fits(base::ByteView file) {
  if (file.size() <= trailer_bytes) return false;
  const auto trailer = file.last(trailer_bytes);
  if (base::text(trailer.subspan(base::Digest::size)) != trailer_magic) return false;
  const auto digest = crypto::sha256(file.first(file.size() - trailer_bytes));
  return std::ranges::equal(digest.view(), trailer.first(base::Digest::size));
}

base::Expected<void> append_trailer(const std::filesystem::path& path) {
  base::Bytes trailer;
  {
    const Mapping mapping(path);
    if (mapping.bytes().empty()) return base::fail(base::ErrorCode::temporary, "the compiler wrote nothing");
    base::append(trailer, crypto::sha256(mapping.bytes()).view());
  }
  base::append(trailer, base::view(trailer_magic));
  const Fd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!file || ::write(file.get(), trailer.data(), trailer.size()) != static_cast<ssize_t>(trailer.size()))
    return base::fail(base::ErrorCode::temporary, "the compile cache cannot be written", "free some disk space");
  return {};
}

// Waits for the lock of one entry; other peers may be compiling it right now.
base::Expected<Fd> lock_entry(const std::filesystem::path& path, int cancel_fd) {
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return base::fail(base::ErrorCode::temporary, "the compile cache cannot be written: " + path.string(), "check the folder's rights");
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    pollfd wait{cancel_fd, POLLIN, 0};
    if (::poll(&wait, 1, lock_poll_ms) > 0) return base::fail(base::ErrorCode::interrupted, "cancelled");
  }
  return file;
}

}  // namespace

CompileCache::CompileCache(Spawner& spawner, std::filesystem::path executor, std::filesystem::path folder, int optimisation_level)
    : spawner_(spawner), executor_(std::move(executor)), folder_(std::move(folder)), cpu_(describe_cpu()),
      optimisation_level_(optimisation_level) {}

std::uint64_t CompileCache::compilations() const {
  const std::scoped_lock lock(mutex_);
  return compilations_;
}

std::string CompileCache::key_of(const base::Digest& digest, const std::string& engine) const {
  const std::string text = digest.hex() + '\n' + engine + '\n' + cpu_ + '\n' + std::to_string(optimisation_level_);
  return crypto::sha256(base::view(text)).hex().substr(0, 40);
}

bool CompileCache::is_intact(const std::filesystem::path& entry) {
  struct stat info{};
  if (::stat(entry.c_str(), &info) != 0) return false;
  const FileState state{info.st_ino, static_cast<std::uint64_t>(info.st_size), info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
  {
    const std::scoped_lock lock(mutex_);
    const auto known = checked_.find(entry.string());
    if (known != checked_.end() && known->second == state) return true;
  }
  const Mapping mapping(entry);
  if (!trailer_fits(mapping.bytes())) return false;
  const std::scoped_lock lock(mutex_);
  checked_[entry.string()] = state;
  return true;
}

base::Expected<std::string> CompileCache::native_of(const std::filesystem::path& program, const base::Digest& digest,
                                                    const std::string& engine, int cancel_fd) {
  const std::string key = key_of(digest, engine);
  {
    const std::scoped_lock lock(mutex_);
    if (const auto known = refused_.find(key); known != refused_.end()) return base::fail(base::ErrorCode::bad_input, known->second);
  }
  const auto entry = folder_ / (key + ".so");
  if (is_intact(entry)) return entry.string();
  STARLING_TRY(const Fd lock, lock_entry(folder_ / (key + ".lock"), cancel_fd));
  if (is_intact(entry)) return entry.string();
  const auto made = compile(program, entry, cancel_fd);
  if (!made) {
    if (made.error().code == base::ErrorCode::bad_input) {
      const std::scoped_lock guard(mutex_);
      refused_[key] = made.error().message;
    }
    return std::unexpected(made.error());
  }
  if (!is_intact(entry)) return base::fail(base::ErrorCode::temporary, "the compiled program was damaged on its way to the disk");
  return entry.string();
}

base::Expected<void> CompileCache::compile(const std::filesystem::path& program, const std::filesystem::path& entry, int cancel_fd) {
  const std::filesystem::path unfinished = entry.string() + ".new";  // the entry's lock is held
  std::error_code error;
  std::filesystem::remove(unfinished, error);
  {
    const std::scoped_lock lock(mutex_);
    ++compilations_;
  }
  const auto output = run_process(spawner_, executor_.string(),
                                  {"--compile", std::filesystem::absolute(program, error).string(), unfinished.string(),
                                   std::to_string(optimisation_level_)},
                                  limits::compile_timeout, 4096, cancel_fd);
  base::Expected<void> result;
  if (!output && output.error().code == base::ErrorCode::interrupted) result = std::unexpected(output.error());
  else if (!output) result = base::fail(base::ErrorCode::bad_input, "the compiler failed: " + output.error().message);
  else if (output->exit_code != 0) result = base::fail(base::ErrorCode::bad_input, "the compiler failed: " + output->text.substr(0, 300));
  else result = append_trailer(unfinished);
  if (result) {
    std::filesystem::rename(unfinished, entry, error);
    if (error) result = base::fail(base::ErrorCode::temporary, "the compile cache cannot be written: " + error.message());
  }
  std::filesystem::remove(unfinished, error);
  return result;
}

void CompileCache::discard(const base::Digest& digest, const std::string& engine, const std::string& why) {
  const std::string key = key_of(digest, engine);
  const auto entry = folder_ / (key + ".so");
  std::error_code error;
  std::filesystem::remove(entry, error);
  const std::scoped_lock lock(mutex_);
  checked_.erase(entry.string());
  if (++discarded_[key] > 1) refused_[key] = "the native code does not load: " + why;
}

}  // namespace starling::execution
