#include "coordinator-less/runtime/blob_exchange.hpp"

#include <algorithm>

#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/wire/codec.hpp"

namespace starling::runtime {
namespace {

constexpr auto burst_bytes = static_cast<std::int64_t>(limits::blob_serve_burst_bytes);
constexpr auto rate_bytes_per_s = static_cast<std::int64_t>(limits::blob_serve_bytes_per_s);

std::shared_ptr<const base::Bytes> frame_of(protocol::LinkMessage message) {
  return std::make_shared<const base::Bytes>(wire::encode_link(message));
}

bool in_bounds(const protocol::BlobGet& get) {
  return get.leaf_count > 0 && get.leaf_count <= limits::leaves_per_range_max &&
         get.size_bytes <= limits::blob_bytes_max && get.first_leaf < base::leaf_count(get.size_bytes) &&
         get.leaf_count <= base::leaf_count(get.size_bytes) - get.first_leaf;
}

}  // namespace

base::Expected<void> BlobExchange::with_room(const std::function<base::Expected<void>()>& attempt) {
  auto done = attempt();
  if (!done && done.error().code == base::ErrorCode::temporary && make_room_()) done = attempt();
  if (done)
    trouble_.reset();
  else if (done.error().code != base::ErrorCode::malformed)
    trouble_ = done.error();
  return done;
}

std::vector<protocol::Input> BlobExchange::arrived(const protocol::RangeArrived& range) const {
  std::vector<protocol::Input> inputs{range};
  if (range.good && blobs_.has(range.blob)) inputs.emplace_back(protocol::BlobHeld{range.blob});
  return inputs;
}

std::vector<protocol::Input> BlobExchange::request(const protocol::RequestRange& range) {
  const auto& [from, blob, first_leaf, leaf_count] = range;
  if (!begin(blob)) return arrived({from, blob.name, first_leaf, leaf_count, false});
  // A restart found part of the blob here.
  if (blobs_.has_range(blob.name, first_leaf, leaf_count)) return arrived({from, blob.name, first_leaf, leaf_count, true});
  auto& ranges = requested_[from];
  if (ranges.size() >= limits::blob_requests_outstanding_max) ranges.erase(ranges.begin());
  ranges.emplace(blob.name, first_leaf, leaf_count);
  links_.send(from, frame_of(protocol::BlobGet{blob.name, blob.size_bytes, first_leaf, leaf_count}));
  return {};
}

// A size is a hint until a range verifies under it: a part begun with a wrong one gives way, a whole blob never does.
bool BlobExchange::begin(const protocol::BlobRef& blob) {
  const auto attempt = [&] { return blobs_.begin(blob.name, blob.size_bytes); };
  auto begun = with_room(attempt);
  if (begun || begun.error().code != base::ErrorCode::malformed || blobs_.has(blob.name)) return begun.has_value();
  blobs_.remove(blob.name);
  return with_room(attempt).has_value();
}

bool BlobExchange::forget_request(const base::PeerId& from, const RangeKey& range) {
  const auto found = requested_.find(from);
  if (found == requested_.end() || found->second.erase(range) == 0) return false;
  if (found->second.empty()) requested_.erase(found);
  return true;
}

base::Expected<void> BlobExchange::write(const protocol::BlobData& data) {
  if (data.missing) return base::fail(base::ErrorCode::malformed, "the asked peer does not hold it");
  if (blobs_.size_of(data.blob) != data.size_bytes) return base::fail(base::ErrorCode::malformed, "another size than asked for");
  if (blobs_.has_range(data.blob, data.first_leaf, data.leaf_count)) return {};
  return with_room([&] { return blobs_.write_range(data.blob, data.first_leaf, data.leaf_count, data.bytes, data.proof); });
}

std::vector<protocol::Input> BlobExchange::on_data(const base::PeerId& from, const protocol::BlobData& data) {
  if (!forget_request(from, {data.blob, data.first_leaf, data.leaf_count})) {
    ++refused_count_;
    return {};
  }
  const bool good = write(data).has_value();
  if (good) bytes_moved_ += data.bytes.size();
  return arrived({from, data.blob, data.first_leaf, data.leaf_count, good});
}

void BlobExchange::on_get(const base::PeerId& from, const protocol::BlobGet& get, base::Instant now) {
  auto [at, fresh] = askers_.try_emplace(from);
  if (fresh) at->second = {burst_bytes, now, {}};
  if (!in_bounds(get) || at->second.waiting.size() >= limits::blob_requests_waiting_max) {
    ++refused_count_;
    return;
  }
  at->second.waiting.push_back(get);
  serve_waiting(from, at->second, now);
}

void BlobExchange::on_link_down(const base::PeerId& peer) {
  askers_.erase(peer);
  requested_.erase(peer);
}

void BlobExchange::serve_waiting(const base::PeerId& to, Asker& asker, base::Instant now) {
  // Capped before the product: after a long silence the bucket is simply full.
  const auto elapsed_ms = std::clamp<std::int64_t>((now - asker.filled_at).ms, 0, 60'000);
  asker.tokens_bytes = std::min(burst_bytes, asker.tokens_bytes + elapsed_ms * rate_bytes_per_s / 1000);
  asker.filled_at = now;
  while (!asker.waiting.empty() && asker.tokens_bytes > 0) {
    asker.tokens_bytes -= static_cast<std::int64_t>(asker.waiting.front().leaf_count * base::leaf_bytes);
    serve(to, asker.waiting.front());
    asker.waiting.pop_front();
  }
}

std::optional<base::Instant> BlobExchange::poll(base::Instant now) {
  std::optional<base::Instant> again;
  for (auto& [peer, asker] : askers_) {
    if (asker.waiting.empty()) continue;
    serve_waiting(peer, asker, now);
    if (asker.waiting.empty()) continue;
    const auto at = now + base::milliseconds(1 - asker.tokens_bytes * 1000 / rate_bytes_per_s);
    again = again ? std::min(*again, at) : at;
  }
  return again;
}

void BlobExchange::serve(const base::PeerId& to, const protocol::BlobGet& get) {
  protocol::BlobData data{get.blob, get.size_bytes, get.first_leaf, get.leaf_count, true, {}, {}};
  if (blobs_.size_of(get.blob) == get.size_bytes && blobs_.has_range(get.blob, get.first_leaf, get.leaf_count)) {
    if (auto range = blobs_.read_range(get.blob, get.first_leaf, get.leaf_count)) {
      data.missing = false;
      data.bytes = std::move(range->bytes);
      data.proof = std::move(range->proof);
      bytes_moved_ += data.bytes.size();
    } else {
      on_lost_(get.blob);
    }
  }
  links_.send(to, frame_of(std::move(data)));
}

}  // namespace starling::runtime
