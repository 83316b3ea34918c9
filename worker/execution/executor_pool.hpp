// Runs units in executor processes: one process per running unit, reused when it finished cleanly, killed alone when not.
//
// Order of calls: start() once; run() any number of times, from any thread; done() comes exactly once per run(), on a
// pool thread, without a lock held (it may call run() again). The destructor cancels what is left and waits for it.
// What the guest did (exit code, trap, declared limits) is an outcome and may be signed. What this machine did (time, host
// memory, a dead executor, a canceled unit) is Released: nothing is signed, another attempt may succeed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/time.hpp"
#include "worker/execution/archive.hpp"
#include "worker/execution/compile_cache.hpp"
#include "worker/execution/messages.hpp"
#include "worker/execution/spawner.hpp"

namespace starling::execution {

struct InputFile {
  std::string name;  // appears as /in/<name>
  base::Digest blob;
  std::uint64_t size_bytes = 0;
};

struct UnitRequest {
  std::filesystem::path program;       // the wasm file, whole and verified
  base::Digest program_digest;         // key of the compile cache
  std::vector<std::string> arguments;  // argv[1..]
  std::vector<base::Bytes> items;      // standard input of each item
  std::uint64_t first_item_index = 0;  // index of items[0] in the job: STARLING_ITEM and the item's seed
  std::string job_text;                // STARLING_JOB
  std::uint32_t unit = 0;              // STARLING_UNIT
  base::Digest seed;                   // item seed = SHA-256(seed | item index as u64): STARLING_SEED and random numbers
  std::vector<InputFile> inputs;
  std::uint64_t memory_bytes_max = limits::memory_bytes_default;
  std::uint64_t output_bytes_max = limits::output_bytes_default;  // per item, and in index order for the unit
  // Waiting for input leaves does not count. A unit that is interpreted because nothing compiled has a hundred times as long.
  base::Duration time_max{limits::unit_time_ms_default};
  Tier tier = Tier::aot;
  unsigned threads = 1;
  std::vector<std::pair<std::string, base::Bytes>> in_files_in_memory;  // more of /in, by value; names may contain '/'
  // An item that ends with exit code 85 and leaves /out/checkpoint runs again with it as /in/checkpoint, so many times in
  // all; 0: code 85 is a failure like any other. The result is that of the last round.
  std::uint32_t rounds_max = 0;
  // A segment of the unit (segment.hpp): rounds [first_round, rounds_max) of those items that ended the one before as checkpoints.
  struct Segment {
    base::Bytes archive;            // of the one before; empty in the first
    std::uint32_t first_round = 0;
    bool last = false;              // an item that could go on has failed, as after the last round of a whole unit
  };
  std::optional<Segment> segment = {};
  bool keeps_checkpoints = true;  // false: begins at the beginning, and leaves nothing to go on from
  std::uint64_t fuel_max = UINT64_MAX;  // of an item, all its rounds together; beyond it the item ends, as on every machine
  // Whose fingerprints to make on the way, at most limits::fingerprint_seeds_max (fingerprint.hpp). They change nothing else.
  std::vector<base::Digest> fingerprint_seeds = {};
};

struct UnitOutcome {
  OutcomeKind kind = OutcomeKind::ok;  // with code: of the worst item
  std::int32_t code = 0;
  base::Bytes archive;      // canonical (archive.hpp); its blob name is the unit's digest
  std::string stderr_tail;  // unverified
  std::int64_t cpu_us = 0;
  std::int64_t wall_us = 0;
  std::uint64_t fuel = 0;   // of all items, in this segment; the same on every machine
  std::uint32_t rounds_saved = 0;  // of the item that had most in the checkpoint store
  std::uint64_t peak_resident_bytes = 0;  // of the executor's life so far, engine included; 0: not known
  Tier tier = Tier::aot;    // what really ran
  int level = 0;            // of optimisation, when it was native code
  std::string note;         // why not the tier that was asked for; else empty
  std::vector<base::Digest> fingerprints = {};  // for each seed; zero: the items are too short to have one
};
struct Released {
  std::string reason;
};
using UnitResult = std::variant<UnitOutcome, Released>;

// Where /in files come from. Called on the pool's threads, several at a time; outlives the pool.
class InputSource {
 public:
  virtual ~InputSource() = default;
  virtual base::Expected<int> open(const base::Digest& blob) = 0;  // read-only descriptor of a whole or partial file
  virtual bool is_whole(const base::Digest& blob) = 0;             // true: no leaf of it will be asked for
  // Blocks until these verified 16 KiB leaves are in the file. Must end in bounded time, by an error if need be.
  virtual base::Expected<void> ensure(const base::Digest& blob, std::uint64_t first_leaf, std::uint64_t count) = 0;
};

struct PoolConfig {
  std::filesystem::path executor;      // the starling-executor binary
  std::filesystem::path cache_folder;  // native code; made if missing; may be shared by peers of one user
  unsigned slots = 1;                  // units at a time
  Spawner* spawner = nullptr;          // outlives the pool
  base::Duration idle_max = limits::executor_idle_default;  // then an unused executor ends
  std::uint64_t host_memory_bytes_max = 0;  // resident bytes of one executor; 0: derived from each unit's own limits
  int optimisation_level = 2;          // of the compiler: 0..3
  bool background = true;              // SCHED_IDLE
  std::filesystem::path checkpoint_folder = {};  // what this machine's own unfinished units go on from; empty: nothing is kept
  base::Duration checkpoint_interval = limits::checkpoint_interval_default;
  bool require_cage = false;           // an executor that lacks a layer of the cage ends at its start
  bool caged = true;                   // false: only to measure what the cage costs
  bool wait_for_best = false;          // units wait for optimised code, instead of starting with what is there first
  std::uint64_t cache_bytes_max = limits::compile_cache_bytes_max;
  CompileBounds compile = {};
};

struct PoolStatus {
  std::size_t running = 0;
  std::size_t queued = 0;
  struct Unit {
    std::uint64_t token = 0;
    std::optional<double> progress;  // 0 to 1, as its program says or its items end
  };
  std::vector<Unit> units;       // that run
  std::vector<pid_t> executors;  // alive
  std::uint64_t compilations = 0;
};

class ExecutorPool {
 public:
  using Done = std::function<void(UnitResult)>;

  static base::Expected<std::unique_ptr<ExecutorPool>> start(PoolConfig config, InputSource& inputs);
  virtual ~ExecutorPool() = default;

  // Queues what exceeds the slots, up to limits::units_queued_max; beyond that the unit is released at once.
  virtual void run(std::uint64_t token, UnitRequest request, Done done) = 0;
  virtual void cancel(std::uint64_t token) = 0;  // unknown tokens are ignored
  // Until resume() running guests and compilers stand still, and units that are given meanwhile wait; none loses time or work.
  virtual void pause() = 0;
  virtual void resume() = 0;
  virtual PoolStatus status() const = 0;
};

}  // namespace starling::execution
