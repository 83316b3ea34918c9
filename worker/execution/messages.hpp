// What host and executor say to each other, as bytes. Both sides decode with bounds and refuse anything that is not
// exactly one message: an executor may have been taken over by its guest, and must then not harm the host.
//
//   executor: Hello                      once, after it has loaded the engine
//   host:     UnitOrder (+ descriptors)  one at a time
//   executor: Need, any number           "fetch these leaves of that input"; host: Have, for each, in any order
//   executor: Checkpoint, any number     of an item that starts its next round
//   executor: Progress, at most one a second
//   executor: UnitReport or UnitFailure  the end of the unit; the next order may follow
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "coordinator-less/base/bytes.hpp"
#include "coordinator-less/base/error.hpp"
#include "coordinator-less/base/ids.hpp"

namespace starling::execution {

inline constexpr std::uint32_t executor_protocol_version = 4;

enum class Tier : std::uint8_t { aot = 0, interpreter = 1 };

struct Hello {
  std::uint32_t version = executor_protocol_version;
  std::string engine;  // name and version: part of the compile cache's key
};

struct UnitOrder {
  struct Input {
    std::string name;
    std::uint64_t size_bytes = 0;
    bool whole = false;  // every leaf may be read without asking
  };
  struct File {
    std::string name;
    base::ByteView bytes;  // views into the frame
  };
  struct Item {
    base::Digest seed;
    base::ByteView bytes;
    std::uint32_t round = 0;    // the first to run; above 0 it goes on from `checkpoint`
    std::uint64_t clock_ns = 0;
    std::uint64_t fuel = 0;
    base::ByteView checkpoint = {};
    std::vector<base::Digest> fingerprints = {};  // of the rounds before, for each seed; none: zeros
    bool runs = true;           // false: it ended in an earlier segment, and counts only as a place
  };
  base::Digest program;
  Tier tier = Tier::aot;
  std::string native_path;  // compiled module; empty for the interpreter, whose module comes as the first descriptor
  std::uint32_t threads = 1;
  std::uint64_t memory_bytes_max = 0;
  std::uint64_t output_bytes_max = 0;
  std::vector<std::string> arguments;
  std::string job_text;
  std::uint32_t unit = 0;
  std::uint64_t first_item_index = 0;
  std::uint32_t rounds_max = 0;             // 0: exit code 85 is a failure like any other
  bool leaves_checkpoints = false;          // an item that could go on after its last round becomes a checkpoint (archive.hpp)
  std::uint64_t checkpoint_interval_ms = 0; // an item's Checkpoints come no faster
  std::uint64_t fuel_max = UINT64_MAX;      // of an item
  std::vector<base::Digest> fingerprint_seeds = {};  // fingerprint.hpp
  std::vector<Input> inputs;  // their descriptors follow in this order
  std::vector<File> files;
  std::vector<Item> items;
};

struct Have {
  std::uint32_t id = 0;
  bool ok = false;
};

struct Need {
  std::uint32_t id = 0;
  std::uint32_t input = 0;
  std::uint64_t first_leaf = 0;
  std::uint64_t count = 0;
};

struct Checkpoint {
  std::uint32_t item = 0;
  std::uint32_t round = 0;     // the one that it starts
  std::uint64_t clock_ns = 0;
  std::uint64_t fuel = 0;
  base::ByteView bytes;        // a view into the frame
  std::vector<base::Digest> fingerprints = {};  // so far, for each seed
};

struct Progress {
  std::uint32_t millionths = 0;  // of the unit, as its guest says: shown, never trusted
};

struct UnitReport {
  std::int64_t cpu_us = 0;
  std::int64_t wall_us = 0;
  std::uint64_t fuel = 0;  // of all items
  std::string stderr_tail;
  base::ByteView archive;  // a view into the frame
  std::vector<base::Digest> fingerprints = {};  // for each seed; zero: no item has one
};

enum class FailureKind : std::uint8_t {
  native_unusable = 0,  // the compiled module does not load: compile again or interpret
  input_missing = 1,    // the host could not provide a leaf
  local = 2,            // anything else that is this machine's fault
  forbidden = 3,        // the cage ended the process: it made a system call that no executor makes; the reason ends with its number
};
struct UnitFailure {
  FailureKind kind = FailureKind::local;
  std::string reason;
};

using FromExecutor = std::variant<Hello, Need, Checkpoint, Progress, UnitReport, UnitFailure>;
using FromHost = std::variant<UnitOrder, Have>;

base::Bytes encode(const Hello& message);
base::Bytes encode(const UnitOrder& message);
base::Bytes encode(const Have& message);
base::Bytes encode(const Need& message);
base::Bytes encode(const Checkpoint& message);
base::Bytes encode(const Progress& message);
base::Bytes encode(const UnitReport& message);
base::Bytes encode(const UnitFailure& message);

base::Expected<FromExecutor> decode_from_executor(base::ByteView frame);
base::Expected<FromHost> decode_from_host(base::ByteView frame);

}  // namespace starling::execution
