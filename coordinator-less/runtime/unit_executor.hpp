// The runtime's ports to the machinery that runs programs, and that machinery's port to blobs. worker/ implements the first.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/message.hpp"

namespace starling::runtime {

enum class Tier : std::uint8_t { compiled, interpreted };

struct UnitWork {
  base::JobId job;
  base::UnitIndex unit = 0;
  Tier tier = Tier::compiled;
  std::filesystem::path program;  // a whole wasm file
  base::Digest program_digest;
  std::vector<std::string> arguments;
  std::uint64_t first_item_index = 0;
  std::vector<base::Bytes> items;  // stdin of each item
  base::Digest seed;               // H(job | unit): same on every peer
  std::vector<protocol::JobInput> inputs;
  protocol::UnitLimits limits;
  std::vector<base::PeerId> fingerprints_of = {};  // whose fingerprints to make on the way
  std::uint32_t rounds_max = 0;    // of an item that ends them with exit code 85; in a segment: the first round after it
  // A segment of a unit. Items that could go on after it are left as checkpoints, but in the last one.
  struct Segment {
    base::Bytes archive;           // of the segment before; empty in the first one
    std::uint32_t first_round = 0;
    bool last = false;
  };
  std::optional<Segment> segment;
  bool replay = false;             // proves something: runs from the beginning, whatever this machine has of it
};

struct UnitDone {
  protocol::OutcomeKind kind{};
  std::int32_t code = 0;
  base::Bytes archive;
  std::string stderr_tail;
  Tier tier = Tier::compiled;  // the one it ran on: a program that does not compile is interpreted whatever was asked
  std::uint64_t fuel = 0;      // of all items
  std::vector<base::Digest> fingerprints = {};  // one for each of fingerprints_of; zero, or none: too short to have one
  std::uint32_t rounds_saved = 0;  // of the item that had most: not run again, kept by this machine from an earlier attempt
  std::int64_t wall_us = 0;    // in the executor, without waiting for a slot; 0: not known
};
struct UnitDropped { std::string reason; };  // local: time, host memory, dead executor, canceled
using UnitEnd = std::variant<UnitDone, UnitDropped>;

// Blobs for a running unit; called on the executor's threads, may block.
class UnitInputs {
 public:
  virtual ~UnitInputs() = default;
  virtual base::Expected<int> open(const base::JobId& job, const protocol::BlobRef& blob) = 0;  // read-only descriptor of the (partial) file
  virtual bool whole(const base::Digest& blob) = 0;
  virtual base::Expected<void> ensure(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf, std::uint64_t count) = 0;
};

class UnitExecutor {
 public:
  virtual ~UnitExecutor() = default;
  virtual void attach(UnitInputs& inputs) = 0;  // before the first run; outlives all runs
  // `done` is called exactly once, on any thread, also after stop().
  virtual void run(std::uint64_t token, UnitWork work, std::function<void(UnitEnd)> done) = 0;
  virtual void stop(std::uint64_t token) = 0;
};

}  // namespace starling::runtime
