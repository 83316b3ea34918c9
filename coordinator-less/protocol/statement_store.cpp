#include "coordinator-less/protocol/statement_store.hpp"

#include <algorithm>
#include <tuple>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

std::size_t bucket_of(const MessageId& id) { return std::to_integer<std::size_t>(id.bytes[0]); }

MessageId first_of_bucket(std::size_t bucket) {
  MessageId id;
  id.bytes[0] = static_cast<std::byte>(bucket);
  return id;
}

}  // namespace

std::uint64_t StatementStore::word_of(const MessageId& id) { return base::read_u64(id.view().subspan(8, 8)); }

void StatementStore::add(const Statement& statement, const JobId& job) {
  if (contains(statement.id)) return;
  const auto siblings = by_job_.try_emplace(job).first;
  siblings->second.push_back(statement.id);
  auto body = statement.type() == StatementType::results ? nullptr : std::make_shared<const Body>(statement.body);
  statements_.emplace(statement.id, Kept{statement.author, statement.type(), statement.raw, std::move(body), siblings});
  sums_[bucket_of(statement.id)] += word_of(statement.id);
}

void StatementStore::remove(const MessageId& id) {
  const auto it = statements_.find(id);
  if (it == statements_.end()) return;
  std::vector<MessageId>& siblings = it->second.job->second;
  std::swap(*std::ranges::find(siblings, id), siblings.back());
  siblings.pop_back();
  if (siblings.empty()) by_job_.erase(it->second.job);
  sums_[bucket_of(id)] -= word_of(id);
  statements_.erase(it);
}

void StatementStore::sleep(const JobId& job) {
  auto& siblings = by_job_.at(job);
  std::vector<MessageId> ids, manifest;
  for (const MessageId& id : siblings) {
    auto& group = statements_.at(id).type == StatementType::manifest ? manifest : ids;
    group.push_back(id);
  }
  for (const MessageId& id : ids) statements_.erase(id);
  siblings = std::move(manifest);
  asleep_.add(job, ids);
}

void StatementStore::wake(const JobId& job) {
  for (const MessageId& id : asleep_.remove(job)) sums_[bucket_of(id)] -= word_of(id);
}

void StatementStore::remove_job(const JobId& job) {
  wake(job);
  const auto it = by_job_.find(job);
  if (it == by_job_.end()) return;
  for (const MessageId& id : it->second) {
    sums_[bucket_of(id)] -= word_of(id);
    statements_.erase(id);
  }
  by_job_.erase(it);
}

KeptStatement StatementStore::told(const Entry& entry) {
  const auto& [id, kept] = entry;
  return {id, kept.author, kept.type, kept.raw, kept.body};
}

std::optional<KeptStatement> StatementStore::find(const MessageId& id) const {
  const auto it = statements_.find(id);
  return it == statements_.end() ? std::nullopt : std::optional(told(*it));
}

std::vector<KeptStatement> StatementStore::of_job(const JobId& job) const {
  std::vector<KeptStatement> out;
  const auto it = by_job_.find(job);
  if (it == by_job_.end()) return out;
  for (const MessageId& id : it->second) out.push_back(told(*statements_.find(id)));
  std::ranges::sort(out, {}, [](const KeptStatement& one) { return std::tie(one.type, one.id); });
  return out;
}

Summary StatementStore::summary() const { return Summary{{sums_.begin(), sums_.end()}}; }

// All ids of a bucket, or a full page of them: from where the last page ended, its last id included.
std::vector<MessageId> StatementStore::page_of(std::size_t bucket) {
  std::vector<MessageId> ids;
  for (auto it = statements_.lower_bound(first_of_bucket(bucket)); it != statements_.end() && bucket_of(it->first) == bucket; ++it)
    ids.push_back(it->first);
  const auto awake = static_cast<std::ptrdiff_t>(ids.size());
  for (const auto& entry : asleep_.bucket(bucket)) ids.push_back(entry.id);
  std::ranges::inplace_merge(ids, ids.begin() + awake);
  constexpr std::size_t page = limits::ids_per_reconciliation_max;
  if (ids.size() <= page) return ids;
  const auto at = std::ranges::lower_bound(ids, next_page_[bucket]) - ids.begin();
  const auto first = std::min(at, static_cast<std::ptrdiff_t>(ids.size() - page));
  ids = {ids.begin() + first, ids.begin() + first + static_cast<std::ptrdiff_t>(page)};
  next_page_[bucket] = at > first ? MessageId{} : ids.back();  // after the last page the first one again
  return ids;
}

std::optional<BucketIds> StatementStore::compare(const Summary& theirs) {
  if (theirs.buckets.size() != sums_.size()) return std::nullopt;
  BucketIds out;
  std::size_t last = first_bucket_;
  for (std::size_t n = 0; n < sums_.size(); ++n) {
    const std::size_t bucket = (first_bucket_ + n) % sums_.size();
    if (theirs.buckets[bucket] == sums_[bucket]) continue;
    const MessageId page_start = next_page_[bucket];
    const auto ids = page_of(bucket);
    if (ids.size() > limits::ids_per_reconciliation_max - out.ids.size()) {
      next_page_[bucket] = page_start;
      break;  // a later comparison begins with it
    }
    out.buckets.push_back(static_cast<std::uint8_t>(bucket));
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    last = bucket;
  }
  if (out.buckets.empty()) return std::nullopt;
  first_bucket_ = (last + 1) % sums_.size();
  std::ranges::sort(out.buckets);
  std::ranges::sort(out.ids);
  return out;
}

std::vector<std::shared_ptr<const Bytes>> StatementStore::in_reading_order(std::vector<const Kept*> statements) {
  std::ranges::stable_sort(statements, {}, &Kept::type);
  std::vector<std::shared_ptr<const Bytes>> out;
  for (const Kept* statement : statements) out.push_back(statement->raw);
  return out;
}

StatementStore::Difference StatementStore::difference(const BucketIds& theirs) const {
  const std::set<MessageId> their_ids(theirs.ids.begin(), theirs.ids.end());
  Difference out;
  const bool page = theirs.buckets.size() == 1 && theirs.ids.size() == limits::ids_per_reconciliation_max;
  const auto spoken_of = [&](const MessageId& id) { return !page || (id >= *their_ids.begin() && id <= *their_ids.rbegin()); };
  std::vector<const Kept*> they_lack;
  for (const std::uint8_t bucket : theirs.buckets) {
    for (const auto& [id, job] : asleep_.bucket(bucket))
      if (out.they_lack_asleep.size() < limits::statements_per_want_answer_max && spoken_of(id) && !their_ids.contains(id)) out.they_lack_asleep.push_back(id);
    for (auto it = statements_.lower_bound(first_of_bucket(bucket)); it != statements_.end() && bucket_of(it->first) == bucket; ++it)
      if (spoken_of(it->first) && !their_ids.contains(it->first)) they_lack.push_back(&it->second);
  }
  std::ranges::stable_sort(they_lack, {}, &Kept::type);  // without the manifest nothing else is kept
  if (they_lack.size() > limits::statements_per_want_answer_max) they_lack.resize(limits::statements_per_want_answer_max);
  for (const MessageId& id : their_ids)
    if (!seen(id)) out.we_lack.push_back(id);
  out.they_lack = in_reading_order(std::move(they_lack));
  return out;
}

StatementStore::Difference StatementStore::wanted(const Want& want) const {
  Difference out;
  std::vector<const Kept*> found;
  for (const MessageId& id : want.ids) {
    if (found.size() + out.they_lack_asleep.size() >= limits::statements_per_want_answer_max) break;
    if (const auto it = statements_.find(id); it != statements_.end())
      found.push_back(&it->second);
    else if (asleep_.contains(id))
      out.they_lack_asleep.push_back(id);
  }
  out.they_lack = in_reading_order(std::move(found));
  return out;
}

void StatementStore::check_invariants() const {
  std::array<std::uint64_t, 256> sums{};
  std::size_t in_jobs = 0;
  for (const auto& [id, kept] : statements_) {
    STARLING_ENSURE(kept.raw != nullptr && (kept.body == nullptr) == (kept.type == StatementType::results));
    sums[bucket_of(id)] += word_of(id);
  }
  asleep_.check_invariants();
  for (std::size_t bucket = 0; bucket < sums.size(); ++bucket)
    for (const auto& [id, job] : asleep_.bucket(bucket)) {
      STARLING_ENSURE(!statements_.contains(id));
      sums[bucket] += word_of(id);
    }
  for (auto job = by_job_.begin(); job != by_job_.end(); ++job) {
    in_jobs += job->second.size();
    for (const MessageId& id : job->second) STARLING_ENSURE(statements_.at(id).job == job);
  }
  STARLING_ENSURE(sums == sums_);
  STARLING_ENSURE(in_jobs == statements_.size());
  ephemeral_.check_invariants();
}

}  // namespace starling::protocol
