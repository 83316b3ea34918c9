// The protocol thread's loop: takes events from the inbox, feeds the core, carries its effects out.
//
// One batch: all queued events up to limits: inputs_per_batch_max, one clock reading; its frames are decoded first, so that the notary
// knows which statements come (opening_line.hpp), then every event is handled in order; one EvidenceStore::append with every
// statement the batch persists, then the other effects in order. So whatever is sent is durable first, at one fsync per batch;
// before own statements the blob store is synced, so that no result is stated whose archive a power cut could take.
// When the append fails (full disk) the peer stalls: the effects stay pending and are tried again every second, and events
// are kept in order. Questions are answered and blobs served meanwhile; nothing is started, nothing of ours is sent, nothing
// is lost. Once limits: inputs_deferred_max or inputs_deferred_bytes_max are kept, only calls are taken from the inbox: it
// fills, and the sockets are no longer read.
// A job that sleeps (protocol/sleeping_job.hpp) is read from the disk when it wakes: as nothing is fed while the peer stalls, and batches have one
// clock reading, all that the core persisted at earlier instants is stored by then.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>

#include "coordinator-less/base/rng.hpp"
#include "coordinator-less/protocol/node.hpp"
#include "coordinator-less/runtime/blob_exchange.hpp"
#include "coordinator-less/runtime/blob_pins.hpp"
#include "coordinator-less/runtime/change_signal.hpp"
#include "coordinator-less/runtime/disk_evidence.hpp"
#include "coordinator-less/runtime/inbox.hpp"
#include "coordinator-less/runtime/log.hpp"
#include "coordinator-less/runtime/notary.hpp"
#include "coordinator-less/runtime/puzzle_checker.hpp"
#include "coordinator-less/runtime/range_waits.hpp"
#include "coordinator-less/runtime/unit_starter.hpp"
#include "coordinator-less/runtime/work_ahead.hpp"
#include "coordinator-less/storage/evidence_store.hpp"

namespace starling::runtime {

// All that the loop acts on; owned by the peer, outlives the driver.
struct World {
  storage::EvidenceStore& evidence;
  std::shared_ptr<storage::BlobStore> blobs;
  net::Transport& links;
  UnitExecutor* executor = nullptr;
  std::shared_ptr<Inbox> inbox;
  SigningNotary& notary;
  Log& log;
  BlobPins& pins;
  ChangeSignal& changes;
  std::function<base::Now()> clock;
};

class Driver {
 public:
  Driver(World world, protocol::NodeConfig config, base::Rng rng);

  // Before the first step: stored statements, stored blobs, then the core's start. Statements that no longer open (a damaged
  // disk) are skipped and said so.
  base::Expected<void> restore();
  void run();   // steps until the inbox is closed and empty
  void step();  // waits for events or the next deadline, and handles one batch

  // --- on the protocol thread only: for Call
  protocol::Node& node() { return node_; }
  void feed(protocol::Input input);
  // Runs once the batch's statements are durable and its effects carried out, or with the error that stalls the peer.
  void after_settled(std::move_only_function<void(base::Expected<void>)> then);
  void want_range(const base::JobId& job, const protocol::BlobRef& blob, std::uint64_t first_leaf, std::uint64_t leaf_count,
                  std::shared_ptr<RangeWait> wait);
  bool make_room();
  void begin_closing();
  const std::optional<base::Error>& stalled() const { return stalled_; }
  std::size_t deferred_count() const { return deferred_.size(); }

  // --- any thread
  std::optional<base::Error> trouble() const;
  void wait_idle() { starter_.wait_idle(); }
  std::uint64_t frames_refused() const { return frames_refused_; }
  std::uint64_t blob_bytes() const { return blob_bytes_; }

 private:
  std::deque<Event> next_events();
  bool line_is_full() const;
  void defer(Event event);
  std::deque<Event> with_deferred(std::deque<Event> events);
  void handle(std::deque<Event> events);
  void handle_some(std::deque<Event>& events);
  void on_event(Event event);
  void on_event_while_stalled(Event event);
  void on(net::Event event);
  void on(RunEnded ended);
  void on(protocol::Input input);
  void keep_nonce(std::uint64_t nonce);
  void on(Call call) { call.run(*this); }
  void on_frame(const base::PeerId& from, base::Expected<protocol::LinkMessage> message);

  void fire_timer();
  void settle();
  base::Expected<void> append_persists();
  void carry_out_pending();
  void act(const protocol::Send& send);
  void act(const protocol::Dial& dial);
  void act(const protocol::Disconnect& disconnect);
  void act(const protocol::RememberPeer& remember);
  void act(const protocol::Persist&) {}  // done by append_persists
  void act(const protocol::ForgetJob& forget);
  void act(const protocol::SetTimer& timer) { timer_at_ = timer.at; }
  void act(const protocol::StartUnit& start);
  void act(const protocol::StopUnit& stop);
  void act(const protocol::StartReplay& start);
  void act(const protocol::RequestRange& range);
  void act(const protocol::RangeReady& range);
  void act(const protocol::RangeFailed& range);
  void act(const protocol::Notice& notice);
  void act(const protocol::MintId& mint);
  void act(const protocol::CheckPuzzle& puzzle) { puzzles_.check(puzzle); }

  bool evict(std::uint64_t bytes);
  std::set<base::Digest> blobs_named_by(const base::JobId& job);
  void drop_unneeded(std::set<base::Digest> blobs);
  void tell_if_lost(const base::Digest& blob);
  void later(protocol::Input input) { world_.inbox->push(std::move(input)); }
  void store_late_archive(UnitStarter::Ended& ended);
  // Null when the job was forgotten later in the same batch: then nobody waits for its units either.
  std::shared_ptr<const protocol::Manifest> manifest_of(const base::JobId& job) const;
  void not_started(const std::string& what, const base::Error& why);
  std::optional<base::Duration> wait_max() const;
  void publish();

  World world_;
  DiskEvidence disk_;  // before node_, which reads from it
  protocol::Node node_;
  UnitStarter starter_;
  WorkAhead ahead_;
  BlobExchange exchange_;
  PuzzleChecker puzzles_;
  RangeWaits waits_;

  base::Now now_;
  std::optional<base::Instant> timer_at_;
  std::optional<base::Instant> serve_at_;
  std::deque<protocol::Effect> pending_;
  std::vector<std::move_only_function<void(base::Expected<void>)>> after_settled_;
  // One encoding per message, until the last neighbour has it; the message is held, so that its address stays its own.
  struct Encoded {
    std::shared_ptr<const protocol::LinkMessage> message;
    std::shared_ptr<const base::Bytes> frame;
  };
  std::unordered_map<const protocol::LinkMessage*, Encoded> frames_;
  bool changed_ = false;
  bool closing_ = false;
  bool minting_ = false;

  std::optional<base::Error> stalled_;
  base::Instant retry_at_;
  std::deque<Event> deferred_;  // while stalled, in order; never a call, so that a second stall leaves none unanswered
  std::size_t deferred_bytes_ = 0;

  std::atomic<std::uint64_t> frames_refused_ = 0;
  std::atomic<std::uint64_t> blob_bytes_ = 0;
  mutable std::mutex trouble_mutex_;
  std::optional<base::Error> trouble_;
};

}  // namespace starling::runtime
