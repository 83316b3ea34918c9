#include "coordinator-less/protocol/fold_table.hpp"

#include <algorithm>

#include "coordinator-less/base/check.hpp"
#include "coordinator-less/base/limits.hpp"

namespace starling::protocol {

// Who gives way to one more fold of this job: the highest rank of the job, or of all. Nothing: there is room.
std::optional<FoldTable::Place> FoldTable::gives_way(const JobId& job) const {
  const auto of_job = folds_.find(job);
  if (of_job != folds_.end() && of_job->second.size() >= limits::folds_per_job_max) {
    const auto highest = std::ranges::max_element(of_job->second, {}, [](const auto& entry) { return entry.second.rank; });
    return Place{highest->second.rank, job, highest->first};
  }
  return size_ < limits::folds_max ? std::nullopt : std::optional(*by_rank_.rbegin());
}

MessageId FoldTable::drop(const Place& place) {
  const auto& [rank, job, author] = place;
  const auto of_job = folds_.find(job);
  const MessageId statement = of_job->second.at(author).statement;
  of_job->second.erase(author);
  if (of_job->second.empty()) folds_.erase(of_job);
  by_rank_.erase(Place(place));
  --size_;
  return statement;
}

FoldTable::Taken FoldTable::take(const PeerId& author, const MessageId& statement, const Fold& fold, const Digest& rank, base::Instant now, bool own) {
  if (settled(author, statement, fold, rank)) return {};
  Taken out{.taken = true};
  if (const Kept* before = find(fold.job, author)) {
    if (!own && now - before->since < limits::fold_spacing) return {};
    out.gone.push_back(before->statement);
  } else {
    if (const auto place = gives_way(fold.job)) {
      out.lost = std::get<JobId>(*place);
      out.gone.push_back(drop(*place));
    }
    by_rank_.emplace(rank, fold.job, author);
    ++size_;
  }
  folds_[fold.job][author] = {statement, rank, now, fold};
  return out;
}

bool FoldTable::settled(const PeerId& author, const MessageId& statement, const Fold& fold, const Digest& rank) const {
  if (const Kept* before = find(fold.job, author)) return std::tie(fold.sequence, statement) <= std::tie(before->fold.sequence, before->statement);
  const auto place = gives_way(fold.job);
  return place && Place{rank, fold.job, author} > *place;
}

const FoldTable::Kept* FoldTable::find(const JobId& job, const PeerId& author) const {
  const auto of_job = folds_.find(job);
  if (of_job == folds_.end()) return nullptr;
  const auto of_author = of_job->second.find(author);
  return of_author == of_job->second.end() ? nullptr : &of_author->second;
}

std::optional<FoldTable::Belief> FoldTable::believed(const JobId& job, const Digest& judges) const {
  const auto of_job = folds_.find(job);
  if (of_job == folds_.end()) return std::nullopt;
  Belief belief;
  for (const auto& [author, kept] : of_job->second) {
    const Fold& fold = kept.fold;
    if (fold.root == Digest{} || fold.judges != judges) continue;
    if (belief.said.empty()) {
      belief.root = fold.root;
      belief.failures = fold.failures;
    }
    if (fold.root != belief.root || fold.failures != belief.failures) return std::nullopt;
    belief.authors.push_back(author);
    belief.said.push_back(fold);
  }
  return belief.said.size() < limits::folds_agreeing_min ? std::nullopt : std::optional(std::move(belief));
}

void FoldTable::forget(const JobId& job) {
  const auto of_job = folds_.find(job);
  if (of_job == folds_.end()) return;
  size_ -= of_job->second.size();
  for (const auto& [author, kept] : of_job->second) by_rank_.erase({kept.rank, job, author});
  folds_.erase(of_job);
}

void FoldTable::check_invariants() const {
  std::size_t count = 0;
  for (const auto& [job, authors] : folds_) {
    STARLING_ENSURE(!authors.empty() && authors.size() <= limits::folds_per_job_max);
    count += authors.size();
    for (const auto& [author, kept] : authors) STARLING_ENSURE(by_rank_.contains({kept.rank, job, author}));
  }
  STARLING_ENSURE(count == size_ && by_rank_.size() == size_ && size_ <= limits::folds_max);
}

}  // namespace starling::protocol
