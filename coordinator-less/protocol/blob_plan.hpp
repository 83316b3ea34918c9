// Which leaves of which blob are asked from which neighbour, when, and then whom next. Bytes never pass through here: the
// runtime answers RequestRange by RangeArrived once the leaves are verified and stored, or were not.
//
// Rules: a blob is pulled in pieces of at most limits::leaves_per_range_max leaves, from the least loaded of its sources, at
// most limits::blob_requests_per_peer_max at once per neighbour. A source that lacks the blob, sent bytes that do not
// verify, or timed out is left alone for it for a while. A reader (want_range) that no source serves is told so after
// limits::reader_patience; a whole pull stays wanted until it is dropped, and unserved() names it while nobody has it.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/outbox.hpp"

namespace starling::protocol {

class BlobPlan {
 public:
  using Sources = std::function<std::vector<PeerId>(const JobId& job, const Digest& blob)>;  // linked holders, best first

  // A blob too large to plan (limits::pull_leaves_max) is not pulled whole; its ranges fail.
  void want_whole(const BlobRef& blob, const JobId& job, bool archive = false);
  void want_range(const BlobRef& blob, const JobId& job, std::uint64_t first_leaf, std::uint64_t count, base::Instant now, Outbox& out);
  void drop_whole(const Digest& blob);
  void drop_job(const JobId& job, Outbox& out);

  void on_range(const PeerId& from, const Digest& blob, std::uint64_t first_leaf, std::uint32_t count, bool good, base::Instant now, Outbox& out);
  void on_whole(const Digest& blob, Outbox& out);
  void on_link_down(const PeerId& peer);

  void touch() { dirty_ = true; }  // time passed, or somebody holds something new
  void poll(base::Instant now, const Sources& sources, Outbox& out);  // does nothing unless something changed
  std::vector<std::pair<JobId, Digest>> unserved() const;  // as of the last poll

  bool wanted_whole(const Digest& blob) const;
  std::size_t archives_in_motion() const;  // archive pulls that somebody serves
  bool empty() const { return pulls_.empty(); }
  std::size_t size() const { return pulls_.size(); }
  void check_invariants() const;

 private:
  enum class Leaf : std::uint8_t { unwanted, queued, asked, here };
  struct Asked {
    PeerId peer;
    std::uint32_t count = 0;
    base::Instant deadline;
  };
  struct Reader {
    std::uint64_t first = 0, count = 0;
    base::Instant give_up;
  };
  struct Pull {
    BlobRef blob;
    JobId job;
    bool whole = false;
    bool archive = false;
    std::vector<Leaf> leaves;
    std::map<std::uint64_t, std::uint32_t> queue;  // first leaf -> count
    std::map<std::uint64_t, Asked> asked;          // first leaf -> request
    std::map<PeerId, base::Instant> not_before;    // sources left alone until then
    std::vector<Reader> readers;
    bool unserved = false;
  };

  Pull* pull_for(const BlobRef& blob, const JobId& job);
  static void enqueue(Pull& pull, std::uint64_t first, std::uint64_t count);
  static void requeue(Pull& pull, std::uint64_t first, std::uint32_t count);
  void answer_readers(Pull& pull, Outbox& out);
  void expire_requests(Pull& pull, base::Instant now);
  void ask(Pull& pull, base::Instant now, const Sources& sources, Outbox& out);
  void release(const PeerId& peer);
  void forget_if_done(std::map<Digest, Pull>::iterator it);

  std::map<Digest, Pull> pulls_;
  std::map<PeerId, std::uint32_t> asked_of_;  // requests in flight per neighbour
  bool dirty_ = false;
};

}  // namespace starling::protocol
