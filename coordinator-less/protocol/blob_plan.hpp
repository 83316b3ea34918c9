// Which leaves of which blob are asked from which neighbour, when, and then whom next. Bytes never pass through here: the
// runtime answers RequestRange by RangeArrived once the leaves are verified and stored, or were not.
//
// Rules: a blob is pulled in pieces of at most limits::leaves_per_range_max leaves, from the least loaded of its sources, at
// most limits::blob_requests_per_peer_max at once per neighbour. A source that lacks the blob, sent bytes that do not
// verify, or timed out is left alone for it for a while. A reader (want_range) that no source serves is told so after
// limits::reader_patience; a whole pull stays wanted until it is dropped, and unserved() names it while nobody has it.
// A blob is never planned as a whole: leaves asked for or here are kept as ranges, and the next piece is made up when somebody
// can be asked for it, for readers first, then in order from the first leaf. So memory follows from the requests in flight and
// from scattered readers, not from the size, and blobs of any size up to the manifest's bound are pulled. Past
// limits::ranges_per_pull_max scattered ranges are forgotten; what is asked for again is found in the local store.
// Sizes are hearsay until leaves verify under them: a name wanted with several sizes has a pull for each, of which one at a
// time asks; its turn ends when all it asked for has failed, so a lie delays the truth and does not replace it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "coordinator-less/base/time.hpp"
#include "coordinator-less/protocol/outbox.hpp"
#include "coordinator-less/protocol/range_set.hpp"

namespace starling::protocol {

class BlobPlan {
 public:
  using Sources = std::function<std::vector<PeerId>(const JobId& job, const Digest& blob)>;  // linked holders, best first

  void want_whole(const BlobRef& blob, const JobId& job, bool archive = false);
  void want_range(const BlobRef& blob, const JobId& job, std::uint64_t first_leaf, std::uint64_t count, base::Instant now, Outbox& out);
  void drop_archives_unless(const std::function<bool(const Digest& blob)>& needed);
  void drop_job(const JobId& job, Outbox& out);

  void on_range(const PeerId& from, const Digest& blob, std::uint64_t first_leaf, std::uint32_t count, bool good, base::Instant now, Outbox& out);
  void on_whole(const Digest& blob, Outbox& out);
  void on_link_down(const PeerId& peer);

  void touch() { dirty_ = true; }  // time passed, or somebody holds something new
  void poll(base::Instant now, const Sources& sources, Outbox& out);  // does nothing unless something changed
  std::vector<std::pair<JobId, Digest>> unserved() const;  // as of the last poll

  bool wanted_whole(const Digest& blob) const;
  bool wanted_by(const JobId& job) const;
  std::size_t archives_in_motion() const;  // archive pulls that somebody serves
  bool empty() const { return pulls_.empty(); }
  std::size_t size() const { return pulls_.size(); }
  std::size_t ranges_kept() const;  // what memory follows from
  void check_invariants() const;

 private:
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
    std::set<JobId> jobs;  // that want it: the holders of one alone may all be liars, or gone
    bool whole = false;
    bool archive = false;
    std::map<std::uint64_t, std::uint32_t> returned;  // first leaf -> count: asked once, to be asked again
    std::map<std::uint64_t, Asked> asked;             // first leaf -> request
    RangeSet planned;                                 // leaves returned, asked or here
    RangeSet here;
    std::uint64_t next = 0;                           // of a whole pull: all leaves before it are planned or forgotten
    std::optional<base::Instant> ended_at;            // it asked for the last leaf; should that not make it whole, it begins anew
    std::map<PeerId, base::Instant> not_before;       // sources left alone until then
    std::vector<Reader> readers;
    std::uint64_t turns = 0;                          // begun, beside other sizes of the same name
    bool unserved = false;

    std::uint64_t leaves() const;
  };
  using Pulls = std::map<BlobRef, Pull>;
  struct Piece {
    std::uint64_t first = 0;
    std::uint32_t count = 0;
  };

  Pull* pull_for(const BlobRef& blob, const JobId& job);
  std::pair<Pulls::iterator, Pulls::iterator> named(const Digest& blob);
  static bool wants_more(const Pull& pull);
  static std::optional<Piece> next_piece(Pull& pull);
  static std::optional<Piece> unplanned(Pull& pull, std::uint64_t first, std::uint64_t end);
  static void begin_anew(Pull& pull);
  static void forget_scattered(Pull& pull);
  static void give_back(Pull& pull, std::uint64_t first, std::uint32_t count);
  static void answer_readers(Pull& pull, Outbox& out);
  void expire_requests(Pull& pull, base::Instant now);
  static std::vector<PeerId> sources_of(const Pull& pull, const Sources& sources);
  bool ask(Pull& pull, base::Instant now, const Sources& sources, Outbox& out);
  void ask_in_turn(Pulls::iterator first, Pulls::iterator last, base::Instant now, const Sources& sources, Outbox& out);
  void fail_readers(Pull& pull, base::Instant now, Outbox& out);
  void release(const PeerId& peer);
  void release_all(Pull& pull);
  static bool done(const Pull& pull) { return !pull.whole && pull.readers.empty() && pull.asked.empty(); }

  Pulls pulls_;
  std::map<PeerId, std::uint32_t> asked_of_;  // requests in flight per neighbour
  bool dirty_ = false;
};

}  // namespace starling::protocol
