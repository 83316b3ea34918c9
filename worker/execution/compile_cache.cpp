#include "worker/execution/compile_cache.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <fstream>
#include <thread>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/crypto/digest.hpp"
#include "worker/execution/instrument/instrument.hpp"

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
    if (::poll(&wait, 1, lock_poll_ms) > 0) return base::fail(base::ErrorCode::interrupted, "canceled");
  }
  return file;
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr std::int64_t for_good = INT64_MAX;
constexpr std::int64_t retry_after_ms = 60'000;                   // a full disk, a missing folder
constexpr std::uint64_t small_module_bytes = 4ULL << 20;

std::filesystem::path with_suffix(const std::filesystem::path& entry, const char* suffix) {
  auto out = entry;
  return out.replace_extension(suffix);
}

}  // namespace

// One thread, made when there is something to do, that runs tasks in order.
class CompileCache::Lane {
 public:
  ~Lane() {
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
      tasks_.clear();
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void post(std::function<void()> task) {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return;
    tasks_.push_back(std::move(task));
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    wake_.notify_one();
  }
  bool is_busy() const {
    const std::scoped_lock lock(mutex_);
    return busy_ || !tasks_.empty();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (stopping_) return;
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      busy_ = true;
      lock.unlock();
      task();
      lock.lock();
      busy_ = false;
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::thread thread_;
  bool busy_ = false;
  bool stopping_ = false;
};

CompileCache::CompileCache(CompileCacheConfig config)
    : config_(std::move(config)), cpu_(describe_cpu()), cancel_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      look_(std::make_unique<Lane>()), first_(std::make_unique<Lane>()), small_(std::make_unique<Lane>()), behind_(std::make_unique<Lane>()) {}

CompileCache::~CompileCache() { stop(); }

void CompileCache::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  const std::uint64_t one = 1;
  if (::write(cancel_fd_.get(), &one, sizeof one) < 0) {}  // already signalled
  for (auto* lane : {&look_, &first_, &small_, &behind_}) lane->reset();
}

std::uint64_t CompileCache::compilations() const {
  const std::scoped_lock lock(mutex_);
  return compilations_;
}

// --- what is there

std::string CompileKey::text() const {
  const std::string all = program.hex() + '\n' + std::to_string(instrumenter) + '\n' + engine + '\n' + cpu + '\n' + std::to_string(level);
  return crypto::sha256(base::view(all)).hex().substr(0, 40);
}

std::filesystem::path CompileCache::entry_of(const base::Digest& digest, int level) const {
  return config_.folder / (CompileKey{digest, instrument::instrumenter_version, engine_, cpu_, level}.text() + ".so");
}

std::size_t CompileCache::programs_known() const {
  const std::scoped_lock lock(mutex_);
  return programs_.size();
}

void CompileCache::forget_idle() {
  std::erase_if(programs_, [](const auto& entry) {
    const Program& program = entry.second;
    return program.waiting.empty() && std::ranges::none_of(program.rungs, [](const Rung& rung) { return rung.state == State::wanted; });
  });
  checked_.clear();
}

CompileCache::Program& CompileCache::program_of(const base::Digest& digest) {
  if (programs_.size() >= limits::compile_programs_max && !programs_.contains(digest)) forget_idle();
  auto& program = programs_[digest];
  if (program.rungs.empty()) {
    program.rungs.push_back({});
    if (config_.level > 0) program.rungs.push_back({.level = config_.level, .why = {}});
  }
  for (auto& rung : program.rungs)
    if (rung.state == State::failed && now_ms() >= rung.retry_ms) rung.state = State::unknown;
  return program;
}

// With something to run, or with the knowledge that only the interpreter can.
bool CompileCache::is_settled(const Program& program) const {
  const auto ended = [](const Rung& rung) { return rung.state == State::ready || rung.state == State::failed; };
  if (config_.wait_for_best) return ended(program.rungs.back());
  const bool any = std::ranges::any_of(program.rungs, [](const Rung& rung) { return rung.state == State::ready; });
  return any || program.rungs.front().state == State::failed;
}

// Holds the entry if it is still the one that was checked.
std::shared_ptr<const CompileCache::Native> CompileCache::lease(const base::Digest& digest, const Rung& rung) {
  const auto entry = entry_of(digest, rung.level);
  auto file = std::make_shared<Fd>(::open(entry.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!*file || ::flock(file->get(), LOCK_SH | LOCK_NB) != 0 || ::fstat(file->get(), &info) != 0 || info.st_nlink == 0) return nullptr;
  const FileState state{info.st_ino, static_cast<std::uint64_t>(info.st_size), info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
  const auto known = checked_.find(entry.string());
  if (known == checked_.end() || known->second != state) return nullptr;
  ::utimensat(AT_FDCWD, with_suffix(entry, ".lock").c_str(), nullptr, 0);  // its last use
  return std::make_shared<Native>(Native{entry.string(), rung.level, std::move(file)});
}

CompileCache::Code CompileCache::find(const base::Digest& digest) {
  const std::scoped_lock lock(mutex_);
  auto& program = program_of(digest);
  Code out;
  for (auto& rung : program.rungs) {
    if (rung.state != State::ready) continue;
    if (auto native = lease(digest, rung)) out.native = std::move(native);
    else rung.state = State::unknown;
  }
  out.settled = is_settled(program);
  if (!out.settled) return {};
  const auto& last = program.rungs.back();
  if (last.state == State::failed && out.native) out.note = last.why + "; not optimised";
  if (!out.native) out.note = program.rungs.front().why + "; interpreted";
  return out;
}

void CompileCache::prepare(const std::filesystem::path& file, const base::Digest& digest, std::function<void()> settled) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return;
  auto& program = program_of(digest);
  std::error_code error;
  program.file = std::filesystem::absolute(file, error);
  const auto size = std::filesystem::file_size(file, error);
  program.file_bytes = error ? 0 : size;
  program.waiting.push_back(std::move(settled));
  look_->post([this, digest] { look(digest); });
}

void CompileCache::tell(const base::Digest& digest) {
  std::vector<std::function<void()>> waiting;
  {
    const std::scoped_lock lock(mutex_);
    auto& program = program_of(digest);
    if (!is_settled(program)) return;
    waiting.swap(program.waiting);
  }
  for (const auto& call : waiting) call();
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

// --- the ladder

base::Expected<std::string> CompileCache::engine() {
  {
    const std::scoped_lock lock(mutex_);
    if (!engine_.empty()) return engine_;
  }
  STARLING_TRY(const auto output, run_process(*config_.spawner, config_.executor.string(), {"--engine"}, limits::executor_start_timeout, 256,
                                              cancel_fd_.get()));
  const auto line = output.text.substr(0, output.text.find('\n'));
  if (output.exit_code != 0 || line.empty())
    return base::fail(base::ErrorCode::temporary, "the executor does not tell its engine", "install starling again");
  const std::scoped_lock lock(mutex_);
  return engine_ = line;
}

void CompileCache::look(const base::Digest& digest) {
  if (const auto known = engine(); !known) {
    finish(digest, 0, base::fail(base::ErrorCode::temporary, known.error().message));
    return;
  }
  std::vector<Rung> rungs;
  {
    const std::scoped_lock lock(mutex_);
    rungs = program_of(digest).rungs;
  }
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    if (rungs[i].state != State::unknown) continue;
    const bool found = is_intact(entry_of(digest, rungs[i].level));
    const std::scoped_lock lock(mutex_);
    auto& rung = program_of(digest).rungs[i];
    if (found && rung.state == State::unknown) rung.state = State::ready;
  }
  bool start = false, behind = false;
  {
    const std::scoped_lock lock(mutex_);
    auto& program = program_of(digest);
    auto& first = program.rungs.front();
    auto& last = program.rungs.back();
    if (program.file.empty()) return;  // forgotten since: nobody waits
    start = first.state == State::unknown && last.state != State::ready;
    behind = !start && &first != &last && last.state == State::unknown && first.state != State::wanted;
    if (start) first.state = State::wanted;
    if (behind) last.state = State::wanted;
  }
  if (start) climb_later(digest, 0);
  if (behind) climb_later(digest, 1);
  tell(digest);
}

void CompileCache::climb_later(const base::Digest& digest, std::size_t rung) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return;
  const bool beside = programs_[digest].file_bytes <= small_module_bytes && first_->is_busy();
  Lane& lane = rung > 0 ? *behind_ : beside ? *small_ : *first_;
  lane.post([this, digest, rung] { climb(digest, rung); });
}

void CompileCache::climb(const base::Digest& digest, std::size_t rung) {
  std::filesystem::path file, entry;
  int level = 0;
  {
    const std::scoped_lock lock(mutex_);
    const auto& program = programs_[digest];
    file = program.file;
    level = program.rungs[rung].level;
    entry = entry_of(digest, level);
  }
  finish(digest, rung, make(file, entry, level, rung == 0 ? config_.bounds.first_time_max : config_.bounds.behind_time_max));
}

void CompileCache::finish(const base::Digest& digest, std::size_t at, const base::Expected<void>& made) {
  bool next = false;
  {
    const std::scoped_lock lock(mutex_);
    auto& program = programs_[digest];
    auto& rung = program.rungs[at];
    rung.state = made ? State::ready : State::failed;
    if (!made) {
      rung.why = made.error().message;
      const auto code = made.error().code;
      const bool again = code == base::ErrorCode::temporary || code == base::ErrorCode::interrupted;
      rung.retry_ms = again ? now_ms() + retry_after_ms : for_good;
    }
    // What took too long or too much memory without optimisation takes more with it.
    const bool hopeless = !made && made.error().code != base::ErrorCode::bad_input;
    auto& last = program.rungs.back();
    next = at == 0 && program.rungs.size() > 1 && last.state == State::unknown;
    if (next && hopeless) {
      last = {.level = last.level, .state = State::failed, .why = rung.why, .retry_ms = rung.retry_ms, .discards = last.discards};
      next = false;
    }
    if (next) last.state = State::wanted;
  }
  if (next) climb_later(digest, 1);
  tell(digest);
}

void CompileCache::discard(const base::Digest& digest, int level, const std::string& why) {
  remove(digest, level, 1, "the native code does not load: " + why);
}

void CompileCache::give_up(const base::Digest& digest, int level, const std::string& why) {
  remove(digest, level, 0, "the native code crashed at level " + std::to_string(level) + ": " + why);
}

void CompileCache::remove(const base::Digest& digest, int level, int discards_max, const std::string& why) {
  const std::scoped_lock lock(mutex_);
  const auto entry = entry_of(digest, level);
  std::error_code error;
  std::filesystem::remove(entry, error);
  checked_.erase(entry.string());
  for (auto& rung : program_of(digest).rungs) {
    if (rung.level != level || rung.state == State::wanted) continue;
    rung.state = State::unknown;
    if (++rung.discards <= discards_max) continue;
    rung.state = State::failed;
    rung.why = why;
    rung.retry_ms = for_good;
  }
}

// --- one entry

base::Expected<void> CompileCache::make(const std::filesystem::path& file, const std::filesystem::path& entry, int level,
                                        base::Duration time_max) {
  STARLING_TRY(const Fd lock, lock_entry(with_suffix(entry, ".lock"), cancel_fd_.get()));
  if (is_intact(entry)) return {};
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return base::fail(base::ErrorCode::temporary, "the program's file is gone");
  if (const auto made = compile(file, entry, level, time_max); !made) return made;
  if (!is_intact(entry)) return base::fail(base::ErrorCode::temporary, "the compiled program was damaged on its way to the disk");
  evict(entry);
  return {};
}

base::Expected<void> CompileCache::compile(const std::filesystem::path& file, const std::filesystem::path& entry, int level,
                                           base::Duration time_max) {
  const auto work = std::filesystem::absolute(with_suffix(entry, ".work"));  // the entry's lock is held
  std::error_code error;
  std::filesystem::remove_all(work, error);
  std::filesystem::create_directory(work, error);
  if (error) return base::fail(base::ErrorCode::temporary, "the compile cache cannot be written: " + error.message());
  {
    const std::scoped_lock lock(mutex_);
    ++compilations_;
  }
  const auto unfinished = work / "code.so";
  const auto output = run_process(*config_.spawner, config_.executor.string(),
                                  {"--compile", file.string(), unfinished.string(), std::to_string(level)},
                                  ProcessBounds{.time_max = base::milliseconds(time_max.ms * limits::compile_clock_factor),
                                                .cancel_fd = cancel_fd_.get(),
                                                .processor_time_max = time_max,
                                                .resident_bytes_max = config_.bounds.resident_bytes_max,
                                                .paused = config_.paused});
  base::Expected<void> result;
  const auto failed = [&](base::ErrorCode code, const std::string& why) { return base::fail(code, "the compiler failed at level " + std::to_string(level) + ": " + why); };
  if (!output) result = failed(output.error().code == base::ErrorCode::internal ? base::ErrorCode::bad_input : output.error().code, output.error().message);
  else if (output->exit_code != 0) result = failed(base::ErrorCode::bad_input, output->text.substr(0, 300));
  else result = append_trailer(unfinished);
  if (result) {
    std::filesystem::rename(unfinished, entry, error);
    if (error) result = base::fail(base::ErrorCode::temporary, "the compile cache cannot be written: " + error.message());
  }
  std::filesystem::remove_all(work, error);
  return result;
}

void CompileCache::evict(const std::filesystem::path& kept) const {
  struct Entry {
    std::filesystem::path path;
    std::uint64_t bytes = 0;
    std::filesystem::file_time_type used;
  };
  std::vector<Entry> entries;
  std::uint64_t total = 0;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(config_.folder, error)) {
    if (file.path().extension() != ".so") continue;
    const auto bytes = file.file_size(error);
    if (error) continue;
    auto used = std::filesystem::last_write_time(with_suffix(file.path(), ".lock"), error);
    if (error) used = file.last_write_time(error);
    total += bytes;
    entries.push_back({file.path(), bytes, used});
  }
  std::ranges::sort(entries, {}, &Entry::used);
  for (const auto& entry : entries) {
    if (total <= config_.bytes_max) return;
    if (entry.path.filename() == kept.filename()) continue;
    const Fd file(::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;  // somebody runs it
    if (std::filesystem::remove(entry.path, error)) total -= entry.bytes;  // its lock stays: somebody may wait for it
  }
}

}  // namespace starling::execution
