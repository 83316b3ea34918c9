// Blob ranges between this store and linked peers: answers BlobGet, sends BlobGet, takes BlobData.
// Rules: an answer that was not asked for is refused; what does not verify is never written. Each asking peer has a token
// bucket (limits: blob_serve_*) that may fall into debt by one range; requests wait in a short queue of that peer, and beyond
// it they are dropped: the asker's own time limit repairs that.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <tuple>

#include "coordinator-less/net/transport.hpp"
#include "coordinator-less/protocol/effect.hpp"
#include "coordinator-less/protocol/input.hpp"
#include "coordinator-less/storage/blob_store.hpp"

namespace starling::runtime {

// Whoever owns the store's quota: drops what nobody needs, false when that was nothing.
using MakeRoom = std::function<bool()>;
// A blob that was whole is not here any more: the store found it damaged.
using OnLost = std::function<void(const base::Digest&)>;

class BlobExchange {
 public:
  BlobExchange(storage::BlobStore& blobs, net::Transport& links, MakeRoom make_room, OnLost on_lost)
      : blobs_(blobs), links_(links), make_room_(std::move(make_room)), on_lost_(std::move(on_lost)) {}

  // Gives inputs when the answer is known at once: the range is here already, or the store cannot take the blob.
  std::vector<protocol::Input> request(const protocol::RequestRange& range);
  // The inputs that tell the core: RangeArrived, and BlobHeld when that made the blob whole. None for answers not asked for.
  std::vector<protocol::Input> on_data(const base::PeerId& from, const protocol::BlobData& data);
  void on_get(const base::PeerId& from, const protocol::BlobGet& get, base::Instant now);
  void on_link_down(const base::PeerId& peer);

  // Serves what the buckets allow; gives the instant when more may be served, if anything waits.
  std::optional<base::Instant> poll(base::Instant now);

  std::uint64_t bytes_moved() const { return bytes_moved_; }
  std::uint64_t refused_count() const { return refused_count_; }
  const std::optional<base::Error>& trouble() const { return trouble_; }  // of the store, until a write works again

 private:
  using RangeKey = std::tuple<base::Digest, std::uint64_t, std::uint32_t>;
  struct Asker {
    std::int64_t tokens_bytes = 0;
    base::Instant filled_at;
    std::deque<protocol::BlobGet> waiting;
  };

  void serve(const base::PeerId& to, const protocol::BlobGet& get);
  void serve_waiting(const base::PeerId& to, Asker& asker, base::Instant now);
  bool begin(const protocol::BlobRef& blob);
  base::Expected<void> write(const protocol::BlobData& data);
  std::vector<protocol::Input> arrived(const protocol::RangeArrived& range) const;
  bool forget_request(const base::PeerId& from, const RangeKey& range);
  base::Expected<void> with_room(const std::function<base::Expected<void>()>& attempt);

  storage::BlobStore& blobs_;
  net::Transport& links_;
  MakeRoom make_room_;
  OnLost on_lost_;
  std::map<base::PeerId, Asker> askers_;
  std::map<base::PeerId, std::set<RangeKey>> requested_;
  std::uint64_t bytes_moved_ = 0;
  std::uint64_t refused_count_ = 0;
  std::optional<base::Error> trouble_;
};

}  // namespace starling::runtime
