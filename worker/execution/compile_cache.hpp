// Native code of programs, made by throw-away caged compiler processes and kept in a folder that several peers may share.
//
// The ladder: a program is first compiled without optimisation, so that work starts at once, then behind it with; the next unit
// takes what is best by then. A rung whose compiler crashed, refused or took too long is left out, and when the first
// is, the interpreter runs the units (a crash at the first rung does not stop the second from being tried). Nobody waits inside: units
// of a program that is not settled yet wait outside of all slots, so a module that chokes the compiler stalls its own job alone.
// At most three compilers at once: one for first code, one more when small modules would wait behind a large one, one behind.
// Each is ended when it takes too much memory or processor time; it stands still, and its time too, while `paused` is true.
//
// An entry KEY.so is the compiler's output followed by its SHA-256 and a magic word, made in a folder of its own and renamed,
// so it is whole or absent; KEY covers the program, the instrumenter, the engine, the CPU and the optimisation level. The hash is
// checked once per file state (inode, size, change time) and object; a damaged entry is made again. KEY.lock makes peers compile a
// program once; its time is the entry's last use. Over the quota the least recently used entries go, but none that somebody
// holds (a shared lock on the file). What is remembered of programs is bounded: when there are too many, those that nobody waits for
// are forgotten, and looked up again when they come. Nothing in the folder ever comes from the network. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/limits.hpp"
#include "worker/execution/spawner.hpp"

namespace starling::execution {

struct CompileBounds {
  base::Duration first_time_max = limits::compile_first_timeout;  // of the compiler's processor; ten times that by the clock
  base::Duration behind_time_max = limits::compile_timeout;
  std::uint64_t resident_bytes_max = limits::compile_resident_bytes_max;  // of each compiler
};

struct CompileCacheConfig {
  Spawner* spawner = nullptr;  // outlives the cache
  std::filesystem::path executor;
  std::filesystem::path folder;
  int level = 2;               // of the last rung; 0: the first rung is the last
  bool wait_for_best = false;  // settled only when the last rung is
  std::uint64_t bytes_max = limits::compile_cache_bytes_max;
  CompileBounds bounds = {};
  const std::atomic<bool>* paused = nullptr;  // outlives the cache
};

// All that native code depends on: other values, other entry.
struct CompileKey {
  base::Digest program;
  std::uint32_t instrumenter = 0;  // its version
  std::string engine;              // name and version
  std::string cpu;                 // model and instructions
  int level = 0;
  std::string text() const;        // the entry's file name, without extension
};

class CompileCache {
 public:
  // Native code that is not evicted while this value lives.
  struct Native {
    std::string path;
    int level = 0;
    std::shared_ptr<const Fd> lease;
  };
  struct Code {
    bool settled = false;
    std::shared_ptr<const Native> native;  // none, when settled: interpret
    std::string note;                      // why not the last rung, when that is not coming
  };

  explicit CompileCache(CompileCacheConfig config);
  ~CompileCache();

  // The best that is there now; quick.
  Code find(const base::Digest& program);
  // Makes the program settled and calls `settled` on another thread, once; soon, when it is already.
  void prepare(const std::filesystem::path& file, const base::Digest& program, std::function<void()> settled);
  // The executor could not load it: it is made again, once; after that the rung is given up.
  void discard(const base::Digest& program, int level, const std::string& why);
  // It crashed, and would again: its rung is given up at once.
  void give_up(const base::Digest& program, int level, const std::string& why);
  // Kills the compilers and waits for the threads; prepare() does nothing from here on.
  void stop();

  std::uint64_t compilations() const;
  std::size_t programs_known() const;

 private:
  using FileState = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t>;
  enum class State : std::uint8_t {
    unknown,  // nobody has looked
    wanted,   // being looked for, or compiled
    ready,    // an entry is there and intact
    failed,   // given up, for a while or for good
  };
  struct Rung {
    int level = 0;
    State state = State::unknown;
    std::string why;           // failed
    std::int64_t retry_ms = 0; // failed: when to look again
    int discards = 0;
  };
  struct Program {
    std::filesystem::path file;
    std::uint64_t file_bytes = 0;
    std::vector<Rung> rungs;
    std::vector<std::function<void()>> waiting;
  };
  class Lane;

  Program& program_of(const base::Digest& digest);
  void forget_idle();
  bool is_settled(const Program& program) const;
  std::shared_ptr<const Native> lease(const base::Digest& digest, const Rung& rung);
  void look(const base::Digest& digest);
  void climb(const base::Digest& digest, std::size_t rung);
  void climb_later(const base::Digest& digest, std::size_t rung);
  void finish(const base::Digest& digest, std::size_t rung, const base::Expected<void>& made);
  void tell(const base::Digest& digest);
  void remove(const base::Digest& digest, int level, int discards_max, const std::string& why);
  base::Expected<std::string> engine();
  std::filesystem::path entry_of(const base::Digest& digest, int level) const;
  bool is_intact(const std::filesystem::path& entry);
  base::Expected<void> make(const std::filesystem::path& file, const std::filesystem::path& entry, int level, base::Duration time_max);
  base::Expected<void> compile(const std::filesystem::path& file, const std::filesystem::path& entry, int level, base::Duration time_max);
  void evict(const std::filesystem::path& kept) const;

  CompileCacheConfig config_;
  std::string cpu_;
  Fd cancel_fd_;
  mutable std::mutex mutex_;
  bool stopping_ = false;
  std::string engine_;
  std::map<base::Digest, Program> programs_;
  std::map<std::string, FileState> checked_;
  std::uint64_t compilations_ = 0;
  std::unique_ptr<Lane> look_, first_, small_, behind_;
};

}  // namespace starling::execution
