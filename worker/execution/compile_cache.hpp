// Native code of programs, made by throw-away compiler processes and kept in a folder that several peers may share.
// An entry KEY.so is the compiler's output followed by its SHA-256 and a magic word, written under another name and renamed,
// so it is whole or absent; KEY covers the program, the engine, the CPU and the optimisation level. The hash is checked once per
// file state (inode, size, change time) and pool; a damaged entry is thrown away and made again. KEY.lock makes peers
// compile a program once. Nothing in the folder ever comes from the network. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"
#include "worker/execution/spawner.hpp"

namespace starling::execution {

class CompileCache {
 public:
  CompileCache(Spawner& spawner, std::filesystem::path executor, std::filesystem::path folder, int optimisation_level);

  // The path of the program's native code, compiled if need be. `cancel_fd` readable: gives up with interrupted.
  // Every other error means: interpret instead. A refused compilation is remembered for this object's life.
  base::Expected<std::string> native_of(const std::filesystem::path& program, const base::Digest& digest, const std::string& engine,
                                        int cancel_fd);
  // The executor could not load it: forget it, so that the next call compiles again, once; after that it is refused.
  void discard(const base::Digest& digest, const std::string& engine, const std::string& why);

  std::uint64_t compilations() const;

 private:
  using FileState = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t>;

  std::string key_of(const base::Digest& digest, const std::string& engine) const;
  bool is_intact(const std::filesystem::path& entry);
  base::Expected<void> compile(const std::filesystem::path& program, const std::filesystem::path& entry, int cancel_fd);

  Spawner& spawner_;
  std::filesystem::path executor_;
  std::filesystem::path folder_;
  std::string cpu_;
  int optimisation_level_;
  mutable std::mutex mutex_;
  std::map<std::string, FileState> checked_;
  std::map<std::string, std::string> refused_;  // key to reason
  std::map<std::string, int> discarded_;
  std::uint64_t compilations_ = 0;
};

}  // namespace starling::execution
