#include "coordinator-less/protocol/statement_store.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {
namespace {

MessageId first_of_bucket(std::size_t bucket) {
  MessageId id;
  id.bytes[0] = static_cast<std::byte>(bucket);
  return id;
}

MessageId last_of_bucket(std::size_t bucket) {
  MessageId id;
  id.bytes.fill(std::byte{0xff});
  id.bytes[0] = static_cast<std::byte>(bucket);
  return id;
}

// The lowest count_max of both, ascending.
void merge_into(std::vector<MessageId>& ids, const std::vector<MessageId>& others, std::size_t count_max) {
  const auto middle = static_cast<std::ptrdiff_t>(ids.size());
  ids.insert(ids.end(), others.begin(), others.end());
  std::ranges::inplace_merge(ids, ids.begin() + middle);
  if (ids.size() > count_max) ids.resize(count_max);
}

// A message of one bucket that is full speaks only of the ids from its first to its last.
bool is_page(const BucketIds& list) { return list.buckets.size() == 1 && list.ids.size() == limits::ids_per_reconciliation_max; }

bool bodiless(StatementType type) { return type == StatementType::results || type == StatementType::fold; }

}  // namespace

bool headline(StatementType type) {
  return type == StatementType::manifest || type == StatementType::cancel || type == StatementType::peer_record || type == StatementType::fold;
}

bool StatementStore::asleep(const MessageId& id) const {
  if (asleep_.empty()) return false;
  ++reads_;
  const auto job = stored_->job_of(id);
  return !job || (*job && asleep_.contains(**job));
}

void StatementStore::add(const Statement& statement, const JobId& job) {
  if (statements_.contains(statement.id)) return;
  const auto siblings = by_job_.try_emplace(job).first;
  const auto place = static_cast<std::uint32_t>(siblings->second.size());
  siblings->second.push_back(statement.id);
  auto body = bodiless(statement.type()) ? nullptr : std::make_shared<const Body>(statement.body);
  statements_.emplace(statement.id, Kept{statement.author, statement.type(), place, statement.raw, std::move(body), siblings});
  sums_.add(statement.id);
  if (headline(statement.type()))
    headline_sums_.add(statement.id);
  else if (const auto counted = counted_.find(job); counted != counted_.end())
    counted->second.add(statement.id);
}

void StatementStore::remove(const MessageId& id) {
  const auto it = statements_.find(id);
  if (it == statements_.end()) return;
  std::vector<MessageId>& siblings = it->second.job->second;
  statements_.at(siblings.back()).place = it->second.place;
  std::swap(siblings[it->second.place], siblings.back());
  siblings.pop_back();
  sums_.remove(id);
  if (headline(it->second.type))
    headline_sums_.remove(id);
  else if (const auto counted = counted_.find(it->second.job->first); counted != counted_.end())
    counted->second.remove(id);
  if (siblings.empty()) {
    counted_.erase(it->second.job->first);
    by_job_.erase(it->second.job);
  }
  statements_.erase(it);
}

void StatementStore::sleep(const JobId& job) {
  STARLING_ENSURE(stored_ != nullptr);
  auto& siblings = by_job_.at(job);
  std::vector<MessageId> ids, headlines;
  for (const MessageId& id : siblings) (headline(statements_.at(id).type) ? headlines : ids).push_back(id);
  for (const MessageId& id : ids) statements_.erase(id);
  siblings = std::move(headlines);
  for (std::uint32_t place = 0; place < siblings.size(); ++place) statements_.at(siblings[place]).place = place;
  counted_.erase(job);
  asleep_.add(job, ids);
}

void StatementStore::wake(const JobId& job) {
  sums_.remove(asleep_.sums(job));
  asleep_.remove(job);
}

void StatementStore::recount(const JobId& job) {
  if (!asleep_.contains(job)) return;
  MessageId last;
  last.bytes.fill(std::byte{0xff});
  auto ids = stored_->ids_of(job, {}, last, std::numeric_limits<std::int32_t>::max());
  if (!ids) return;
  std::erase_if(*ids, [&](const MessageId& id) { return statements_.contains(id); });
  wake(job);
  asleep_.add(job, *ids);
  sums_.add(asleep_.sums(job));
}

void StatementStore::remove_job(const JobId& job) {
  wake(job);
  counted_.erase(job);
  const auto it = by_job_.find(job);
  if (it == by_job_.end()) return;
  for (const MessageId& id : it->second) {
    const auto gone = statements_.find(id);
    sums_.remove(id);
    if (headline(gone->second.type)) headline_sums_.remove(id);
    statements_.erase(gone);
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

const BucketSums& StatementStore::sums_awake(const JobId& job, const std::vector<MessageId>& siblings) const {
  if (const auto counted = counted_.find(job); counted != counted_.end()) return counted->second;
  if (counted_.size() >= limits::folded_jobs_max) counted_.clear();
  BucketSums& sums = counted_[job];
  walked_ += siblings.size();
  for (const MessageId& id : siblings)
    if (!headline(statements_.find(id)->second.type)) sums.add(id);
  return sums;
}

BucketSums StatementStore::sums_of(const Scope& scope) const {
  if (scope.headlines) return headline_sums_;
  BucketSums sums = sums_;
  for (const JobId& job : scope.without) {
    sums.remove(asleep_.sums(job));
    if (const auto siblings = by_job_.find(job); siblings != by_job_.end() && !asleep_.contains(job)) sums.remove(sums_awake(job, siblings->second));
  }
  return sums;
}

Summary StatementStore::summary(bool headlines, const Jobs& without) const {
  const BucketSums sums = sums_of({headlines, without});
  return Summary{{sums.begin(), sums.end()}, headlines};
}

// Of sleeping jobs, the lowest count_max. Each job is asked only for what may still be among these.
StatementStore::Ids StatementStore::ids_asleep(const Scope& scope, std::size_t bucket, const MessageId& first, const MessageId& last, std::size_t count_max) const {
  std::vector<MessageId> out;
  if (scope.headlines) return out;
  std::optional<base::Error> failed;
  asleep_.for_each_in(bucket, [&](const JobId& job) {
    if (failed || count_max == 0 || scope.without.contains(job)) return;
    auto ids = stored_->ids_of(job, first, out.size() == count_max ? out.back() : last, count_max + 2);  // the manifest's and its cancellation's are among them
    ++reads_;
    if (!ids) return void(failed = std::move(ids).error());
    reads_ += ids->size();
    std::erase_if(*ids, [&](const MessageId& id) { return statements_.contains(id); });
    merge_into(out, *ids, count_max);
  });
  if (failed) return std::unexpected(*std::move(failed));
  return out;
}

// The lowest count_max of the bucket from `first` on.
StatementStore::Ids StatementStore::ids_in(const Scope& scope, std::size_t bucket, const MessageId& first, std::size_t count_max) const {
  STARLING_TRY(auto ids, ids_asleep(scope, bucket, first, last_of_bucket(bucket), count_max));
  std::vector<MessageId> awake;
  for (auto it = statements_.lower_bound(first); it != statements_.end() && bucket_of(it->first) == bucket && awake.size() < count_max; ++it)
    if (covers(scope, it->second)) awake.push_back(it->first);
  merge_into(ids, awake, count_max);
  return ids;
}

// All ids of a bucket, or a full page of them: from where the last page ended, its last id included. The last page begins sooner, to be full.
StatementStore::Ids StatementStore::page_of(const Scope& scope, std::size_t bucket) {
  constexpr std::size_t size = limits::ids_per_reconciliation_max;
  STARLING_TRY(auto all, ids_in(scope, bucket, first_of_bucket(bucket), size + 1));
  if (all.size() <= size) return all;
  Page& page = pages_[bucket];
  STARLING_TRY(auto ids, ids_in(scope, bucket, std::max(page.next, first_of_bucket(bucket)), size));
  if (ids.size() == size) {
    page = {ids.front(), ids.back()};
    return ids;
  }
  STARLING_TRY(ids, ids_in(scope, bucket, std::max(page.before, first_of_bucket(bucket)), 2 * size));
  page = {};
  if (ids.size() < size) ids = std::move(all);  // some went meanwhile
  return std::vector<MessageId>{ids.end() - static_cast<std::ptrdiff_t>(size), ids.end()};
}

std::optional<BucketIds> StatementStore::compare(const Summary& theirs, const Jobs& without) {
  if (theirs.buckets.size() != id_bucket_count) return std::nullopt;
  const Scope scope{theirs.headlines, without};
  const BucketSums sums = sums_of(scope);
  BucketIds out;
  out.headlines = theirs.headlines;
  std::size_t last = first_bucket_;
  for (std::size_t n = 0; n < id_bucket_count; ++n) {
    const std::size_t bucket = (first_bucket_ + n) % id_bucket_count;
    if (theirs.buckets[bucket] == sums[bucket]) continue;
    const Page page = pages_[bucket];
    const auto ids = page_of(scope, bucket);
    if (!ids) return std::nullopt;
    if (ids->size() > limits::ids_per_reconciliation_max - out.ids.size()) {
      pages_[bucket] = page;
      break;  // a later comparison begins with it
    }
    out.buckets.push_back(static_cast<std::uint8_t>(bucket));
    out.ids.insert(out.ids.end(), ids->begin(), ids->end());
    last = bucket;
  }
  if (out.buckets.empty()) return std::nullopt;
  first_bucket_ = (last + 1) % id_bucket_count;
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

// Reads no more than there can be of what they list and one answer besides: what is not reached then is looked up one by one, or sent another time.
base::Expected<StatementStore::Asleep> StatementStore::compare_asleep(const Scope& scope, const BucketIds& theirs, const std::set<MessageId>& their_ids) const {
  Asleep out;
  std::size_t room = their_ids.size() + limits::statements_per_want_answer_max;
  for (const std::uint8_t bucket : theirs.buckets) {
    MessageId first = first_of_bucket(bucket), last = last_of_bucket(bucket);
    if (is_page(theirs)) first = std::max(first, *their_ids.begin()), last = std::min(last, *their_ids.rbegin());
    STARLING_TRY(const auto ids, ids_asleep(scope, bucket, first, last, room));
    for (const MessageId& id : ids) {
      if (their_ids.contains(id))
        out.known.insert(id);
      else if (out.they_lack.size() < limits::statements_per_want_answer_max)
        out.they_lack.push_back(id);
    }
    room -= ids.size();
    if (room == 0) break;
    out.whole.set(bucket);
  }
  return out;
}

StatementStore::Difference StatementStore::difference(const BucketIds& theirs, const Jobs& without) const {
  const Scope scope{theirs.headlines, without};
  const std::set<MessageId> their_ids(theirs.ids.begin(), theirs.ids.end());
  Difference out;
  auto asleep_there = compare_asleep(scope, theirs, their_ids);
  if (!asleep_there) return out;
  const auto spoken_of = [&](const MessageId& id) { return !is_page(theirs) || (id >= *their_ids.begin() && id <= *their_ids.rbegin()); };
  std::vector<const Kept*> they_lack;
  for (const std::uint8_t bucket : theirs.buckets)
    for (auto it = statements_.lower_bound(first_of_bucket(bucket)); it != statements_.end() && bucket_of(it->first) == bucket; ++it)
      if (covers(scope, it->second) && spoken_of(it->first) && !their_ids.contains(it->first)) they_lack.push_back(&it->second);
  std::ranges::stable_sort(they_lack, {}, &Kept::type);  // without the manifest nothing else is kept
  if (they_lack.size() > limits::statements_per_want_answer_max) they_lack.resize(limits::statements_per_want_answer_max);
  for (const MessageId& id : their_ids) {
    const bool known = here(id) || (asleep_there->whole[bucket_of(id)] && !scope.headlines && without.empty() ? asleep_there->known.contains(id) : asleep(id));
    if (!known) out.we_lack.push_back(id);
  }
  out.they_lack = in_reading_order(std::move(they_lack));
  out.they_lack_asleep = std::move(asleep_there->they_lack);
  return out;
}

StatementStore::Difference StatementStore::wanted(const Want& want) const {
  Difference out;
  std::vector<const Kept*> found;
  for (const MessageId& id : want.ids) {
    if (found.size() + out.they_lack_asleep.size() >= limits::statements_per_want_answer_max) break;
    if (const auto it = statements_.find(id); it != statements_.end())
      found.push_back(&it->second);
    else if (!asleep_.empty())
      out.they_lack_asleep.push_back(id);
  }
  reads_ += out.they_lack_asleep.size();
  out.they_lack = in_reading_order(std::move(found));
  return out;
}

void StatementStore::check_invariants() const {
  BucketSums sums, headline_sums;
  std::size_t in_jobs = 0;
  for (const auto& [id, kept] : statements_) {
    STARLING_ENSURE(kept.raw != nullptr && (kept.body == nullptr) == bodiless(kept.type));
    sums.add(id);
    if (headline(kept.type)) headline_sums.add(id);
  }
  asleep_.check_invariants();
  for (auto job = by_job_.begin(); job != by_job_.end(); ++job) {
    in_jobs += job->second.size();
    BucketSums counted;
    for (std::size_t place = 0; place < job->second.size(); ++place) {
      const auto& [id, kept] = *statements_.find(job->second[place]);
      STARLING_ENSURE(kept.job == job && kept.place == place);
      if (!headline(kept.type)) counted.add(id);
    }
    if (const auto kept_up = counted_.find(job->first); kept_up != counted_.end()) STARLING_ENSURE(kept_up->second == counted);
    if (!asleep_.contains(job->first)) continue;
    for (const MessageId& id : job->second) STARLING_ENSURE(headline(statements_.at(id).type));
    sums.add(asleep_.sums(job->first));
  }
  STARLING_ENSURE(sums == sums_ && headline_sums == headline_sums_);
  STARLING_ENSURE(in_jobs == statements_.size());
  for (const auto& counted : counted_) STARLING_ENSURE(by_job_.contains(counted.first) && !asleep_.contains(counted.first));
  ephemeral_.check_invariants();
}

}  // namespace starling::protocol
