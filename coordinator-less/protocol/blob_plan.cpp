#include "coordinator-less/protocol/blob_plan.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"

namespace starling::protocol {

std::uint64_t BlobPlan::Pull::leaves() const { return base::leaf_count(blob.size_bytes); }

std::pair<BlobPlan::Pulls::iterator, BlobPlan::Pulls::iterator> BlobPlan::named(const Digest& blob) {
  return {pulls_.lower_bound(BlobRef{blob, 0}), pulls_.upper_bound(BlobRef{blob, UINT64_MAX})};
}

BlobPlan::Pull* BlobPlan::pull_for(const BlobRef& blob, const JobId& job) {
  const auto it = pulls_.find(blob);
  if (it != pulls_.end()) {
    it->second.jobs.insert(job);
    return &it->second;
  }
  if (blob.size_bytes > limits::blob_bytes_max || pulls_.size() >= limits::pulls_max) return nullptr;
  Pull pull;
  pull.blob = blob;
  pull.jobs = {job};
  return &pulls_.emplace(blob, std::move(pull)).first->second;
}

void BlobPlan::want_whole(const BlobRef& blob, const JobId& job, bool archive) {
  Pull* pull = pull_for(blob, job);
  if (pull == nullptr || pull->whole) return;
  pull->whole = true;
  pull->archive = archive;
  dirty_ = true;
}

void BlobPlan::want_range(const BlobRef& blob, const JobId& job, std::uint64_t first_leaf, std::uint64_t count, base::Instant now,
                          Outbox& out) {
  const std::uint64_t leaves = base::leaf_count(blob.size_bytes);
  Pull* pull = count == 0 || first_leaf >= leaves || count > leaves - first_leaf ? nullptr : pull_for(blob, job);
  if (pull == nullptr) {
    out.push(RangeFailed{blob.name, first_leaf, count});
    return;
  }
  dirty_ = true;
  pull->readers.push_back({first_leaf, count, now + limits::reader_patience});
  answer_readers(*pull, out);
  if (done(*pull)) pulls_.erase(blob);
}

// A piece of [first, end) that is neither asked for nor here. Pieces never cross the common grid, so that two readers ask
// for the same ones.
std::optional<BlobPlan::Piece> BlobPlan::unplanned(Pull& pull, std::uint64_t first, std::uint64_t end) {
  constexpr std::uint64_t grid = limits::leaves_per_range_max;
  const std::uint64_t at = pull.planned.first_missing(first, end);
  if (at >= end) return std::nullopt;
  const std::uint64_t piece_end = std::min({end, (at / grid + 1) * grid, pull.planned.first_present(at)});
  pull.planned.add(at, piece_end);
  return Piece{at, static_cast<std::uint32_t>(piece_end - at)};
}

std::optional<BlobPlan::Piece> BlobPlan::next_piece(Pull& pull) {
  if (!pull.returned.empty()) {
    const Piece piece{pull.returned.begin()->first, pull.returned.begin()->second};
    pull.returned.erase(pull.returned.begin());
    return piece;
  }
  for (const Reader& reader : pull.readers)
    if (const auto piece = unplanned(pull, reader.first, reader.first + reader.count)) return piece;
  if (!pull.whole) return std::nullopt;
  const auto piece = unplanned(pull, pull.next, pull.leaves());
  pull.next = piece ? piece->first + piece->count : pull.leaves();
  return piece;
}

bool BlobPlan::wants_more(const Pull& pull) {
  return !pull.returned.empty() || (pull.whole && pull.planned.first_missing(pull.next, pull.leaves()) < pull.leaves()) ||
         std::ranges::any_of(pull.readers, [&](const Reader& r) { return !pull.planned.contains(r.first, r.first + r.count); });
}

bool BlobPlan::wanted_by(const JobId& job) const {
  return std::ranges::any_of(pulls_, [&](const auto& entry) { return entry.second.jobs.contains(job); });
}

void BlobPlan::begin_anew(Pull& pull) {
  pull.ended_at.reset();
  pull.returned.clear();
  pull.here.clear();
  pull.planned.clear();
  pull.next = 0;
  for (const auto& [first, asked] : pull.asked) pull.planned.add(first, first + asked.count);
}

void BlobPlan::forget_scattered(Pull& pull) {
  if (pull.here.ranges().size() <= limits::ranges_per_pull_max) return;
  RangeSet kept;
  for (const auto& [first, end] : pull.here.ranges()) {
    const bool read = std::ranges::any_of(pull.readers, [&](const Reader& r) { return r.first < end && first < r.first + r.count; });
    if (read || first < pull.next)
      kept.add(first, end);
    else
      pull.planned.remove(first, end);
  }
  pull.here = std::move(kept);
}

void BlobPlan::give_back(Pull& pull, std::uint64_t first, std::uint32_t count) { pull.returned[first] = count; }

void BlobPlan::release(const PeerId& peer) {
  const auto it = asked_of_.find(peer);
  STARLING_ENSURE(it != asked_of_.end() && it->second > 0);
  if (--it->second == 0) asked_of_.erase(it);
}

void BlobPlan::release_all(Pull& pull) {
  for (const auto& [first, asked] : pull.asked) release(asked.peer);
  pull.asked.clear();
}

void BlobPlan::on_range(const PeerId& from, const Digest& blob, std::uint64_t first_leaf, std::uint32_t count, bool good,
                        base::Instant now, Outbox& out) {
  for (auto [it, last] = named(blob); it != last; ++it) {
    Pull& pull = it->second;
    const auto asked = pull.asked.find(first_leaf);
    if (asked == pull.asked.end() || asked->second.peer != from || asked->second.count != count) continue;
    release(from);
    pull.asked.erase(asked);
    dirty_ = true;
    if (good) {
      pull.here.add(first_leaf, first_leaf + count);
      answer_readers(pull, out);
      forget_scattered(pull);
    } else {
      pull.not_before[from] = now + limits::source_retry;
      give_back(pull, first_leaf, count);
    }
    if (done(pull)) pulls_.erase(it);
    return;
  }
}

void BlobPlan::answer_readers(Pull& pull, Outbox& out) {
  std::erase_if(pull.readers, [&](const Reader& reader) {
    if (!pull.here.contains(reader.first, reader.first + reader.count)) return false;
    out.push(RangeReady{pull.blob.name, reader.first, reader.count});
    return true;
  });
}

void BlobPlan::on_whole(const Digest& blob, Outbox& out) {
  const auto [first, last] = named(blob);
  for (auto it = first; it != last; ++it) {
    release_all(it->second);
    for (const Reader& reader : it->second.readers) out.push(RangeReady{blob, reader.first, reader.count});
  }
  pulls_.erase(first, last);
}

void BlobPlan::drop_archives_unless(const std::function<bool(const Digest& blob)>& needed) {
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    Pull& pull = it->second;
    if (!pull.archive || !pull.whole || needed(it->first.name)) {
      ++it;
      continue;
    }
    pull.whole = false;
    if (!pull.readers.empty()) {
      ++it;
      continue;
    }
    release_all(pull);
    it = pulls_.erase(it);
  }
}

void BlobPlan::drop_job(const JobId& job, Outbox& out) {
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    if (it->second.jobs.erase(job) == 0 || !it->second.jobs.empty()) {
      ++it;
      continue;
    }
    release_all(it->second);
    for (const Reader& reader : it->second.readers) out.push(RangeFailed{it->first.name, reader.first, reader.count});
    it = pulls_.erase(it);
  }
}

void BlobPlan::on_link_down(const PeerId& peer) {
  dirty_ = true;
  for (auto& [ref, pull] : pulls_) {
    std::erase_if(pull.asked, [&](const auto& entry) {
      if (entry.second.peer != peer) return false;
      give_back(pull, entry.first, entry.second.count);
      return true;
    });
    pull.not_before.erase(peer);
  }
  asked_of_.erase(peer);
}

void BlobPlan::expire_requests(Pull& pull, base::Instant now) {
  std::erase_if(pull.asked, [&](const auto& entry) {
    const auto& [first, asked] = entry;
    if (now < asked.deadline) return false;
    pull.not_before[asked.peer] = now + limits::source_retry;
    release(asked.peer);
    give_back(pull, first, asked.count);
    return true;
  });
}

std::vector<PeerId> BlobPlan::sources_of(const Pull& pull, const Sources& sources) {
  std::vector<PeerId> out;
  for (const JobId& job : pull.jobs)
    for (const PeerId& peer : sources(job, pull.blob.name))
      if (std::ranges::find(out, peer) == out.end()) out.push_back(peer);
  return out;
}

// True when somebody could be asked, now or once he has answered.
bool BlobPlan::ask(Pull& pull, base::Instant now, const Sources& sources, Outbox& out) {
  std::vector<PeerId> candidates = sources_of(pull, sources);
  std::erase_if(candidates, [&](const PeerId& peer) {
    const auto it = pull.not_before.find(peer);
    return it != pull.not_before.end() && now < it->second;
  });
  pull.unserved = candidates.empty() && pull.asked.empty();
  if (candidates.empty()) return !pull.asked.empty();
  while (true) {
    const auto best = std::ranges::min_element(candidates, {}, [&](const PeerId& peer) {
      const auto it = asked_of_.find(peer);
      return it == asked_of_.end() ? 0U : it->second;
    });
    if (asked_of_[*best] >= limits::blob_requests_per_peer_max) return true;
    const auto piece = next_piece(pull);
    if (!piece) return true;
    pull.asked[piece->first] = {*best, piece->count, now + limits::blob_request_timeout};
    ++asked_of_[*best];
    out.push(RequestRange{*best, pull.blob, piece->first, piece->count});
  }
}

// Several sizes of one name: the store keeps one part per name, so what another size had is gone when its turn comes.
void BlobPlan::ask_in_turn(Pulls::iterator first, Pulls::iterator last, base::Instant now, const Sources& sources, Outbox& out) {
  std::vector<Pull*> waiting;
  for (auto it = first; it != last; ++it) {
    if (!it->second.asked.empty()) {
      ask(it->second, now, sources, out);
      return;
    }
    if (wants_more(it->second)) waiting.push_back(&it->second);
  }
  std::ranges::stable_sort(waiting, {}, &Pull::turns);
  for (Pull* pull : waiting) {
    ask(*pull, now, sources, out);
    if (pull->asked.empty()) continue;
    ++pull->turns;
    for (auto it = first; it != last; ++it)
      if (&it->second != pull) begin_anew(it->second);
    return;
  }
}

void BlobPlan::fail_readers(Pull& pull, base::Instant now, Outbox& out) {
  std::erase_if(pull.readers, [&](const Reader& reader) {
    if (!pull.unserved || now < reader.give_up) return false;
    out.push(RangeFailed{pull.blob.name, reader.first, reader.count});
    return true;
  });
}

void BlobPlan::poll(base::Instant now, const Sources& sources, Outbox& out) {
  if (!std::exchange(dirty_, false)) return;
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    const auto last = pulls_.upper_bound(BlobRef{it->first.name, UINT64_MAX});
    for (auto one = it; one != last; ++one) {
      Pull& pull = one->second;
      expire_requests(pull, now);
      const bool ended = pull.whole && pull.asked.empty() && !wants_more(pull);
      if (!ended) pull.ended_at.reset();
      if (ended && !pull.ended_at) pull.ended_at = now;
      if (ended && now - *pull.ended_at >= limits::source_retry) begin_anew(pull);  // leaves went missing meanwhile
    }
    if (std::next(it) != last)
      ask_in_turn(it, last, now, sources, out);
    else if (wants_more(it->second))
      ask(it->second, now, sources, out);
    while (it != last) {
      fail_readers(it->second, now, out);
      it = done(it->second) ? pulls_.erase(it) : std::next(it);
    }
  }
  std::erase_if(asked_of_, [](const auto& entry) { return entry.second == 0; });
}

std::vector<std::pair<JobId, Digest>> BlobPlan::unserved() const {
  std::vector<std::pair<JobId, Digest>> out;
  for (const auto& [ref, pull] : pulls_)
    if (pull.whole && pull.unserved) out.emplace_back(*pull.jobs.begin(), ref.name);
  return out;
}

std::size_t BlobPlan::archives_in_motion() const {
  return static_cast<std::size_t>(std::ranges::count_if(pulls_, [](const auto& entry) { return entry.second.archive && !entry.second.unserved; }));
}

bool BlobPlan::wanted_whole(const Digest& blob) const {
  for (auto it = pulls_.lower_bound(BlobRef{blob, 0}); it != pulls_.end() && it->first.name == blob; ++it)
    if (it->second.whole) return true;
  return false;
}

std::size_t BlobPlan::ranges_kept() const {
  std::size_t total = 0;
  for (const auto& [ref, pull] : pulls_)
    total += pull.returned.size() + pull.asked.size() + pull.planned.ranges().size() + pull.here.ranges().size();
  return total;
}

void BlobPlan::check_invariants() const {
  STARLING_ENSURE(pulls_.size() <= limits::pulls_max);
  std::map<PeerId, std::uint32_t> asked_of;
  std::map<Digest, int> asking;
  for (const auto& [ref, pull] : pulls_) {
    STARLING_ENSURE(ref == pull.blob);
    pull.here.check_invariants();
    pull.planned.check_invariants();
    RangeSet seen = pull.here;
    const auto mark = [&](std::uint64_t first, std::uint32_t count) {
      STARLING_ENSURE(!seen.touches(first, first + count) && first + count <= pull.leaves());
      seen.add(first, first + count);
    };
    for (const auto& [first, count] : pull.returned) mark(first, count);
    for (const auto& [first, asked] : pull.asked) {
      mark(first, asked.count);
      ++asked_of[asked.peer];
    }
    STARLING_ENSURE(seen.ranges() == pull.planned.ranges());
    if (!pull.asked.empty()) STARLING_ENSURE(++asking[ref.name] == 1);
  }
  for (const auto& [peer, count] : asked_of_)
    if (count > 0) STARLING_ENSURE(asked_of.contains(peer) && asked_of.at(peer) == count);
  for (const auto& [peer, count] : asked_of) STARLING_ENSURE(count <= limits::blob_requests_per_peer_max);
}

}  // namespace starling::protocol
