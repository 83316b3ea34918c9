// StartUnit and StartReplay become work for the executor; its ends become inputs of the core.
// A replay is two runs, compiled then interpreted; the second only when the first came to an end of the guest's own making.
// A unit's archive goes into the store on the executor's thread; the driver syncs the store before it states the result.
#pragma once

#include <list>
#include <map>
#include <memory>

#include "coordinator-less/protocol/effect.hpp"
#include "coordinator-less/protocol/input.hpp"
#include "coordinator-less/runtime/blob_pins.hpp"
#include "coordinator-less/runtime/inbox.hpp"
#include "coordinator-less/runtime/unit_lines.hpp"
#include "coordinator-less/storage/blob_store.hpp"

namespace starling::runtime {

// SHA-256("starling/v1/seed" 0x00 | job | unit as u32 little-endian): the guest's randomness, the same on every peer.
base::Digest seed_of(const base::JobId& job, base::UnitIndex unit);

class UnitStarter {
 public:
  // Units are run with the fingerprint of `self`, replays with that of the accused, both with those of the others that the effect names.
  UnitStarter(const base::PeerId& self, UnitExecutor* executor, std::shared_ptr<storage::BlobStore> blobs, BlobPins& pins,
              std::shared_ptr<Inbox> inbox);
  ~UnitStarter();

  // Errors: nothing was started; the caller tells the core so.
  base::Expected<void> start_unit(const protocol::StartUnit& start, const protocol::Manifest& manifest);
  base::Expected<void> start_replay(const protocol::StartReplay& start, const protocol::Manifest& manifest);
  void stop_unit(const protocol::StopUnit& stop);

  struct Ended {
    std::optional<protocol::Input> input;  // none: the replay goes on with its second tier
    std::optional<std::string> why_dropped;
    std::string note;                      // for the log
    base::Bytes archive;                   // bytes the store did not take yet: a unit's when it was full, a replay's always
    base::Digest digest;
    std::int64_t wall_us = 0;              // of a unit that came to its end: how long the executor took
    bool pinned = false;                   // a stored archive: unpin it once the core was told
  };
  Ended on_ended(RunEnded ended);

  // From now on nothing is started. Every run is asked to stop; wait_idle() returns when each has ended (any thread).
  void begin_closing();
  void wait_idle();

 private:
  struct Run {
    UnitWork work;  // of a replay: what its second tier needs
    base::UnitIndex number = 0;  // what the core calls it: work.unit, or a segment of it
    base::Digest from;           // the archive that it goes on from; zero for none
    bool replay = false;
    base::MessageId accused_statement;
    std::optional<protocol::Outcome> compiled;
    std::vector<base::Digest> fingerprints = {};  // of the compiled tier, for each of work.fingerprints_of
  };
  struct Gate;  // counts runs whose end is still to come

  base::Expected<Run> prepare(const base::JobId& job, base::UnitIndex number, const protocol::BlobRef& from, const protocol::Manifest& manifest);
  base::Expected<std::vector<base::Bytes>> items_of(const base::JobId& job, base::UnitIndex unit, const protocol::Manifest& manifest);
  void launch(Run run);
  Ended on_unit_ended(Run run, RunEnded ended);
  Ended on_replay_ended(Run run, RunEnded ended);
  static std::vector<protocol::FingerprintOf> fingerprints_of_others(const Run& run, const std::vector<base::Digest>& interpreted);

  base::PeerId self_;
  UnitExecutor* executor_;
  std::shared_ptr<storage::BlobStore> blobs_;
  BlobPins& pins_;
  std::shared_ptr<Inbox> inbox_;
  std::shared_ptr<Gate> gate_;
  std::map<std::uint64_t, Run> runs_;
  std::uint64_t last_token_ = 0;
  bool closing_ = false;
  std::list<std::pair<base::JobId, UnitLines>> lines_;  // newest use first
};

}  // namespace starling::runtime
