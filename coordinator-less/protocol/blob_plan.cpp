#include "coordinator-less/protocol/blob_plan.hpp"

#include <algorithm>
#include <utility>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"
#include "coordinator-less/base/merkle_tree.hpp"

namespace starling::protocol {

BlobPlan::Pull* BlobPlan::pull_for(const BlobRef& blob, const JobId& job) {
  const auto it = pulls_.find(blob.name);
  if (it != pulls_.end()) return it->second.blob.size_bytes == blob.size_bytes ? &it->second : nullptr;
  const std::uint64_t leaves = base::leaf_count(blob.size_bytes);
  std::uint64_t planned = leaves;
  for (const auto& [name, pull] : pulls_) planned += pull.leaves.size();
  if (leaves > limits::pull_leaves_max || planned > limits::planned_leaves_max) return nullptr;
  Pull pull;
  pull.blob = blob;
  pull.job = job;
  pull.leaves.assign(leaves, Leaf::unwanted);
  return &pulls_.emplace(blob.name, std::move(pull)).first->second;
}

void BlobPlan::want_whole(const BlobRef& blob, const JobId& job, bool archive) {
  Pull* pull = pull_for(blob, job);
  if (pull == nullptr || pull->whole) return;
  pull->whole = true;
  pull->archive = archive;
  dirty_ = true;
  enqueue(*pull, 0, pull->leaves.size());
}

void BlobPlan::want_range(const BlobRef& blob, const JobId& job, std::uint64_t first_leaf, std::uint64_t count, base::Instant now,
                          Outbox& out) {
  Pull* pull = pull_for(blob, job);
  if (pull == nullptr || count == 0 || first_leaf >= pull->leaves.size() || count > pull->leaves.size() - first_leaf) {
    out.push(RangeFailed{blob.name, first_leaf, count});
    return;
  }
  dirty_ = true;
  pull->readers.push_back({first_leaf, count, now + limits::reader_patience});
  enqueue(*pull, first_leaf, count);
  answer_readers(*pull, out);
  forget_if_done(pulls_.find(blob.name));
}

void BlobPlan::enqueue(Pull& pull, std::uint64_t first, std::uint64_t count) {
  constexpr std::uint64_t piece = limits::leaves_per_range_max;
  for (std::uint64_t at = first; at < first + count;) {
    if (pull.leaves[at] != Leaf::unwanted) {
      ++at;
      continue;
    }
    std::uint64_t end = at;  // pieces never cross the common grid, so that two readers ask for the same ones
    while (end < first + count && end < (at / piece + 1) * piece && pull.leaves[end] == Leaf::unwanted) pull.leaves[end++] = Leaf::queued;
    pull.queue[at] = static_cast<std::uint32_t>(end - at);
    at = end;
  }
}

void BlobPlan::requeue(Pull& pull, std::uint64_t first, std::uint32_t count) {
  for (std::uint64_t leaf = first; leaf < first + count; ++leaf) pull.leaves[leaf] = Leaf::queued;
  pull.queue[first] = count;
}

void BlobPlan::release(const PeerId& peer) {
  const auto it = asked_of_.find(peer);
  STARLING_ENSURE(it != asked_of_.end() && it->second > 0);
  if (--it->second == 0) asked_of_.erase(it);
}

void BlobPlan::on_range(const PeerId& from, const Digest& blob, std::uint64_t first_leaf, std::uint32_t count, bool good,
                        base::Instant now, Outbox& out) {
  const auto it = pulls_.find(blob);
  if (it == pulls_.end()) return;
  Pull& pull = it->second;
  const auto asked = pull.asked.find(first_leaf);
  if (asked == pull.asked.end() || asked->second.peer != from || asked->second.count != count) return;
  release(from);
  pull.asked.erase(asked);
  dirty_ = true;
  if (!good) {
    pull.not_before[from] = now + limits::source_retry;
    requeue(pull, first_leaf, count);
    return;
  }
  for (std::uint64_t leaf = first_leaf; leaf < first_leaf + count; ++leaf) pull.leaves[leaf] = Leaf::here;
  answer_readers(pull, out);
  forget_if_done(it);
}

void BlobPlan::answer_readers(Pull& pull, Outbox& out) {
  std::erase_if(pull.readers, [&](const Reader& reader) {
    for (std::uint64_t leaf = reader.first; leaf < reader.first + reader.count; ++leaf)
      if (pull.leaves[leaf] != Leaf::here) return false;
    out.push(RangeReady{pull.blob.name, reader.first, reader.count});
    return true;
  });
}

void BlobPlan::on_whole(const Digest& blob, Outbox& out) {
  const auto it = pulls_.find(blob);
  if (it == pulls_.end()) return;
  for (const auto& [first, asked] : it->second.asked) release(asked.peer);
  for (const Reader& reader : it->second.readers) out.push(RangeReady{blob, reader.first, reader.count});
  pulls_.erase(it);
}

void BlobPlan::forget_if_done(std::map<Digest, Pull>::iterator it) {
  // A finished whole pull ends with on_whole; a range pull keeps its leaf map only while somebody reads.
  Pull& pull = it->second;
  if (!pull.whole && pull.readers.empty() && pull.asked.empty()) pulls_.erase(it);
}

void BlobPlan::drop_whole(const Digest& blob) {
  const auto it = pulls_.find(blob);
  if (it == pulls_.end()) return;
  it->second.whole = false;
  if (!it->second.readers.empty()) return;
  for (const auto& [first, asked] : it->second.asked) release(asked.peer);
  pulls_.erase(it);
}

void BlobPlan::drop_job(const JobId& job, Outbox& out) {
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    if (it->second.job != job) {
      ++it;
      continue;
    }
    for (const auto& [first, asked] : it->second.asked) release(asked.peer);
    for (const Reader& reader : it->second.readers) out.push(RangeFailed{it->first, reader.first, reader.count});
    it = pulls_.erase(it);
  }
}

void BlobPlan::on_link_down(const PeerId& peer) {
  dirty_ = true;
  for (auto& [name, pull] : pulls_) {
    for (auto it = pull.asked.begin(); it != pull.asked.end();) {
      if (it->second.peer != peer) {
        ++it;
        continue;
      }
      requeue(pull, it->first, it->second.count);
      it = pull.asked.erase(it);
    }
    pull.not_before.erase(peer);
  }
  asked_of_.erase(peer);
}

void BlobPlan::expire_requests(Pull& pull, base::Instant now) {
  for (auto it = pull.asked.begin(); it != pull.asked.end();) {
    if (now < it->second.deadline) {
      ++it;
      continue;
    }
    pull.not_before[it->second.peer] = now + limits::source_retry;
    release(it->second.peer);
    requeue(pull, it->first, it->second.count);
    it = pull.asked.erase(it);
  }
}

void BlobPlan::ask(Pull& pull, base::Instant now, const Sources& sources, Outbox& out) {
  std::vector<PeerId> candidates = sources(pull.job, pull.blob.name);
  std::erase_if(candidates, [&](const PeerId& peer) {
    const auto it = pull.not_before.find(peer);
    return it != pull.not_before.end() && now < it->second;
  });
  pull.unserved = candidates.empty() && pull.asked.empty();
  while (!pull.queue.empty() && !candidates.empty()) {
    const auto best = std::ranges::min_element(candidates, {}, [&](const PeerId& peer) {
      const auto it = asked_of_.find(peer);
      return it == asked_of_.end() ? 0U : it->second;
    });
    if (asked_of_[*best] >= limits::blob_requests_per_peer_max) return;
    const auto [first, count] = *pull.queue.begin();
    pull.queue.erase(pull.queue.begin());
    for (std::uint64_t leaf = first; leaf < first + count; ++leaf) pull.leaves[leaf] = Leaf::asked;
    pull.asked[first] = {*best, count, now + limits::blob_request_timeout};
    ++asked_of_[*best];
    out.push(RequestRange{*best, pull.blob, first, count});
  }
}

void BlobPlan::poll(base::Instant now, const Sources& sources, Outbox& out) {
  if (!std::exchange(dirty_, false)) return;
  for (auto it = pulls_.begin(); it != pulls_.end();) {
    Pull& pull = it->second;
    expire_requests(pull, now);
    if (!pull.queue.empty()) ask(pull, now, sources, out);
    std::erase_if(pull.readers, [&](const Reader& reader) {
      if (!pull.unserved || now < reader.give_up) return false;
      out.push(RangeFailed{pull.blob.name, reader.first, reader.count});
      return true;
    });
    const auto next = std::next(it);
    forget_if_done(it);
    it = next;
  }
  std::erase_if(asked_of_, [](const auto& entry) { return entry.second == 0; });
}

std::vector<std::pair<JobId, Digest>> BlobPlan::unserved() const {
  std::vector<std::pair<JobId, Digest>> out;
  for (const auto& [name, pull] : pulls_)
    if (pull.whole && pull.unserved) out.emplace_back(pull.job, name);
  return out;
}

std::size_t BlobPlan::archives_in_motion() const {
  return static_cast<std::size_t>(std::ranges::count_if(pulls_, [](const auto& entry) { return entry.second.archive && !entry.second.unserved; }));
}

bool BlobPlan::wanted_whole(const Digest& blob) const {
  const auto it = pulls_.find(blob);
  return it != pulls_.end() && it->second.whole;
}

void BlobPlan::check_invariants() const {
  std::map<PeerId, std::uint32_t> asked_of;
  for (const auto& [name, pull] : pulls_) {
    STARLING_ENSURE(name == pull.blob.name);
    STARLING_ENSURE(pull.leaves.size() == base::leaf_count(pull.blob.size_bytes));
    std::vector<Leaf> seen(pull.leaves.size(), Leaf::unwanted);
    const auto mark = [&](std::uint64_t first, std::uint32_t count, Leaf as) {
      for (std::uint64_t leaf = first; leaf < first + count; ++leaf) {
        STARLING_ENSURE(seen[leaf] == Leaf::unwanted && pull.leaves[leaf] == as);
        seen[leaf] = as;
      }
    };
    for (const auto& [first, count] : pull.queue) mark(first, count, Leaf::queued);
    for (const auto& [first, asked] : pull.asked) {
      mark(first, asked.count, Leaf::asked);
      ++asked_of[asked.peer];
    }
  }
  for (const auto& [peer, count] : asked_of_)
    if (count > 0) STARLING_ENSURE(asked_of.contains(peer) && asked_of.at(peer) == count);
  for (const auto& [peer, count] : asked_of) STARLING_ENSURE(count <= limits::blob_requests_per_peer_max);
}

}  // namespace starling::protocol
