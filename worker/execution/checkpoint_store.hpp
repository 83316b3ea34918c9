// The latest checkpoint of each item of this machine's own unfinished units, as files: a worker that was stopped or killed
// goes on from them. Never from another peer's: a wrong checkpoint would make an honest peer sign a wrong result.
// A file holds round, clock, bytes and a digest of all; what is torn or damaged counts as not there. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::execution {

struct StoredCheckpoint {
  std::uint32_t round = 0;  // 0: there is none, the item starts from its beginning
  std::uint64_t clock_ns = 0;
  std::uint64_t fuel = 0;  // used by all rounds before
  base::Bytes bytes;
  std::vector<base::Digest> fingerprints = {};  // so far, for each seed
};

class CheckpointStore {
 public:
  CheckpointStore(std::filesystem::path folder, std::uint64_t bytes_max);  // without a folder nothing is kept

  StoredCheckpoint load(const base::Digest& unit, std::uint32_t item, std::uint32_t rounds_max) const;
  void save(const base::Digest& unit, std::uint32_t item, const StoredCheckpoint& checkpoint);  // a full disk loses it
  void forget(const base::Digest& unit);

 private:
  std::filesystem::path file_of(const base::Digest& unit, std::uint32_t item) const;
  void make_room(std::uint64_t bytes);

  std::filesystem::path folder_;  // one folder per unit inside
  std::uint64_t bytes_max_;
  std::mutex mutex_;
};

}  // namespace starling::execution
