#include "coordinator-less/protocol/statement_store.hpp"

#include <algorithm>

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

void StatementStore::remember_ephemeral(const MessageId& id) {
  if (!ephemeral_.insert(id).second) return;
  ephemeral_order_.push_back(id);
  if (ephemeral_order_.size() <= limits::seen_statements_max) return;
  ephemeral_.erase(ephemeral_order_.front());
  ephemeral_order_.pop_front();
}

void StatementStore::add(const Statement& statement, const JobId& job) {
  if (!statements_.try_emplace(statement.id, Kept{statement, job}).second) return;
  by_job_[job].insert(statement.id);
  sums_[bucket_of(statement.id)] += word_of(statement.id);
}

void StatementStore::remove(const MessageId& id) {
  const auto it = statements_.find(id);
  if (it == statements_.end()) return;
  auto& siblings = by_job_[it->second.job];
  siblings.erase(id);
  if (siblings.empty()) by_job_.erase(it->second.job);
  sums_[bucket_of(id)] -= word_of(id);
  statements_.erase(it);
}

void StatementStore::remove_job(const JobId& job) {
  const auto it = by_job_.find(job);
  if (it == by_job_.end()) return;
  const auto ids = it->second;
  for (const MessageId& id : ids) remove(id);
}

const Statement* StatementStore::find(const MessageId& id) const {
  const auto it = statements_.find(id);
  return it == statements_.end() ? nullptr : &it->second.statement;
}

std::vector<Statement> StatementStore::of_job(const JobId& job) const {
  std::vector<Statement> out;
  const auto it = by_job_.find(job);
  if (it == by_job_.end()) return out;
  for (const MessageId& id : it->second) out.push_back(statements_.at(id).statement);
  std::ranges::stable_sort(out, {}, &Statement::type);
  return out;
}

Summary StatementStore::summary() const { return Summary{{sums_.begin(), sums_.end()}}; }

std::optional<BucketIds> StatementStore::compare(const Summary& theirs) const {
  if (theirs.buckets.size() != sums_.size()) return std::nullopt;
  BucketIds out;
  for (std::size_t bucket = 0; bucket < sums_.size(); ++bucket) {
    if (theirs.buckets[bucket] == sums_[bucket]) continue;
    if (out.ids.size() >= limits::ids_per_reconciliation_max) break;
    std::vector<MessageId> ids;
    for (auto it = statements_.lower_bound(first_of_bucket(bucket)); it != statements_.end() && bucket_of(it->first) == bucket; ++it)
      ids.push_back(it->first);
    const std::size_t room = limits::ids_per_reconciliation_max - out.ids.size();
    if (ids.size() > room) {
      if (!out.buckets.empty()) continue;  // a later comparison takes it
      ids.resize(room);
    }
    out.buckets.push_back(static_cast<std::uint8_t>(bucket));
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
  }
  if (out.buckets.empty()) return std::nullopt;
  return out;
}

std::vector<std::shared_ptr<const Bytes>> StatementStore::in_reading_order(std::vector<const Statement*> statements) {
  std::ranges::stable_sort(statements, {}, [](const Statement* s) { return s->type(); });
  std::vector<std::shared_ptr<const Bytes>> out;
  for (const Statement* statement : statements) out.push_back(statement->raw);
  return out;
}

StatementStore::Difference StatementStore::difference(const BucketIds& theirs) const {
  const std::set<MessageId> their_ids(theirs.ids.begin(), theirs.ids.end());
  Difference out;
  std::vector<const Statement*> they_lack;
  for (const std::uint8_t bucket : theirs.buckets) {
    for (auto it = statements_.lower_bound(first_of_bucket(bucket)); it != statements_.end() && bucket_of(it->first) == bucket; ++it)
      if (!their_ids.contains(it->first)) they_lack.push_back(&it->second.statement);
  }
  std::ranges::stable_sort(they_lack, {}, [](const Statement* s) { return s->type(); });  // without the manifest nothing else is kept
  if (they_lack.size() > limits::statements_per_want_answer_max) they_lack.resize(limits::statements_per_want_answer_max);
  for (const MessageId& id : their_ids)
    if (!seen(id)) out.we_lack.push_back(id);
  out.they_lack = in_reading_order(std::move(they_lack));
  return out;
}

std::vector<std::shared_ptr<const Bytes>> StatementStore::wanted(const Want& want) const {
  std::vector<const Statement*> found;
  for (const MessageId& id : want.ids) {
    if (found.size() >= limits::statements_per_want_answer_max) break;
    if (const Statement* statement = find(id)) found.push_back(statement);
  }
  return in_reading_order(std::move(found));
}

void StatementStore::check_invariants() const {
  std::array<std::uint64_t, 256> sums{};
  std::size_t in_jobs = 0;
  for (const auto& [id, kept] : statements_) {
    STARLING_ENSURE(id == kept.statement.id && kept.statement.raw != nullptr);
    sums[bucket_of(id)] += word_of(id);
  }
  for (const auto& [job, ids] : by_job_) in_jobs += ids.size();
  STARLING_ENSURE(sums == sums_);
  STARLING_ENSURE(in_jobs == statements_.size());
  STARLING_ENSURE(ephemeral_.size() == ephemeral_order_.size() && ephemeral_.size() <= limits::seen_statements_max);
}

}  // namespace starling::protocol
